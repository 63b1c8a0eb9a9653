//! What a tenant is.

use std::fmt;

use chrono::{DateTime, Utc};

use super::TenantId;
use crate::error::{Error, Result, codes};
use crate::text;

/// A hotel company, as Postgres knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tenant {
    /// The id that all data of the tenant carries.
    pub id: TenantId,
    /// The name for people.
    pub name: String,
    /// Whether it is served.
    pub status: TenantStatus,
    /// When its reception answers.
    pub business_hours: BusinessHours,
    /// When it was created (UTC), if known.
    pub created_at: Option<DateTime<Utc>>,
    /// When it last changed (UTC), if known.
    pub updated_at: Option<DateTime<Utc>>,
}

impl Tenant {
    /// A tenant of which nothing but the id is known.
    pub(crate) fn bare(id: TenantId) -> Self {
        Self {
            name: id.to_string(),
            id,
            status: TenantStatus::Active,
            business_hours: BusinessHours::default(),
            created_at: None,
            updated_at: None,
        }
    }

    /// Whether it is served.
    pub fn is_active(&self) -> bool {
        self.status == TenantStatus::Active
    }
}

/// Whether a tenant is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TenantStatus {
    /// It is served.
    #[default]
    Active,
    /// It exists and is not served: its guests get a polite refusal, not another hotel.
    Inactive,
}

impl TenantStatus {
    /// The text of the column `status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }

    /// Reads the column `status`. Only `active` is served, exactly as the app does it; NULL is not.
    pub(crate) fn from_column(text: Option<&str>) -> Self {
        match text {
            Some("active") => Self::Active,
            _ => Self::Inactive,
        }
    }

    /// Reads `active` or `inactive`.
    ///
    /// # Errors
    /// `tenants.invalid_field` for any other text.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "active" => Ok(Self::Active),
            "inactive" => Ok(Self::Inactive),
            _ => Err(invalid(
                "status",
                format_args!("must be active or inactive, is {}", text::Shown(text)),
            )),
        }
    }
}

impl fmt::Display for TenantStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When a reception answers, in the hotel's own time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct BusinessHours {
    /// The hour at which it opens, 0 to 23.
    pub start: Option<u8>,
    /// The hour at which it closes, 0 to 23; before `start` when it is open over midnight.
    pub end: Option<u8>,
    /// The time zone by its IANA name, such as `America/Argentina/Buenos_Aires`.
    pub timezone: Option<String>,
}

impl BusinessHours {
    /// Checks and keeps hours and time zone; whatever is `None` is not known.
    ///
    /// # Errors
    /// `tenants.invalid_field`, naming the field.
    pub fn new(start: Option<u8>, end: Option<u8>, timezone: Option<&str>) -> Result<Self> {
        Ok(Self {
            start: check_hour("business_hours_start", start)?,
            end: check_hour("business_hours_end", end)?,
            timezone: timezone.map(check_timezone).transpose()?,
        })
    }

    /// Keeps what the columns hold as far as it makes sense: the app never wrote anything else, but people can.
    pub(crate) fn from_columns(start: Option<i32>, end: Option<i32>, timezone: Option<String>) -> Self {
        let hour = |value: Option<i32>| {
            value
                .and_then(|hour| u8::try_from(hour).ok())
                .filter(|hour| *hour <= 23)
        };
        Self {
            start: hour(start),
            end: hour(end),
            timezone,
        }
    }
}

pub(super) fn check_hour(field: &'static str, hour: Option<u8>) -> Result<Option<u8>> {
    match hour {
        Some(hour) if hour > 23 => Err(invalid(field, format_args!("must be 0 to 23, is {hour}"))),
        hour => Ok(hour),
    }
}

/// Accepts what can be an IANA name. Whether the zone exists is not looked up here: the list changes.
pub(super) fn check_timezone(name: &str) -> Result<String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    if name.is_empty() || name.len() > 50 || !name.chars().all(known) {
        let field = "business_hours_timezone";
        return Err(invalid(
            field,
            format_args!(
                "must be an IANA name of at most 50 letters, is {}",
                text::Shown(name)
            ),
        ));
    }
    Ok(name.to_owned())
}

/// Accepts 2 to 200 characters, as the app does.
pub(super) fn check_name(name: &str) -> Result<String> {
    let name = name.trim();
    text::check(name, 800).map_err(|fault| invalid("name", fault))?;
    let length = name.chars().count();
    if !(2..=200).contains(&length) {
        return Err(invalid(
            "name",
            format_args!("must have 2 to 200 characters, has {length}"),
        ));
    }
    Ok(name.to_owned())
}

pub(super) fn invalid(field: &'static str, message: impl fmt::Display) -> Error {
    Error::field_invalid(codes::TENANTS_INVALID_FIELD, field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_word_active_is_served() {
        assert_eq!(TenantStatus::from_column(Some("active")), TenantStatus::Active);
        for text in [None, Some("Active"), Some("suspended"), Some("")] {
            assert_eq!(TenantStatus::from_column(text), TenantStatus::Inactive);
        }
    }

    #[test]
    fn hours_and_zones_outside_their_range_name_their_field() {
        let field = |hours: Result<BusinessHours>| hours.unwrap_err().field().map(str::to_owned);
        assert_eq!(
            field(BusinessHours::new(Some(24), None, None)).unwrap(),
            "business_hours_start"
        );
        assert_eq!(
            field(BusinessHours::new(None, Some(99), None)).unwrap(),
            "business_hours_end"
        );
        let zone = BusinessHours::new(None, None, Some("America/Buenos Aires"));
        assert_eq!(field(zone).unwrap(), "business_hours_timezone");
    }

    #[test]
    fn impossible_hours_in_the_table_are_unknown() {
        let hours = BusinessHours::from_columns(Some(-1), Some(8), None);
        assert_eq!((hours.start, hours.end), (None, Some(8)));
    }
}
