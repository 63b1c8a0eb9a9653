//! Bookings, their bills, and what became of them. What says who the guest is stays out: [`Booking::guest`], and the
//! key of a booking, which may be the id of a message and with it a phone number. A program that answers them does so by
//! name. A [`Guest`] and a [`ChosenService`](crate::pms::ChosenService) are read only where a request brings them.
//!
//! [`Booking::guest`]: crate::pms::Booking

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::pms::{
    Booking, BookingId, BookingStatus, Change, Created, Folio, FolioLine, Guest, Invoice, Payment, PmsEvent,
    RoomStay,
};

names! { BookingStatus }

members! {
    Booking { id, reference, hotel, status, rooms, stay, services, price, created }
    Change { id, changed_at, booking }
    Folio { booking, lines, invoices, payments, total, paid }
    FolioLine { name, quantity, net_total, total }
    Invoice { number, made_at, net_total, total }
    Payment { amount, method, transaction, paid_at }
    RoomStay { id, status, room_type, rate_plan, stay, occupancy, number, price }
}

impl Serialize for Created {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Created => "created",
            Self::FoundAgain => "found_again",
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    first_name: String,
    last_name: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    phone: Option<String>,
}

made_of! {
    Guest: Person => |given| {
        Guest::new(&given.first_name, &given.last_name, given.email.as_deref(), given.phone.as_deref())
    };
}

/// What an event says, by the names of Python's `PmsEvent`.
struct Parts<'a> {
    kind: &'static str,
    booking_id: BookingId,
    other: Option<BookingId>,
    booking: Option<&'a Booking>,
    code: Option<&'static str>,
}

impl<'a> Parts<'a> {
    fn new(kind: &'static str, booking_id: BookingId) -> Self {
        Self {
            kind,
            booking_id,
            other: None,
            booking: None,
            code: None,
        }
    }

    fn of(event: &'a PmsEvent) -> Self {
        match event {
            PmsEvent::Moved { booking, .. } => Self {
                booking: Some(booking),
                ..Self::new("moved", booking.id)
            },
            PmsEvent::Yielded { booking, other, .. } => Self {
                other: Some(*other),
                ..Self::new("yielded", *booking)
            },
            PmsEvent::Kept { booking, other, .. } => Self {
                other: Some(*other),
                ..Self::new("kept", *booking)
            },
            PmsEvent::RecheckFailed { booking, code, .. } => Self {
                code: Some(code),
                ..Self::new("recheck_failed", *booking)
            },
        }
    }
}

impl Serialize for PmsEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = Parts::of(self);
        let mut object = serializer.serialize_struct("PmsEvent", 5)?;
        object.serialize_field("kind", parts.kind)?;
        object.serialize_field("booking_id", &parts.booking_id)?;
        object.serialize_field("other", &parts.other)?;
        object.serialize_field("booking", &parts.booking)?;
        object.serialize_field("code", &parts.code)?;
        object.end()
    }
}
