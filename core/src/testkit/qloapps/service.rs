//! The web service in front of the server: keys, resources, bodies and answers, as they were recorded.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::extras;
use super::http::{Reply, Request, Response};
use super::list::{Query, element, elements, is_document, leaves};
use super::server::{Chosen, Server, WishedTax, cents, local};
use super::wish::read_wish;
use super::{Dialect, SimulatedCall, SimulatedCollision, SimulatedFault};
use crate::clock::SharedClock;
use crate::pms::BookingId;
use crate::sync::lock;
use crate::{Error, Stay};

const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html; charset=utf-8";
/// `Basic` and the key with an empty password.
pub(super) const AUTHORIZATION: &str = "Basic UUxPQVBQU1RFU1RLRVlBTExQRVJNSVNTSU9OUzAwMDE6";
const RESOURCES: [&str; 21] = [
    "booking_extra_demands",
    "bookings",
    "configurations",
    "currencies",
    "customers",
    "hotel_ari",
    "hotel_room_types",
    "hotel_rooms",
    "hotels",
    "languages",
    "order_details",
    "order_histories",
    "order_invoices",
    "order_payments",
    "order_states",
    "orders",
    "room_bookings",
    "room_types",
    "services",
    "tax_rules",
    "taxes",
];

pub(super) struct Service {
    clock: SharedClock,
    desk: Mutex<Desk>,
}

/// The server and its moods.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) server: Server,
    pub(super) gap: Duration,
    pub(super) collision: SimulatedCollision,
    pub(super) dialect: Dialect,
    pub(super) script: VecDeque<(SimulatedCall, SimulatedFault)>,
    pub(super) requests: usize,
    /// How many of them were to change something.
    pub(super) writes: usize,
    pub(super) creates: usize,
    /// How many requests came with these ids.
    pub(super) correlated: HashMap<(String, Option<String>), usize>,
    /// The resources that the key may not see.
    pub(super) hidden: Vec<String>,
    /// The fewest and the most nights of a stay; zero is no limit.
    pub(super) nights: (u32, u32),
    /// Whether every room costs twice as much from the next booking on, which is checked at the price of before.
    pub(super) is_dearer_next: bool,
    /// The rooms that are closed, and when.
    pub(super) closed: Vec<(u64, Stay)>,
    /// A time with a fewest number of nights of its own.
    pub(super) season: Option<(Stay, u32)>,
}

/// An answer that is not the one hoped for.
type Refused = Response;

