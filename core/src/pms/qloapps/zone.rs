//! The time zone of a server.

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Timelike, Utc};
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

/// A zone of the IANA database, which comes with the program.
pub(super) struct Zone(TimeZone);

impl Zone {
    /// The zone of that name, such as `America/New_York`.
    pub(super) fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    /// What a clock in the zone shows at this moment.
    pub(super) fn local(&self, moment: DateTime<Utc>) -> NaiveDateTime {
        let offset = Timestamp::from_second(moment.timestamp()).map(|at| self.0.to_offset(at).seconds());
        moment.naive_utc() + TimeDelta::seconds(offset.unwrap_or(0).into())
    }

    /// The last moment at which a clock in the zone shows this; one that it leaves out is read as if it did not.
    pub(super) fn moment(&self, local: NaiveDateTime) -> DateTime<Utc> {
        let read = || {
            let local = civil_time(local)?;
            let moment = self.0.to_ambiguous_timestamp(local).later().ok()?;
            DateTime::from_timestamp(moment.as_second(), 0)
        };
        read().unwrap_or_else(|| local.and_utc())
    }
}

/// To the second, which is all that a server writes.
fn civil_time(local: NaiveDateTime) -> Option<civil::DateTime> {
    let small = |part: u32| i8::try_from(part).ok();
    civil::DateTime::new(
        i16::try_from(local.year()).ok()?,
        small(local.month())?,
        small(local.day())?,
        small(local.hour())?,
        small(local.minute())?,
        small(local.second())?,
        0,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn a_zone_knows_summer_and_winter() {
        let zone = Zone::named("America/New_York").unwrap();
        for (utc, local) in [
            ("2027-01-10T04:30:00", "2027-01-09T23:30:00"),
            ("2027-07-10T04:30:00", "2027-07-10T00:30:00"),
        ] {
            assert_eq!(zone.local(at(utc).and_utc()), at(local));
            assert_eq!(zone.moment(at(local)), at(utc).and_utc());
        }
    }

    #[test]
    fn of_two_moments_that_a_clock_shows_alike_the_later_counts() {
        let zone = Zone::named("America/New_York").unwrap();
        let twice = at("2027-11-07T01:30:00");
        assert_eq!(zone.moment(twice), at("2027-11-07T06:30:00").and_utc());
        assert_eq!(zone.local(at("2027-11-07T05:30:00").and_utc()), twice);
    }

    #[test]
    fn an_hour_that_a_clock_leaves_out_is_still_some_moment_of_that_night() {
        let zone = Zone::named("America/New_York").unwrap();
        let moment = zone.moment(at("2027-03-14T02:30:00"));
        let night = at("2027-03-14T06:00:00").and_utc()..at("2027-03-14T08:00:00").and_utc();
        assert!(night.contains(&moment), "{moment}");
    }

    #[test]
    fn only_names_of_the_database_are_zones() {
        for name in [
            "Europe/Madrid",
            "America/Argentina/Buenos_Aires",
            "UTC",
            "Etc/GMT+3",
        ] {
            assert!(Zone::named(name).is_some(), "{name}");
        }
        for name in ["", "Mars/Olympus", "America/New York"] {
            assert!(Zone::named(name).is_none(), "{name}");
        }
    }
}
