//! What comes before and after a booking in a system that keeps every promise by itself.

use std::future::Future;

use super::Inner;
use super::admission::HotelSnapshot;
use super::guarded::{same_price, sold_out};
use super::id::HotelId;
use super::port::BookingOrder;
use super::request::{BookingRequest, HoldProof};
use crate::error::Result;

impl Inner {
    /// What the system is asked to book. Dates, hold and price count for a new booking only, so a key that has one
    /// already finds it for ever. A guarded system checks them itself, in its turn at the hotel.
    ///
    /// # Errors
    /// `pms.sold_out`, `pms.price_changed`, `pms.hold_mismatch`, and those of the checks against the catalogue.
    pub(super) async fn order(
        &self,
        request: BookingRequest,
        hold: Option<HoldProof>,
    ) -> Result<BookingOrder> {
        let mut order = BookingOrder {
            request,
            hold,
            total: None,
        };
        if self.is_guarded {
            return Ok(order);
        }
        let request = &order.request;
        if let Some(known) = self.pms.find(request.key()).await? {
            order.total = Some(request.agreed().map_or(known.total, |quote| quote.total));
            return Ok(order);
        }
        let snapshot = HotelSnapshot::read(&self.catalogue, request.hotel()).await?;
        let (room_type, stay) = (request.room_type(), request.stay());
        let sale = snapshot
            .sale(room_type, stay, request.party(), request.choice())
            .await?
            .ok_or_else(|| sold_out("not enough rooms are free"))?;
        same_price(request, sale.total)?;
        if let Some(hold) = &order.hold {
            hold.is_live(self.clock.now())?;
        }
        order.total = Some(sale.total);
        Ok(order)
    }

    /// Does what changes something in a hotel, and notes that for the kept answers about free rooms, also when it came to
    /// a bad end, because part of it may have been done. A guarded system notes it in its turn at the hotel.
    pub(super) async fn changing<T>(
        &self,
        hotel: HotelId,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let outcome = work.await;
        if let (false, Some(answers)) = (self.is_guarded, &self.answers) {
            answers.cache.changed(hotel.as_str()).await;
        }
        outcome
    }
}
