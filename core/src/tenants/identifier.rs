//! Identifiers: what a message carries and what leads to a tenant.

use std::fmt;
use std::net::Ipv4Addr;

use super::channel::{Channel, Hint};
use super::{email, host, phone};
use crate::error::{Error, Result, codes};
use crate::text;

/// What an identifier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdentifierKind {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A host name, a pattern `*.example.com`, or an account name.
    Host,
}

impl IdentifierKind {
    /// The stable lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Host => "host",
        }
    }

    /// What reads a canonical spelling of this kind as what it is.
    pub(crate) const fn hint(self) -> Hint {
        match self {
            Self::Email => Hint::None,
            Self::Phone => Hint::Phone,
            Self::Host => Hint::Host,
        }
    }
}

/// An e-mail address, phone number or host name, in one canonical spelling and with its equivalents.
///
/// * E-mail: trimmed, NFKC, lower-case, the domain in ASCII (IDNA).
/// * Phone: E.164. `+`, `00` or neither may lead; punctuation does not matter. Numbers of Argentina, Mexico and
///   Brazil know their other form. WhatsApp's `5491112345678@s.whatsapp.net` is a phone number.
/// * Host: lower-case, ASCII, without port and trailing dot. Anything else that has the form of a host name,
///   such as an account name, is read as one.
///
/// ```
/// use posada::{Channel, Identifier, IdentifierKind};
/// let phone = Identifier::parse("5491112345678", Some(Channel::WhatsApp))?;
/// assert_eq!((phone.kind(), phone.canonical()), (IdentifierKind::Phone, "+5491112345678"));
/// assert_eq!(phone.candidates(), ["+5491112345678", "+541112345678"]);
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identifier {
    kind: IdentifierKind,
    candidates: Vec<String>,
    keys: Vec<String>,
}

impl Identifier {
    /// Longest identifier, in bytes: what the column `identifier` holds.
    pub const MAX_BYTES: usize = 255;

    /// Reads an identifier; the channel decides where a text can be two things.
    ///
    /// # Errors
    /// `tenants.invalid_identifier` when it is none of the three.
    pub fn parse(text: &str, channel: Option<Channel>) -> Result<Self> {
        Self::parse_hinted(text, Channel::hint(channel))
    }

    pub(crate) fn parse_hinted(text: &str, hint: Hint) -> Result<Self> {
        let trimmed = text.trim();
        text::check(trimmed, Self::MAX_BYTES).map_err(|fault| invalid(&fault))?;
        Self::read(trimmed, hint)
            .filter(|identifier| identifier.canonical().len() <= Self::MAX_BYTES)
            .ok_or_else(|| invalid(&"must be an e-mail address, a phone number or a host name"))
    }

    /// What it is.
    pub fn kind(&self) -> IdentifierKind {
        self.kind
    }

    /// The one spelling that is stored.
    pub fn canonical(&self) -> &str {
        self.candidates.first().map_or("", String::as_str)
    }

    /// The canonical spellings that may lead to the same tenant, best first. The first is this identifier's own;
    /// the others are the other forms of a mobile number, or the wildcards that cover a host.
    pub fn candidates(&self) -> &[String] {
        &self.candidates
    }

    /// The candidates as [`loose`] texts, which is how stores look for them.
    pub(crate) fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Which of the candidates a stored text is, however it was written; `None` when it is another identifier
    /// that only looks alike.
    pub(crate) fn rank(&self, stored: &str) -> Option<usize> {
        let stored = stored.trim();
        if self.is_written_as(stored) {
            return Some(0);
        }
        let stored = Self::read(stored, self.kind.hint()).filter(|stored| stored.kind == self.kind)?;
        self.candidates
            .iter()
            .position(|candidate| candidate == stored.canonical())
    }

    /// Whether a text is the canonical spelling or, for a number, that without the plus: as posada and the app write
    /// them. Such a text reads as this very identifier, and reading a number takes as long as looking it up.
    fn is_written_as(&self, stored: &str) -> bool {
        let canonical = self.canonical();
        stored == canonical
            || (self.kind == IdentifierKind::Phone && canonical.strip_prefix('+') == Some(stored))
    }

    /// Whether a stored text is this very address: the same host or pattern, or any form of the same number.
    pub(crate) fn is_same_address(&self, stored: &str) -> bool {
        self.rank(stored)
            .is_some_and(|rank| rank == 0 || !self.has_ranks())
    }

    /// Whether a better candidate outdoes the others: hosts, whose candidates are ever wider wildcards.
    pub(crate) fn has_ranks(&self) -> bool {
        self.kind == IdentifierKind::Host
    }

    fn read(text: &str, hint: Hint) -> Option<Self> {
        if text.contains('@') {
            return match messenger_number(text, hint) {
                Some(number) => Self::read_phone(number),
                None => Self::read_email(text),
            };
        }
        match hint {
            Hint::Phone => Self::read_phone(text),
            Hint::Host => Self::read_host(text),
            Hint::None if text.parse::<Ipv4Addr>().is_ok() => Self::read_host(text),
            Hint::None => Self::read_phone(text).or_else(|| Self::read_host(text)),
        }
    }

    fn read_email(text: &str) -> Option<Self> {
        let spellings = email::parse(text)?;
        let keys = distinct([
            loose(&spellings.canonical),
            loose(&spellings.unicode),
            loose(text),
        ]);
        Some(Self {
            kind: IdentifierKind::Email,
            candidates: vec![spellings.canonical],
            keys,
        })
    }

