//! The one place where randomness comes from: the operating system's generator.

use std::time::Duration;

use crate::hex::hex;

/// Sixteen random bytes as 32 hexadecimal digits: owner tokens, session and request ids.
pub(crate) fn token() -> String {
    hex(&bytes::<16>())
}

/// Sixteen random bytes: the salt of a password hash.
pub(crate) fn salt() -> [u8; 16] {
    bytes()
}

/// A random duration in `[0, limit)`: full jitter.
pub(crate) fn jitter(limit: Duration) -> Duration {
    limit.mul_f64(unit())
}

/// A random number in `[0, 1)`.
pub(crate) fn unit() -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
    let (random, limit) = (
        (u64::from_le_bytes(bytes::<8>()) >> 11) as f64,
        (1u64 << 53) as f64,
    );
    random / limit
}

#[allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "without a random generator no token is safe, and every operating system that Rust runs on has one"
)]
fn bytes<const N: usize>() -> [u8; N] {
    let mut buffer = [0; N];
    getrandom::fill(&mut buffer).expect("the operating system's random generator answers");
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_hexadecimal_and_differ() {
        let (one, other) = (token(), token());
        assert_eq!(one.len(), 32);
        assert!(one.chars().all(|digit| digit.is_ascii_hexdigit()));
        assert_ne!(one, other);
    }

    #[test]
    fn jitter_stays_below_its_limit() {
        assert!((0..1000).all(|_| jitter(Duration::from_secs(1)) < Duration::from_secs(1)));
        assert_eq!(jitter(Duration::ZERO), Duration::ZERO);
    }
}
