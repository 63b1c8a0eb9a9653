//! Who sleeps in each room, and how many a room type takes.

use crate::error::{Error, Result, codes};

/// The guests of one room: adults, and each child by age.
///
/// ```
/// use posada::pms::Occupancy;
/// let family = Occupancy::new(2, &[7, 4])?;
/// assert_eq!((family.adults(), family.children(), family.guests()), (2, 2, 4));
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Occupancy {
    adults: u32,
    child_ages: Vec<u8>,
}

impl Occupancy {
    /// Most adults, and most children, of one room.
    pub const MAX_EACH: usize = 50;
    /// The oldest age, in whole years, of a child.
    pub const MAX_CHILD_AGE: u8 = 17;

    /// One room's guests; the order of the ages does not matter.
    ///
    /// # Errors
    /// `pms.invalid_request`, field `adults` (1 to 50) or `children` (at most 50, ages 0 to 17).
    pub fn new(adults: u32, child_ages: &[u8]) -> Result<Self> {
        let invalid = |field, what| Error::field_invalid(codes::PMS_INVALID_REQUEST, field, what);
        if !(1..=Self::MAX_EACH).contains(&usize::try_from(adults).unwrap_or(usize::MAX)) {
            return Err(invalid("adults", "must be 1 to 50 in each room"));
        }
        if child_ages.len() > Self::MAX_EACH || child_ages.iter().any(|age| *age > Self::MAX_CHILD_AGE) {
            return Err(invalid(
                "children",
                "must be at most 50 in each room, of ages 0 to 17",
            ));
        }
        let mut child_ages = child_ages.to_vec();
        child_ages.sort_unstable();
        Ok(Self { adults, child_ages })
    }

    /// How many adults.
    pub fn adults(&self) -> u32 {
        self.adults
    }

    /// How many children.
    pub fn children(&self) -> u32 {
        u32::try_from(self.child_ages.len()).unwrap_or(u32::MAX)
    }

    /// The age of each child in whole years, youngest first.
    pub fn child_ages(&self) -> &[u8] {
        &self.child_ages
    }

    /// Adults and children.
    pub fn guests(&self) -> u32 {
        self.adults.saturating_add(self.children())
    }
}

/// One [`Occupancy`] per room wanted: a booking is for one room type and at least one room.
///
/// ```
/// use posada::pms::{Occupancy, Party};
/// let one_room = Party::from(Occupancy::new(2, &[])?);
/// let two_rooms = Party::new(vec![Occupancy::new(2, &[7])?, Occupancy::new(1, &[])?])?;
/// assert_eq!((one_room.rooms(), two_rooms.rooms()), (1, 2));
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Party(Vec<Occupancy>);

impl Party {
    /// Most rooms of one booking.
    pub const MAX_ROOMS: usize = 20;

    /// The guests of each room.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `rooms`) without a room or with more than 20.
    pub fn new(rooms: Vec<Occupancy>) -> Result<Self> {
        if !(1..=Self::MAX_ROOMS).contains(&rooms.len()) {
            return Err(Error::field_invalid(
                codes::PMS_INVALID_REQUEST,
                "rooms",
                "must be 1 to 20",
            ));
        }
        Ok(Self(rooms))
    }

    /// How many rooms.
    pub fn rooms(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// The guests of each room, in the caller's order.
    pub fn each_room(&self) -> &[Occupancy] {
        &self.0
    }

    /// The same rooms in an order that does not depend on the caller, for comparisons.
    pub(crate) fn sorted(&self) -> Vec<&Occupancy> {
        let mut rooms: Vec<_> = self.0.iter().collect();
        rooms.sort_unstable();
        rooms
    }
}

impl From<Occupancy> for Party {
    fn from(one_room: Occupancy) -> Self {
        Self(vec![one_room])
    }
}

/// How many guests one room of a type takes. The system itself checks none of this, so we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OccupancyLimits {
    /// Most adults.
    pub max_adults: u32,
    /// Most children.
    pub max_children: u32,
    /// Most adults and children together.
    pub max_guests: u32,
}

impl OccupancyLimits {
    /// Checks every room of the party.
    ///
    /// # Errors
    /// `pms.occupancy`; the facts `limit` (`max_adults`, `max_children` or `max_guests`), `allowed` and `asked`
    /// name the first limit that is passed.
    pub fn admit(&self, party: &Party) -> Result<()> {
        for room in party.each_room() {
            for (limit, allowed, asked) in [
                ("max_adults", self.max_adults, room.adults()),
                ("max_children", self.max_children, room.children()),
                ("max_guests", self.max_guests, room.guests()),
            ] {
                if asked > allowed {
                    return Err(Error::new(
                        codes::PMS_OCCUPANCY,
                        "more guests than a room of this type takes; take more rooms, or another type",
                    )
                    .with("limit", limit)
                    .with("allowed", allowed)
                    .with("asked", asked));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: OccupancyLimits = OccupancyLimits {
        max_adults: 2,
        max_children: 2,
        max_guests: 3,
    };

    fn room(adults: u32, child_ages: &[u8]) -> Occupancy {
        Occupancy::new(adults, child_ages).unwrap()
    }

    #[test]
    fn a_room_without_adults_or_with_grown_children_is_refused() {
        assert_eq!(Occupancy::new(0, &[7]).unwrap_err().field(), Some("adults"));
        assert_eq!(Occupancy::new(51, &[]).unwrap_err().field(), Some("adults"));
        assert_eq!(Occupancy::new(2, &[18]).unwrap_err().field(), Some("children"));
    }

    #[test]
    fn a_party_has_at_least_one_room() {
        assert_eq!(Party::new(Vec::new()).unwrap_err().field(), Some("rooms"));
        assert_eq!(
            Party::new(vec![room(1, &[]); 21]).unwrap_err().field(),
            Some("rooms")
        );
    }

    #[test]
    fn the_error_names_the_limit_that_is_passed() {
        for (room, limit) in [
            (room(3, &[]), "max_adults"),
            (room(1, &[1, 2, 3]), "max_children"),
            (room(2, &[1, 2]), "max_guests"),
        ] {
            let error = DEMO.admit(&room.into()).unwrap_err();
            assert!(error.is(codes::PMS_OCCUPANCY));
            assert_eq!(error.fact("limit"), Some(limit));
        }
    }

    #[test]
    fn every_room_is_checked_and_not_the_sum() {
        assert!(DEMO.admit(&Party::new(vec![room(2, &[1]); 5]).unwrap()).is_ok());
        assert!(
            DEMO.admit(&Party::new(vec![room(2, &[]), room(3, &[])]).unwrap())
                .is_err()
        );
    }
}
