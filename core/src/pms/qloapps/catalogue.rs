//! What a server is: its hotels and room types, its services, states, currencies and time zone. Read once, kept.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::not_understood;
use super::extra::{Extra, read_room_rates, read_services};
use super::http::HttpClient;
use super::query::Query;
use super::reader::Node;
use super::tax::{Taxes, TaxesDescribed};
use super::zone::Zone;
use crate::error::{Error, Result, codes};
use crate::pms::id::{HotelId, RoomTypeId, ServiceId};
use crate::pms::model::{Hotel, RoomType};
use crate::pms::money::{Currency, Money};
use crate::pms::occupancy::OccupancyLimits;
use crate::pms::service::Service;

/// How long a process does not look whether another one has read it again.
pub(super) const FRESH: Duration = Duration::from_mins(5);

/// The settings of the server that we need, by their names in QloApps.
const CANCELLED_STATE: &str = "PS_OS_CANCELED";
const REFUNDED_STATE: &str = "PS_OS_REFUND";
const TIME_ZONE: &str = "PS_TIMEZONE";
const DEFAULT_CURRENCY: &str = "PS_CURRENCY_DEFAULT";
const TAXED: &str = "PS_TAX";
const MAX_DAYS_AHEAD: &str = "PS_MAX_CHECKOUT_OFFSET";
const MIN_DAYS_AHEAD: &str = "PS_MIN_BOOKING_OFFSET";
/// Whether a guest chooses rooms by their number alone: every room is then booked for the guests that its type is made
/// for, whatever a request says.
const ROOM_SELECTION: &str = "PS_FRONT_ROOM_UNIT_SELECTION_TYPE";
const BY_NUMBER: u64 = 2;

/// The usual times, for a hotel that names none.
const CHECK_IN: (u32, u32) = (14, 0);
const CHECK_OUT: (u32, u32) = (11, 0);

/// A server as it was at one moment.
pub(super) struct Catalogue {
    pub(super) hotels: Vec<Hotel>,
    pub(super) room_types: Vec<RoomType>,
    /// The state that cancels an order, and every state that means it is over.
    pub(super) cancelled_state: u64,
    refunded_state: Option<u64>,
    /// Whether the rows of a booking tell for which guests it was asked.
    pub(super) tells_guests: bool,
    zone: Zone,
    currencies: HashMap<u64, Currency>,
    /// What is sold with each room type, and what its price contains beside the room.
    services: HashMap<RoomTypeId, Vec<Extra>>,
    /// The tax on a room of each type, as a part of its price.
    room_rates: HashMap<RoomTypeId, Decimal>,
    /// When it was read.
    pub(super) read_at: Instant,
}

/// What a server says about itself, as it came.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Described {
    settings: Value,
    currencies: Value,
    pub(super) hotels: Value,
    pub(super) limits: Value,
    pub(super) types: Value,
    pub(super) services: Value,
    taxes: TaxesDescribed,
}

/// Reads everything at once.
///
/// # Errors
/// That of a failed read.
pub(super) async fn describe(http: &HttpClient) -> Result<Described> {
    let names = [
        TAXED,
        CANCELLED_STATE,
        REFUNDED_STATE,
        TIME_ZONE,
        DEFAULT_CURRENCY,
        MAX_DAYS_AHEAD,
        MIN_DAYS_AHEAD,
        ROOM_SELECTION,
    ];
    let settings = Query::full().any_of("name", names);
    let (settings, currencies, hotels, limits, types, services) = tokio::try_join!(
        http.list("configurations", "configurations", settings),
        http.list("currencies", "currencies", Query::full()),
        http.list("hotels", "hotels", Query::full()),
        http.list("hotel_room_types", "hotel_room_types", Query::full()),
        http.list("room_types", "room_types", Query::full()),
        http.list("services", "services", Query::full()),
    )?;
    let taxes = TaxesDescribed::read(http, &types, &services).await?;
    Ok(Described {
        settings,
        currencies,
        hotels,
        limits,
        types,
        services,
        taxes,
    })
}

