//! The property management system: what a hotel can sell, at which price, and the bookings themselves.
//!
//! Invariants of this room:
//! * Money is [`Money`]: a decimal with its currency, never a float.
//! * Values that a request is made of ([`Guest`], [`Party`], [`IdempotencyKey`], …) were checked when they were
//!   made, because the system behind them often breaks on a bad value instead of refusing it.
//! * A [`BookingRequest`] carries an [`IdempotencyKey`]: the same key asks for the same booking.
//!
//! ```
//! use posada::{BookingRequest, Guest, HotelId, IdempotencyKey, Occupancy, RoomTypeId, Stay};
//!
//! let request = BookingRequest::new(
//!     HotelId::new(1)?,
//!     RoomTypeId::new(3)?,
//!     Stay::parse("2027-03-10", "2027-03-12")?,
//!     Occupancy::new(2, &[7])?,
//!     Guest::new("Ana", "Gómez", "ana@example.com", "+5491112345678")?,
//!     IdempotencyKey::parse("wa-wamid.HBgL")?,
//! )
//! .with_remark("late arrival")?;
//! assert_eq!(request.party().rooms(), 1);
//! # Ok::<(), posada::Error>(())
//! ```

mod guest;
mod id;
mod model;
mod money;
mod occupancy;
mod request;

pub use guest::Guest;
pub use id::{BookingId, HotelId, IdempotencyKey, RoomId, RoomTypeId};
pub use model::{Availability, BookedRoom, Booking, BookingStatus, Created, Hotel, Offer, Quote, RoomType};
pub use money::{Currency, Money};
pub use occupancy::{Occupancy, OccupancyLimits, Party};
pub use request::{BookingRequest, HoldProof};
