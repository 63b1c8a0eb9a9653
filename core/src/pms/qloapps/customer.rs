//! Guests: in QloApps, customers. Their answers hold password digests, which are not read here.

use serde_json::Value;

use super::http::HttpClient;
use super::query::Query;
use super::reader::Node;
use super::xml::Xml;
use crate::error::{Error, Result, codes};
use crate::pms::guest::{Guest, GuestProfile};
use crate::pms::id::GuestId;
use crate::rng;

/// Longest first or last name, in characters.
const MAX_NAME_CHARS: usize = 32;
/// Longest e-mail address, in bytes.
const MAX_EMAIL_BYTES: usize = 128;

/// What the server keeps of a guest goes through a cookie, and it throws when that holds one of its separators.
const IN_NO_COOKIE: [char; 2] = ['|', '¤'];

/// Refuses a guest on whom the server would break, sometimes after it has begun to write: it does not refuse them itself.
///
/// # Errors
/// `pms.invalid_request`, naming the field and never its value.
pub(super) fn admit(guest: &Guest) -> Result<()> {
    for (field, name) in [
        ("first_name", guest.first_name()),
        ("last_name", guest.last_name()),
    ] {
        if name.chars().count() > MAX_NAME_CHARS {
            return Err(invalid(field, "must have at most 32 characters in QloApps"));
        }
        let unfit = |c: char| {
            let refused = "!<>,;?=+()@#\"°{}_$%:".contains(c) || IN_NO_COOKIE.contains(&c);
            // A backslash is taken for the mark of another character, and lost.
            c.is_numeric() || u32::from(c) > 0xFFFF || c == '\\' || refused
        };
        if name.contains(unfit) {
            return Err(invalid(
                field,
                "must not contain digits, emoji or any of !<>,;?=+()@#\"°{}_$%:|¤\\ in QloApps",
            ));
        }
    }
    match guest.email() {
        None => return Err(invalid("email", "is needed by QloApps")),
        Some(email) if email.len() > MAX_EMAIL_BYTES => {
            return Err(invalid("email", "must have at most 128 bytes in QloApps"));
        }
        Some(email) if email.contains(IN_NO_COOKIE) => {
            return Err(invalid("email", "must not contain | or ¤ in QloApps"));
        }
        // What stands behind the last dot has no hyphen there, also not that of an international domain.
        Some(email) if email.rsplit('.').next().is_some_and(|end| end.contains('-')) => {
            return Err(invalid(
                "email",
                "must end in a domain without a hyphen in QloApps",
            ));
        }
        Some(_) => {}
    }
    match guest.phone() {
        None => Err(invalid("phone", "is needed by QloApps")),
        Some(_) => Ok(()),
    }
}

fn invalid(field: &'static str, message: &'static str) -> Error {
    Error::field_invalid(codes::PMS_INVALID_REQUEST, field, message)
}

/// Reads one customer.
///
/// # Errors
/// `pms.unexpected_answer`.
pub(super) fn read_customer(node: Node<'_>) -> Result<GuestProfile> {
    let text = |name: &str| node.field(name).text().unwrap_or_default();
    Ok(GuestProfile {
        id: GuestId::from(node.required("id", Node::id)?),
        first_name: text("firstname"),
        last_name: text("lastname"),
        email: text("email"),
        phone: text("phone"),
    })
}

/// The customer with this address. The server takes the same address several times, and gives bookings to the first.
///
/// # Errors
/// Those of the read.
pub(super) async fn find(http: &HttpClient, email: &str) -> Result<Option<GuestProfile>> {
    let list = http
        .list("customers", "customers", Query::full().equal("email", email))
        .await?;
    first(&list, email)
}

pub(super) fn first(list: &Value, email: &str) -> Result<Option<GuestProfile>> {
    let mut known = Vec::new();
    for node in Node::new(list).list() {
        if !node.field("deleted").flag() {
            known.push(read_customer(node)?);
        }
    }
    // A bar in an address is an "or" to the server.
    known.retain(|guest| guest.email.eq_ignore_ascii_case(email));
    Ok(known.into_iter().min_by_key(|guest| guest.id))
}

/// Makes a customer with a random password that is forgotten at once; the server wants one.
///
/// # Errors
/// Those of a write.
pub(super) async fn create(http: &HttpClient, guest: &Guest) -> Result<()> {
    let body = Xml::document(|xml| {
        xml.element("customer", |xml| {
            xml.value("passwd", &rng::token());
            xml.value("lastname", guest.last_name());
            xml.value("firstname", guest.first_name());
            // Without them the guest was refused before.
            xml.value("email", guest.email().unwrap_or_default());
            xml.value("phone", guest.phone().unwrap_or_default());
            xml.value("active", "1");
        });
    });
    http.create("customers", "customer", body).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(
        first_name: &str,
        last_name: &str,
        email: Option<&str>,
        phone: Option<&str>,
    ) -> Option<String> {
        let guest = Guest::new(first_name, last_name, email, phone).unwrap();
        let error = admit(&guest).err()?;
        assert!(error.is(codes::PMS_INVALID_REQUEST));
        error.field().map(str::to_owned)
    }

    #[test]
    fn what_breaks_the_server_is_refused_and_named() {
        let (email, phone) = (Some("ana@example.com"), Some("+54 9 11 1234-5678"));
        for (first_name, last_name) in [
            ("José María", "O'Neill-Núñez"),
            ("小明", "王"),
            (&*"x".repeat(32), "y"),
        ] {
            assert_eq!(refused(first_name, last_name, email, phone), None);
        }
        for (first_name, last_name, email, phone, field) in [
            ("Ana 2", "Gómez", email, phone, "first_name"),
            ("Ana😀", "Gómez", email, phone, "first_name"),
            ("Ana", "Gómez <script>", email, phone, "last_name"),
            ("Ana", &*"x".repeat(33), email, phone, "last_name"),
            ("Ana|Eva", "Gómez", email, phone, "first_name"),
            ("Ana", "Gómez ¤", email, phone, "last_name"),
            ("Ana", "Gómez\\", email, phone, "last_name"),
            ("Ana", "Gómez", Some("a|b@example.com"), phone, "email"),
            ("Ana", "Gómez", Some("ana@example.xn--p1ai"), phone, "email"),
            ("Ana", "Gómez", None, phone, "email"),
            (
                "Ana",
                "Gómez",
                Some(&*format!("{}@example.com", "a".repeat(117))),
                phone,
                "email",
            ),
            ("Ana", "Gómez", email, None, "phone"),
        ] {
            assert_eq!(
                refused(first_name, last_name, email, phone).as_deref(),
                Some(field)
            );
        }
    }
}
