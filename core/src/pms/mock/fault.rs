//! Scripted misfortune: what the mock does instead of answering, and how often.

use std::collections::VecDeque;

use crate::error::{Error, codes};

/// Which calls a scripted fault waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MockOperation {
    /// Any question: hotels, offers, bookings, rows, free rooms.
    Read,
    /// Making a booking.
    Create,
    /// Changing a row: another room, other nights or guests, arrival and departure.
    Place,
    /// Setting what a booking costs.
    Price,
    /// Cancelling a booking.
    Cancel,
    /// Writing a guest down.
    Guest,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MockFault {
    /// The system cannot be reached; nothing happens.
    Unavailable,
    /// The request is lost on its way, and the caller only sees that no answer comes.
    TimeoutBeforeWrite,
    /// The write happens and the answer is lost.
    TimeoutAfterWrite,
    /// The answer is lost, and the booking is written only after its key was looked for this many times. On other
    /// operations than [`MockOperation::Create`] it is a [`TimeoutAfterWrite`](Self::TimeoutAfterWrite).
    TimeoutThenWrite {
        /// How many look-ups find nothing.
        after_lookups: u32,
    },
}

/// When a fault strikes a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strike {
    None,
    AfterWrite,
    WriteLater { after_lookups: u32 },
}

/// The faults that are still to come, in the order in which they were scripted.
#[derive(Debug, Default)]
pub(super) struct Script(VecDeque<(MockOperation, MockFault)>);

impl Script {
    pub(super) fn add(&mut self, operation: MockOperation, fault: MockFault, times: usize) {
        self.0.extend(std::iter::repeat_n((operation, fault), times));
    }

    /// Uses up the next fault of a read.
    pub(super) fn read(&mut self) -> Result<(), Error> {
        match self.next(MockOperation::Read) {
            None => Ok(()),
            Some(MockFault::Unavailable) => Err(unavailable()),
            Some(_) => Err(Error::new(
                codes::PMS_TIMEOUT,
                "the mock PMS did not answer, as scripted",
            )),
        }
    }

    /// Uses up the next fault of a write; an error means that the write must not happen.
    pub(super) fn write(&mut self, operation: MockOperation) -> Result<Strike, Error> {
        match self.next(operation) {
            None => Ok(Strike::None),
            Some(MockFault::Unavailable) => Err(unavailable()),
            Some(MockFault::TimeoutBeforeWrite) => Err(outcome_unknown()),
            Some(MockFault::TimeoutAfterWrite) => Ok(Strike::AfterWrite),
            Some(MockFault::TimeoutThenWrite { after_lookups }) => Ok(Strike::WriteLater { after_lookups }),
        }
    }

    fn next(&mut self, operation: MockOperation) -> Option<MockFault> {
        let place = self.0.iter().position(|(awaited, _)| *awaited == operation)?;
        self.0.remove(place).map(|(_, fault)| fault)
    }
}

fn unavailable() -> Error {
    Error::new(codes::PMS_UNAVAILABLE, "the mock PMS is unreachable, as scripted")
}

pub(super) fn outcome_unknown() -> Error {
    Error::new(
        codes::PMS_OUTCOME_UNKNOWN,
        "the mock PMS lost its answer, as scripted",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_strike_in_order_and_only_their_operation() {
        let mut script = Script::default();
        script.add(MockOperation::Create, MockFault::Unavailable, 1);
        script.add(MockOperation::Create, MockFault::TimeoutAfterWrite, 1);
        assert!(script.read().is_ok());
        assert!(
            script
                .write(MockOperation::Create)
                .unwrap_err()
                .is(codes::PMS_UNAVAILABLE)
        );
        assert_eq!(script.write(MockOperation::Create).unwrap(), Strike::AfterWrite);
        assert_eq!(script.write(MockOperation::Create).unwrap(), Strike::None);
    }
}
