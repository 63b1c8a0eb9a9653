//! The guests of each room, as searches, quotes and bookings take them.

use posada::pms::{Occupancy, Party};
use pyo3::prelude::*;

use crate::errors::Refusal;

/// The guests of each room: a list of `posada.Occupancy`.
pub(super) struct Rooms(Vec<Room>);

#[derive(FromPyObject)]
struct Room {
    adults: u32,
    child_ages: Vec<u32>,
}

impl<'py> FromPyObject<'_, 'py> for Rooms {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(given.extract()?))
    }
}

impl Rooms {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn party(&self) -> Result<Party, Refusal> {
        let rooms = self.0.iter().map(Room::occupancy).collect::<Result<_, _>>()?;
        Ok(Party::new(rooms)?)
    }
}

impl Room {
    fn occupancy(&self) -> Result<Occupancy, Refusal> {
        // Ages beyond a byte are no child's; the crate says so.
        let ages: Vec<u8> = self
            .child_ages
            .iter()
            .map(|age| u8::try_from(*age).unwrap_or(u8::MAX))
            .collect();
        Ok(Occupancy::new(self.adults, &ages)?)
    }
}
