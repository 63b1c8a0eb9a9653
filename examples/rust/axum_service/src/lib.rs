//! A receptionist that answers guests on WhatsApp, and the desk of its operators: message → hotel → conversation → flag →
//! availability → hold → booking.
//!
//! `app` puts the service together, `admin` is what operators do, `whatsapp` the webhook, `receptionist` the way from a
//! message to a booking, and `watching` what is heard meanwhile of flags and bookings.

pub mod admin;
pub mod app;
pub mod receptionist;
pub mod watching;
pub mod whatsapp;
