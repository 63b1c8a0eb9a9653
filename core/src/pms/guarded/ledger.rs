//! Who was there first: in a room where the system gives rooms, among the rooms that are sold where it sells types.
//!
//! Everybody who looks sees the same order, by when a row was written, and so exactly those yield who are too many.

use super::booking::BookingService;
use super::verify::Look;
use crate::error::Result;
use crate::pms::id::BookingId;
use crate::pms::port::StockNight;
use crate::pms::record::Row;
use crate::stay::Stay;

impl BookingService {
    /// The booking to which a reserved row must leave its place, if any. A newcomer, which was moved to its place, yields
    /// to everybody; at the recheck, everybody yields to foreign bookings. Where the system keeps *stock* nothing is
    /// asked.
    pub(super) async fn loses_to(&self, row: &Row, newcomer: bool, look: Look) -> Result<Option<BookingId>> {
        if self.guards().stock {
            return Ok(None);
        }
        if let (Some(rooms), Some(room)) = (self.provider.rooms(), &row.room) {
            let read = || rooms.rows_on(room.id, row.stay);
            for other in self.held().persist(read).await? {
                if other.id == row.id {
                    continue;
                }
                let first = newcomer || other.is_before(row);
                if first || (look == Look::Recheck && self.is_foreign(other.booking).await?) {
                    return Ok(Some(other.booking));
                }
            }
            return Ok(None);
        }
        for night in self.nights(row, row.stay).await? {
            let sellable = usize::try_from(night.sellable).unwrap_or(usize::MAX);
            if night.taken.len() <= sellable {
                continue;
            }
            let mut before = Vec::new();
            for other in night.taken.iter().filter(|other| other.id != row.id) {
                let first = newcomer || other.is_before(row);
                if first || (look == Look::Recheck && self.is_foreign(other.booking).await?) {
                    before.push(other);
                }
            }
            if before.len() >= sellable {
                before.sort_by_key(|other| other.sequence);
                return Ok(before.last().map(|other| other.booking));
            }
        }
        Ok(None)
    }

    /// Whether the rows of a booking, all of one type, can have this place in these nights: their own do not count.
    pub(super) async fn has_stock(&self, row: &Row, rows: usize, stay: Stay) -> Result<bool> {
        if self.guards().stock {
            return Ok(true);
        }
        let fits = |night: &StockNight| {
            let others = night.taken.iter().filter(|other| other.booking != row.booking);
            let sellable = usize::try_from(night.sellable).unwrap_or(usize::MAX);
            others.count().saturating_add(rows) <= sellable
        };
        Ok(self.nights(row, stay).await?.iter().all(fits))
    }

    /// What is sold of the row's type; nothing where the system has no such ledger.
    async fn nights(&self, row: &Row, stay: Stay) -> Result<Vec<StockNight>> {
        let Some(stock) = self.provider.stock() else {
            return Ok(Vec::new());
        };
        let hotel = self.existing(row.booking).await?.hotel;
        self.held()
            .persist(|| stock.nights(hotel, row.room_type, stay))
            .await
    }
}
