//! Identifiers: what a message carries and what leads to a tenant.

use std::fmt;

use super::account::{self, Account, Address};
use super::channel::{Channel, Hint};
use super::phone::{self, NoPhone};
use super::{email, host, spelling};
use crate::error::{Error, Result, codes};
use crate::text;

/// What an identifier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentifierKind {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A host name, a pattern `*.example.com`, or a name without a channel.
    Host,
    /// An account of a messenger, such as `telegram:123456789` or `whatsapp:184069530861739@lid`. It is found under its
    /// own channel only.
    Account,
}

impl IdentifierKind {
    /// The stable lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Host => "host",
            Self::Account => "account",
        }
    }

    /// What reads a canonical spelling of this kind as what it is.
    pub(crate) const fn hint(self) -> Hint {
        match self {
            Self::Email | Self::Account => Hint::None,
            Self::Phone => Hint::Phone,
            Self::Host => Hint::Host,
        }
    }
}

impl fmt::Display for IdentifierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An e-mail address, phone number, host name or account, in one canonical spelling and with its equivalents.
///
/// * E-mail: trimmed, NFKC, lower-case, the domain in ASCII (IDNA).
/// * Phone: E.164. `+`, `00` or neither may lead; the usual punctuation does not matter, and an extension is left out.
///   What is no punctuation is refused, and so is more than one number: `1234-5678/79`, `+1 415 555 2671-72`. Numbers
///   that a country changed know their other form (Argentina, Mexico, Brazil, the Ivory Coast, Benin, Vietnam, Gabon,
///   Cameroon, Mauritius, landlines of Colombia). WhatsApp's `5491112345678@s.whatsapp.net`, and on voice
///   `sip:+34600111222@sip.example.com`, are phone numbers.
/// * Account: what Telegram, Instagram and Messenger call a sender, and what WhatsApp does that is no telephone
///   (`…@lid`, `…@g.us`, `AR.13491208655302741918`). Kept with its channel in front, and found under it only.
/// * Host: lower-case, ASCII, without port and trailing dot; an IP address, or a name with letters. Without a channel,
///   anything else that has the form of a host name is read as one.
///
/// What a spreadsheet made of a number or took for a date is refused, whatever the channel: `5491112345678.0`,
/// `5.491112345678E+12`, `2026-11-30`.
///
/// A scheme names the channel whatever else is given: `messenger:565233119996327`, `tel:+34600111222`.
///
/// ```
/// use posada::tenants::{Channel, Identifier, IdentifierKind};
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
    /// `tenants.invalid_identifier` when it is none of these.
    pub fn parse(text: &str, channel: Option<Channel>) -> Result<Self> {
        Self::parse_hinted(text, Channel::hint(channel))
    }

    pub(crate) fn parse_hinted(text: &str, hint: Hint) -> Result<Self> {
        let trimmed = text.trim();
        text::check(trimmed, Self::MAX_BYTES).map_err(|fault| invalid(&fault))?;
        Self::read(trimmed, hint)
            .map_err(|fault| invalid(&fault.words()))
            .and_then(|identifier| match identifier.canonical().len() {
                ..=Self::MAX_BYTES => Ok(identifier),
                _ => Err(invalid(&Fault::Unknown.words())),
            })
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
        if self.kind == IdentifierKind::Account
            && let Some(rank) = self.candidates.iter().position(|candidate| candidate == stored)
        {
            return Some(rank);
        }
        let stored = Self::read(stored, self.kind.hint())
            .ok()
            .filter(|stored| stored.kind == self.kind)?;
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

    fn read(text: &str, hint: Hint) -> Result<Self, Fault> {
        if hint != Hint::Host
            && let Some((scheme, rest)) = text.split_once(':')
            && let Some(channel) = Channel::of_scheme(scheme)
        {
            return if channel != Channel::Email || rest.contains('@') {
                Self::read_plain(rest, Channel::hint(Some(channel)))
            } else {
                Err(Fault::Unknown)
            };
        }
        Self::read_plain(text, hint)
    }

    fn read_plain(text: &str, hint: Hint) -> Result<Self, Fault> {
        if text.contains('@') && !(matches!(hint, Hint::Account(_)) && text.starts_with('@')) {
            return Self::read_address(text, hint);
        }
        if spelling::is_changed(text) {
            return Err(Fault::Changed);
        }
        match hint {
            Hint::Phone | Hint::Voice => Self::read_phone(text),
            Hint::WhatsApp => match account::scoped(text, false) {
                Some(account) => Ok(Self::of_account(account)),
                None => Self::read_phone(text),
            },
            // What begins with a plus is the telephone of an account.
            Hint::Account(_) if text.starts_with('+') => Self::read_phone(text),
            Hint::Account(channel) => account::parse(text, channel)
                .map(Self::of_account)
                .ok_or(Fault::Unknown),
            Hint::Host => Self::read_host(text, true),
            Hint::None if spelling::is_address(text) => Self::read_host(text, false),
            Hint::None => match account::scoped(text, true) {
                Some(account) => Ok(Self::of_account(account)),
                None => {
                    Self::read_phone(text).or_else(|fault| Self::read_host(text, false).map_err(|_| fault))
                }
            },
        }
    }

    /// Reads a text with an `@`: what stands behind it decides.
    fn read_address(text: &str, hint: Hint) -> Result<Self, Fault> {
        match account::address(text) {
            Some(Address::Phone(number)) => return Self::read_phone(number),
            Some(Address::Account(account)) => return Ok(Self::of_account(account)),
            Some(Address::Nothing) => return Err(Fault::Unknown),
            None => {}
        }
        let (user, domain) = text.rsplit_once('@').ok_or(Fault::Unknown)?;
        let begins_like_a_number = user
            .trim_start_matches('+')
            .starts_with(|c: char| c.is_ascii_digit());
        match hint {
            // A gateway or an exchange; the parameters of its address do not matter, nor its port.
            Hint::Phone | Hint::Voice if begins_like_a_number && !domain.is_empty() => {
                let user = user.split_once(';').map_or(user, |(user, _)| user);
                Self::read_phone(user.split_once(':').map_or(user, |(user, _password)| user))
            }
            Hint::Voice => Err(Fault::Unknown),
            // A number in a namespace that we do not know.
            Hint::WhatsApp if !user.contains(char::is_alphabetic) => Err(Fault::Unknown),
            _ => Self::read_email(text),
        }
    }

    fn of_account(account: Account) -> Self {
        let candidates = distinct(std::iter::once(account.canonical).chain(account.bare));
        Self {
            kind: IdentifierKind::Account,
            keys: distinct(candidates.iter().map(|candidate| loose(candidate))),
            candidates,
        }
    }

    fn read_email(text: &str) -> Result<Self, Fault> {
        let spellings = email::parse(text).ok_or(Fault::Unknown)?;
        let keys = distinct([
            loose(&spellings.canonical),
            loose(&spellings.unicode),
            loose(text),
        ]);
        Ok(Self {
            kind: IdentifierKind::Email,
            candidates: vec![spellings.canonical],
            keys,
        })
    }

    fn read_phone(text: &str) -> Result<Self, Fault> {
        let candidates = phone::candidates(text).map_err(|fault| match fault {
            NoPhone::NoNumber => Fault::Unknown,
            NoPhone::TooLong => Fault::TooLong,
        })?;
        let keys = candidates
            .iter()
            .flat_map(|candidate| match candidate.strip_prefix('+') {
                Some(digits) => vec![digits.to_owned(), format!("00{digits}")],
                None => vec![candidate.clone()],
            });
        Ok(Self {
            kind: IdentifierKind::Phone,
            keys: distinct(keys),
            candidates,
        })
    }

    fn read_host(text: &str, is_host: bool) -> Result<Self, Fault> {
        let spellings = host::parse(text, is_host).ok_or(Fault::Unknown)?;
        let candidates = host::candidates(&spellings);
        let unicode = std::iter::once(spellings.unicode.clone()).chain(host::wildcards(&spellings.unicode));
        let keys = distinct(candidates.iter().cloned().chain(unicode).map(|name| loose(&name)));
        Ok(Self {
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
/// [`DROPPED`]. Different identifiers can share it, so a caller that looks up by it checks with [`Identifier::rank`].
pub(crate) fn loose(text: &str) -> String {
    text.to_lowercase()
        .chars()
        .filter(|c| !DROPPED.contains(*c))
        .collect()
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

/// Why a text is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is none of those that there are.
    Unknown,
    /// It has more digits than a phone number of its country.
    TooLong,
    /// A spreadsheet wrote it in its own way.
    Changed,
}

impl Fault {
    const fn words(self) -> &'static str {
        match self {
            Self::Unknown => {
                "must be an e-mail address, a phone number, a host name, or an account of a messenger"
            }
            Self::TooLong => {
                "has more digits than a phone number of its country: two numbers, an extension without its mark \
                 (`;ext=`), or an account without its channel"
            }
            Self::Changed => {
                "looks like a number or a date that a spreadsheet changed, so that digits may be lost: keep the column \
                 as text"
            }
        }
    }
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
    fn an_account_is_no_telephone_and_none_of_another_messenger() {
        let telephone = Identifier::parse("+47 90 12 34 56", None).unwrap();
        let telegram = Identifier::parse("4790123456", Some(Channel::Telegram)).unwrap();
        let lid = Identifier::parse("4790123456@lid", Some(Channel::WhatsApp)).unwrap();
        let messenger = Identifier::parse("4790123456", Some(Channel::Messenger)).unwrap();
        let all = [&telephone, &telegram, &lid, &messenger];
        for one in all {
            for other in all {
                let is_one = one.rank(other.canonical()).is_some();
                assert_eq!(is_one, one == other, "{one:?} {other:?}");
            }
            assert!(one == &telephone || one.rank("4790123456").is_none());
        }
    }

    #[test]
    fn rows_of_accounts_that_were_written_without_a_channel_are_still_found() {
        for (id, channel, stored) in [
            ("17841400008460056", Channel::Instagram, "17841400008460056"),
            ("565233119996327", Channel::Messenger, "565233119996327"),
            ("184069530861739@lid", Channel::WhatsApp, "184069530861739@lid"),
            (
                "AR.13491208655302741918",
                Channel::WhatsApp,
                "ar.13491208655302741918",
            ),
        ] {
            let account = Identifier::parse(id, Some(channel)).unwrap();
            assert!(account.is_same_address(stored), "{stored}");
            assert!(account.keys().contains(&loose(stored)), "{stored}");
        }
    }

    #[test]
    fn addresses_that_only_look_alike_are_told_apart() {
        let address = Identifier::parse("ab@hotel.com", None).unwrap();
        assert_eq!(loose("a.b@hotel.com"), loose("ab@hotel.com"));
        assert!(!address.is_same_address("a.b@hotel.com"));
    }
}
