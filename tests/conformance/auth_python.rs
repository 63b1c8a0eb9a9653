//! Tokens against the Python libraries of the app, at random: ours are read by both exactly as the app calls them,
//! theirs are taken exactly when the rules say so.

#![allow(clippy::cast_precision_loss, reason = "seconds of this century fit a float")]

use std::time::{SystemTime, UNIX_EPOCH};

use posada::auth::{NewUser, Role, SignIn};
use posada::testkit::Dice;
use posada::{Posada, Settings};
use posada_tests::Peer;
use serde_json::{Value, json};

const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "el loro pinta mapas de cobre";

fn posada() -> Posada {
    let settings = Settings::builder().secret_key(KEY).build().unwrap();
    Posada::builder().settings(settings).build().unwrap()
}

fn ask(peer: &mut Peer, question: &Value) -> Value {
    serde_json::from_str(&peer.ask(&question.to_string())).unwrap()
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn case_67_our_tokens_are_read_by_both_libraries_as_the_app_calls_them() {
    let posada = posada();
    let mut peer = Peer::python("tokens_peer.py", KEY);
    let ana = NewUser::new("ana", "ana@example.com", PASSWORD)
        .unwrap()
        .role(Role::Receptionist);
    let user = posada.auth().create_user(ana).await.unwrap();
    let pair = posada.auth().login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    for (token, kind) in [(&pair.access, "access"), (&pair.refresh, "refresh")] {
        let read = ask(&mut peer, &json!({"operation": "decode", "token": token}));
        assert_eq!(read["jose"], read["pyjwt"]);
        assert_eq!(read["jose"]["sub"], user.id);
        assert_eq!(read["jose"]["type"], kind);
        assert_eq!(read["header"], json!({"alg": "HS256", "typ": "JWT"}));
        assert!(read["jose"].get("aud").is_none(), "case 50");
    }
    let access = ask(&mut peer, &json!({"operation": "decode", "token": pair.access}));
    assert_eq!(access["jose"]["role"], "receptionist");
    assert_eq!(access["jose"]["permissions"].as_array().unwrap().len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn case_68_a_key_that_happens_to_be_json_is_taken_letter_by_letter_as_pyjwt_does() {
    for key in [format!("[\"{KEY}\"]"), format!("\"{KEY}\"")] {
        let settings = Settings::builder().secret_key(key.as_str()).build().unwrap();
        let posada = Posada::builder().settings(settings).build().unwrap();
        let mut peer = Peer::python("tokens_peer.py", &key);
        let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
        posada.auth().create_user(ana).await.unwrap();
        let pair = posada.auth().login(&SignIn::new("ana", PASSWORD)).await.unwrap();
        let read = ask(&mut peer, &json!({"operation": "decode", "token": pair.access}));
        assert_eq!(read["pyjwt"]["type"], "access", "{read}");
    }
}

/// The first choice more often than all others together.
fn one_of(dice: &mut Dice, choices: &[Value]) -> Value {
    let choice = if dice.below(3) > 0 {
        0
    } else {
        dice.index(choices.len())
    };
    choices[choice].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_tokens_of_both_libraries_are_taken_exactly_when_the_rules_say_so() {
    let posada = posada();
    let mut peer = Peer::python("tokens_peer.py", KEY);
    let mut random = Dice::new(0x9E37_79B9_7F4A_7C15);
    let (mut taken, mut refused) = (0, 0);
    for step in 0..600 {
        let at = now();
        let claims = random_claims(&mut random, at);
        let library = one_of(&mut random, &[json!("jose"), json!("pyjwt")]);
        let question = json!({"operation": "encode", "library": library, "claims": claims});
        let made = ask(&mut peer, &question);
        let Some(made) = made["token"].as_str() else {
            continue;
        };
        let verdict = posada.auth().verify(made).await.unwrap_err();
        // Nobody of that name exists, so a good token ends there.
        let is_taken = verdict.code() == "auth.session_ended";
        let read = ask(&mut peer, &json!({"operation": "decode", "token": made}));
        let what = format!("step {step}: {claims} made by {library}: {verdict}; {read}");
        if is_taken {
            taken += 1;
            assert!(
                !read["jose"].is_null(),
                "taken although the app refuses it: {what}"
            );
        } else {
            refused += 1;
        }
        assert_eq!(is_taken, should_be_taken(&claims, at), "{what}");
        // PyJWT refuses a beginning in the future, python-jose does not.
        if is_taken && claims["iat"].as_i64().is_none_or(|issued| issued <= at) {
            assert!(!read["pyjwt"].is_null(), "{what}");
        }
    }
    assert!(
        taken > 20 && refused > 100,
        "{taken} taken, {refused} refused: the dice are loaded"
    );
}

/// Mostly good claims. `absent` stands for a claim that is not there.
fn random_claims(random: &mut Dice, at: i64) -> Value {
    let soon = at + 600;
    let choices = [
        ("sub", json!(["nobody", "ñandú", 7, "", "absent"])),
        (
            "exp",
            json!([
                soon,
                at - 60,
                "absent",
                soon as f64 + 0.5,
                soon.to_string(),
                at + 90_000,
                null,
                true
            ]),
        ),
        (
            "iat",
            json!([
                at,
                "absent",
                at - 100,
                "x",
                at + 300,
                (at - 9).to_string(),
                at + 90_000
            ]),
        ),
        ("nbf", json!(["absent", at - 60, soon, "1"])),
        ("aud", json!(["absent", "x", ["x"]])),
        ("jti", json!(["absent", "j", 7])),
        ("type", json!(["absent", "access", "refresh", 7])),
    ];
    let mut claims = json!({});
    for (name, values) in choices {
        let value = one_of(random, values.as_array().unwrap());
        if value != "absent" {
            claims[name] = value;
        }
    }
    claims
}

/// The rules once more, in the plainest words.
fn should_be_taken(claims: &Value, now: i64) -> bool {
    let number = |name: &str| match &claims[name] {
        Value::String(digits) => digits.parse().ok(),
        other => other.as_f64(),
    };
    let is_number_or_absent = |name: &str| claims.get(name).is_none() || number(name).is_some();
    let is_id = |name: &str| claims[name].as_str().is_some_and(|text| !text.is_empty());
    let Some(end) = number("exp") else { return false };
    let begin = number("iat").unwrap_or(now as f64).min(now as f64 + 300.0);
    is_id("sub")
        && is_number_or_absent("iat")
        && is_number_or_absent("nbf")
        && number("nbf").is_none_or(|not_before| not_before <= now as f64)
        && end >= now as f64
        && end.floor() - begin <= 86_400.0
        && claims.get("aud").is_none()
        && (claims.get("jti").is_none() || is_id("jti"))
        && (claims.get("type").is_none() || claims["type"] == "access")
}
