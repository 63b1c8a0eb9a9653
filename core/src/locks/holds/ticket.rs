//! What names a hold in another process, as text.

use serde_json::{Value, json};

use super::model::Resource;
use super::store::{HoldSlot, Holder, ResourceKey};
use crate::error::{Error, Result, codes};
use crate::stay::Stay;
use crate::tenants::TenantId;

/// A hold's place and its owner's token.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) key: ResourceKey,
    pub(super) slot: HoldSlot,
    pub(super) token: String,
}

impl Ticket {
    pub(super) fn of(key: &ResourceKey, slot: &HoldSlot, token: &str) -> Self {
        Self {
            key: key.clone(),
            slot: slot.clone(),
            token: token.to_owned(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        let stay = self.slot.stay;
        let (session, id) = match &self.slot.holder {
            Holder::Session(session) => (Some(session), None),
            Holder::Anonymous(id) => (None, Some(id)),
        };
        let tenant = self.key.tenant.as_ref().map(TenantId::as_str);
        json!({
            "tenant": tenant, "resource": self.key.resource.to_string(),
            "check_in": stay.check_in().to_string(), "check_out": stay.check_out().to_string(),
            "session_id": session, "hold_id": id, "token": self.token,
        })
        .to_string()
    }

    /// Reads a ticket. The refusal does not repeat it: it has the token.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let invalid = || {
            let what = "is not the ticket of a hold";
            Error::field_invalid(codes::LOCKS_INVALID_TICKET, "ticket", what)
        };
        let fields: Value = serde_json::from_str(text).map_err(|_| invalid())?;
        let field = |name: &str| fields.get(name).and_then(Value::as_str);
        let needed = |name: &str| field(name).ok_or_else(invalid);
        let holder = match (field("session_id"), field("hold_id")) {
            (Some(session), None) => Holder::Session(session.to_owned()),
            (None, Some(id)) => Holder::Anonymous(id.to_owned()),
            _ => return Err(invalid()),
        };
        let tenant = field("tenant").map(TenantId::parse).transpose();
        Ok(Self {
            key: ResourceKey {
                tenant: tenant.map_err(|_| invalid())?,
                resource: Resource::parse(needed("resource")?).map_err(|_| invalid())?,
            },
            slot: HoldSlot {
                stay: Stay::parse(needed("check_in")?, needed("check_out")?).map_err(|_| invalid())?,
                holder,
            },
            token: needed("token")?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_read_back() {
        for holder in [
            Holder::Session("a:b \"c\"".to_owned()),
            Holder::Anonymous("0f".to_owned()),
        ] {
            let slot = HoldSlot {
                stay: Stay::parse("2027-03-10", "2027-03-12").unwrap(),
                holder,
            };
            for tenant in [None, Some(TenantId::parse("hotel-test").unwrap())] {
                let resource = Resource::room("101").unwrap();
                let ticket = Ticket::of(&ResourceKey { tenant, resource }, &slot, "secret");
                assert!(Ticket::parse(&ticket.to_text()).unwrap() == ticket);
            }
        }
    }

    #[test]
    fn what_is_no_ticket_is_refused_and_not_repeated() {
        for text in ["", "{}", r#"{"token":"secret","resource":"room:1"}"#] {
            let error = Ticket::parse(text).err().unwrap();
            assert_eq!(error.field(), Some("ticket"));
            assert!(!error.to_string().contains("secret"));
        }
    }
}
