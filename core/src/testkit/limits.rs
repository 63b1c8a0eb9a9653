//! What every store of rate limits must do.

use crate::error::codes;
use crate::limits::{RateLimit, RateLimiter, Strategy};

const STRATEGIES: [Strategy; 3] = [
    Strategy::FixedWindow,
    Strategy::MovingWindow,
    Strategy::SlidingWindowCounter,
];

/// Runs the whole suite. `prefix` makes the identifiers of this run unlike those of others.
pub async fn suite(limits: &RateLimiter, prefix: &str) {
    for strategy in STRATEGIES {
        // The package `limits` gives a fixed and a moving window the same key.
        let prefix = format!("{prefix}-{strategy:?}");
        the_amount_passes_and_not_one_more(limits, &format!("{prefix}-amount"), strategy).await;
        a_peek_takes_nothing(limits, &format!("{prefix}-peek"), strategy).await;
        a_reset_gives_everything_back(limits, &format!("{prefix}-reset"), strategy).await;
        identifiers_do_not_share(limits, &format!("{prefix}-own"), strategy).await;
        simultaneous_checks_never_exceed_the_amount(limits, &format!("{prefix}-race"), strategy).await;
        several_limits_are_taken_together_or_not_at_all(limits, &format!("{prefix}-many"), strategy).await;
        a_cost_above_the_amount_never_passes(limits, &format!("{prefix}-cost"), strategy).await;
        a_limit_of_zero_refuses_and_says_so(limits, &format!("{prefix}-zero"), strategy).await;
    }
    bad_requests_name_their_field(limits).await;
}

fn limit(text: &str, strategy: Strategy) -> RateLimit {
    RateLimit::parse(text).unwrap().strategy(strategy)
}

async fn the_amount_passes_and_not_one_more(limits: &RateLimiter, who: &str, strategy: Strategy) {
    let limit = limit("3/minute", strategy);
    for left in (0..3).rev() {
        let decision = limits.check(&limit, &[who, "path"]).await.unwrap();
        assert!(
            decision.allowed && !decision.degraded,
            "{strategy:?}: {decision:?}"
        );
        assert_eq!((decision.limit, decision.remaining), (3, left), "{strategy:?}");
        assert!(
            decision.reset_after <= limit.window(),
            "{strategy:?}: {decision:?}"
        );
    }
    let refused = limits.check(&limit, &[who, "path"]).await.unwrap();
    assert!(
        !refused.allowed && refused.remaining == 0,
        "{strategy:?}: {refused:?}"
    );
    // The counter of a sliding window goes on to be weighed when its window has passed.
    assert!(
        !refused.retry_after.is_zero() && refused.retry_after <= 2 * limit.window(),
        "{strategy:?}: {refused:?}"
    );
    let error = refused.into_result().unwrap_err();
    assert!(error.is(codes::LIMITS_EXCEEDED) && error.is_retryable());
}

async fn a_peek_takes_nothing(limits: &RateLimiter, who: &str, strategy: Strategy) {
    let limit = limit("1/minute", strategy);
    for _ in 0..3 {
        let decision = limits.peek(&limit, &[who]).await.unwrap();
        assert!(
            decision.allowed && decision.remaining == 1,
            "{strategy:?}: {decision:?}"
        );
    }
    assert!(limits.check(&limit, &[who]).await.unwrap().allowed);
    assert!(!limits.peek(&limit, &[who]).await.unwrap().allowed);
}

async fn a_reset_gives_everything_back(limits: &RateLimiter, who: &str, strategy: Strategy) {
    let limit = limit("1/hour", strategy);
    assert!(limits.check(&limit, &[who]).await.unwrap().allowed);
    assert!(!limits.check(&limit, &[who]).await.unwrap().allowed);
    limits.reset(&limit, &[who]).await.unwrap();
    assert!(limits.check(&limit, &[who]).await.unwrap().allowed);
}

