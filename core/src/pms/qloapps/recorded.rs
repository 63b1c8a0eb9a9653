//! Every answer that a real server gave and that one of our calls can meet, read again.
//!
//! `tests/vectors/qloapps/answers.jsonl` holds them as they were recorded (QloApps 1.7.0.0 on PHP 8.2), with what
//! each of them means: `ok`, or the code of the error.

use std::collections::HashMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Effect};
use super::anything::{self, KEY};
use super::availability::{read_nights, read_vacancies};
use super::line;
use super::order::{Refusal, room_tax};
use super::reader::{Node, parse};
use super::redact::Redactor;
use super::row::read_row;
use crate::error::Result;
use crate::pms::id::{HotelId, ServiceId};
use crate::pms::record::RowState;
use crate::settings::Secret;
use crate::testkit::Dice;

#[derive(Deserialize)]
struct Recording {
    name: String,
    root: String,
    status: u16,
    effect: String,
    #[serde(default)]
    location: Option<String>,
    expected: String,
    body: String,
}

impl Recording {
    fn effect(&self) -> Effect {
        if self.effect == "write" {
            Effect::Write
        } else {
            Effect::Read
        }
    }

    fn read(&self) -> Result<Value> {
        let answer = Answer {
            status: self.status,
            body: self.body.clone().into_bytes(),
            location: self.location.clone(),
            retry_after: None,
        };
        answer.read(&self.root, self.effect(), &Redactor::new(&Secret::new(KEY)))
    }
}

/// As they stand in the file.
fn all() -> Vec<Recording> {
    include_str!("../../../../tests/vectors/qloapps/answers.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn recordings() -> HashMap<String, Recording> {
    all()
        .into_iter()
        .map(|recording| (recording.name.clone(), recording))
        .collect()
}

/// The recording whose name begins with this number.
fn value(recordings: &HashMap<String, Recording>, number: &str) -> Value {
    let name = recordings.keys().find(|name| name.starts_with(number)).unwrap();
    recordings[name].read().unwrap()
}

#[test]
fn every_recorded_answer_means_what_the_reference_says() {
    let recordings = all();
    assert_eq!(recordings.len(), 339, "all of them were read");
    for recording in recordings {
        anything::read(
            &recording.root,
            recording.effect(),
            recording.status,
            recording.body.clone().into(),
        );
        let meaning = match recording.read() {
            Ok(_) => "ok",
            Err(error) => error.code(),
        };
        assert_eq!(meaning, recording.expected, "{}", recording.name);
    }
}

#[test]
fn no_error_repeats_the_key_a_digest_or_an_address() {
    for recording in recordings().values() {
        if let Err(error) = recording.read() {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(KEY) && !shown.contains("@example.com"), "{shown}");
        }
    }
}

#[test]
fn a_refused_booking_is_sold_out_only_when_the_shop_says_so() {
    let recordings = recordings();
    let refusals: Vec<_> = recordings
        .values()
        .filter(|recording| {
            ["501", "503", "504", "505", "506", "508", "536", "741"].contains(&&recording.name[..3])
        })
        .collect();
    assert_eq!(refusals.len(), 8);
    for recording in refusals {
        assert_eq!(
            Refusal::of(&recording.read().unwrap_err()),
            Refusal::SoldOut,
            "{}",
            recording.name
        );
    }
    for number in [
        "432", "507", "515", "517", "519", "521", "523", "531", "537", "546", "548", "554",
    ] {
        let name = recordings.keys().find(|name| name.starts_with(number)).unwrap();
        let error = recordings[name].read().unwrap_err();
        assert_eq!(Refusal::of(&error), Refusal::Other, "{name}");
    }
}

#[test]
fn free_rooms_and_prices_are_those_that_were_recorded() {
    let recordings = recordings();
    let one = &read_vacancies(&value(&recordings, "302")).unwrap()[0];
    assert_eq!((one.name.as_str(), one.gross), ("General Rooms", 2600.into()));
    let free: Vec<_> = one.free.iter().map(|room| room.number.as_str()).collect();
    assert_eq!(free, ["GR-102", "GR-103", "GR-104", "GR-105"]);
    let two_rooms = &read_vacancies(&value(&recordings, "308")).unwrap()[0];
    assert_eq!(two_rooms.gross, 5200.into());
    assert!(
        read_vacancies(&value(&recordings, "334")).unwrap()[0]
            .free
            .is_empty(),
        "full"
    );
    assert!(
        read_vacancies(&value(&recordings, "332")).unwrap()[0]
            .free
            .is_empty(),
        "too short a stay"
    );
    for unknown in ["321", "322"] {
        assert!(read_vacancies(&value(&recordings, unknown)).unwrap().is_empty());
    }
}

