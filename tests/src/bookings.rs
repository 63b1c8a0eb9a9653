//! How the processes of the races of bookings book: they and the test must send the same.

use std::time::Duration;

use chrono::{Days, NaiveDate};
use posada::pms::{BookingRequest, Guest, HotelId, Occupancy, RoomTypeId};
use posada::settings::Secret;
use posada::testkit::qloapps::QloAppsSimulator;
use posada::{IdempotencyKey, Posada, Settings, Stay};

/// A process that books in a simulated server. It does not look for a lost booking as long as is usual.
pub fn process(server: &str, redis: &str) -> Posada {
    let settings = Settings::builder()
        .redis_url(redis)
        .pms_qloapps(server, Secret::new(QloAppsSimulator::KEY))
        .pms_max_rate(10_000)
        .pms_booking_timeout(Duration::from_secs(3))
        .pms_availability_fresh(Duration::ZERO);
    Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap()
}

/// One general room for one adult.
pub fn request(key: &str, check_in: NaiveDate) -> BookingRequest {
    let guest = Guest::new("Ana", "Gómez", "ana@example.com", "5551234567").unwrap();
    let (hotel, adult) = (HotelId::from(1), Occupancy::new(1, &[]).unwrap());
    let key = IdempotencyKey::parse(key).unwrap();
    BookingRequest::new(hotel, general(), nights(check_in), adult, guest, key)
}

/// The room type of the races.
pub fn general() -> RoomTypeId {
    RoomTypeId::from(1)
}

/// The nights of the races.
pub fn nights(check_in: NaiveDate) -> Stay {
    Stay::new(check_in, check_in + Days::new(2)).unwrap()
}