async fn identifiers_do_not_share(limits: &RateLimiter, who: &str, strategy: Strategy) {
    let limit = limit("1/day", strategy);
    assert!(limits.check(&limit, &[who, "a"]).await.unwrap().allowed);
    assert!(limits.check(&limit, &[who, "b"]).await.unwrap().allowed);
}

async fn simultaneous_checks_never_exceed_the_amount(limits: &RateLimiter, who: &str, strategy: Strategy) {
    let limit = limit("10/hour", strategy);
    let checks = (0..50).map(|_| limits.check(&limit, std::slice::from_ref(&who)));
    let allowed = futures_util::future::try_join_all(checks)
        .await
        .unwrap()
        .iter()
        .filter(|decision| decision.allowed)
        .count();
    assert_eq!(allowed, 10, "{strategy:?}");
}

async fn several_limits_are_taken_together_or_not_at_all(
    limits: &RateLimiter,
    who: &str,
    strategy: Strategy,
) {
    let (wide, narrow) = (limit("5/minute", strategy), limit("1/hour", strategy));
    let both: [(&RateLimit, &[&str]); 2] = [(&wide, &[who]), (&narrow, &[who])];
    let first = limits.check_many(&both).await.unwrap();
    assert!(
        first.iter().all(|decision| decision.allowed),
        "{strategy:?}: {first:?}"
    );
    let second = limits.check_many(&both).await.unwrap();
    assert_eq!(
        second.iter().map(|decision| decision.allowed).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(
        limits.peek(&wide, &[who]).await.unwrap().remaining,
        4,
        "{strategy:?}: nothing was taken"
    );
}

async fn a_cost_above_the_amount_never_passes(limits: &RateLimiter, who: &str, strategy: Strategy) {
    let limit = limit("3/minute", strategy);
    let refused = limits.check_cost(&limit, &[who], 4).await.unwrap();
    assert!(!refused.allowed, "{strategy:?}: {refused:?}");
    assert_eq!(refused.retry_after, limit.window(), "{strategy:?}: {refused:?}");
    limits.reset(&limit, &[who]).await.unwrap();
    assert!(
        limits.check_cost(&limit, &[who], 3).await.unwrap().allowed,
        "{strategy:?}"
    );
}

async fn a_limit_of_zero_refuses_and_says_so(limits: &RateLimiter, who: &str, strategy: Strategy) {
    let (zero, wide) = (limit("0/minute", strategy), limit("9/minute", strategy));
    let both: [(&RateLimit, &[&str]); 2] = [(&zero, &[who]), (&wide, &[who])];
    for refused in [
        limits.peek(&zero, &[who]).await.unwrap(),
        limits.check_many(&both).await.unwrap().remove(0),
        limits.check(&zero, &[who]).await.unwrap(),
        limits.check(&zero, &[who]).await.unwrap(),
    ] {
        assert!(
            !refused.allowed && refused.remaining == 0,
            "{strategy:?}: {refused:?}"
        );
        assert_eq!(refused.retry_after, zero.window(), "{strategy:?}: {refused:?}");
    }
}

async fn bad_requests_name_their_field(limits: &RateLimiter) {
    let limit = limit("1/minute", Strategy::FixedWindow);
    for identifiers in [&[][..], &[""], &["a", ""], &["a\0"], &["a\nb"]] {
        let error = limits.check(&limit, identifiers).await.unwrap_err();
        assert_eq!(error.field(), Some("identifiers"), "{identifiers:?}");
    }
    assert_eq!(
        limits.check_cost(&limit, &["a"], 0).await.unwrap_err().field(),
        Some("cost")
    );
    let moving = limit.strategy(Strategy::MovingWindow);
    assert_eq!(
        limits
            .check_cost(&moving, &["a"], 10_001)
            .await
            .unwrap_err()
            .field(),
        Some("cost")
    );
    assert_eq!(limits.check_many(&[]).await.unwrap_err().field(), Some("limits"));
}
