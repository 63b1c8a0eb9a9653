//! What must hold for whatever bytes are sent as a token: one body for the fuzz target and for `make test`.

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{KeyRing, NewToken, Profile, TokenKind, TokenRules, VerifiedTokens, mint, read, read_known};
use crate::auth::role::Role;
use crate::settings::Secret;

/// The key and the moment of the golden tokens.
const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const NOW: i64 = 1_800_000_000;

static KEYS: LazyLock<KeyRing> =
    LazyLock::new(|| KeyRing::new(&Secret::new(KEY)).expect("the key is long enough"));
/// What python-jose made; the others are ours.
const OF_THE_APP: &str = concat!(
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
    "eyJzdWIiOiJhZG1pbiIsImV4cCI6MTgwMDAwMzYwMH0.",
    "Y78pDa9ueHep_aS7xIlWxfuv5j659mTBe4ehyDEyuiM"
);
static GOLDEN: LazyLock<Vec<String>> = LazyLock::new(|| {
    let ours = [Profile::Legacy, Profile::Strict].into_iter().flat_map(|issues| {
        [TokenKind::Access, TokenKind::Refresh].map(|kind| {
            let rules = TokenRules {
                issues,
                ..TokenRules::default()
            };
            mint(&KEYS, &rules, &new(kind)).expect("minting needs nothing")
        })
    });
    std::iter::once(OF_THE_APP.to_owned()).chain(ours).collect()
});

fn new(kind: TokenKind) -> NewToken<'static> {
    NewToken {
        kind,
        subject: "4f0c9d1e",
        issued_at: DateTime::from_timestamp(NOW, 0).expect("the moment exists"),
        life: Duration::from_mins(30),
        id: "kQ3vXw",
        session: Some("c7a1"),
        tenant: None,
        role: (kind == TokenKind::Access).then_some(Role::Guest),
        mark: Some("b0a7d1ce"),
    }
}

/// Good tokens to start from.
pub fn golden_tokens() -> &'static [String] {
    &GOLDEN
}

/// Reads the bytes as a token, and as header and claims (with a line feed between them) that the holder of the key has
/// signed. Panics when a token is accepted that was not made with the key, when a refusal repeats what it refuses, or
/// when claims are accepted that a plain JSON reader does not understand in the same way.
pub fn read_anything(bytes: &[u8]) {
    let now = DateTime::<Utc>::from_timestamp(NOW, 0).expect("the moment exists");
    if let Ok(text) = std::str::from_utf8(bytes) {
        as_a_token(text, now);
    }
    let cut = bytes.iter().position(|byte| *byte == b'\n');
    let (header, claims) = cut.map_or((&br#"{"alg":"HS256","typ":"JWT"}"#[..], bytes), |cut| {
        (&bytes[..cut], &bytes[cut + 1..])
    });
    as_signed_parts(header, claims, now);
}

fn as_a_token(text: &str, now: DateTime<Utc>) {
    for kind in TokenKind::ALL {
        match read(&KEYS, &TokenRules::default(), kind, text, now) {
            Ok(_) => assert!(
                GOLDEN.iter().any(|golden| golden == text),
                "a token was accepted that was not made with the key"
            ),
            Err(error) => {
                let shown = format!("{error} {error:?}");
                assert!(
                    text.len() < 24 || !shown.contains(text),
                    "a refusal repeats the token"
                );
            }
        }
    }
}

