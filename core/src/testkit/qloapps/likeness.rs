//! The simulator against the server that it plays: every recorded exchange of the kind that our client has.
//!
//! `tests/vectors/qloapps/exchanges.jsonl` holds the questions, `answers.jsonl` what the server said. The simulator is
//! put into a like state and asked the same. It must answer with the same status, the same error, the same root, and
//! only with fields that the server has, of the same kind. What it leaves out, our client does not read.
//!
//! Single objects by id are not asked for: our client reads lists only, because of what `display` does to an object.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::http::{Reply, Request};
use super::list::Query;
use super::service::Service;
use super::{Dialect, website_wish};
use crate::Stay;
use crate::clock::ManualClock;
use crate::pms::RoomTypeId;

/// What the simulator answers otherwise, and why it may.
const DIFFERS: [(&str, &str); 24] = [
    ("009", ONE_KEY),
    ("011", ONE_KEY),
    ("012", ONE_KEY),
    ("013", ONE_KEY),
    ("014", ONE_KEY),
    ("015", SCRIPTED),
    ("019", SCRIPTED),
    ("036", SCRIPTED),
    ("211", NOT_READ),
    ("213", NOT_READ),
    ("243", NOT_READ),
    ("283", NOT_READ),
    ("284", NOT_READ),
    ("405", NOT_READ),
    ("412", XML),
    ("646", "our client never asks for a mail"),
    (
        "702",
        "our client changes rows one by one, and sets only prices in this way",
    ),
    ("714", XML),
    ("749", "the error of PHP stands alone there"),
    ("875", XML),
    ("884", NOT_READ),
    ("917", "there is one currency"),
    ("944", NOT_READ),
    ("949", NOT_READ),
];
const ONE_KEY: &str = "there is one key, in the header; `hide` takes resources from it";
const SCRIPTED: &str = "a test scripts this answer with `SimulatedFault::Instead`";
const NOT_READ: &str = "our client does not read this";
const XML: &str = "our client writes bookings as JSON";

#[derive(Deserialize)]
struct Question {
    name: String,
    method: String,
    target: String,
    #[serde(default)]
    authorization: Option<String>,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
struct Recorded {
    name: String,
    status: u16,
    body: String,
}

/// What is compared of an answer.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// The first error that is not PHP's, or one of PHP's when there is no other; with its text where only that tells
    /// it from others.
    Error(u64, String),
    /// A page, or nothing.
    Text(String),
    /// The root of the value.
    Root(String),
    /// A list without a root.
    List,
}

fn see(body: &str) -> Seen {
    let Ok(value) = serde_json::from_str::<Value>(body) else {
        return Seen::Text(body.chars().take(12).collect());
    };
    let Some(fields) = value.as_object() else {
        return Seen::List;
    };
    let Some(errors) = fields.get("errors").and_then(Value::as_array) else {
        return Seen::Root(fields.keys().next().cloned().unwrap_or_default());
    };
    let code = |error: &Value| error["code"].as_u64().unwrap();
    let own = errors.iter().find(|error| !(2..=15).contains(&code(error)));
    let error = own.or(errors.first()).unwrap();
    let text = error["message"]
        .as_str()
        .filter(|_| code(error) == 404)
        .unwrap_or_default();
    Seen::Error(code(error), text.trim_end_matches('.').to_owned())
}

/// How a value is written; unset ones may be written in any way.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null | Value::Bool(false) => "unset",
        Value::String(text) if text.is_empty() => "unset",
        Value::Bool(true) => "switch",
        Value::Number(_) => "number",
        Value::String(text) if text.parse::<f64>().is_ok() => "number as text",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// The first place where `ours` has something that `theirs` has not, or has in another kind.
