//! The guest: personal data, checked against what hotel systems accept and hidden from logs.

use std::fmt;

use super::id::GuestId;
use crate::error::{Error, Result, codes};

/// Who stays, and how to reach them: an e-mail address, a telephone number, or both.
///
/// What is checked here is what every system needs. What one system needs besides, such as the e-mail address and the
/// short names without digits of QloApps, is checked before anything is sent there.
///
/// `Debug` shows no personal data, and neither does any error.
///
/// ```
/// use posada::pms::Guest;
/// let guest = Guest::new("Ana", "Gómez", "ana@example.com", "+5491112345678")?;
/// assert_eq!(format!("{guest:?}"), "Guest(redacted)");
/// let by_phone = Guest::new("Ana", "Gómez", None, "+5491112345678")?;
/// assert_eq!((by_phone.email(), by_phone.phone()), (None, Some("+5491112345678")));
/// assert_eq!(Guest::new("Ana", "Gómez", None, None).unwrap_err().field(), Some("email"));
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Guest {
    first_name: String,
    last_name: String,
    email: Option<String>,
    phone: Option<String>,
}

impl Guest {
    /// Longest first or last name, in characters.
    pub const MAX_NAME_CHARS: usize = 255;
    /// Longest e-mail address, in bytes.
    pub const MAX_EMAIL_BYTES: usize = 254;
    /// Longest phone number, in bytes.
    pub const MAX_PHONE_BYTES: usize = 32;

    /// Checks all that is given; surrounding white space is dropped. The address or the number may be `None`, not both.
    ///
    /// # Errors
    /// `pms.invalid_request`, naming the field `first_name`, `last_name`, `email` or `phone`, and never its value.
    pub fn new<'a>(
        first_name: &str,
        last_name: &str,
        email: impl Into<Option<&'a str>>,
        phone: impl Into<Option<&'a str>>,
    ) -> Result<Self> {
        let guest = Self {
            first_name: name("first_name", first_name.trim())?,
            last_name: name("last_name", last_name.trim())?,
            email: email.into().map(Self::check_email).transpose()?,
            phone: phone.into().map(|text| self::phone(text.trim())).transpose()?,
        };
        if guest.email.is_none() && guest.phone.is_none() {
            return Err(invalid(
                "email",
                "or phone is needed: there must be a way to reach the guest",
            ));
        }
        Ok(guest)
    }

    /// The given name.
    pub fn first_name(&self) -> &str {
        &self.first_name
    }

    /// The family name.
    pub fn last_name(&self) -> &str {
        &self.last_name
    }

    /// The e-mail address, as it was given.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The phone number, as it was given.
    pub fn phone(&self) -> Option<&str> {
        self.phone.as_deref()
    }

    /// Checks an address on its own.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `email`).
    pub(crate) fn check_email(text: &str) -> Result<String> {
        email(text.trim())
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guest(redacted)")
    }
}

/// A guest as the system knows them. Nothing here was checked: the front desk and the website write what they like.
///
/// `Debug` shows the id and no personal data.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestProfile {
    /// The guest's id in the system.
    pub id: GuestId,
    /// The given name.
    pub first_name: String,
    /// The family name.
    pub last_name: String,
    /// The e-mail address; empty when the system has none.
    pub email: String,
    /// The phone number; empty when the system has none.
    pub phone: String,
}

impl GuestProfile {
    /// Whether this is the guest of a request: by the address in upper or lower case, or, without one, by the digits
    /// of the telephone number.
    pub(crate) fn is(&self, guest: &Guest) -> bool {
        let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
        match (guest.email(), guest.phone()) {
            (Some(email), _) => self.email.eq_ignore_ascii_case(email),
            (None, Some(phone)) => digits(&self.phone) == digits(phone),
            (None, None) => false,
        }
    }

    /// A guest of whom the system has a name and nothing else; address and telephone number can be set.
    pub fn named(id: GuestId, first_name: &str, last_name: &str) -> Self {
        Self {
            id,
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
            email: String::new(),
            phone: String::new(),
        }
    }

