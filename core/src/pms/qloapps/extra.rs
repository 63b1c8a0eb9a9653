//! Services, as a server describes them: which a guest may choose with a room type, and which are in its price.

use std::collections::HashMap;

use rust_decimal::Decimal;

use super::catalogue::Described;
use super::reader::Node;
use super::tax::{Place, Taxes};
use crate::error::{Error, Result, codes};
use crate::pms::id::{HotelId, RoomTypeId, ServiceId};
use crate::pms::money::{Currency, Money};
use crate::pms::service::Service;

/// How a server adds an automatic service: to the price of the room, or as a line of its own.
pub(super) const WITH_THE_ROOM: u64 = 1;
/// How a server computes the price of a service.
pub(super) const PER_NIGHT: u64 = 2;

/// A service of one room type.
#[derive(Debug, Clone)]
pub(super) struct Extra {
    pub(super) id: ServiceId,
    name: String,
    pub(super) net: Decimal,
    currency: Currency,
    /// The tax on it, as a part of its price; `None` when the server did not tell.
    rate: Option<Decimal>,
    pub(super) per_night: bool,
    /// The server adds it to every room by itself, and its price is part of the room's.
    pub(super) is_in_the_price: bool,
    max_quantity: Option<u32>,
}

impl Extra {
    /// What callers see of it.
    ///
    /// # Errors
    /// `pms.not_permitted` when its tax is not known.
    pub(super) fn service(&self) -> Result<Service> {
        let rate = self.rate.ok_or_else(|| {
            Error::new(
                codes::PMS_NOT_PERMITTED,
                "the key may not see the taxes on services; tick GET for tax_rules and taxes under Web service",
            )
            .with("service", self.id)
        })?;
        let net_price = Money::new(self.net, self.currency)?;
        let taxed = Decimal::ONE.saturating_add(rate);
        Ok(Service {
            id: self.id,
            name: self.name.clone(),
            price: net_price.scaled(taxed)?,
            exact: Some(self.net.saturating_mul(taxed)),
            net_price: net_price.scaled(Decimal::ONE)?,
            per_night: self.per_night,
            automatic: self.is_in_the_price,
            max_quantity: self.max_quantity,
        })
    }
}

/// A service that guests see, whatever the room type.
struct Offered<'a> {
    node: Node<'a>,
    net: Decimal,
}

/// Which services each room type has. A room type may have a price and a tax of its own for one.
///
/// Guests see what is active, may be ordered, and is shown on the website or added there by itself.
pub(super) fn read_services(
    described: &Described,
    taxes: &Taxes,
    currency: Currency,
) -> Result<HashMap<RoomTypeId, Vec<Extra>>> {
    let mut known = HashMap::new();
    for node in Node::new(&described.services).list() {
        let on = |name: &str| node.field(name).is_missing() || node.field(name).flag();
        let is_seen = on("show_at_front") || node.field("auto_add_to_cart").flag();
        if node.field("active").flag() && on("available_for_order") && is_seen {
            let net = node.required("price", Node::decimal)?;
            known.insert(node.required("id", Node::number)?, Offered { node, net });
        }
    }
    let mut hotels = HashMap::new();
    for node in Node::new(&described.limits).list() {
        let hotel = HotelId::from(node.required("id_hotel", Node::id)?);
        hotels.insert(node.required("id_product", Node::number)?, hotel);
    }
    let mut of_type = HashMap::new();
    for node in Node::new(&described.types).list() {
        let number = node.required("id", Node::number)?;
        let place = hotels.get(&number).and_then(|hotel| taxes.place(*hotel));
        let room_group = node.field("id_tax_rules_group").number().unwrap_or(0);
        let mut extras = Vec::new();
        for own in node.field("associations").field("services").list() {
            let service = own
                .field("id")
                .number()
                .and_then(|id| Some((id, known.get(&id)?)));
            if let Some((id, service)) = service {
                extras.push(read_extra(id, service, own, room_group, (taxes, place), currency));
            }
        }
        extras.sort_by_key(|extra: &Extra| extra.id);
        of_type.insert(RoomTypeId::from(number), extras);
    }
    Ok(of_type)
}

/// The tax on a room of each type, as a part of its price; nothing for those of which the server did not tell.
pub(super) fn read_room_rates(described: &Described, taxes: &Taxes) -> HashMap<RoomTypeId, Decimal> {
    let mut hotels = HashMap::new();
    for node in Node::new(&described.limits).list() {
        if let (Some(number), Some(hotel)) = (node.field("id_product").number(), node.field("id_hotel").id())
        {
            hotels.insert(number, HotelId::from(hotel));
        }
    }
    let rate = |node: Node<'_>| {
        let number = node.field("id").number()?;
        let place = hotels.get(&number).and_then(|hotel| taxes.place(*hotel));
        let group = node.field("id_tax_rules_group").number()?;
        Some((RoomTypeId::from(number), taxes.rate(group, place)?))
    };
    Node::new(&described.types)
        .list()
        .into_iter()
        .filter_map(rate)
        .collect()
}

fn read_extra(
    id: u64,
    service: &Offered<'_>,
    own: Node<'_>,
    room_group: u64,
    (taxes, place): (&Taxes, Option<&Place>),
    currency: Currency,
) -> Extra {
    let node = service.node;
    let is_in_the_price = node.field("auto_add_to_cart").flag()
        && node.field("price_addition_type").number() == Some(WITH_THE_ROOM);
    let own_group = own.field("id_tax_rules_group").number();
    let group = if is_in_the_price {
        // It is taxed like the room.
        room_group
    } else {
        own_group
            .or_else(|| node.field("id_tax_rules_group").number())
            .unwrap_or(0)
    };
    Extra {
        id: ServiceId::from(id),
        name: node.field("name").text().unwrap_or_default(),
        net: own.field("price").decimal().unwrap_or(service.net),
        currency,
        rate: taxes.rate(group, place),
        per_night: node.field("price_calculation_method").number() == Some(PER_NIGHT),
        is_in_the_price,
        max_quantity: if node.field("allow_multiple_quantity").flag() {
            node.field("max_quantity").count().filter(|most| *most > 0)
        } else {
            Some(1)
        },
    }
}