fn strange(place: &str, ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let by_id = |fields: &Map<String, Value>| fields.keys().all(|key| key.parse::<u64>().is_ok());
            if by_id(ours) && by_id(theirs) {
                let (Some(ours), Some(theirs)) = (ours.values().next(), theirs.values().next()) else {
                    return None;
                };
                return strange(&format!("{place}.*"), ours, theirs);
            }
            ours.iter().find_map(|(name, value)| match theirs.get(name) {
                None => Some(format!("{place}.{name} is not there")),
                Some(their) => strange(&format!("{place}.{name}"), value, their),
            })
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            if ours.is_empty() != theirs.is_empty() {
                return Some(format!(
                    "{place} has {} members, not {}",
                    ours.len(),
                    theirs.len()
                ));
            }
            let (ours, theirs) = (ours.first()?, theirs.first()?);
            strange(&format!("{place}[]"), ours, theirs)
        }
        _ => {
            let (our, their) = (kind(ours), kind(theirs));
            let same = our == their || our == "unset" || their == "unset";
            (!same).then(|| format!("{place} is a {our}, not a {their}"))
        }
    }
}

/// What is different, if anything.
fn difference(status: u16, body: &str, recorded: &Recorded) -> Option<String> {
    if status != recorded.status {
        return Some(format!("status {status}, not {}: {body:.80}", recorded.status));
    }
    let (ours, theirs) = (see(body), see(&recorded.body));
    if ours != theirs {
        return Some(format!("{ours:?}, not {theirs:?}"));
    }
    match ours {
        Seen::Root(_) => {
            let (ours, theirs) = (serde_json::from_str(body), serde_json::from_str(&recorded.body));
            strange("", &ours.unwrap(), &theirs.unwrap())
        }
        _ => None,
    }
}

/// Puts the server into a state like that of the recording.
async fn prepare(service: &Service, question: &Question, recorded: &Recorded) {
    let answer: Value = serde_json::from_str(&recorded.body).unwrap_or_default();
    let (path, _) = question.target.split_once('?').unwrap_or_default();
    let (resource, id) = path["/api/".len()..]
        .split_once('/')
        .unwrap_or((&path["/api/".len()..], ""));
    let asked: Value = serde_json::from_str(&question.body).unwrap_or_default();
    let rooms = &asked["booking"]["associations"]["room_types"][0];
    if recorded.body.contains("$useTax") {
        service.desk().dialect = Dialect {
            tax_excluded: true,
            ..Dialect::default()
        };
    }
    let full = recorded.body.contains("Requested room(s) not available");
    let rooms_by_state = &answer["hotel_ari"]["room_types"][0]["rooms"];
    let stay_asked = || {
        let text = |name| super::list::element(&question.body, name).unwrap();
        Stay::parse(&text("date_from"), &text("date_to")).unwrap()
    };
    match (question.method.as_str(), resource) {
        ("GET", _) => {
            let objects = answer.as_object().and_then(|fields| fields.values().next());
            let objects = objects.and_then(Value::as_array).cloned().unwrap_or_default();
            if !objects.is_empty() {
                book(service, 30).await;
                overlay(service, &question.target, resource, &objects);
            }
        }
        ("POST", "bookings") if full => {
            for _ in 0..5 {
                wish(service, rooms).await;
            }
        }
        ("PUT", "bookings") if recorded.status == 200 => {
            let id: usize = id.parse().unwrap();
            book(service, id - 1).await;
            wish(service, rooms).await;
        }
        ("PUT", _) | ("POST", "order_histories") => book(service, 20).await,
        ("POST", "hotel_ari") if rooms_by_state["available"] == Value::Array(Vec::new()) => {
            let stay = stay_asked();
            for _ in 0..5 {
                let room_type = answer["hotel_ari"]["room_types"][0]["id_room_type"]
                    .as_u64()
                    .unwrap();
                service
                    .book(&website_wish(RoomTypeId::from(room_type), stay))
                    .await
                    .unwrap();
            }
        }
        _ => {}
    }
    if let Some(not_sold) = rooms_by_state["unavailable"].as_object() {
        let rooms = not_sold.keys().map(|room| (room.parse().unwrap(), stay_asked()));
        service.desk().closed.extend(rooms);
    }
}