    /// The guest as a request names them, under the id that the system gave them.
    pub fn new(id: GuestId, guest: &Guest) -> Self {
        Self {
            id,
            first_name: guest.first_name.clone(),
            last_name: guest.last_name.clone(),
            email: guest.email.clone().unwrap_or_default(),
            phone: guest.phone.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Debug for GuestProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuestProfile({}, redacted)", self.id)
    }
}

fn name(field: &'static str, text: &str) -> Result<String> {
    if text.is_empty() || text.chars().count() > Guest::MAX_NAME_CHARS {
        return Err(invalid(field, "must have 1 to 255 characters"));
    }
    if text.contains(char::is_control) {
        return Err(invalid(field, "must not contain control characters"));
    }
    Ok(text.to_owned())
}

fn email(text: &str) -> Result<String> {
    let refused = || {
        invalid(
            "email",
            "must be an address such as ana@example.com, at most 254 bytes",
        )
    };
    let (local, domain) = text.rsplit_once('@').ok_or_else(refused)?;
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let local_fits = !local.is_empty()
        && local
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte))
        && local.split('.').all(|atom| !atom.is_empty());
    if text.len() > Guest::MAX_EMAIL_BYTES
        || !local_fits
        || !domain.contains('.')
        || !domain.split('.').all(label)
    {
        return Err(refused());
    }
    Ok(text.to_owned())
}

fn phone(text: &str) -> Result<String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let fits = |byte: u8| byte.is_ascii_digit() || b" .()-".contains(&byte);
    if text.len() > Guest::MAX_PHONE_BYTES
        || !digits.bytes().all(fits)
        || !digits.ends_with(|last: char| last.is_ascii_digit())
    {
        return Err(invalid(
            "phone",
            "must be a phone number such as +5491112345678, at most 32 bytes",
        ));
    }
    Ok(text.to_owned())
}

fn invalid(field: &'static str, message: &'static str) -> Error {
    Error::field_invalid(codes::PMS_INVALID_REQUEST, field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(guest: [&str; 4]) -> Option<String> {
        let [first_name, last_name, email, phone] = guest;
        let error = Guest::new(first_name, last_name, email, phone).err()?;
        assert!(error.is(codes::PMS_INVALID_REQUEST));
        error.field().map(str::to_owned)
    }

    #[test]
    fn usual_guests_are_accepted() {
        for guest in [
            ["Ana", "Gómez", "ana@example.com", "5551234567"],
            [
                " José María ",
                "O'Neill-Núñez",
                "j.m+hotel@mail.example.co.uk",
                "+54 9 11 1234-5678",
            ],
            ["小明", "王", "x@example.org", "(011) 4321.1234"],
        ] {
            assert_eq!(refused(guest), None);
        }
    }

    #[test]
    fn what_no_system_can_use_is_refused_and_named() {
        for (guest, field) in [
            (["", "Gómez", "ana@example.com", "1"], "first_name"),
            (["Ana\n", "Gó\0mez", "ana@example.com", "1"], "last_name"),
            (["Ana", &"x".repeat(256), "ana@example.com", "1"], "last_name"),
            (["Ana", "Gómez", "ana@localhost", "1"], "email"),
            (["Ana", "Gómez", "ana@example..com", "1"], "email"),
            (["Ana", "Gómez", "a na@example.com", "1"], "email"),
            (["Ana", "Gómez", "ana", "1"], "email"),
            (["Ana", "Gómez", "ana@example.com", ""], "phone"),
            (["Ana", "Gómez", "ana@example.com", "call me"], "phone"),
            (["Ana", "Gómez", "ana@example.com", "12-"], "phone"),
        ] {
            assert_eq!(refused(guest).as_deref(), Some(field), "{guest:?}");
        }
    }

    #[test]
    fn a_guest_is_reached_by_an_address_or_by_a_telephone() {
        let phone = Guest::new("Ana 2", "Gómez", None, "+54 9 11 1234-5678").unwrap();
        assert_eq!((phone.email(), phone.phone()), (None, Some("+54 9 11 1234-5678")));
        assert!(Guest::new("Ana", "Gómez", "ana@example.com", None).is_ok());
        let unreachable = Guest::new("Ana", "Gómez", None, None).unwrap_err();
        assert_eq!(unreachable.field(), Some("email"));
        let known = GuestProfile::new(GuestId::from(7), &phone);
        assert!(known.is(&Guest::new("Ana", "Gómez", None, "+5491112345678").unwrap()));
        assert!(!known.is(&Guest::new("Ana", "Gómez", None, "+5491112345679").unwrap()));
        assert!(!known.is(&Guest::new("Ana", "Gómez", "ana@example.com", "+5491112345678").unwrap()));
    }

    #[test]
    fn errors_hold_no_personal_data() {
        let error = Guest::new("Ana", "Gómez", "secret-address", "1").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret-address"));
    }
}
