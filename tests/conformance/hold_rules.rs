//! What the settings say about stay holds, on every kind of server.

use std::time::Duration;

use posada::error::codes;
use posada::locks::{Resource, StayHold};
use posada::{Posada, Settings, Stay, TenantId};
use posada_tests::{servers, unique};

/// The stores in use, by their URLs.
fn urls() -> [&'static str; 3] {
    ["memory:", servers::redis().url(), servers::cluster().url()]
}

fn request() -> StayHold {
    let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
    StayHold::new(Resource::room("101").unwrap(), stay).tenant(&TenantId::parse(&unique("rules")).unwrap())
}

fn with(settings: Settings) -> Posada {
    Posada::builder().settings(settings).build().unwrap()
}

fn of_environment(url: &str, more: &[(&str, &str)]) -> Posada {
    let all = [("REDIS_URL", url)].into_iter().chain(more.iter().copied());
    let vars = all.map(|(name, value)| (name.to_owned(), value.to_owned()));
    with(Settings::from_vars(vars).unwrap())
}

#[tokio::test]
async fn the_environment_says_how_long_a_hold_lives_and_how_far_it_is_extended() {
    for url in urls() {
        let posada = of_environment(
            url,
            &[
                ("POSADA_HOLD_TTL", "100"),
                ("POSADA_HOLD_EXTENSION", "40"),
                ("POSADA_HOLD_MAX_EXTENSIONS", "3"),
            ],
        );
        let hold = posada.locks().hold_stay(&request()).await.unwrap();
        assert!((95..=100).contains(&hold.remaining().as_secs()), "{hold:?}");
        for count in 1..=3 {
            let before = hold.expires_at();
            hold.extend(None).await.unwrap();
            assert_eq!((hold.expires_at() - before).num_seconds(), 40);
            assert_eq!(hold.extensions(), count);
        }
        let refused = hold.extend(None).await.unwrap_err();
        assert!(refused.is(codes::LOCKS_MAX_EXTENSIONS), "{refused}");
        assert_eq!(refused.fact("extensions"), Some("3"));
    }
}

#[tokio::test]
async fn the_builder_may_forbid_extensions_and_a_request_says_its_own_life() {
    for url in urls() {
        let settings = Settings::builder().redis_url(url).hold_max_extensions(0);
        let posada = with(settings.hold_ttl(Duration::from_secs(50)).build().unwrap());
        let own = request().ttl(Duration::from_secs(200));
        let hold = posada.locks().hold_stay(&own).await.unwrap();
        assert!(hold.remaining() > Duration::from_secs(190));
        let refused = hold.extend(None).await.unwrap_err();
        assert!(refused.is(codes::LOCKS_MAX_EXTENSIONS), "{refused}");
    }
}

#[tokio::test]
async fn one_extension_adds_no_more_than_the_settings_say() {
    for url in urls() {
        let posada = of_environment(url, &[("POSADA_HOLD_EXTENSION", "40")]);
        let hold = posada.locks().hold_stay(&request()).await.unwrap();
        let end = hold.expires_at();
        let refused = hold.extend(Duration::from_secs(41)).await.unwrap_err();
        assert!(refused.is(codes::LOCKS_INVALID_DURATION), "{refused}");
        assert_eq!(refused.field(), Some("extra"));
        hold.extend(Duration::from_secs(7)).await.unwrap();
        assert_eq!((hold.expires_at() - end).num_seconds(), 7);
    }
}

#[test]
fn values_beyond_their_bounds_name_their_variable() {
    for (name, value) in [
        ("POSADA_HOLD_TTL", "0.5"),
        ("POSADA_HOLD_TTL", "86401"),
        ("POSADA_HOLD_EXTENSION", "0"),
        ("POSADA_HOLD_EXTENSION", "86401"),
        ("POSADA_HOLD_MAX_EXTENSIONS", "101"),
        ("POSADA_HOLD_MAX_EXTENSIONS", "-1"),
    ] {
        let error = Settings::from_vars([(name.to_owned(), value.to_owned())]).unwrap_err();
        assert!(error.is(codes::SETTINGS_INVALID), "{error}");
        assert_eq!(error.field(), Some(name), "{value}");
    }
}
