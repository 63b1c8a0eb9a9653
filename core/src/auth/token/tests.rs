//! The adversarial cases of tokens by their numbers, and the golden tokens of the app's libraries.

mod times;

use chrono::TimeZone as _;
use ring::hmac;
use serde_json::{Value as Json, json};

use super::*;
use crate::settings::Secret;

const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const OTHER_KEY: &str = "0ther5ecret0123456789abcdef0123456789abcdef00";
const NOW: i64 = 1_800_000_000;

fn now() -> DateTime<Utc> {
    Utc.timestamp_opt(NOW, 0).unwrap()
}

fn keys() -> KeyRing {
    KeyRing::new(&Secret::new(KEY)).unwrap()
}

fn rules() -> TokenRules {
    TokenRules {
        leeway: Duration::ZERO,
        ..TokenRules::default()
    }
}

fn encode(part: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part)
}

/// Signs any header and claims, as somebody with the key would.
fn signed(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    let text = format!("{}.{}", encode(header), encode(claims));
    let signature = keys().sign(&text);
    format!("{text}.{signature}")
}

const LEGACY: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const STRICT: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;

fn simple() -> Json {
    json!({"sub": "ana", "exp": NOW + 600})
}

fn full() -> Json {
    json!({"sub": "u1", "exp": NOW + 600, "iat": NOW, "jti": "j1", "sid": "s1", "iss": "posada", "aud": "posada"})
}

/// The claims with one of them replaced, or removed when the value is `null` in Rust's sense.
fn with(mut claims: Json, name: &str, value: impl Into<Option<Json>>) -> String {
    match value.into() {
        Some(value) => claims[name] = value,
        None => {
            claims.as_object_mut().unwrap().remove(name);
        }
    }
    claims.to_string()
}

fn read_at(token: &str, seconds: i64) -> Result<TokenClaims> {
    read(
        &keys(),
        &rules(),
        TokenKind::Access,
        token,
        Utc.timestamp_opt(seconds, 0).unwrap(),
    )
}

#[track_caller]
fn accepted(case: u32, token: &str) -> TokenClaims {
    read_at(token, NOW).unwrap_or_else(|error| panic!("case {case}: {error}"))
}

#[track_caller]
fn refused(case: u32, token: &str) {
    let error = read_at(token, NOW).expect_err(&format!("case {case} was accepted"));
    assert_eq!(error.kind(), crate::Kind::Unauthenticated, "case {case}: {error}");
    assert!(
        token.len() < 8 || !error.to_string().contains(token),
        "case {case}"
    );
}

#[test]
fn a_token_of_either_profile_is_accepted() {
    assert_eq!(accepted(0, &signed(LEGACY, simple().to_string())).subject, "ana");
    assert_eq!(
        accepted(0, &signed(STRICT, full().to_string())).profile,
        Profile::Strict
    );
}

#[test]
fn cases_1_to_19_the_form() {
    let good = signed(LEGACY, simple().to_string());
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mut spare_bits = good.clone().into_bytes();
    // The last character of 43 holds four bits; its two lowest must be zero.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = spare_bits.last_mut().unwrap();
    let value = alphabet.iter().position(|letter| letter == last).unwrap();
    *last = alphabet[value | 1];
    let spare_bits = String::from_utf8(spare_bits).unwrap();
    assert_ne!(spare_bits, good);
    let hex: String = (0..64)
        .map(|digit| char::from(b"0123456789abcdef"[digit % 16]))
        .collect();
    let cases = [
        (1, String::new()),
        (2, format!("{header}.{claims}")),
        (2, "x".repeat(500)),
        (3, format!("{good}.{signature}")),
        (4, format!("{good}.a.b")),
        (5, format!("Bearer {good}")),
        (
            6,
            json!({"protected": header, "payload": claims, "signature": signature}).to_string(),
        ),
        (7, format!("{good}=")),
        (8, format!("{good}\n")),
        (8, format!("{good} ")),
        (8, format!("{good}\0")),
        (8, format!(" {good}")),
        (9, spare_bits),
        (
            10,
            format!(
                "{header}.{claims}.{}",
                format!("{signature:+<43}").replace(['-', '_'], "+").replacen(
                    |c: char| c.is_ascii_alphanumeric(),
                    "/",
                    1
                )
            ),
        ),
        (11, good.replacen('.', " .", 1)),
        (11, good.replacen("ey", "e!y", 1)),
        (12, format!("{header}.{claims}.{hex}")),
        (13, format!("{header}.{claims}.{}", &signature[..22])),
        (14, format!("{header}.{claims}.")),
        (15, "a".repeat(1_000_000)),
        (15, format!("{header}.{}.{signature}", "a".repeat(1_000_000))),
        (17, format!("{header}.{claims}é.{signature}")),
        (17, "é.é.é".to_owned()),
        (18, signed("[]", simple().to_string())),
        (18, signed("\"x\"", simple().to_string())),
        (18, signed("null", simple().to_string())),
        (19, signed(format!("\u{feff}{LEGACY}"), simple().to_string())),
    ];
    for (case, token) in cases {
        refused(case, &token);
    }
}