impl Service {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            desk: Mutex::default(),
        }
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    pub(super) fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.clock.now()
    }

    pub(super) async fn answer(&self, request: Request) -> Reply {
        let fault = {
            let mut desk = self.desk();
            desk.requests += 1;
            if let [Some(request), Some(correlation), traceparent] = &request.correlation
                && request == correlation
            {
                let ids = (request.clone(), traceparent.clone());
                *desk.correlated.entry(ids).or_default() += 1;
            }
            let call = call_of(&request);
            let reads = matches!(call, SimulatedCall::Read | SimulatedCall::Availability);
            desk.writes += usize::from(!reads);
            let place = desk.script.iter().position(|(awaited, _)| *awaited == call);
            place
                .and_then(|place| desk.script.remove(place))
                .map(|(_, fault)| fault)
        };
        match fault {
            None => Reply::Answer(self.work(&request).await),
            Some(SimulatedFault::LostBeforeWork) => Reply::Cut,
            Some(SimulatedFault::LostAfterWork) => {
                self.work(&request).await;
                Reply::Cut
            }
            Some(SimulatedFault::LostDuringWork) => Reply::CutThenWork(request),
            Some(SimulatedFault::Slow(after)) => {
                let mut response = self.work(&request).await;
                response.after = after;
                Reply::Answer(response)
            }
            Some(SimulatedFault::Warned) => {
                self.work(&request).await;
                Reply::Answer(warned())
            }
            Some(SimulatedFault::Instead { status, body }) => {
                let content_type = if body.starts_with(['{', '[']) { JSON } else { HTML };
                let mut response = Response::new(status, content_type, body);
                if (300..400).contains(&status) {
                    response.location = Some("http://another.example/index.php".into());
                }
                Reply::Answer(response)
            }
        }
    }

    /// What the server does and answers when nothing goes wrong.
    pub(super) async fn work(&self, request: &Request) -> Response {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let query = Query::parse(query);
        let done = self.route(request, path, &query).await;
        match done {
            Ok((status, value)) => {
                let dialect = self.desk().dialect;
                let body = dialect.write(value);
                Response::new(status, JSON, body)
            }
            Err(refused) => refused,
        }
    }

    async fn route(&self, request: &Request, path: &str, query: &Query) -> Result<(u16, Value), Refused> {
        match request.authorization.as_deref() {
            Some(AUTHORIZATION) => {}
            Some(basic) if basic.starts_with("Basic ") => return Err(wrong_key(basic)),
            _ => return Err(Response::new(401, HTML, "401 Unauthorized".into())),
        }
        let path = path.strip_prefix("/api").unwrap_or(path).trim_matches('/');
        let (resource, id) = path.split_once('/').unwrap_or((path, ""));
        let hidden = self.desk().hidden.clone();
        if resource.is_empty() && !hidden.iter().any(String::is_empty) {
            let seen: Vec<_> = RESOURCES
                .iter()
                .filter(|name| !hidden.iter().any(|hidden| hidden == *name))
                .collect();
            return Ok((200, json!(seen)));
        }
        if hidden.iter().any(|hidden| hidden == resource) {
            let message =
                format!("Resource of type \"{resource}\" is not allowed with this authentication key");
            return Err(errors(401, 26, &message));
        }
        if !RESOURCES.contains(&resource) {
            let message = format!("Resource of type \"{resource}\" does not exists.");
            return Err(errors(400, 27, &message));
        }
        match (request.method.as_str(), resource) {
            ("POST", "hotel_ari") => Ok((200, self.desk().availability(&request.body)?)),
            ("POST", "bookings") => Ok((200, self.book(&request.body).await?)),
            ("POST", "order_histories") => Ok((201, self.change_state(&request.body)?)),
            ("POST", "customers") => {
                let fields = document(&request.body)?;
                Ok((201, self.desk().server.add_customer(&fields)?))
            }
            (method, "hotel_ari") => Err(errors(405, 23, &format!("Method {method} is not valid"))),
            ("PUT", "bookings") => Ok((200, self.reprice(id, &request.body)?)),
            ("PUT", "room_bookings") => Ok((200, self.overwrite(id, &request.body).await?)),
            ("GET", _) => Ok((200, self.desk().list(resource, query)?)),
            (method, _) => Err(errors(405, 23, &format!("Method {method} is not valid"))),
        }
    }

    /// Checks, waits, writes: the order in which a real server books twice.
    pub(super) async fn book(&self, body: &str) -> Result<Value, Refused> {
        let chosen = self.check(body)?;
        let gap = self.desk().gap;
        pause(gap).await;
        let id = {
            let mut desk = self.desk();
            if std::mem::take(&mut desk.is_dearer_next) {
                desk.server.dearer = 200;
            }
            desk.server.open(&chosen.wish, self.clock.now())
        };
        pause(gap / 4).await;
        if chosen.wish.rooms.iter().any(|room| room.adults < 0) {
            return Err(dies());
        }
        let mut desk = self.desk();
        let collision = desk.collision;
        desk.server.fill(id, &chosen, collision, self.clock.now());
        let untaxed = |tax| chosen.wish.rooms.iter().any(|room| room.tax == tax);
        if untaxed(WishedTax::Unreadable) {
            return Err(dies());
        }
        if desk.dialect.tax_excluded || untaxed(WishedTax::Missing) {
            return Err(warned());
        }
        let source = &chosen.wish.source;
        Ok(
            json!({"booking": {"id": id, "id_property": 1, "currency": "USD", "source": source,
            "booking_date": local(self.clock.now()), "id_language": 1}}),
        )
    }

    /// Chooses rooms and takes none.
    pub(super) fn check(&self, body: &str) -> Result<Chosen, Refused> {
        let wish = read_wish(body)?;
        let mut desk = self.desk();
        desk.creates += 1;
        let chosen = desk.server.choose(&wish);
        chosen.ok_or_else(|| refuses("Requested room(s) not available."))
    }

    /// Writes at once what was chosen.
    pub(super) fn write(&self, chosen: &Chosen) -> u64 {
        let mut desk = self.desk();
        let id = desk.server.open(&chosen.wish, self.clock.now());
        let collision = desk.collision;
        desk.server.fill(id, chosen, collision, self.clock.now());
        id
    }

    fn reprice(&self, id: &str, body: &str) -> Result<Value, Refused> {
        let mut desk = self.desk();
        let answer = desk.server.reprice(id, body, self.clock.now())?;
        if desk.dialect.tax_excluded || answer["warned"] == json!(true) {
            return Err(warned());
        }
        Ok(answer)
    }

    fn change_state(&self, body: &str) -> Result<Value, Refused> {
        document(body)?;
        let number = |name| {
            element(body, name)
                .and_then(|text| text.parse().ok())
                .unwrap_or(0)
        };
        let (order, state) = (number("id_order"), number("id_order_state"));
        let changed = self.desk().server.set_state(order, state, self.clock.now());
        changed.ok_or_else(|| Response::new(200, HTML, "Invalid new order status".into()))
    }

    async fn overwrite(&self, id: &str, body: &str) -> Result<Value, Refused> {
        let gap = self.desk().gap;
        pause(gap / 4).await;
        let fields = document(body)?;
        if !fields.contains_key("id_product") || !fields.contains_key("date_from") {
            return Err(errors(400, 41, "parameter \"id_product\" required"));
        }
        let row = {
            let now = self.clock.now();
            self.desk().server.overwrite(id.parse().unwrap_or(0), fields, now)
        };
        let row = row.ok_or_else(|| errors(404, 92, "Invalid ID"))?;
        // After a write every number is a text.
        Ok(json!({"booking": as_text(row)}))
    }
}

