//! When a token begins and ends, and how old it is.

use super::*;

#[test]
fn cases_37_to_40_the_end_of_a_token() {
    let (legacy, strict) = (
        signed(LEGACY, simple().to_string()),
        signed(STRICT, full().to_string()),
    );
    let end = NOW + 600;
    assert!(
        read_at(&legacy, end).is_ok(),
        "case 38: legacy lives in its last second"
    );
    for (case, token, at) in [
        (37, &legacy, end + 100),
        (38, &strict, end),
        (39, &legacy, end + 1),
        (39, &strict, end + 1),
    ] {
        let error = read_at(token, at).unwrap_err();
        assert!(error.is(codes::AUTH_TOKEN_EXPIRED), "case {case}");
    }
    refused(40, &signed(LEGACY, with(simple(), "exp", None)));
    refused(40, &signed(STRICT, with(full(), "exp", None)));
}

#[test]
fn cases_41_to_46_times_are_numbers_in_range() {
    for (header, claims) in [(LEGACY, simple()), (STRICT, full())] {
        for (case, value) in [
            (41, json!(format!(" {}", NOW + 600))),
            (41, json!(format!("+{}", NOW + 600))),
            (41, json!(format!("{}.0", NOW + 600))),
            (41, json!("1_800_000_600")),
            (41, json!("18e8")),
            (41, json!("")),
            (41, json!("١٨٠٠٠٠٠٦٠٠")),
            (41, json!("9007199254740992")),
            (41, json!("10000000000000000")),
            (42, json!(null)),
            (42, json!(true)),
            (42, json!({})),
            (42, json!([NOW + 600])),
            (42, json!("never")),
            (43, json!(-1)),
            (43, json!(u64::MAX)),
            (43, json!(1_u64 << 63)),
            (43, json!(1e300)),
        ] {
            refused(case, &signed(header, with(claims.clone(), "exp", value)));
        }
        for number in ["1e400", "Infinity", "NaN", "-Infinity", "18446744073709551616"] {
            let text = claims.to_string().replace(&(NOW + 600).to_string(), number);
            refused(43, &signed(header, text));
        }
        refused(45, &signed(header, with(claims.clone(), "nbf", json!(NOW + 1))));
        refused(
            46,
            &signed(header, with(claims.clone(), "nbf", json!((NOW + 1).to_string()))),
        );
        refused(
            48,
            &signed(header, with(claims.clone(), "exp", json!(NOW + 48 * 3600))),
        );
        accepted(
            43,
            &signed(header, with(claims.clone(), "exp", json!(1_800_000_600.5))),
        );
        accepted(45, &signed(header, with(claims.clone(), "nbf", json!(NOW))));
    }
    // The app's libraries read every time with int(), so a text of digits is one for the legacy profile.
    for (name, second) in [("exp", NOW + 600), ("nbf", NOW), ("iat", NOW - 60)] {
        let text = json!(second.to_string());
        let read = accepted(41, &signed(LEGACY, with(simple(), name, text.clone())));
        assert_eq!(read.expires_at, NOW + 600);
        refused(41, &signed(STRICT, with(full(), name, text)));
    }
    let ended = signed(LEGACY, with(simple(), "exp", json!((NOW - 1).to_string())));
    assert!(read_at(&ended, NOW).unwrap_err().is(codes::AUTH_TOKEN_EXPIRED));
    refused(47, &signed(STRICT, with(full(), "iat", json!(NOW + 1))));
}

#[test]
fn case_254_a_token_is_as_old_as_the_app_makes_it_and_a_moment_in_the_future_is_not_believed() {
    const DAY: i64 = 24 * 3600;
    let issue = |claims: Json| accepted(254, &signed(LEGACY, claims.to_string())).earliest_issue;
    let app = |end: i64| issue(json!({"sub": "ana", "exp": end}));
    assert_eq!(app(NOW + 3600), NOW, "made now, for the hour of the app's tokens");
    assert_eq!(app(NOW + 600), NOW - 3000);
    // An end that the app does not give: the token says nothing about its age.
    assert_eq!(app(NOW + 7200), NOW + 7200 - DAY);
    for (iat, expected) in [
        (json!(NOW - 60), NOW - 60),
        (json!(1_799_999_940.75), NOW - 60),
        (json!((NOW - 60).to_string()), NOW - 60),
        (json!(NOW), NOW),
        // A clock that is ahead by seconds, and one that cannot be.
        (json!(NOW + 1), NOW + 1 - 300),
        (json!(NOW + 299), NOW - 1),
        (json!(NOW + 300), NOW + 600 - DAY),
        (json!(NOW + 600), NOW + 600 - DAY),
        (json!(NOW + 400 * DAY), NOW + 600 - DAY),
    ] {
        let found = issue(json!({"sub": "ana", "exp": NOW + 600, "iat": iat}));
        assert_eq!(found, expected, "{iat}");
    }
    // A beginning in the future makes no life shorter.
    let late = json!({"sub": "ana", "exp": NOW + 400 * DAY, "iat": NOW + 400 * DAY - 60});
    refused(254, &signed(LEGACY, late.to_string()));
    let long = TokenRules {
        app_life: Duration::from_hours(24 * 7),
        longest_access: Duration::from_hours(24 * 7),
        ..rules()
    };
    let week = signed(LEGACY, with(simple(), "exp", json!(NOW + 7 * DAY)));
    let read = read(&keys(), &long, TokenKind::Access, &week, now()).unwrap();
    assert_eq!(
        read.earliest_issue, NOW,
        "the app may be told to make tokens for a week"
    );
}

#[test]
fn case_44_a_huge_leeway_is_cut_to_half_a_minute() {
    let mut rules = rules();
    rules.leeway = Duration::MAX;
    let token = signed(STRICT, full().to_string());
    let read = |at| {
        read(
            &keys(),
            &rules,
            TokenKind::Access,
            &token,
            Utc.timestamp_opt(at, 0).unwrap(),
        )
    };
    assert!(read(NOW + 629).is_ok() && read(NOW + 630).is_err());
}
