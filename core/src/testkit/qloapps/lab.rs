//! What the suite of promises does to the simulated server behind the client's back.

use super::{QloAppsSimulator, SimulatedCall, SimulatedFault};
use crate::testkit::pms::Lab;

impl Lab for QloAppsSimulator {
    fn lose_answers(&self, times: usize) {
        self.calm();
        for call in [SimulatedCall::Create, SimulatedCall::Cancel] {
            self.script(call, &SimulatedFault::LostAfterWork, times);
        }
    }

    fn raise_price_in_next_write(&self) {
        self.service.desk().is_dearer_next = true;
    }

    fn live(&self) -> usize {
        self.open_bookings().len()
    }

    fn written(&self) -> usize {
        self.bookings()
    }

    fn oversold(&self) -> usize {
        self.double_booked_nights()
    }
}