#[test]
fn a_document_says_the_same_as_the_json_of_the_same_answer() {
    let recordings = recordings();
    let seen = |number| {
        let vacancies = read_vacancies(&value(&recordings, number)).unwrap();
        let seen = vacancies
            .into_iter()
            .map(|one| (one.room_type, one.name, one.net, one.gross, one.free));
        seen.collect::<Vec<_>>()
    };
    assert_eq!(seen("301"), seen("300"));
    let nights = |number| read_nights(&value(&recordings, number)).unwrap();
    assert_eq!(nights("306"), nights("305"));
    let refused = recordings["502-unavailable-dates-xml"].read().unwrap_err();
    assert_eq!(Refusal::of(&refused), Refusal::SoldOut);
    let rows = value(&recordings, "833");
    let (hotel, row) = read_row(Node::new(&rows[0])).unwrap();
    assert_eq!((hotel, row.state), (HotelId::from(1), RowState::Reserved));
}

#[test]
fn a_month_of_nights_has_a_price_for_each() {
    let nights = read_nights(&value(&recordings(), "307")).unwrap();
    assert_eq!(nights.len(), 4, "room types");
    for prices in nights.values() {
        assert_eq!(prices.len(), 31);
        assert!(prices.is_sorted_by_key(|(date, _)| *date));
    }
}

/// The services of the one order that these recorded lines are of, which has one room for a number of nights.
fn services_of(lines: &Value, check_out: &str) -> Vec<(ServiceId, String, u32)> {
    let rows = json!([{"id": 1, "id_product": 1, "id_hotel": 1, "id_order": 1, "id_room": 1, "room_num": "GR-101",
        "id_status": 1, "date_from": "2027-08-01 00:00:00", "date_to": format!("{check_out} 00:00:00"),
        "is_refunded": 0, "is_cancelled": 0, "is_back_order": 0, "adults": 2, "children": 0, "child_ages": "[]"}]);
    let rows = [read_row(Node::new(&rows[0])).unwrap().1];
    let lines = line::by_order(lines).unwrap().into_values().next().unwrap();
    let booked = line::read_services(lines, &rows, &anything::CATALOGUE).unwrap();
    let parts = booked.into_iter();
    parts
        .map(|booked| (booked.service, booked.name, booked.quantity))
        .collect()
}

#[test]
fn a_service_for_each_night_is_had_once_whatever_its_line_counts() {
    let recordings = recordings();
    let made = services_of(&value(&recordings, "994"), "2027-08-03");
    assert_eq!(
        made,
        [
            (7.into(), "Airport Shuttle".into(), 1),
            (9.into(), "Breakfast".into(), 1)
        ]
    );
    let changed = services_of(&value(&recordings, "996"), "2027-08-04");
    assert_eq!(changed, [(7.into(), "Airport Shuttle".into(), 1)]);
    assert_eq!(services_of(&value(&recordings, "828"), "2027-08-03"), []);
}

#[test]
fn rows_say_who_has_lost() {
    let rows = value(&recordings(), "603");
    let cancelled = Node::new(&rows)
        .list()
        .into_iter()
        .map(|node| read_row(node).unwrap().1);
    assert!(cancelled.into_iter().all(|row| row.state == RowState::Cancelled));
    let live = value(&recordings(), "406");
    let (hotel, row) = read_row(Node::new(&live[0])).unwrap();
    assert_eq!(
        (
            hotel.as_str(),
            row.id.as_str(),
            row.room.as_ref().unwrap().number.as_str()
        ),
        ("1", "1", "GR-101")
    );
    assert_eq!((row.state, row.occupancy.adults()), (RowState::Reserved, 2));
    let lost = value(&recordings(), "947");
    assert!(Node::new(&lost[1]).field("is_back_order").flag());
}

