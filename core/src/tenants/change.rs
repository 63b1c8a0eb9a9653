//! What can be done to a tenant, checked before it is sent.

use super::TenantId;
use super::model::{BusinessHours, TenantStatus, check_hour, check_name, check_timezone};
use crate::error::{Error, Result, codes};
use crate::text::Shown;

/// A tenant to create. Checked when it is made.
///
/// ```
/// use posada::tenants::NewTenant;
/// let tenant = NewTenant::new("hotel-test", "Hotel Test")?;
/// assert!(NewTenant::new("Hotel Test", "Hotel Test").is_err());
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTenant {
    pub(crate) id: TenantId,
    pub(crate) name: String,
    pub(crate) status: TenantStatus,
    pub(crate) business_hours: BusinessHours,
}

impl NewTenant {
    /// An active tenant without business hours. The id has 2 to 50 characters of `a-z`, `0-9`, `_` and `-`; the
    /// name has 2 to 200 characters.
    ///
    /// # Errors
    /// `tenants.invalid_id` or `tenants.invalid_field`, naming the field.
    pub fn new(id: &str, name: &str) -> Result<Self> {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        if !(2..=50).contains(&id.len()) || !id.bytes().all(allowed) {
            return Err(Error::field_invalid(
                codes::TENANTS_INVALID_ID,
                "tenant",
                format_args!(
                    "must have 2 to 50 characters of a-z, 0-9, _ and -, is {}",
                    Shown(id)
                ),
            ));
        }
        Ok(Self {
            id: TenantId::parse(id)?,
            name: check_name(name)?,
            status: TenantStatus::Active,
            business_hours: BusinessHours::default(),
        })
    }

    /// The same with business hours.
    #[must_use]
    pub fn business_hours(mut self, hours: BusinessHours) -> Self {
        self.business_hours = hours;
        self
    }

    /// The same with another status.
    #[must_use]
    pub fn status(mut self, status: TenantStatus) -> Self {
        self.status = status;
        self
    }
}

/// Changes to a tenant. What is not named stays as it is; business hours can also be forgotten (`None`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::option_option, reason = "leave it, forget it, or set it")]
pub struct TenantUpdate {
    pub(crate) name: Option<String>,
    pub(crate) status: Option<TenantStatus>,
    pub(crate) start: Option<Option<u8>>,
    pub(crate) end: Option<Option<u8>>,
    pub(crate) timezone: Option<Option<String>>,
}

impl TenantUpdate {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another name, of 2 to 200 characters.
    ///
    /// # Errors
    /// `tenants.invalid_field` (field `name`).
    pub fn name(mut self, name: &str) -> Result<Self> {
        self.name = Some(check_name(name)?);
        Ok(self)
    }

    /// Another status.
    #[must_use]
    pub fn status(mut self, status: TenantStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Another opening hour, 0 to 23, or none.
    ///
    /// # Errors
    /// `tenants.invalid_field` (field `business_hours_start`).
    pub fn start(mut self, hour: Option<u8>) -> Result<Self> {
        self.start = Some(check_hour("business_hours_start", hour)?);
        Ok(self)
    }

    /// Another closing hour, 0 to 23, or none.
    ///
    /// # Errors
    /// `tenants.invalid_field` (field `business_hours_end`).
    pub fn end(mut self, hour: Option<u8>) -> Result<Self> {
        self.end = Some(check_hour("business_hours_end", hour)?);
        Ok(self)
    }

    /// Another time zone, by its IANA name, or none.
    ///
    /// # Errors
    /// `tenants.invalid_field` (field `business_hours_timezone`).
    pub fn timezone(mut self, name: Option<&str>) -> Result<Self> {
        self.timezone = Some(name.map(check_timezone).transpose()?);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_those_that_the_app_would_accept() {
        for id in ["ho", "hotel-test", "hotel_centro", &"x".repeat(50)] {
            assert!(NewTenant::new(id, "Hotel").is_ok(), "{id}");
        }
        for id in ["h", "Hotel", "hotel test", "hotel.test", "hótel", &"x".repeat(51)] {
            let error = NewTenant::new(id, "Hotel").unwrap_err();
            assert_eq!(
                (error.code(), error.field()),
                ("tenants.invalid_id", Some("tenant")),
                "{id}"
            );
        }
    }

    #[test]
    fn names_of_one_or_of_201_characters_are_refused() {
        for name in ["H", " H ", &"ñ".repeat(201), "a\nb"] {
            assert_eq!(NewTenant::new("hotel", name).unwrap_err().field(), Some("name"));
        }
        assert_eq!(
            NewTenant::new("hotel", &"ñ".repeat(200))
                .unwrap()
                .name
                .chars()
                .count(),
            200
        );
    }
}
