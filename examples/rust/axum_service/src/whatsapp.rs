//! The webhook that WhatsApp calls with what guests write.
//!
//! WhatsApp sends a notification again until it is answered 200, so everything here may happen twice: turns of a
//! conversation and bookings carry the id of the message.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use posada::Posada;
use posada::sessions::{Json as Anything, JsonText};
use posada_axum::{Error, RateLimitLayer, Result};
use ring::hmac;
use serde::Serialize;

use crate::app::Service;
use crate::receptionist::{Message, reply_to};

/// The webhook, which takes this many requests of each address.
///
/// # Errors
/// `limits.invalid` for a limit that cannot be read.
pub fn routes(posada: &Posada, limit: &str) -> posada::Result<Router<Service>> {
    Ok(Router::new()
        .route("/webhooks/whatsapp", post(receive))
        .route_layer(RateLimitLayer::new(posada, limit)?))
}

/// What is answered to every message. A real service would send the replies; this one hands them back.
#[derive(Serialize)]
struct Replies {
    replies: Vec<String>,
}

async fn receive(State(service): State<Service>, headers: HeaderMap, body: Bytes) -> Result<Json<Replies>> {
    if let Some(key) = service.signing()
        && !is_signed(key, &headers, &body)
    {
        return Err(Error::new(StatusCode::FORBIDDEN, "the signature is wrong"));
    }
    let mut replies = Vec::new();
    for message in messages(&body)? {
        replies.push(reply_to(&service.posada, &message).await?);
    }
    Ok(Json(Replies { replies }))
}

/// Whether the body comes from WhatsApp: `sha256=` and the HMAC of the body, in hexadecimal digits. The comparison takes
/// the same time for every wrong signature.
fn is_signed(key: &hmac::Key, headers: &HeaderMap, body: &[u8]) -> bool {
    let given = headers
        .get("x-hub-signature-256")
        .and_then(|value| value.to_str().ok());
    let digits = given.and_then(|text| text.strip_prefix("sha256="));
    let tag = digits.and_then(bytes_of_hex);
    tag.is_some_and(|tag| hmac::verify(key, body, &tag).is_ok())
}

fn bytes_of_hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let (pairs, []) = digits.as_deref()?.as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(high * 16 + low).ok())
        .collect()
}

/// The texts of a notification. Other notifications, such as receipts, have none. What guests write is read as it is: half
/// of an emoji, which phones do send, is no reason to refuse a message that would come again and again.
fn messages(body: &[u8]) -> posada::Result<Vec<Message>> {
    let notification = Anything::parse(body)?;
    let mut found = Vec::new();
    for entry in list(&notification, &["entry"]) {
        for change in list(entry, &["changes"]) {
            let number = text(change, &["value", "metadata", "display_phone_number"]);
            for message in list(change, &["value", "messages"]) {
                let read = (text(message, &["id"]), text(message, &["from"]), words(message));
                if let (Some(number), (Some(id), Some(guest), Some(text))) = (number, read) {
                    found.push(Message {
                        id: id.to_owned(),
                        guest: guest.to_owned(),
                        number: number.to_owned(),
                        text,
                    });
                }
            }
        }
    }
    Ok(found)
}

fn list<'a>(value: &'a Anything, path: &[&str]) -> &'a [Anything] {
    value
        .at(path.iter().copied())
        .and_then(Anything::as_list)
        .unwrap_or_default()
}

fn text<'a>(value: &'a Anything, path: &[&str]) -> Option<&'a str> {
    value.at(path.iter().copied()).and_then(Anything::as_str)
}

fn words(message: &Anything) -> Option<JsonText> {
    match message.at(["text", "body"]) {
        Some(Anything::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_and_pictures_have_no_words() {
        let receipt = r#"{"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [{"value":
            {"messaging_product": "whatsapp", "metadata": {"display_phone_number": "5491112345678",
            "phone_number_id": "106540352242922"}, "statuses": [{"id":
            "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABEYEjdEQTQ0QjlDRTUzNzFERDk4QQA=", "status": "read"}]}, "field": "messages"}]}]}"#;
        assert_eq!(messages(receipt.as_bytes()).unwrap().len(), 0);
        let picture = r#"{"entry": [{"changes": [{"value": {"metadata": {"display_phone_number": "5491112345678"},
            "messages": [{"id": "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYFjNFQjBDMEE4RDc0RjRBQjJDOUU2RjAA", "from":
            "5491187654321", "type": "image", "image": {"id": "1479537139650973"}}]}}]}]}"#;
        assert_eq!(messages(picture.as_bytes()).unwrap().len(), 0);
        assert!(messages(b"{").is_err());
    }

    #[test]
    fn a_signature_is_that_of_the_bytes() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"the secret of the account");
        let good = hmac::sign(&key, b"{}");
        let good = good
            .as_ref()
            .iter()
            .fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"));
        let signed = |signature: &str, body: &[u8]| {
            let headers =
                HeaderMap::from_iter([("x-hub-signature-256".parse().unwrap(), signature.parse().unwrap())]);
            is_signed(&key, &headers, body)
        };
        assert!(signed(&good, b"{}"));
        assert!(!signed(&good, b"{ }"));
        for wrong in [
            "",
            "sha256=",
            "sha256=zz",
            &good[..good.len() - 1],
            &good[7..],
            "sha256=é",
        ] {
            assert!(!signed(wrong, b"{}"), "{wrong}");
        }
    }
}
