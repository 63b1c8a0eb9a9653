//! How far clocks are apart. Tokens, sessions and audit rows are judged by more than one of them.

use chrono::TimeDelta;

use super::codes;
use super::model::Finding;
use crate::backends::ClockReading;

/// A difference that has no effect, in seconds.
const NOTICEABLE: i64 = 2;
/// So much breaks sign-in, in seconds.
const BREAKING: i64 = 30;

/// Judges the clock of a server. What the way of the answer may have taken is forgiven.
pub(super) fn judge(server: &str, reading: ClockReading) -> Finding {
    let ClockReading {
        asked,
        told,
        answered,
    } = reading;
    let (apart, word) = if told > answered {
        (told - answered, "ahead of")
    } else if told < asked {
        (asked - told, "behind")
    } else {
        (TimeDelta::zero(), "with")
    };
    let seconds = apart.num_seconds();
    if seconds < NOTICEABLE {
        return Finding::ok(
            codes::CLOCK,
            format!("The clock of {server} goes with this machine's."),
        );
    }
    let seen = format!("The clock of {server} is {seconds} s {word} this machine's.");
    let remedy = "Let NTP set the clocks of both machines: tokens end too early or too late otherwise.";
    if seconds < BREAKING {
        Finding::warning(codes::CLOCK, seen, remedy)
    } else {
        Finding::error(codes::CLOCK, seen, remedy)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn only_what_the_way_cannot_explain_counts() {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        for (told, severity, seen) in [
            (100, Severity::Ok, "goes with"),
            (104, Severity::Ok, "goes with"),
            (106, Severity::Ok, "goes with"),
            (107, Severity::Warning, "2 s ahead of"),
            (98, Severity::Warning, "2 s behind"),
            (40, Severity::Error, "60 s behind"),
            (3705, Severity::Error, "3600 s ahead of"),
        ] {
            let reading = ClockReading {
                asked: at(100),
                told: at(told),
                answered: at(105),
            };
            let finding = judge("Redis", reading);
            assert_eq!(finding.severity, severity, "{finding}");
            assert!(finding.seen.contains(seen), "{finding}");
        }
    }
}