    fn read_phone(text: &str) -> Option<Self> {
        let candidates = phone::candidates(text)?;
        let keys = candidates
            .iter()
            .flat_map(|candidate| match candidate.strip_prefix('+') {
                Some(digits) => vec![digits.to_owned(), format!("00{digits}")],
                None => vec![candidate.clone()],
            });
        Some(Self {
            kind: IdentifierKind::Phone,
            keys: distinct(keys),
            candidates,
        })
    }

    fn read_host(text: &str) -> Option<Self> {
        let spellings = host::parse(text)?;
        let candidates = host::candidates(&spellings);
        let unicode = std::iter::once(spellings.unicode.clone()).chain(host::wildcards(&spellings.unicode));
        let keys = distinct(candidates.iter().cloned().chain(unicode).map(|name| loose(&name)));
        Some(Self {
            kind: IdentifierKind::Host,
            candidates,
            keys,
        })
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.canonical())
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identifier({} {:?})", self.kind.as_str(), self.canonical())
    }
}

/// The characters that [`loose`] drops; `tenants/postgres.rs` and the migrations spell the same list in SQL.
pub(crate) const DROPPED: &str = " \t\r\n()+-./\u{a0}";

/// The coarse form by which stores find rows however they were written: lower-case, without the characters of
/// [`DROPPED`]. Different identifiers can share it, so whoever looks up by it checks with [`Identifier::rank`].
pub(crate) fn loose(text: &str) -> String {
    text.to_lowercase()
        .chars()
        .filter(|c| !DROPPED.contains(*c))
        .collect()
}

/// The number in WhatsApp's own addresses: `number@s.whatsapp.net`, `number:device@c.us`.
fn messenger_number(text: &str, hint: Hint) -> Option<&str> {
    let (number, domain) = text.rsplit_once('@')?;
    let known = ["s.whatsapp.net", "c.us"]
        .iter()
        .any(|known| domain.eq_ignore_ascii_case(known));
    let number = number.split_once(':').map_or(number, |(number, _device)| number);
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    (is_number && (known || hint == Hint::Phone)).then_some(number)
}

fn distinct(keys: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut distinct = Vec::with_capacity(4);
    for key in keys {
        if !distinct.contains(&key) {
            distinct.push(key);
        }
    }
    distinct
}

// The text itself is left out: it is a person's address, and errors end in logs.
fn invalid(fault: &dyn fmt::Display) -> Error {
    Error::field_invalid(codes::TENANTS_INVALID_IDENTIFIER, "identifier", fault)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        valid: Vec<Valid>,
        invalid: Vec<Invalid>,
        same_address: Vec<Vec<String>>,
    }

    #[derive(Deserialize)]
    struct Valid {
        input: String,
        channel: Option<String>,
        kind: String,
        canonical: String,
        candidates: Vec<String>,
    }

    #[derive(Deserialize)]
    struct Invalid {
        input: String,
        channel: Option<String>,
    }

    fn vectors() -> Vectors {
        serde_json::from_str(include_str!("../../../tests/vectors/tenants/identifiers.json")).unwrap()
    }

    fn channel(text: Option<&String>) -> Option<Channel> {
        text.map(|text| Channel::parse(text).unwrap())
    }

    #[test]
    fn identifiers_read_as_the_vectors_say() {
        for vector in vectors().valid {
            let read = Identifier::parse(&vector.input, channel(vector.channel.as_ref()))
                .unwrap_or_else(|error| panic!("{:?}: {error}", vector.input));
            let found = (read.kind().as_str(), read.canonical(), read.candidates());
            let expected = (&*vector.kind, &*vector.canonical, &*vector.candidates);
            assert_eq!(found, expected, "{:?}", vector.input);
        }
    }

    #[test]
    fn what_is_no_identifier_names_its_field_and_is_not_repeated() {
        for vector in vectors().invalid {
            let error = Identifier::parse(&vector.input, channel(vector.channel.as_ref())).unwrap_err();
            assert!(error.is(codes::TENANTS_INVALID_IDENTIFIER), "{:?}", vector.input);
            assert_eq!(error.field(), Some("identifier"));
            assert!(vector.input.len() < 5 || !error.to_string().contains(&vector.input));
        }
    }

    #[test]
    fn what_is_taken_for_an_identifier_at_first_sight_reads_as_it() {
        for vector in vectors().valid {
            let read = Identifier::parse(&vector.input, channel(vector.channel.as_ref())).unwrap();
            let canonical = read.canonical();
            for stored in [canonical, canonical.trim_start_matches('+')] {
                assert!(read.is_written_as(stored), "{stored:?}");
                let again = Identifier::read(stored, read.kind.hint()).unwrap();
                assert_eq!(
                    (again.kind, again.canonical()),
                    (read.kind, canonical),
                    "{stored:?}"
                );
            }
        }
    }

    #[test]
    fn every_spelling_of_an_address_finds_every_other() {
        for spellings in vectors().same_address {
            for one in &spellings {
                let read = Identifier::parse(one, None).unwrap();
                for other in &spellings {
                    assert!(read.is_same_address(other), "{one:?} {other:?}");
                    assert!(read.keys().contains(&loose(other)), "{one:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn addresses_that_only_look_alike_are_told_apart() {
        let address = Identifier::parse("ab@hotel.com", None).unwrap();
        assert_eq!(loose("a.b@hotel.com"), loose("ab@hotel.com"));
        assert!(!address.is_same_address("a.b@hotel.com"));
    }
}
