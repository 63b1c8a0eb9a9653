//! The account of a booking: what it costs, what was invoiced, and what was paid.

use chrono::{DateTime, Utc};

use super::id::BookingId;
use super::money::Money;

/// Everything about the money of one booking. posada only reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Folio {
    /// The booking.
    pub booking: BookingId,
    /// What it consists of, rooms and services, as the system wrote it. Discounts are not lines; a change of the price
    /// may leave the lines behind, so `total` binds.
    pub lines: Vec<FolioLine>,
    /// The invoices that were made, oldest first; none before the hotel makes one.
    pub invoices: Vec<Invoice>,
    /// The payments that were taken, oldest first.
    pub payments: Vec<Payment>,
    /// What the guest pays for all of it, with tax.
    pub total: Money,
    /// The sum of the payments.
    pub paid: Money,
}

impl Folio {
    /// The account of a booking of which nothing was paid, invoiced or itemised; the fields can be set.
    pub fn new(booking: BookingId, total: Money) -> Self {
        Self {
            booking,
            lines: Vec::new(),
            invoices: Vec::new(),
            payments: Vec::new(),
            total,
            paid: Money::zero(total.currency()),
        }
    }
}

/// One line of a folio.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FolioLine {
    /// What it is, such as the name of a room type.
    pub name: String,
    /// How many; of a room, usually its nights.
    pub quantity: u32,
    /// The price of all of them, without tax.
    pub net_total: Money,
    /// The price of all of them, with tax.
    pub total: Money,
}

impl FolioLine {
    /// A line, with its price without and with tax.
    pub fn new(name: &str, quantity: u32, net_total: Money, total: Money) -> Self {
        Self {
            name: name.to_owned(),
            quantity,
            net_total,
            total,
        }
    }
}

/// An invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invoice {
    /// Its number in the hotel's books, as it is written there.
    pub number: String,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// Its amount, without tax.
    pub net_total: Money,
    /// Its amount, with tax.
    pub total: Money,
}

impl Invoice {
    /// An invoice, with its amount without and with tax.
    pub fn new(number: &str, made_at: DateTime<Utc>, net_total: Money, total: Money) -> Self {
        Self {
            number: number.to_owned(),
            made_at,
            net_total,
            total,
        }
    }
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Payment {
    /// The amount; below zero for money that was given back.
    pub amount: Money,
    /// How it was paid, in the system's words.
    pub method: String,
    /// The number that the payment provider gave it, if any.
    pub transaction: Option<String>,
    /// When it was taken.
    pub paid_at: DateTime<Utc>,
}

impl Payment {
    /// A payment without the number of a payment provider.
    pub fn new(amount: Money, method: &str, paid_at: DateTime<Utc>) -> Self {
        Self {
            amount,
            method: method.to_owned(),
            transaction: None,
            paid_at,
        }
    }
}
