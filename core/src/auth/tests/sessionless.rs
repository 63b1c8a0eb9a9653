//! The app's own tokens, which have no session: what they are worth, and how old they are.

use ring::hmac;
use serde_json::{Value, json};

use super::*;

/// A token with these claims, as the app's libraries sign it.
fn signed(claims: &Value) -> String {
    use base64::Engine as _;
    let encode = |text: &[u8]| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text);
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let signed = format!(
        "{}.{}",
        encode(header.as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
    let signature = encode(hmac::sign(&key, signed.as_bytes()).as_ref());
    format!("{signed}.{signature}")
}

fn second(fixture: &Fixture) -> i64 {
    fixture.clock.shared().now().timestamp()
}

/// What `create_access_token({"sub": "ana"})` of the app returns now.
fn of_the_app(fixture: &Fixture) -> String {
    signed(&json!({"sub": "ana", "exp": second(fixture) + 3600}))
}

/// A fixture in which ana has had her password for three days.
async fn settled(options: AuthOptions) -> (Fixture, User) {
    let fixture = Fixture::with(options);
    let ana = without_a_password(&fixture).await;
    fixture.clock.advance(Duration::from_hours(72));
    (fixture, ana)
}

async fn change_the_password(fixture: &Fixture, ana: &User) {
    fixture
        .auth
        .set_password(None, &ana.id, SECOND, false)
        .await
        .unwrap();
}

#[track_caller]
fn has_ended(verdict: Result<Claims>, what: &str) {
    let error = verdict.expect_err(what);
    assert!(error.is(codes::AUTH_SESSION_ENDED), "{what}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_64_the_apps_own_tokens_need_a_living_user_and_have_the_role_of_the_database() {
    let (fixture, _) = settled(AuthOptions::default()).await;
    let simple =
        |subject: &str| signed(&json!({"sub": subject, "exp": second(&fixture) + 600, "role": "admin"}));
    let claims = fixture.auth.verify(&simple("ana")).await.unwrap();
    assert_eq!((claims.role, claims.session), (Role::Guest, None));
    has_ended(
        fixture.auth.verify(&simple("nobody")).await,
        "a user who does not exist",
    );
    let strict = Fixture::with(AuthOptions::new().accept_sessionless(false));
    strict.ana().await;
    let error = strict.auth.verify(&simple("ana")).await.unwrap_err();
    assert!(error.is(codes::AUTH_INVALID_TOKEN), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_254_the_life_of_our_own_tokens_says_nothing_about_the_age_of_the_apps() {
    for minutes in [1, 15, 60, 120, 1440] {
        let (fixture, ana) = settled(AuthOptions::new().access_life(Duration::from_mins(minutes))).await;
        let old = of_the_app(&fixture);
        fixture.auth.verify(&old).await.unwrap();
        fixture.clock.advance(Duration::from_mins(1));
        change_the_password(&fixture, &ana).await;
        has_ended(
            fixture.auth.verify(&old).await,
            &format!("access_life of {minutes} minutes"),
        );
        let new = of_the_app(&fixture);
        for _ in 0..2 {
            fixture
                .auth
                .verify(&new)
                .await
                .unwrap_or_else(|error| panic!("access_life of {minutes} minutes: {error}"));
            fixture.clock.advance(Duration::from_mins(25));
        }
        has_ended(fixture.auth.verify(&old).await, "still");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_254_a_beginning_in_the_future_outlives_no_change_of_the_password() {
    for (ahead, life) in [
        (1, 600),
        (5, 3600),
        (60, 3600),
        (300, 3600),
        (600, 600),
        (3600, 7200),
        (80_000, 86_000),
    ] {
        for kind in [json!(null), json!("access")] {
            let (fixture, ana) = settled(AuthOptions::default()).await;
            let (at, what) = (second(&fixture), format!("{ahead} seconds ahead, {kind}"));
            let mut claims = json!({"sub": "ana", "iat": at + ahead, "exp": at + life});
            if !kind.is_null() {
                claims["type"] = kind;
                claims["sub"] = json!(ana.id);
            }
            let (token, unseen) = (signed(&claims), signed(&with(&claims, "jti", json!("j"))));
            fixture
                .auth
                .verify(&token)
                .await
                .unwrap_or_else(|error| panic!("{what}: {error}, and the app takes it"));
            change_the_password(&fixture, &ana).await;
            has_ended(fixture.auth.verify(&token).await, &what);
            has_ended(
                fixture.auth.verify(&unseen).await,
                &format!("{what}, unseen before"),
            );
            fixture
                .clock
                .advance(Duration::from_secs(u64::try_from(ahead).unwrap()));
            for token in [&token, &unseen] {
                let verdict = fixture.auth.verify(token).await;
                has_ended(verdict, &format!("{what}, when its moment has come"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_254_a_token_that_says_when_it_was_made_is_believed_in_either_direction_of_the_clocks() {
    let (fixture, ana) = settled(AuthOptions::default()).await;
    fixture.clock.advance(Duration::from_millis(400));
    change_the_password(&fixture, &ana).await;
    let changed = second(&fixture);
    fixture.clock.advance(Duration::from_mins(10));
    for (iat, is_new) in [
        (json!(changed), true),
        (json!(changed - 1), false),
        (json!(changed + 60), true),
        (float(changed, "9"), true),
        (float(changed - 1, "9"), false),
        (json!(changed.to_string()), true),
        (json!((changed - 1).to_string()), false),
    ] {
        let token = signed(&json!({"sub": "ana", "iat": iat, "exp": second(&fixture) + 60}));
        match fixture.auth.verify(&token).await {
            Ok(_) => assert!(is_new, "{iat}"),
            Err(error) => assert!(!is_new && error.is(codes::AUTH_SESSION_ENDED), "{iat}: {error}"),
        }
    }
    // The machine of the app is half a minute behind: its tokens of the first half minute are refused, no later ones.
    change_the_password_again(&fixture, &ana).await;
    let behind = |fixture: &Fixture| {
        signed(&json!({"sub": "ana", "iat": second(fixture) - 30, "exp": second(fixture) + 3570}))
    };
    has_ended(fixture.auth.verify(&behind(&fixture)).await, "too early");
    fixture.clock.advance(Duration::from_secs(30));
    fixture.auth.verify(&behind(&fixture)).await.unwrap();
}

/// A second with a fraction.
fn float(second: i64, fraction: &str) -> Value {
    serde_json::from_str(&format!("{second}.{fraction}")).unwrap()
}

async fn change_the_password_again(fixture: &Fixture, ana: &User) {
    let third = "tres gatos cantan boleros en la torre";
    fixture
        .auth
        .set_password(None, &ana.id, third, false)
        .await
        .unwrap();
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}
