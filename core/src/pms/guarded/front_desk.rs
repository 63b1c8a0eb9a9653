//! Arrival, departure and the end of a booking.

use super::booking::{BookingService, answer, still_written};
use super::modify::wrong_state;
use super::retry::is_lost;
use crate::error::{Error, Result};
use crate::pms::id::BookingId;
use crate::pms::model::{Booking, BookingStatus, Created};
use crate::pms::record::{Movement, Record, RowChange, RowState};

impl BookingService {
    /// Checks the guests in, or out.
    pub(in crate::pms) async fn move_guests(&self, id: BookingId, movement: Movement) -> Result<Booking> {
        let (turn, record) = self.in_turn(id).await?;
        if !record.complete {
            return Err(still_written(&record));
        }
        let from = match (movement, record.status()) {
            (Movement::Arrival, BookingStatus::Confirmed | BookingStatus::CheckedIn) => RowState::Reserved,
            (Movement::Departure, BookingStatus::CheckedIn) => RowState::CheckedIn,
            (Movement::Departure, BookingStatus::CheckedOut) => {
                return answer(&record, Created::FoundAgain);
            }
            (Movement::Arrival, _) => return Err(wrong_state(&record, "only a live booking can arrive")),
            (Movement::Departure, _) => {
                return Err(wrong_state(&record, "only a guest who has arrived can leave"));
            }
        };
        let change = RowChange {
            moved: Some((movement, self.clock.now())),
            ..RowChange::default()
        };
        let moving = async {
            for row in record.rows.iter().filter(|row| row.state == from) {
                self.write_row(id, row.id, &change).await?;
            }
            Ok(())
        };
        self.changing(record.hotel, moving).await?;
        drop(turn);
        self.answer_now(id).await
    }

    /// Cancels a booking; see [`PmsClient::cancel`](crate::PmsClient::cancel).
    pub(in crate::pms) async fn cancel(&self, id: BookingId, forced: bool) -> Result<Booking> {
        let (turn, record) = self.in_turn(id).await?;
        if let Some(refusal) = cancelling_refused(&record, forced) {
            return Err(refusal);
        }
        if record.status() != BookingStatus::Cancelled {
            // Cancelling twice is harmless, so a lost answer may be followed by another try.
            let cancelling = self.held().persist_while(is_lost, || self.provider.cancel(id));
            self.changing(record.hotel, cancelling).await?;
        }
        drop(turn);
        self.answer_now(id).await
    }

    async fn answer_now(&self, id: BookingId) -> Result<Booking> {
        let now = self.held().persist(|| self.existing(id)).await?;
        answer(&now, Created::FoundAgain)
    }
}

fn cancelling_refused(record: &Record, forced: bool) -> Option<Error> {
    match record.status() {
        BookingStatus::CheckedIn if !forced => Some(wrong_state(
            record,
            "a guest who has arrived cannot be cancelled, unless forced",
        )),
        BookingStatus::CheckedOut => Some(wrong_state(record, "a guest who has left cannot be cancelled")),
        _ => None,
    }
}