impl Desk {
    fn list(&self, resource: &str, query: &Query) -> Result<Value, Refused> {
        let (root, objects) = match resource {
            "configurations" => ("configurations", configurations()),
            "currencies" => (
                "currencies",
                vec![json!({"id": 1, "name": "Dollar", "iso_code": "USD", "active": 1})],
            ),
            "hotels" => ("hotels", vec![hotel()]),
            "hotel_room_types" => {
                let limits = |id| limits(id, self.nights);
                ("hotel_room_types", Server::types().map(limits).collect())
            }
            "hotel_rooms" => (
                "rooms",
                Server::types().flat_map(Server::rooms_of).map(room).collect(),
            ),
            "room_types" => (
                "room_types",
                Server::types().map(|id| self.room_type(id)).collect(),
            ),
            "services" => ("services", extras::services(&self.server)),
            "tax_rules" => ("tax_rules", extras::tax_rules()),
            "taxes" => ("taxes", extras::taxes(&self.server)),
            "booking_extra_demands" => ("extra_demands", self.server.facilities.clone()),
            "orders" => ("orders", self.server.all_orders()),
            "room_bookings" => ("bookings", self.server.all_rows()),
            "customers" => ("customers", self.server.all_customers()),
            "order_details" => ("order_details", self.server.order_details()),
            "order_invoices" => ("order_invoices", self.server.invoices.clone()),
            "order_payments" => ("order_payments", self.server.payments.clone()),
            _ => (resource, Vec::new()),
        };
        // Both are looked up elsewhere, and not by the database.
        for dynamic in ["id_default_image", "id_hotel"] {
            let has = dynamic != "id_hotel" || resource == "room_types";
            if has && query.get(&format!("filter[{dynamic}]")).is_some() {
                return Err(errors(500, 34, &format!("The field \"{dynamic}\" is dynamic.")));
            }
        }
        let objects = query
            .apply(objects)
            .map_err(|(code, message)| errors(500, code, &message))?;
        if objects.is_empty() {
            return Ok(json!([]));
        }
        let mut answer = Map::new();
        answer.insert(root.to_owned(), Value::Array(objects));
        Ok(Value::Object(answer))
    }

    fn room_type(&self, id: u64) -> Value {
        let name = Server::type_name(id).unwrap();
        let name = if self.dialect.two_languages {
            json!([{"id": 1, "value": name}, {"id": 2, "value": format!("{name} (es)")}])
        } else {
            json!(name)
        };
        json!({"id": id, "id_hotel": 1, "adults": 2, "children": 2, "id_default_image": false,
            "price": format!("{:.6}", self.server.night(id).0), "active": 1, "name": name,
            "id_tax_rules_group": 1, "associations": {"services": extras::of_room_type()}})
    }

