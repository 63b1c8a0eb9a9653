//! What the suite of promises does to the mock behind the client's back.

use super::{MockFault, MockOperation, MockPms};
use crate::pms::BookingStatus;
use crate::testkit::pms::Lab;

impl Lab for MockPms {
    fn lose_answers(&self, times: usize) {
        self.calm();
        for operation in [MockOperation::Create, MockOperation::Cancel] {
            self.script(operation, MockFault::TimeoutAfterWrite, times);
        }
    }

    fn raise_price_in_next_write(&self) {
        self.state().is_dearer_next = true;
    }

    fn live(&self) -> usize {
        let state = self.state();
        let records = state.hotel.bookings.values();
        records
            .filter(|record| record.status() != BookingStatus::Cancelled)
            .count()
    }

    fn written(&self) -> usize {
        self.bookings()
    }

    fn oversold(&self) -> usize {
        self.double_booked_nights()
    }
}