impl Catalogue {
    /// Understands what a server says about itself.
    ///
    /// # Errors
    /// `pms.unexpected_answer` when something that we cannot do without is missing.
    pub(super) fn new(described: &Described, now: Instant) -> Result<Self> {
        let settings = Settings::read(&described.settings);
        let currencies = read_currencies(&described.currencies)?;
        let shop_currency = settings
            .number(DEFAULT_CURRENCY)
            .and_then(|id| currencies.get(&id).copied())
            .ok_or_else(|| not_understood("the server names no currency").with("name", DEFAULT_CURRENCY))?;
        let taxes = Taxes::new(
            &described.taxes,
            &described.hotels,
            settings.number(TAXED) != Some(0),
        );
        Ok(Self {
            hotels: read_hotels(&described.hotels, &settings, shop_currency)?,
            room_types: read_room_types(&described.limits, &described.types, shop_currency)?,
            cancelled_state: settings
                .number(CANCELLED_STATE)
                .ok_or_else(|| not_understood("the server names no state").with("name", CANCELLED_STATE))?,
            refunded_state: settings.number(REFUNDED_STATE),
            tells_guests: settings.number(ROOM_SELECTION) != Some(BY_NUMBER),
            zone: settings.zone()?,
            currencies,
            services: read_services(described, &taxes, shop_currency)?,
            room_rates: read_room_rates(described, &taxes),
            read_at: now,
        })
    }

    /// The hotel's date at this moment.
    pub(super) fn today(&self, now: DateTime<Utc>) -> NaiveDate {
        self.zone.local(now).date()
    }

    /// A moment that was written in the server's time. Of two, when the clocks go back, the later: a booking that
    /// looks younger than it is will only be checked once more.
    pub(super) fn moment(&self, local: NaiveDateTime) -> DateTime<Utc> {
        self.zone.moment(local)
    }

    /// A moment as the server writes it.
    pub(super) fn local(&self, now: DateTime<Utc>) -> NaiveDateTime {
        self.zone.local(now)
    }

    /// The currency of an order.
    ///
    /// # Errors
    /// `pms.unexpected_answer` for one that the server does not list.
    pub(super) fn currency(&self, id: u64) -> Result<Currency> {
        let unknown = || not_understood("the server does not list this currency").with("currency", id);
        self.currencies.get(&id).copied().ok_or_else(unknown)
    }

    /// Whether an order in this state is over.
    pub(super) fn is_over(&self, state: u64) -> bool {
        state == self.cancelled_state || Some(state) == self.refunded_state
    }

    /// The tax on a room of this type, as a part of its price; `None` when the server did not tell.
    pub(super) fn room_rate(&self, room_type: RoomTypeId) -> Option<Decimal> {
        self.room_rates.get(&room_type).copied()
    }

    /// The part of a room's net price for some nights that belongs to services.
    pub(super) fn services_net(&self, room_type: RoomTypeId, nights: u32) -> Decimal {
        let extras = self.services.get(&room_type).into_iter().flatten();
        let net = extras.filter(|extra| extra.is_in_the_price).map(|extra| {
            if extra.per_night {
                extra.net.saturating_mul(Decimal::from(nights))
            } else {
                extra.net
            }
        });
        net.fold(Decimal::ZERO, Decimal::saturating_add)
    }

    /// What is sold with a room type, in the order of the ids.
    ///
    /// # Errors
    /// `pms.not_permitted` when the server did not tell the tax on one of them.
    pub(super) fn services(&self, room_type: RoomTypeId) -> Result<Vec<Service>> {
        let extras = self.services.get(&room_type).into_iter().flatten();
        extras.map(Extra::service).collect()
    }

    /// Whether a service is in the price of a room type, so that no guest chose it.
    pub(super) fn is_in_the_price(&self, room_type: RoomTypeId, service: ServiceId) -> bool {
        let mut extras = self.services.get(&room_type).into_iter().flatten();
        extras.any(|extra| extra.is_in_the_price && extra.id == service)
    }
}