fn as_signed_parts(header: &[u8], claims: &[u8], now: DateTime<Utc>) {
    let encode = |part| BASE64_URL_SAFE_NO_PAD.encode(part);
    let signed = format!("{}.{}", encode(header), encode(claims));
    let token = format!("{signed}.{}", KEYS.sign(&signed));
    let known = VerifiedTokens::default();
    let rules = TokenRules::default();
    let accepted = read(&KEYS, &rules, TokenKind::Access, &token, now).ok();
    for _ in 0..2 {
        let again = read_known(&KEYS, &rules, &known, &token, now).ok();
        assert_eq!(
            again.as_deref(),
            accepted.as_ref(),
            "a known token is judged otherwise"
        );
    }
    let Some(accepted) = accepted else { return };
    let plain = |part: &[u8]| -> Value { serde_json::from_slice(part).expect("accepted, and no JSON") };
    let (header, claims) = (plain(header), plain(claims));
    assert_eq!(header["alg"], "HS256");
    assert_eq!(claims["sub"], accepted.subject);
    assert!(!accepted.subject.is_empty() && accepted.subject.len() <= 255);
    let end = claims["exp"].as_str().map_or(claims["exp"].as_f64(), |text| {
        assert!(
            header["typ"]
                .as_str()
                .is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"))
        );
        text.parse().ok()
    });
    let end = end.expect("accepted, and its end is no number");
    #[allow(clippy::cast_possible_truncation, reason = "what was accepted is below 2^53")]
    let second = end.floor() as i64;
    assert!(second == accepted.expires_at && second >= NOW - 5, "{end}");
    for (name, read) in [
        ("sid", &accepted.session),
        ("jti", &accepted.id),
        ("pwv", &accepted.mark),
    ] {
        assert_eq!(
            claims.get(name).and_then(Value::as_str),
            read.as_deref(),
            "{name}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::Dice;

    #[test]
    fn no_prefix_of_a_golden_token_is_accepted_and_the_whole_is() {
        for golden in golden_tokens() {
            for length in 0..=golden.len() {
                read_anything(&golden.as_bytes()[..length]);
            }
        }
        let now = DateTime::<Utc>::from_timestamp(NOW, 0).unwrap();
        let is_good = |kind| read(&KEYS, &TokenRules::default(), kind, &GOLDEN[0], now).is_ok();
        assert!(is_good(TokenKind::Access) && !is_good(TokenKind::Refresh));
    }

    #[test]
    fn no_changed_bit_and_no_changed_byte_of_a_golden_token_is_accepted() {
        const BYTES: &[u8] = b"\0\n .=+/-_A{\x7f\x80\xff";
        for golden in golden_tokens() {
            for index in 0..golden.len() {
                let bits = (0..8).map(|bit| golden.as_bytes()[index] ^ (1 << bit));
                for byte in bits.chain(BYTES.iter().copied()) {
                    let mut changed = golden.clone().into_bytes();
                    if changed[index] != byte {
                        changed[index] = byte;
                        if let Ok(text) = std::str::from_utf8(&changed) {
                            let now = DateTime::<Utc>::from_timestamp(NOW, 0).unwrap();
                            as_a_token(text, now);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn whatever_is_made_of_golden_tokens_and_their_claims_keeps_the_rules() {
        let mut dice = Dice::new(0x0DD5_EED5);
        let seeds: Vec<Vec<u8>> = golden_tokens().iter().flat_map(|token| seeds(token)).collect();
        for _ in 0..20_000 {
            let mut bytes = seeds[dice.index(seeds.len())].clone();
            for _ in 0..=dice.below(4) {
                mutate(&mut bytes, &seeds, &mut dice);
            }
            read_anything(&bytes);
        }
    }

    /// The token, and its parts as the holder of the key would sign them.
    fn seeds(token: &str) -> [Vec<u8>; 2] {
        let mut parts = token
            .split('.')
            .map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap());
        let (header, claims) = (parts.next().unwrap(), parts.next().unwrap());
        [token.as_bytes().to_vec(), [header, claims].join(&b'\n')]
    }

    fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], dice: &mut Dice) {
        const WORDS: [&str; 14] = [
            "null",
            "true",
            "1e400",
            "-1",
            "18446744073709551616",
            "\"",
            "\\ud800",
            "[",
            "{\"a\":",
            "\"exp\":",
            "\"sub\":\"x\",",
            "\u{feff}",
            "\"aud\":\"posada\",",
            "9999999999",
        ];
        let at = dice.index(bytes.len() + 1);
        match dice.below(5) {
            0 if !bytes.is_empty() => {
                let index = at.min(bytes.len() - 1);
                bytes[index] = u8::try_from(dice.below(256)).unwrap();
            }
            1 => drop(bytes.drain(at..(at + dice.index(9)).min(bytes.len()))),
            2 => {
                let word = WORDS[dice.index(WORDS.len())];
                bytes.splice(at..at, word.bytes());
            }
            3 => {
                let other = &seeds[dice.index(seeds.len())];
                let from = dice.index(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let copied: Vec<u8> = bytes[at..(at + dice.index(40)).min(bytes.len())].to_vec();
                bytes.splice(at..at, copied);
            }
        }
    }
}
