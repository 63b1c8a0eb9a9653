//! What stands in the log of the level `debug`: every operation as a span, and nothing of a guest.

#![allow(clippy::unwrap_used, reason = "a test, which fails loudly")]

use std::io::Write;
use std::sync::{Arc, Mutex};

use posada::pms::{BookingRequest, Guest, Occupancy};
use posada::{IdempotencyKey, Posada, Stay};
use tracing::Level;
use tracing::subscriber::set_default;
use tracing_subscriber::fmt::format::FmtSpan;

const MESSAGE: &str = "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYIDNFQjBDMEE4RDc0RjRBQjJDOUU2RjAxQjJEM0M0RTVGAA==";

/// A log that a test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_booking_is_a_span_with_its_hotel_and_a_mark_of_its_key() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::DEBUG)
        .with_span_events(FmtSpan::NEW)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = set_default(subscriber);
    let posada = Posada::embedded();
    let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
    let two = Occupancy::new(2, &[]).unwrap();
    let quote = posada.pms().quote(1.into(), 2.into(), stay, two).await.unwrap();
    let guest = Guest::new("Ana", "Pérez", "ana@example.com", "+5491187654321").unwrap();
    // A key that was not hashed holds the guest's number.
    let key = IdempotencyKey::parse(MESSAGE).unwrap();
    let request = BookingRequest::from_quote(quote, guest, key.clone());
    posada.pms().book(&request, None).await.unwrap();
    posada.close().await.unwrap();

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains(&format!("posada.pms.book{{hotel=1 key={key:?}}}")),
        "{log}"
    );
    assert!(
        log.contains("posada.pms.quote_with_services{hotel=1 room_type=2"),
        "{log}"
    );
    for secret in [MESSAGE, "Pérez", "ana@example.com", "5491187654321"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}