#[test]
fn the_tax_of_a_room_leaves_its_services_out() {
    let tax = room_tax(2500.into(), 2600.into(), (500.into(), 1), None);
    assert_eq!(tax, 80.into(), "as in the recorded booking");
    assert_eq!(
        room_tax(5000.into(), 5200.into(), (500.into(), 2), None),
        80.into()
    );
    assert_eq!(room_tax(0.into(), 0.into(), (500.into(), 1), None), 0.into());
}

/// Longest body of which every beginning and every place is tried.
const SHORT: usize = 256;
/// How many beginnings, and how many changed bytes, of each longer body are tried.
const SAMPLE: usize = 96;
/// What a byte becomes: what means something in JSON or XML, what cannot be read, and what ends a number.
const BYTES: [u8; 12] = [
    b'"', b'{', b'}', b'[', b']', b',', b'<', b'&', b'-', b'9', 0, 0xff,
];

/// The places of a body that are tried: all of a short one, the same sample of a long one in every run.
fn places(dice: &mut Dice, body: &[u8]) -> Vec<usize> {
    if body.len() <= SHORT {
        return (0..body.len()).collect();
    }
    (0..SAMPLE).map(|_| dice.index(body.len())).collect()
}

#[test]
fn no_beginning_of_an_answer_breaks_a_reader() {
    let mut dice = Dice::new(2027);
    for recording in all() {
        let body = recording.body.as_bytes();
        for end in places(&mut dice, body) {
            anything::read(
                &recording.root,
                recording.effect(),
                recording.status,
                body[..end].to_vec(),
            );
        }
    }
}

#[test]
fn no_single_wrong_byte_breaks_a_reader() {
    let mut dice = Dice::new(2028);
    for recording in all() {
        let body = recording.body.as_bytes();
        for place in places(&mut dice, body) {
            let mut wrong = body.to_vec();
            wrong[place] = BYTES[dice.index(BYTES.len())];
            anything::read(&recording.root, recording.effect(), recording.status, wrong);
        }
    }
}

/// The place in a tree that comes a number of steps after its root, in the order in which it is written.
fn place<'a>(tree: &'a mut Value, steps: &mut usize) -> Option<&'a mut Value> {
    if *steps == 0 {
        return Some(tree);
    }
    *steps -= 1;
    match tree {
        Value::Array(items) => items.iter_mut().find_map(|item| place(item, steps)),
        Value::Object(members) => members.values_mut().find_map(|member| place(member, steps)),
        _ => None,
    }
}

fn size(tree: &Value) -> usize {
    1 + match tree {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.values().map(size).sum(),
        _ => 0,
    }
}

#[test]
fn no_odd_value_breaks_a_reader() {
    // Shorter, longer, earlier, later, larger and smaller than what belongs there, and of another kind.
    let odd = json!([
        null, true, "", "0", "-1", "ñandú €uro ñandú €uro", "2027-13-45 25:61:61", "0000-00-00", "9999-12-31",
        "99999999999999999999999999999999999999.9", "1e400", -1, 0, u64::MAX, 1e300, [], {}, [[]], [{}], {"a": "b"}
    ]);
    let mut dice = Dice::new(2029);
    for recording in all() {
        let Some(body) = parse(recording.body.as_bytes()) else {
            continue;
        };
        let size = size(&body);
        for number in 0..size.min(SAMPLE) {
            let steps = if size <= SAMPLE { number } else { dice.index(size) };
            for odd in odd.as_array().unwrap() {
                let mut wrong = body.clone();
                *place(&mut wrong, &mut steps.clone()).unwrap() = odd.clone();
                let wrong = wrong.to_string().into_bytes();
                anything::read(&recording.root, recording.effect(), recording.status, wrong);
            }
        }
    }
}

#[test]
fn no_answer_to_another_question_breaks_a_reader() {
    for recording in all() {
        for question in 0..=u8::MAX {
            let mut bytes = vec![question, question / 19];
            bytes.extend_from_slice(recording.body.as_bytes());
            anything::read_anything(&bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_noise_at_all_breaks_the_parser(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&body);
    }
}
