//! Guests: in QloApps, customers. Their answers hold password digests, which nobody here reads.

use serde_json::Value;

use super::http::HttpClient;
use super::query::Query;
use super::reader::Node;
use super::xml::Xml;
use crate::error::Result;
use crate::pms::guest::{Guest, GuestProfile};
use crate::pms::id::GuestId;
use crate::rng;

/// Reads one customer.
///
/// # Errors
/// `pms.unexpected_answer`.
pub(super) fn read_customer(node: Node<'_>) -> Result<GuestProfile> {
    let text = |name: &str| node.field(name).text().unwrap_or_default();
    Ok(GuestProfile {
        id: GuestId::new(node.required("id", Node::number)?)?,
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

/// Makes a customer with a password that nobody knows; the server wants one.
///
/// # Errors
/// Those of a write.
pub(super) async fn create(http: &HttpClient, guest: &Guest) -> Result<()> {
    let body = Xml::document(|xml| {
        xml.element("customer", |xml| {
            xml.value("passwd", &rng::token());
            xml.value("lastname", guest.last_name());
            xml.value("firstname", guest.first_name());
            xml.value("email", guest.email());
            xml.value("phone", guest.phone());
            xml.value("active", "1");
        });
    });
    http.create("customers", "customer", body).await.map(drop)
}