    fn availability(&self, body: &str) -> Result<Value, Refused> {
        let wrong = |message: &str| errors(400, 85, &format!("Validation error: {message}"));
        let field = |name| {
            element(body, name).ok_or_else(|| errors(400, 41, &format!("parameter \"{name}\" required")))
        };
        if !is_document(body) || element(body, "hotel_ari").is_none() {
            return Err(wrong("ARI search parameters are missing"));
        }
        let (hotel, from, to) = (field("id_hotel")?, field("date_from")?, field("date_to")?);
        if hotel.parse::<u64>().is_err() {
            return Err(wrong("The id_hotel field is invalid"));
        }
        let day = |moment: &str| moment.split(' ').next().unwrap_or_default().to_owned();
        let stay = Stay::parse(&day(&from), &day(&to));
        let stay = stay.map_err(|_| wrong("\"Date to\" must be after \"Date from\""))?;
        let occupancies = elements(body, "room_occupancy");
        for occupancy in &occupancies {
            let adults = element(occupancy, "adults").and_then(|text| text.parse::<u32>().ok());
            if adults.is_none_or(|adults| adults == 0) || element(occupancy, "children").is_none() {
                return Err(wrong("Invalid value for number of adults or children"));
            }
        }
        let rooms = occupancies.len().max(1);
        let unavailable = element(body, "get_unavailable_rooms").as_deref() == Some("1");
        let room_type = element(body, "id_room_type").and_then(|text| text.parse::<u64>().ok());
        let known = |id: &u64| hotel == "1" && room_type.is_none_or(|wanted| wanted == *id);
        let types: Vec<u64> = Server::types().filter(known).collect();
        if element(body, "date_wise_breakdown").is_none() {
            return Ok(json!({"hotel_ari": self.ari(&hotel, stay, &types, rooms, (false, unavailable))}));
        }
        let night = |night| Stay::new(night, night + chrono::Days::new(1)).ok();
        let nights = stay.each_night().filter_map(night);
        let nights: Vec<_> = nights
            .map(|night| self.ari(&hotel, night, &types, rooms, (true, false)))
            .collect();
        Ok(json!({"hotel_aris": nights}))
    }

    /// Why a room is not sold for a stay: 3 for one that is closed, 4 for too few nights.
    fn unsold(&self, room: u64, stay: Stay, by_night: bool) -> Option<u8> {
        let is_closed = |(closed, when): &(u64, Stay)| *closed == room && when.overlaps(stay);
        if self.closed.iter().any(is_closed) {
            return Some(3);
        }
        let (season, fewest) = self.season.filter(|_| !by_night)?;
        let begins = season.check_in() <= stay.check_in() && stay.check_in() < season.check_out();
        (begins && stay.nights() < fewest).then_some(4)
    }

    fn ari(
        &self,
        hotel: &str,
        stay: Stay,
        types: &[u64],
        rooms: usize,
        (by_night, unavailable): (bool, bool),
    ) -> Value {
        let mut answer = json!({"id_hotel": hotel, "date_from": stay.check_in().to_string(),
            "date_to": stay.check_out().to_string(), "currency": "USD"});
        if types.is_empty() {
            return answer;
        }
        let types = types.iter().map(|id| {
            let unsold = |room: &u64| self.unsold(*room, stay, by_night);
            let mut free = self.server.free_rooms(*id, stay);
            free.retain(|room| unsold(room).is_none());
            let listed: Map<String, Value> = Server::rooms_of(*id)
                .filter_map(|room| Some((room, unsold(&room)?)))
                .map(|(room, status)| {
                    let value = json!({"id_product": id, "id_room": room, "id_hotel": 1,
                        "room_num": Server::room_name(room), "detail": [{"id_status": status, "room_comment": "",
                        "date_from": null, "date_to": null}]});
                    (room.to_string(), value)
                })
                .collect();
            let available: Map<String, Value> = free
                .iter()
                .map(|room| {
                    let mut value = json!({"id_room": room, "room_num": Server::room_name(*room)});
                    if !by_night {
                        value["id_product"] = json!(id);
                        value["id_hotel"] = json!(1);
                    }
                    (room.to_string(), value)
                })
                .collect();
            // PHP writes an empty map as a list.
            let by_room = |rooms: Map<_, _>| if rooms.is_empty() { json!([]) } else { Value::Object(rooms) };
            let mut rooms_by_state = json!({"available": by_room(available)});
            if unavailable {
                rooms_by_state["unavailable"] = by_room(listed);
            }
            let night = self.server.night(*id).1;
            // Each night is rounded with its tax, and then multiplied.
            let nights = Decimal::from(stay.nights()) * Decimal::from(rooms);
            let taxed = cents(self.server.with_tax(night));
            json!({"id_room_type": id, "base_price": number(night), "base_price_with_tax": number(taxed),
                "total_price": number(night * nights), "total_price_with_tax": number(taxed * nights),
                "name": Server::type_name(*id), "rooms": rooms_by_state})
        });
        answer["room_types"] = types.collect();
        answer
    }
}

async fn pause(gap: Duration) {
    if !gap.is_zero() {
        tokio::time::sleep(gap).await;
    }
}