#[test]
fn case_15_a_huge_token_costs_nothing() {
    // Hours of work, if any of it were read before its length is looked at.
    let huge = "a".repeat(100_000_000);
    for _ in 0..100_000 {
        assert_eq!(Unverified::read(&huge).err(), Some("is longer than 8 KiB"));
    }
}

#[test]
fn case_16_eight_kibibytes_pass_and_one_more_byte_does_not() {
    let empty = signed(
        LEGACY,
        json!({"sub": "ana", "exp": NOW + 600, "x": []}).to_string(),
    )
    .len();
    // Texts of at most 1 KiB each, and white space for the last bytes.
    let padded = |extra: usize| {
        let claims = simple().to_string();
        let spaces = " ".repeat(extra);
        signed(LEGACY, format!("{}{spaces}}}", &claims[..claims.len() - 1]))
    };
    let mut extra = (LONGEST_TOKEN - empty) / 4 * 3;
    while padded(extra).len() < LONGEST_TOKEN {
        extra += 1;
    }
    let (fits, too_long) = (padded(extra), padded(extra + 3));
    assert!(fits.len() <= LONGEST_TOKEN + 1 && too_long.len() > LONGEST_TOKEN);
    let fits = if fits.len() > LONGEST_TOKEN {
        padded(extra - 1)
    } else {
        fits
    };
    accepted(16, &fits);
    refused(16, &too_long);
}

const LONGEST_TOKEN: usize = 8 * 1024;