/// So many bookings, one after the other on the calendar.
async fn book(service: &Service, count: usize) {
    for week in 0..count {
        let arrival = "2027-05-01".parse::<chrono::NaiveDate>().unwrap() + chrono::Days::new(7 * week as u64);
        let stay = Stay::new(arrival, arrival + chrono::Days::new(2)).unwrap();
        service
            .book(&website_wish(RoomTypeId::from(1), stay))
            .await
            .unwrap();
    }
}

/// A booking of the rooms that a request describes, when it describes any.
async fn wish(service: &Service, rooms: &Value) {
    let text = |name: &str| rooms[name].as_str().unwrap_or_default();
    let stay = Stay::parse(text("checkin_date"), text("checkout_date"));
    let room_type = rooms["id_room_type"].as_u64().map(RoomTypeId::from);
    if let (Ok(stay), Some(room_type)) = (stay, room_type) {
        let _ = service.book(&website_wish(room_type, stay)).await;
    }
}

/// Gives what is stored under the same ids the values that were recorded, and those that were asked for.
fn overlay(service: &Service, target: &str, resource: &str, objects: &[Value]) {
    let query = Query::parse(target.split_once('?').unwrap().1);
    let mut desk = service.desk();
    let stored: &mut BTreeMap<u64, Map<String, Value>> = match resource {
        "orders" => &mut desk.server.orders,
        "room_bookings" => &mut desk.server.rows,
        "customers" => {
            for object in objects {
                let guest = ["firstname", "lastname", "email", "phone"]
                    .map(|name| object[name].as_str().unwrap_or_default().to_owned());
                if let Some(id) = object["id"].as_u64() {
                    desk.server.customers.insert(id, guest);
                }
            }
            return;
        }
        _ => return,
    };
    for object in objects {
        let Some(fields) = object["id"].as_u64().and_then(|id| stored.get_mut(&id)) else {
            continue;
        };
        for (name, known) in fields {
            let asked = query.get(&format!("filter[{name}]"));
            let asked = asked.and_then(|condition| {
                condition
                    .trim_end_matches('%')
                    .strip_prefix('[')?
                    .strip_suffix(']')
            });
            if let Some(value) = object.get(name) {
                *known = value.clone();
            } else if let (Value::String(text), Some(asked)) = (known, asked) {
                asked.clone_into(text);
            }
        }
    }
}

async fn ask(question: &Question, recorded: &Recorded) -> Option<String> {
    let clock = ManualClock::at(
        "2026-11-23T09:00:00Z"
            .parse::<chrono::DateTime<chrono::Utc>>()
            .unwrap(),
    );
    let service = Service::new(clock.shared());
    prepare(&service, question, recorded).await;
    let authorization = match question.authorization.as_deref() {
        None => Some(super::service::AUTHORIZATION.to_owned()),
        Some("") => None,
        Some(other) => Some(other.to_owned()),
    };
    let request = Request {
        method: question.method.clone(),
        target: question.target.clone(),
        authorization,
        correlation: [None, None, None],
        body: question.body.clone(),
    };
    match service.answer(request).await {
        Reply::Answer(answer) => difference(answer.status, &answer.body, recorded),
        _ => Some("no answer".into()),
    }
}

fn lines<T: serde::de::DeserializeOwned>(text: &str) -> Vec<T> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn the_simulator_answers_as_the_recorded_shop_except_where_it_says_so() {
    let recorded = lines::<Recorded>(include_str!("../../../../tests/vectors/qloapps/answers.jsonl"));
    let recorded: HashMap<_, _> = recorded.into_iter().map(|one| (one.name.clone(), one)).collect();
    let questions: Vec<Question> = lines(include_str!("../../../../tests/vectors/qloapps/exchanges.jsonl"));
    assert!(questions.len() > 200, "all of them were read");
    let may: HashMap<_, _> = DIFFERS.into_iter().collect();
    let mut wrong = Vec::new();
    for question in &questions {
        let difference = ask(question, &recorded[&question.name]).await;
        let number = &question.name[..3];
        match (difference, may.contains_key(number)) {
            (Some(difference), false) => wrong.push(format!("{}: {difference}", question.name)),
            (None, true) => wrong.push(format!("{}: no difference any more", question.name)),
            _ => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        questions.len(),
        wrong.join("\n")
    );
}