/// The server's settings by name.
struct Settings(HashMap<String, String>);

impl Settings {
    fn read(list: &Value) -> Self {
        let pair = |node: Node<'_>| Some((node.field("name").text()?, node.field("value").text()?));
        Self(Node::new(list).list().into_iter().filter_map(pair).collect())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.trim().parse().ok()
    }

    fn zone(&self) -> Result<Zone> {
        let name = self
            .0
            .get(TIME_ZONE)
            .ok_or_else(|| not_understood("the server names no time zone").with("name", TIME_ZONE))?;
        Zone::named(name).ok_or_else(|| {
            Error::new(
                codes::PMS_UNEXPECTED_ANSWER,
                "the server's time zone is not one of the IANA database",
            )
            .with("zone", name)
        })
    }
}

fn read_currencies(list: &Value) -> Result<HashMap<u64, Currency>> {
    let mut currencies = HashMap::new();
    for node in Node::new(list).list() {
        let code = node.required("iso_code", Node::text)?;
        currencies.insert(node.required("id", Node::number)?, Currency::parse(&code)?);
    }
    Ok(currencies)
}

fn read_hotels(list: &Value, settings: &Settings, currency: Currency) -> Result<Vec<Hotel>> {
    let everywhere = settings.number(MAX_DAYS_AHEAD);
    let earliest = settings.number(MIN_DAYS_AHEAD);
    let mut hotels = Vec::new();
    for node in Node::new(list).list() {
        if !node.field("active").flag() {
            continue;
        }
        let own = node.field("max_checkout_offset").number();
        let days = if node.field("use_global_max_checkout_offset").flag() {
            everywhere
        } else {
            own
        };
        let own = node.field("min_booking_offset").number();
        let global = node.field("use_global_min_booking_offset");
        let ahead = if global.is_missing() || global.flag() {
            earliest
        } else {
            own
        };
        hotels.push(Hotel {
            min_days_ahead: ahead.and_then(|days| u32::try_from(days).ok()).unwrap_or(0),
            id: HotelId::from(node.required("id", Node::id)?),
            name: node.required("hotel_name", Node::text)?,
            check_in: node.field("check_in").time().unwrap_or(time(CHECK_IN)),
            check_out: node.field("check_out").time().unwrap_or(time(CHECK_OUT)),
            currency,
            max_days_ahead: days
                .filter(|days| *days > 0)
                .and_then(|days| u32::try_from(days).ok()),
        });
    }
    Ok(hotels)
}

fn time((hour, minute): (u32, u32)) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or_default()
}

/// Room types are described in two places: their limits stand beside the rooms, their names and prices beside the
/// other products.
fn read_room_types(limits: &Value, types: &Value, currency: Currency) -> Result<Vec<RoomType>> {
    let mut limits_of = HashMap::new();
    for node in Node::new(limits).list() {
        limits_of.insert(node.required("id_product", Node::number)?, node);
    }
    let mut room_types = Vec::new();
    for node in Node::new(types).list() {
        let id = node.required("id", Node::number)?;
        let orderable = node.field("available_for_order");
        let is_sold = node.field("active").flag() && (orderable.is_missing() || orderable.flag());
        let Some(limits) = limits_of.get(&id).filter(|_| is_sold) else {
            continue;
        };
        let price = node.required("price", Node::decimal)?;
        room_types.push(RoomType {
            id: RoomTypeId::from(id),
            hotel: HotelId::from(limits.required("id_hotel", Node::id)?),
            name: node.required("name", Node::text)?,
            base_price: Money::new(price, currency)?,
            limits: OccupancyLimits {
                max_adults: limits.required("max_adults", Node::count)?,
                max_children: limits.required("max_children", Node::count)?,
                max_guests: limits.required("max_guests", Node::count)?,
            },
            min_nights: limits.field("min_los").count().unwrap_or(1).max(1),
            max_nights: limits.field("max_los").count().filter(|nights| *nights > 0),
        });
    }
    Ok(room_types)
}
