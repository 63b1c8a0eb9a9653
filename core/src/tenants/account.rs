//! Accounts of messengers: ids that are no phone numbers and mean something on their own messenger only.
//!
//! Telegram, Instagram and Messenger number their accounts, and 4790123456 is then no telephone. WhatsApp has
//! ids of that kind too: privacy ids (`184069530861739@lid`), groups (`…@g.us`), newsletters and broadcast lists, and
//! the business-scoped user ids of its cloud API (`AR.13491208655302741918`).

use super::channel::Channel;
use super::phone;

/// Longest id, in bytes. A business-scoped user id has the most: a country, `ENT`, and 128 characters.
const MAX_ID: usize = 140;

/// An account: `telegram:123456789`, `whatsapp:184069530861739@lid`.
pub(super) struct Account {
    pub(super) canonical: String,
    /// The ways in which rows may have it that were written without a channel.
    pub(super) bare: Vec<String>,
}

/// What stands behind the `@` of WhatsApp's own addresses.
pub(super) enum Address<'a> {
    /// The number of a telephone.
    Phone(&'a str),
    /// Something else.
    Account(Account),
    /// Nothing that WhatsApp has: a name, a number with something behind it.
    Nothing,
}

/// Reads an id of a messenger whose senders are accounts.
pub(super) fn parse(text: &str, channel: Channel) -> Option<Account> {
    let plain = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let (at, id) = text.strip_prefix('@').map_or(("", text), |name| ("@", name));
    // Telegram counts groups below zero.
    let is_one = id.chars().any(char::is_alphanumeric) && id.chars().all(plain) && text.len() <= MAX_ID;
    if !is_one {
        return None;
    }
    let mut bare = Vec::new();
    if at.is_empty() && is_digits(id) && !phone::is_valid(id) {
        // Earlier versions kept it as the number of a telephone, or as a name.
        // Not with a plus, which would be a telephone.
        bare.push(id.to_owned());
    }
    Some(Account {
        canonical: format!("{channel}:{at}{}", id.to_lowercase()),
        bare,
    })
}

/// Reads a business-scoped user id: a country, a point and letters and digits, such as `AR.13491208655302741918`.
/// Without `strict` only digits count, because `ar.example` is a host.
pub(super) fn scoped(text: &str, strict: bool) -> Option<Account> {
    let (country, id) = text.split_once('.')?;
    let (parent, digits) = match id.split_once('.') {
        Some((parent, rest)) if parent.eq_ignore_ascii_case("ent") => ("ENT.", rest),
        Some(_) => return None,
        None => ("", id),
    };
    let is_country = country.len() == 2 && country.bytes().all(|letter| letter.is_ascii_alphabetic());
    let is_id = if strict {
        (5..=128).contains(&digits.len()) && is_digits(digits)
    } else {
        (8..=128).contains(&digits.len())
            && digits.bytes().all(|c| c.is_ascii_alphanumeric())
            && digits.bytes().any(|c| c.is_ascii_digit())
    };
    let bare = format!("{}.{parent}{digits}", country.to_ascii_uppercase());
    (is_country && is_id).then(|| Account {
        canonical: format!("{}:{bare}", Channel::WhatsApp),
        bare: vec![bare],
    })
}

/// Reads one of WhatsApp's own addresses (JIDs). The device behind the number (`:17`, before or after an agent `_1` or
/// `.0`) is left out, and so is a resource behind the whole (`/web`): it is the same account. `None` when the namespace
/// is not WhatsApp's, as in an e-mail address.
pub(super) fn address(text: &str) -> Option<Address<'_>> {
    let (user, namespace) = text.rsplit_once('@')?;
    let namespace = namespace
        .split_once('/')
        .map_or(namespace, |(namespace, _)| namespace);
    let namespace = namespace.trim_end_matches('.').to_ascii_lowercase();
    Some(match namespace.as_str() {
        "s.whatsapp.net" | "c.us" | "hosted" => telephone(user),
        "lid" | "hosted.lid" => account(user, "lid"),
        "g.us" | "newsletter" | "broadcast" | "bot" | "interop" | "msgr" | "call" => {
            account(user, &namespace)
        }
        other if other == "whatsapp.net" || other.ends_with(".whatsapp.net") => Address::Nothing,
        _ => return None,
    })
}

/// What stands in front of the `@` of those that are people: mostly the number of a telephone.
fn telephone(user: &str) -> Address<'_> {
    if let Some(account) = scoped(user, false) {
        return Address::Account(account);
    }
    match without_device(user.strip_prefix('+').unwrap_or(user)) {
        Some(number) if is_digits(number) => Address::Phone(number),
        _ => Address::Nothing,
    }
}

fn account<'a>(user: &'a str, namespace: &str) -> Address<'a> {
    let is_one = |user: &str| match namespace {
        "broadcast" if user == "status" => true,
        // Groups of before have the number of who made them in front; a system beside has its own number there.
        "g.us" | "broadcast" | "interop" => user.split('-').all(is_digits),
        _ => is_digits(user),
    };
    match without_device(user).filter(|user| is_one(user) && user.len() <= MAX_ID) {
        Some(user) => {
            let bare = format!("{user}@{namespace}");
            Address::Account(Account {
                canonical: format!("{}:{bare}", Channel::WhatsApp),
                bare: vec![bare],
            })
        }
        None => Address::Nothing,
    }
}

/// The user without device and agent; `None` where these are no numbers.
fn without_device(user: &str) -> Option<&str> {
    let (user, device) = user.split_once(':').unwrap_or((user, "0"));
    let (user, agent) = user.split_once(['_', '.']).unwrap_or((user, "0"));
    (is_digits(device) && is_digits(agent)).then_some(user)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_a_real_telephone_number_is_not_looked_for_among_those() {
        assert!(parse("4790123456", Channel::Telegram).unwrap().bare.is_empty());
        assert_eq!(
            parse("17841400008460056", Channel::Instagram).unwrap().bare.len(),
            1
        );
        assert_eq!(
            parse("565233119996327", Channel::Messenger).unwrap().bare,
            ["565233119996327"]
        );
    }

    #[test]
    fn texts_that_no_account_has_are_refused() {
        for text in ["", "-", "@", "a b", "a@b", "a:b", "a/b", &"1".repeat(141)] {
            assert!(parse(text, Channel::Telegram).is_none(), "{text}");
        }
        for text in [
            "AR.",
            "ARG.12345",
            "A.12345",
            "ar.example.com",
            "AR.1.2",
            "12.34567",
        ] {
            assert!(scoped(text, false).is_none(), "{text}");
        }
        assert!(scoped("ar.example", true).is_none());
    }
}
