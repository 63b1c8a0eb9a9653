//! A stay: the nights from the day of arrival up to, not including, the day of departure.

use std::fmt;

use chrono::{Days, NaiveDate};

use crate::error::{Error, Result, codes};
use crate::text::Shown;

/// Nights `[check_in, check_out)`: a guest who leaves on the 12th does not need the night of the 12th, so
/// back-to-back stays do not collide. At least one night and at most [`Stay::MAX_NIGHTS`]. Dates are those of
/// the hotel's own calendar; they have no time zone.
///
/// ```
/// use posada::Stay;
/// let stay = Stay::parse("2027-03-10", "2027-03-12")?;
/// assert_eq!(stay.nights(), 2);
/// assert!(!stay.overlaps(Stay::parse("2027-03-12", "2027-03-13")?));
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stay {
    check_in: NaiveDate,
    check_out: NaiveDate,
}

impl Stay {
    /// Most nights of one stay.
    pub const MAX_NIGHTS: u32 = 366;

    /// A stay between two dates.
    ///
    /// # Errors
    /// `stay.invalid` (field `check_out`) when it is reversed, empty or longer than 366 nights.
    pub fn new(check_in: NaiveDate, check_out: NaiveDate) -> Result<Self> {
        let nights = (check_out - check_in).num_days();
        if nights < 1 {
            return Err(invalid(
                "check_out",
                &format_args!("must be after check_in {check_in}, is {check_out}"),
            ));
        }
        if nights > i64::from(Self::MAX_NIGHTS) {
            let limit = Self::MAX_NIGHTS;
            return Err(invalid(
                "check_out",
                &format_args!("a stay has at most {limit} nights, this has {nights}"),
            ));
        }
        Ok(Self { check_in, check_out })
    }

    /// A stay from two texts `YYYY-MM-DD`.
    ///
    /// # Errors
    /// `stay.invalid`, naming the field `check_in` or `check_out`.
    pub fn parse(check_in: &str, check_out: &str) -> Result<Self> {
        Self::new(
            parse_date("check_in", check_in)?,
            parse_date("check_out", check_out)?,
        )
    }

    /// The day of arrival, whose night is the first.
    pub fn check_in(self) -> NaiveDate {
        self.check_in
    }

    /// The day of departure, whose night is not part of the stay.
    pub fn check_out(self) -> NaiveDate {
        self.check_out
    }

    /// How many nights.
    pub fn nights(self) -> u32 {
        u32::try_from((self.check_out - self.check_in).num_days()).unwrap_or(0)
    }

    /// The nights, each named by the date on which it begins.
    pub fn each_night(self) -> impl Iterator<Item = NaiveDate> {
        (0..u64::from(self.nights()))
            .filter_map(move |night| self.check_in.checked_add_days(Days::new(night)))
    }

    /// Whether this night belongs to the stay; the day of departure does not.
    pub(crate) fn contains(self, night: NaiveDate) -> bool {
        self.check_in <= night && night < self.check_out
    }

    /// Whether at least one night belongs to both.
    pub fn overlaps(self, other: Self) -> bool {
        self.check_in < other.check_out && other.check_in < self.check_out
    }

    /// Whether every night of `other` belongs to this stay.
    pub fn covers(self, other: Self) -> bool {
        self.check_in <= other.check_in && other.check_out <= self.check_out
    }
}

impl fmt::Display for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.check_in, self.check_out)
    }
}

impl fmt::Debug for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stay({self})")
    }
}

/// Reads `YYYY-MM-DD`, ten characters exactly: a lenient date is a wrong night.
pub(crate) fn parse_date(field: &'static str, text: &str) -> Result<NaiveDate> {
    let has_form = text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let date = has_form.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok());
    date.flatten().ok_or_else(|| {
        invalid(
            field,
            &format_args!("must be a date YYYY-MM-DD, is {}", Shown(text)),
        )
    })
}

fn invalid(field: &'static str, message: &dyn fmt::Display) -> Error {
    Error::field_invalid(codes::STAY_INVALID, field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stay(check_in: &str, check_out: &str) -> Stay {
        Stay::parse(check_in, check_out).unwrap()
    }

    #[test]
    fn back_to_back_stays_do_not_overlap() {
        assert!(!stay("2027-03-10", "2027-03-12").overlaps(stay("2027-03-12", "2027-03-14")));
        assert!(stay("2027-03-10", "2027-03-12").overlaps(stay("2027-03-11", "2027-03-14")));
    }

    #[test]
    fn nights_are_half_open_and_cross_months() {
        let nights: Vec<_> = stay("2028-02-28", "2028-03-01")
            .each_night()
            .map(|night| night.to_string())
            .collect();
        assert_eq!(nights, ["2028-02-28", "2028-02-29"]);
    }

    #[test]
    fn reversed_empty_endless_and_malformed_stays_are_refused() {
        for (check_in, check_out, field) in [
            ("2027-03-12", "2027-03-10", "check_out"),
            ("2027-03-12", "2027-03-12", "check_out"),
            ("2027-03-12", "2028-03-13", "check_out"),
            ("2027-3-12", "2027-03-13", "check_in"),
            ("2027-02-30", "2027-03-13", "check_in"),
            ("2027-03-12", "2027-03-13T00:00:00Z", "check_out"),
            ("", "2027-03-13", "check_in"),
        ] {
            let error = Stay::parse(check_in, check_out).unwrap_err();
            assert!(error.is(codes::STAY_INVALID));
            assert_eq!(error.field(), Some(field), "{check_in} {check_out}");
        }
        assert_eq!(stay("2027-03-12", "2028-03-12").nights(), 366);
    }
}