#[test]
fn cases_20_to_32_the_algorithm_and_the_header() {
    let claims = simple().to_string();
    let unsigned = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(&claims));
    refused(20, &unsigned);
    let huge_kid = json!({"alg": "HS256", "kid": "k".repeat(1_000_000)}).to_string();
    for (case, header) in [
        (20, r#"{"alg":"none","typ":"JWT"}"#),
        (21, r#"{"alg":"None"}"#),
        (21, r#"{"alg":"nOnE"}"#),
        (21, r#"{"alg":"hs256"}"#),
        (22, r#"{"typ":"JWT"}"#),
        (22, r#"{"alg":null}"#),
        (22, r#"{"alg":["HS256"]}"#),
        (23, r#"{"alg":"HS384"}"#),
        (23, r#"{"alg":"HS512"}"#),
        (24, r#"{"alg":"RS256"}"#),
        (24, r#"{"alg":"ES256"}"#),
        (24, r#"{"alg":"EdDSA"}"#),
        (25, r#"{"alg":"none","alg":"HS256"}"#),
        (25, r#"{"alg":"HS256","alg":"none"}"#),
        (26, r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#),
        (27, r#"{"alg":"HS256","jku":"http://127.0.0.1:1/keys"}"#),
        (27, r#"{"alg":"HS256","x5u":"http://127.0.0.1:1/keys"}"#),
        (27, r#"{"alg":"HS256","x5c":["AAAA"]}"#),
        (28, r#"{"alg":"HS256","crit":["exp"]}"#),
        (29, r#"{"alg":"HS256","crit":["b64"],"b64":false}"#),
        (29, r#"{"alg":"HS256","b64":false}"#),
        (30, r#"{"alg":"HS256","crit":[]}"#),
        (30, r#"{"alg":"HS256","crit":"x"}"#),
        (31, r#"{"alg":"HS256","zip":"DEF"}"#),
        (32, r#"{"alg":"HS256","kid":"../../dev/null"}"#),
        (32, r#"{"alg":"HS256","kid":"' OR 1=1 --"}"#),
        (32, r#"{"alg":"HS256","kid":"a\u0000b\r\nc"}"#),
        (32, r#"{"alg":"HS256","kid":7}"#),
        (32, r#"{"alg":"HS256","kid":["a"]}"#),
        (32, huge_kid.as_str()),
        (33, r#"{"alg":"HS256","kid":"AAAAAAAAAAA"}"#),
    ] {
        refused(case, &signed(header, &claims));
    }
}

#[test]
fn cases_33_to_35_keys_are_told_apart_and_retire() {
    let old = KeyRing::new(&Secret::new(OTHER_KEY)).unwrap();
    let until = now() + chrono::Duration::minutes(10);
    let ring = keys().with_previous(&Secret::new(OTHER_KEY), until).unwrap();
    let mut rules = rules();
    rules.issues = Profile::Strict;
    let new = NewToken {
        kind: TokenKind::Access,
        subject: "u1",
        issued_at: now(),
        life: Duration::from_hours(1),
        id: "j1",
        session: Some("s1"),
        tenant: None,
        role: None,
        mark: None,
    };
    let token = mint(&old, &rules, &new).unwrap();
    let verify = |ring: &KeyRing, at| read(ring, &rules, TokenKind::Access, &token, at);
    assert!(verify(&ring, now()).is_ok(), "a previous key verifies");
    assert!(
        verify(&keys(), now()).is_err(),
        "case 33: an unknown key does not"
    );
    assert!(verify(&ring, until).is_err(), "case 34: not after its time");
    let lying = signed(
        format!(r#"{{"alg":"HS256","kid":"{}"}}"#, old.id()),
        simple().to_string(),
    );
    let verdict = read(&ring, &rules, TokenKind::Access, &lying, now());
    assert!(verdict.is_err(), "case 35: the key id names another key");
}

#[test]
fn case_36_a_signature_made_with_an_empty_key_is_refused() {
    let text = format!("{}.{}", encode(LEGACY), encode(simple().to_string()));
    let empty = hmac::Key::new(hmac::HMAC_SHA256, b"");
    let signature = encode(hmac::sign(&empty, text.as_bytes()));
    refused(36, &format!("{text}.{signature}"));
}

#[test]
fn cases_49_to_53_audience_issuer_subject_and_id() {
    for value in [
        None,
        Some(json!("other")),
        Some(json!(7)),
        Some(json!({})),
        Some(json!(null)),
        Some(json!(["evil", 1])),
        Some(json!(["posada", 1])),
        Some(json!([])),
    ] {
        refused(49, &signed(STRICT, with(full(), "aud", value)));
    }
    accepted(
        49,
        &signed(STRICT, with(full(), "aud", json!(["other", "posada"]))),
    );
    refused(50, &signed(LEGACY, with(simple(), "aud", json!("posada"))));
    for value in [None, Some(json!("evil")), Some(json!(7)), Some(json!(["posada"]))] {
        refused(51, &signed(STRICT, with(full(), "iss", value)));
    }
    for (header, claims) in [(LEGACY, simple()), (STRICT, full())] {
        for value in [
            None,
            Some(json!(7)),
            Some(json!("")),
            Some(json!("x".repeat(10_000))),
            Some(json!("a\u{0}b")),
        ] {
            refused(52, &signed(header, with(claims.clone(), "sub", value)));
        }
    }
    for value in [None, Some(json!(7)), Some(json!(""))] {
        refused(53, &signed(STRICT, with(full(), "jti", value.clone())));
        refused(53, &signed(STRICT, with(full(), "sid", value)));
    }
}

#[test]
fn cases_54_to_59_the_json_of_the_claims() {
    let deep = |levels: usize| format!("{}{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let body = simple().to_string();
    let mut half = br#"{"sub":"a"#.to_vec();
    half.push(0xff);
    half.extend(br#"","exp":1800000600}"#);
    for (case, claims) in [
        (
            54,
            format!(r#"{{"sub":"ana","exp":1,"exp":{}}}"#, NOW + 600).into_bytes(),
        ),
        (
            54,
            format!(r#"{{"sub":"ana","exp":{},"exp":1}}"#, NOW + 600).into_bytes(),
        ),
        (
            55,
            format!(r#"{{"sub":"u","sub":"admin","exp":{}}}"#, NOW + 600).into_bytes(),
        ),
        (56, format!(r#"[{},null,"u","me","api"]"#, NOW + 600).into_bytes()),
        (57, b"\"text\"".to_vec()),
        (57, b"7".to_vec()),
        (58, format!("{body}x").into_bytes()),
        (58, format!("\u{feff}{body}").into_bytes()),
        (58, half),
        (58, body.replace("ana", "\\ud800").into_bytes()),
        (59, deep(200).into_bytes()),
        (59, deep(1000).into_bytes()),
    ] {
        refused(case, &signed(LEGACY, claims));
    }
}

#[test]
fn cases_60_and_61_a_token_of_one_kind_never_passes_as_another() {
    for profile in [Profile::Legacy, Profile::Strict] {
        let mut rules = rules();
        rules.issues = profile;
        for made in TokenKind::ALL {
            let new = NewToken {
                kind: made,
                subject: "u1",
                issued_at: now(),
                life: Duration::from_mins(5),
                id: "j1",
                session: Some("s1"),
                tenant: None,
                role: None,
                mark: None,
            };
            let token = mint(&keys(), &rules, &new).unwrap();
            for wanted in TokenKind::ALL {
                let verdict = read(&keys(), &rules, wanted, &token, now());
                assert_eq!(
                    verdict.is_ok(),
                    made == wanted,
                    "cases 60, 61: {profile:?} {made:?} as {wanted:?}"
                );
            }
        }
    }
    // The header says strict and the claim says otherwise.
    refused(
        61,
        &signed(
            r#"{"alg":"HS256","typ":"rt+jwt"}"#,
            with(full(), "type", json!("access")),
        ),
    );
    refused(
        61,
        &signed(r#"{"alg":"HS256","typ":"dpop+jwt"}"#, full().to_string()),
    );
}

#[test]
fn cases_62_and_63_a_changed_token_is_refused() {
    let token = signed(
        LEGACY,
        with(simple(), "permissions", json!(["view_own_reservations"])),
    );
    let [header, _, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let escalated = encode(with(simple(), "permissions", json!(["manage_rates"])));
    refused(62, &format!("{header}.{escalated}.{signature}"));
    let other = KeyRing::new(&Secret::new(OTHER_KEY)).unwrap();
    let text = format!("{header}.{escalated}");
    refused(63, &format!("{text}.{}", other.sign(&text)));
}

#[test]
fn cases_65_and_66_the_golden_tokens_of_the_apps_libraries_are_accepted() {
    let vectors: Json =
        serde_json::from_str(include_str!("../../../../tests/vectors/auth/tokens.json")).unwrap();
    let keys = KeyRing::new(&Secret::new(vectors["key"].as_str().unwrap())).unwrap();
    let at = Utc.timestamp_opt(vectors["now"].as_i64().unwrap(), 0).unwrap();
    for golden in vectors["tokens"].as_array().unwrap() {
        let name = golden["name"].as_str().unwrap();
        let kind = TokenKind::from_legacy(golden["kind"].as_str().unwrap()).unwrap();
        let claims = read(&keys, &rules(), kind, golden["token"].as_str().unwrap(), at)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(claims.subject, golden["subject"], "{name}");
        assert_eq!(claims.role.map(Role::as_str), golden["role"].as_str(), "{name}");
    }
    for refused in vectors["refused"].as_array().unwrap() {
        let verdict = read(
            &keys,
            &rules(),
            TokenKind::Access,
            refused["token"].as_str().unwrap(),
            at,
        );
        assert!(verdict.is_err(), "{}", refused["name"]);
    }
}

#[test]
fn case_67_a_legacy_token_has_the_apps_header_and_order_of_claims() {
    let new = NewToken {
        kind: TokenKind::Access,
        subject: "u1",
        issued_at: now(),
        life: Duration::from_mins(30),
        id: "j1",
        session: None,
        tenant: None,
        role: Some(Role::Guest),
        mark: None,
    };
    let token = mint(&keys(), &rules(), &new).unwrap();
    let [header, claims, _] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(header, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9");
    let expected = format!(
        r#"{{"sub":"u1","type":"access","exp":{},"iat":{NOW},"jti":"j1","role":"guest","permissions":["view_own_reservations","modify_own_reservations"]}}"#,
        NOW + 1800
    );
    assert_eq!(
        BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap(),
        expected.as_bytes()
    );
}

#[test]
fn case_113_an_impossible_tenant_is_refused() {
    for value in [json!(null), json!(""), json!(" a"), json!(7), json!("a\n")] {
        refused(113, &signed(LEGACY, with(simple(), "tid", value.clone())));
        refused(113, &signed(STRICT, with(full(), "tid", value)));
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}", dots in 0..4_usize) {
        let token = format!("{text}{}", ".eyJ".repeat(dots));
        proptest::prop_assert!(read_at(&token, NOW).is_err());
    }

    #[test]
    fn no_claims_panic_and_none_without_a_future_end_pass(claims in "\\{(\"(sub|exp|iat|nbf|jti)\":(1|\"a\"|null|1e9|[0-9]{1,20}),?){0,5}\\}") {
        if let Ok(read) = read_at(&signed(LEGACY, &claims), NOW) {
            proptest::prop_assert!(read.expires_at >= NOW);
        }
    }
}
