//! Documents of the Python app: they survive posada, and both read the same texts in the same way.

use posada::sessions::{Json, Turn};
use posada::testkit::Dice;
use posada::{Posada, Settings};
use posada_tests::{Peer, servers, unique};

/// Stored texts, written by Python's `json.dumps`: see `tests/vectors/sessions/generate.py`.
const DOCUMENTS: &[(&str, &str)] = &[
    ("booking", include_str!("../vectors/sessions/booking.json")),
    ("nested", include_str!("../vectors/sessions/nested.json")),
    ("new", include_str!("../vectors/sessions/new.json")),
    (
        "new_with_tenant",
        include_str!("../vectors/sessions/new_with_tenant.json"),
    ),
    ("numbers", include_str!("../vectors/sessions/numbers.json")),
    ("order", include_str!("../vectors/sessions/order.json")),
    ("texts", include_str!("../vectors/sessions/texts.json")),
    (
        "whole_second",
        include_str!("../vectors/sessions/whole_second.json"),
    ),
];

fn hexadecimal(text: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap();
    text.iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)])
        .collect()
}

#[tokio::test]
async fn a_document_of_the_app_is_written_back_byte_for_byte_but_for_its_last_activity() {
    let server = servers::redis();
    let settings = Settings::builder().redis_url(server.url()).build().unwrap();
    let posada = Posada::builder().settings(settings).build().unwrap();
    for (name, text) in DOCUMENTS {
        let user = unique("python");
        let key = format!("session:{user}");
        server.command::<()>(&["SET", &key, text, "EX", "1800"]);
        let mut session = posada
            .sessions()
            .get_or_create(None, &user, "whatsapp")
            .await
            .unwrap();
        assert!(!session.is_new());
        assert_eq!(session.document.to_text(), *text, "{name}");
        let active = |text: &str| {
            let document = Json::parse(text).unwrap();
            document.at(["last_activity"]).unwrap().to_text()
        };
        posada.sessions().save(&mut session).await.unwrap();
        let stored = server.command::<String>(&["GET", &key]);
        let expected = text.replace(
            &format!("\"last_activity\": {}", active(text)),
            &format!("\"last_activity\": {}", active(&stored)),
        );
        assert_ne!(active(&stored), active(text), "{name}");
        assert_eq!(stored, expected, "{name}");
    }
}

#[tokio::test]
async fn what_posada_writes_is_what_the_app_would_write() {
    let server = servers::redis();
    let settings = Settings::builder().redis_url(server.url()).build().unwrap();
    let posada = Posada::builder().settings(settings).build().unwrap();
    let sessions = posada.sessions();
    let mut python = Peer::python("json_peer.py", "");
    let user = unique("writes");
    sessions.get_or_create(None, &user, "whatsapp").await.unwrap();
    let patch =
        Json::from(serde_json::json!({"context": {"ñ": [1, 1.5, 1e-7, 1e21, "\u{7f}😀\n"], "deep": {}}}));
    sessions.update(None, &user, &patch).await.unwrap();
    let turn = Turn::new("user", "¿Hay lugar?").with("score", 1.0);
    sessions.append_turn(None, &user, turn).await.unwrap();
    let stored = server.command::<String>(&["GET", &format!("session:{user}")]);
    assert_eq!(python.ask(&hexadecimal(stored.as_bytes())).trim_end(), stored);
}

#[test]
fn posada_reads_a_damaged_document_as_python_does() {
    const PIECES: &[&str] = &[
        "\"",
        "\\",
        "\\u",
        "\\ud83d",
        "\\ude00",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\t",
        "\u{a0}",
        "\u{feff}",
        "0",
        "-",
        "1",
        ".",
        "e",
        "E",
        "+",
        "NaN",
        "Infinity",
        "-Infinity",
        "null",
        "true",
        "é",
        "😀",
        "\u{1}",
        "\u{7f}",
        "\"a\": 1, ",
    ];
    let mut python = Peer::python("json_peer.py", "");
    let mut random = Dice::new(0x005e_5510_1234_5678);
    let mut accepted = 0;
    for round in 0..6000 {
        let mut text: Vec<char> = DOCUMENTS[round % DOCUMENTS.len()].1.chars().collect();
        for _ in 0..=random.index(3) {
            let at = random.index(text.len());
            let until = at + random.index(2) * random.index(4).min(text.len() - at);
            let piece = PIECES[random.index(PIECES.len())];
            let piece = if random.index(4) == 0 { "" } else { piece };
            text.splice(at..until, piece.chars());
        }
        let text: String = text.into_iter().collect();
        let theirs = python.ask(&hexadecimal(text.as_bytes()));
        let ours = Json::parse(&text);
        assert_eq!(
            ours.is_ok(),
            theirs.trim_end() != "!",
            "{text}\n{ours:?}\n{theirs}"
        );
        if let Ok(ours) = ours {
            let again = python.ask(&hexadecimal(ours.to_text().as_bytes()));
            assert_eq!(again, theirs, "{text}");
            accepted += 1;
        }
    }
    assert!(
        (300..5700).contains(&accepted),
        "{accepted} of 6000 were JSON: the test tests nothing"
    );
}