fn call_of(request: &Request) -> SimulatedCall {
    let path = request.target.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path) {
        ("POST", "/api/bookings") => SimulatedCall::Create,
        ("POST", "/api/order_histories") => SimulatedCall::Cancel,
        ("POST", "/api/hotel_ari") => SimulatedCall::Availability,
        ("POST", "/api/customers") => SimulatedCall::Guest,
        ("PUT", path) if path.starts_with("/api/bookings") => SimulatedCall::Price,
        ("PUT", _) => SimulatedCall::Move,
        _ => SimulatedCall::Read,
    }
}

fn number(amount: Decimal) -> Value {
    serde_json::from_str(&amount.normalize().to_string()).unwrap()
}

/// An uncaught error of PHP.
pub(super) fn dies() -> Response {
    Response::new(500, HTML, String::new())
}

/// The leaves of a document.
fn document(body: &str) -> Result<std::collections::HashMap<String, String>, Refused> {
    if is_document(body) {
        return Ok(leaves(body));
    }
    Err(errors(500, 127, "XML error : String could not be parsed as XML"))
}

/// What is said to a key that is not ours.
fn wrong_key(basic: &str) -> Response {
    use base64::Engine as _;
    let decoded = base64::prelude::BASE64_STANDARD.decode(&basic["Basic ".len()..]);
    match decoded
        .unwrap_or_default()
        .strip_suffix(b":")
        .unwrap_or_default()
        .len()
    {
        0 => errors(401, 17, "Authentication key is empty"),
        32 => {
            let body = json!({"errors": [{"code": 20, "message": "Authentification key is not active"},
                {"code": 21, "message": "No permission for this authentication key"}]});
            Response::new(401, JSON, body.to_string())
        }
        _ => errors(401, 18, "Invalid authentication key format"),
    }
}

/// A booking that the server does not take.
pub(super) fn refuses(message: &str) -> Response {
    errors(400, 404, message)
}

pub(super) fn errors(status: u16, code: u64, message: &str) -> Response {
    let body = json!({"errors": [{"code": code, "message": message}]});
    Response::new(status, JSON, body.to_string())
}

/// What a server that shows prices without tax answers to every booking that it makes.
fn warned() -> Response {
    errors(
        500,
        3,
        "[PHP Warning #2] Undefined variable $useTax (bookings.php, line 3641)",
    )
}

fn configurations() -> Vec<Value> {
    let values = [
        ("PS_CURRENCY_DEFAULT", "1"),
        ("PS_LANG_DEFAULT", "1"),
        ("PS_MAX_CHECKOUT_OFFSET", "365"),
        ("PS_OS_AWAITING_PAYMENT", "1"),
        ("PS_OS_CANCELED", "4"),
        ("PS_OS_REFUND", "5"),
        ("PS_TIMEZONE", "America/New_York"),
    ];
    let entry = |(id, (name, value))| json!({"id": id, "name": name, "value": value});
    (1..).zip(values).map(entry).collect()
}

fn hotel() -> Value {
    json!({"id": 1, "hotel_name": "The Hotel Prime", "check_in": "12:00", "check_out": "11:00", "active": 1, "id_country": 21, "id_state": 1,
        "use_global_max_checkout_offset": 1, "max_checkout_offset": "1000", "id_default_image": false})
}

fn room(id: u64) -> Value {
    json!({"id": id, "id_product": Server::type_of(id), "id_hotel": 1, "room_num": Server::room_name(id), "id_status": 1,
        "floor": "First", "comment": ""})
}

fn limits(id: u64, (fewest, most): (u32, u32)) -> Value {
    json!({"id": id, "id_product": id, "id_hotel": 1, "adults": 2, "children": 2, "max_adults": 2,
        "max_children": 2, "max_guests": 4, "min_los": fewest.max(1), "max_los": most})
}

/// The same value with every number written as a text, as PHP before 8.1 and every write answer it.
pub(super) fn as_text(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.to_string()),
        Value::Array(items) => items.into_iter().map(as_text).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, as_text(value)))
            .collect(),
        other => other,
    }
}

/// The answer of a booking that the hotel's own website makes.
pub(super) fn booked_id(answer: Result<Value, Refused>) -> Result<BookingId, Error> {
    match answer {
        Ok(answer) => Ok(answer["booking"]["id"].as_u64().unwrap().into()),
        Err(refused) => Err(Error::new(crate::error::codes::PMS_SOLD_OUT, refused.body)),
    }
}
