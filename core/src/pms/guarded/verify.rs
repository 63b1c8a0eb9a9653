//! Looking again after a booking was made: does the guest really have a room alone?
//!
//! Systems such as QloApps check and write without a lock, so a booking that was accepted may share its room or may
//! have been back-ordered without a word. Each side writes first and looks afterwards, so of two bookings at least
//! one sees the other. The rule that both follow, without talking to each other: on one room the row that was
//! written first wins, and a row that was moved there later loses against everybody.

use std::collections::HashSet;

use super::booking::BookingService;
use super::retry::may_be_lost;
use super::store::KeyRecord;
use crate::error::{Error, Result, codes};
use crate::pms::id::IdempotencyKey;
use crate::pms::record::{Record, Room, Row, RowChange, RowState};

/// Which look it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pms) enum Look {
    /// Right after a booking was made: the row that was written first wins.
    First,
    /// Later: foreign bookings win too, because they never yield.
    Recheck,
}

/// How often a booking is moved before it is given up.
const MOVES: usize = 3;

impl BookingService {
    /// Makes sure that every row has its room alone, moving rows where that helps. Answers the booking as it is
    /// then, or `None` when it cannot be kept and must be cancelled.
    ///
    /// # Errors
    /// That of a read that kept failing.
    pub(in crate::pms) async fn secure(
        &self,
        mut record: Record,
        key: &IdempotencyKey,
        known: &mut KeyRecord,
        look: Look,
    ) -> Result<Option<Record>> {
        for _ in 0..MOVES {
            let lost = self.lost_rows(&record, known, look).await?;
            if lost.is_empty() {
                return Ok(Some(record));
            }
            if !self.move_rows(&record, &lost, key, known).await? {
                return Ok(None);
            }
            let id = record.id;
            let now = self.held().persist(|| self.provider.record(id)).await?;
            match now {
                Some(now) if !now.cancelled => record = now,
                _ => return Ok(None),
            }
        }
        let lost = self.lost_rows(&record, known, look).await?;
        Ok(lost.is_empty().then_some(record))
    }

    /// The rows of the booking that have no room, or share it with a row that was there first.
    async fn lost_rows(&self, record: &Record, known: &KeyRecord, look: Look) -> Result<Vec<Row>> {
        let mut lost = Vec::new();
        for row in &record.rows {
            let loses = match row.state {
                RowState::BackOrdered => true,
                RowState::Reserved => {
                    let newcomer = known.has_moved(row.id);
                    self.loses_to(row, newcomer, look).await?.is_some()
                }
                // The front desk has decided about these.
                RowState::CheckedIn | RowState::CheckedOut | RowState::Cancelled => false,
            };
            if loses {
                lost.push(row.clone());
            }
        }
        Ok(lost)
    }

    /// Moves each row to a free room. Answers false when there is no room for one of them.
    ///
    /// That a row moves is remembered before it does, because a row that moved gives way also after this process
    /// has died.
    async fn move_rows(
        &self,
        record: &Record,
        lost: &[Row],
        key: &IdempotencyKey,
        known: &mut KeyRecord,
    ) -> Result<bool> {
        // Where rooms are given later, there is no other place of the type.
        let Some(rooms) = self.provider.rooms() else {
            return Ok(false);
        };
        known.moves(lost.iter().map(|row| row.id));
        self.remember(key, known).await;
        let mut given = HashSet::new();
        for row in lost {
            let read = || rooms.free_rooms(record.hotel, row.room_type, row.stay);
            let mut free = self.held().persist(read).await?;
            free.retain(|room| !given.contains(&room.id));
            let Some(room) = choose(&free, row.sequence) else {
                return Ok(false);
            };
            let change = RowChange::to_room(room.clone());
            match self.provider.change_row(record.id, row.id, &change).await {
                Ok(()) => {}
                // Reading the booking again shows whether it moved.
                Err(error) if error.is(codes::PMS_OUTCOME_UNKNOWN) => {}
                Err(_) => return Ok(false),
            }
            given.insert(room.id);
        }
        Ok(true)
    }

    /// Cancels a booking that must not stay.
    ///
    /// # Errors
    /// `pms.outcome_unknown` when that could not be done: the system has a booking that no caller was told about, and
    /// the next call with the same key deals with it.
    pub(in crate::pms) async fn give_back(&self, record: &Record) -> Result<()> {
        let id = record.id;
        // Cancelling twice is harmless, so a lost answer may be followed by another try.
        let done = self
            .held()
            .persist_while(may_be_lost, || self.provider.cancel(id))
            .await;
        done.map_err(|cause| {
            Error::new(
                codes::PMS_OUTCOME_UNKNOWN,
                "a booking that cannot be kept could not be cancelled yet; ask again with the same key",
            )
            .with("booking", id)
            .caused_by(cause)
        })
    }
}

/// Different rows choose different rooms, so that two bookings that flee from a third do not meet again.
fn choose(free: &[Room], row: u64) -> Option<&Room> {
    let count = u64::try_from(free.len()).ok().filter(|count| *count > 0)?;
    free.get(usize::try_from(row % count).ok()?)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use proptest::prelude::*;

    use super::*;
    use crate::pms::Booking;
    use crate::pms::fixture::{World, request, room, stay};
    use crate::pms::port::BookingSystem as _;
    use crate::pms::{BookingStatus, MockCollision, MockFault, MockOperation, Party, RoomId, StayId};
    use crate::stay::Stay;

    /// Enough yields that all bookers choose their rooms before the first writes.
    const WIDE: usize = 200;

    /// Books with as many processes at once, each with a gate of its own, so that nothing but the look afterwards
    /// keeps them apart.
    async fn race(world: &World, bookers: usize) -> Vec<Result<Booking>> {
        world.mock.set_gap(WIDE);
        let answers = join_all((0..bookers).map(|booker| {
            let process = world.process();
            async move {
                process
                    .book(&request(&format!("racer-{booker}"), stay(), room(2)), None)
                    .await
            }
        }))
        .await;
        world.mock.set_gap(0);
        answers
    }

    async fn assert_all_have_a_room(world: &World, booked: &[&Booking]) {
        for booking in booked {
            let now = world.process().booking(booking.id).await.unwrap().unwrap();
            assert_eq!(
                now.status,
                BookingStatus::Confirmed,
                "a reported booking has its room"
            );
        }
        assert_eq!(world.mock.double_booked_nights(), 0);
    }

    #[tokio::test]
    async fn of_eight_bookers_of_the_last_room_one_gets_it_and_nobody_is_back_ordered() {
        for collision in [MockCollision::BackOrder, MockCollision::DoubleBook] {
            let world = World::new();
            world.occupy(stay(), 4).await;
            world.mock.set_collision(collision);
            let answers = race(&world, 8).await;
            assert_eq!(world.mock.collisions(), 7, "all of them chose the last room");
            let booked: Vec<_> = answers.iter().flatten().collect();
            assert_eq!(booked.len(), 1, "{collision:?}: {answers:?}");
            let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
            assert!(
                refused.into_iter().all(|error| error.is(codes::PMS_SOLD_OUT)),
                "{answers:?}"
            );
            assert_all_have_a_room(&world, &booked).await;
            assert_eq!(world.free(stay()).await, 0);
        }
    }

    #[tokio::test]
    async fn bookers_who_chose_the_same_room_move_apart_while_others_are_free() {
        for collision in [MockCollision::BackOrder, MockCollision::DoubleBook] {
            let world = World::new();
            world.mock.set_collision(collision);
            let answers = race(&world, 3).await;
            assert_eq!(world.mock.collisions(), 2);
            let booked: Vec<_> = answers.iter().flatten().collect();
            assert_eq!(booked.len(), 3, "{collision:?}: {answers:?}");
            assert_all_have_a_room(&world, &booked).await;
        }
    }

    #[tokio::test]
    async fn a_crowd_never_shares_a_room_however_it_moves() {
        for collision in [MockCollision::BackOrder, MockCollision::DoubleBook] {
            let world = World::new();
            world.mock.set_collision(collision);
            let answers = race(&world, 12).await;
            let booked: Vec<_> = answers.iter().flatten().collect();
            assert!((1..=5).contains(&booked.len()), "{answers:?}");
            assert_all_have_a_room(&world, &booked).await;
        }
    }

    #[tokio::test]
    async fn a_loser_that_cannot_be_cancelled_is_dealt_with_by_the_next_call() {
        let world = World::new();
        world.occupy(stay(), 4).await;
        world
            .mock
            .script(MockOperation::Cancel, MockFault::Unavailable, 1000);
        let answers = race(&world, 2).await;
        let unknown = answers.iter().position(|answer| {
            answer
                .as_ref()
                .is_err_and(|error| error.is(codes::PMS_OUTCOME_UNKNOWN))
        });
        let loser = unknown.expect("the loser does not know how it ended");
        let mut used = 0;
        let again = loop {
            let key = format!("racer-{loser}");
            let answer = world.process().book(&request(&key, stay(), room(2)), None).await;
            used += 1;
            match answer {
                Err(error) if error.is(codes::PMS_OUTCOME_UNKNOWN) && used < 100 => {}
                answer => break answer,
            }
        };
        assert!(again.unwrap_err().is(codes::PMS_SOLD_OUT));
        assert_eq!(world.mock.double_booked_nights(), 0);
    }

    #[tokio::test]
    async fn a_move_whose_answer_was_lost_is_read_and_not_repeated() {
        let world = World::new();
        world
            .mock
            .script(MockOperation::Place, MockFault::TimeoutAfterWrite, 1);
        let answers = race(&world, 2).await;
        let booked: Vec<_> = answers.iter().flatten().collect();
        assert_eq!(booked.len(), 2, "{answers:?}");
        assert_all_have_a_room(&world, &booked).await;
    }

    #[tokio::test]
    async fn a_row_that_moves_into_a_room_that_was_just_booked_flees_again() {
        let world = World::new();
        let late_party = async {
            while world.mock.collisions() == 0 {
                tokio::task::yield_now().await;
            }
            // The loser has chosen one of the four free rooms and is about to move; now all of them are booked.
            for _ in 0..WIDE / 4 {
                tokio::task::yield_now().await;
            }
            world.mock.set_gap(0);
            let party = Party::new(vec![room(1); 4]).unwrap();
            world
                .process()
                .book(&request("late-party", stay(), party), None)
                .await
        };
        let (answers, party) = futures_util::future::join(race(&world, 2), late_party).await;
        let party = party.expect("the rooms were free");
        let booked: Vec<_> = answers.iter().flatten().chain([&party]).collect();
        assert_eq!(booked.len(), 2, "the loser has no room: {answers:?}");
        assert_all_have_a_room(&world, &booked).await;
    }

    #[tokio::test]
    async fn a_system_that_goes_down_during_the_second_look_leaves_the_outcome_unknown() {
        let world = World::new();
        let power_cut = async {
            while world.mock.collisions() == 0 {
                tokio::task::yield_now().await;
            }
            for _ in 0..WIDE / 4 {
                tokio::task::yield_now().await;
            }
            world
                .mock
                .script(MockOperation::Read, MockFault::Unavailable, 10_000);
        };
        let (answers, ()) = futures_util::future::join(race(&world, 2), power_cut).await;
        let errors: Vec<_> = answers
            .iter()
            .filter_map(|answer| answer.as_ref().err())
            .collect();
        assert!(!errors.is_empty(), "{answers:?}");
        assert!(errors[0].is(codes::PMS_OUTCOME_UNKNOWN), "{answers:?}");
        assert!(
            std::error::Error::source(errors[0]).is_some(),
            "and the error says why"
        );
    }

    #[tokio::test]
    async fn a_booking_that_cannot_be_looked_for_is_unknown_and_the_error_says_why() {
        let world = World::new();
        world.mock.set_gap(100);
        let process = world.process();
        let (booking, ()) =
            futures_util::future::join(process.book(&request("blind", stay(), room(2)), None), async {
                for _ in 0..60 {
                    tokio::task::yield_now().await;
                }
                world
                    .mock
                    .script(MockOperation::Read, MockFault::Unavailable, 10_000);
            })
            .await;
        let error = booking.unwrap_err();
        assert!(error.is(codes::PMS_OUTCOME_UNKNOWN), "{error}");
        let cause = std::error::Error::source(&error).expect("the failure of the last read");
        let cause = cause.downcast_ref::<Error>().expect("an error of posada");
        assert!(cause.is(codes::PMS_UNAVAILABLE), "{cause}");
        assert_eq!(world.mock.bookings(), 1);
    }

    #[tokio::test]
    async fn a_booking_that_shares_its_room_is_kept_when_it_is_old_or_somebody_was_told() {
        for (age, told, kept) in [(14, false, false), (14, true, true), (16, false, true)] {
            let world = World::new();
            let process = world.process();
            world.occupy(stay(), 4).await;
            let booking = process
                .book(&request("mine", stay(), room(2)), None)
                .await
                .unwrap();
            let first_room = Room {
                id: RoomId::from(1),
                number: "GR-101".into(),
            };
            let change = RowChange::to_room(first_room);
            world
                .mock
                .change_row(booking.id, StayId::from(5), &change)
                .await
                .unwrap();
            process
                .book(&request("into-the-gap", stay(), room(2)), None)
                .await
                .unwrap();
            assert_eq!(world.mock.double_booked_nights(), 2);
            world.clock.advance(std::time::Duration::from_secs(age * 60));
            let asker = if told {
                world.process()
            } else {
                world.forgetful_process()
            };
            let again = asker.book(&request("mine", stay(), room(2)), None).await;
            assert_eq!(again.is_ok(), kept, "{again:?}");
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Book { day: u64, nights: u64, rooms: usize },
        Cancel(usize),
        Gap(usize),
        Fault(MockOperation, MockFault),
    }

    fn step() -> impl Strategy<Value = Step> {
        let fault = prop_oneof![
            Just(MockFault::Unavailable),
            Just(MockFault::TimeoutBeforeWrite),
            Just(MockFault::TimeoutAfterWrite),
            (1u32..4).prop_map(|after_lookups| MockFault::TimeoutThenWrite { after_lookups }),
        ];
        let operation = prop_oneof![
            Just(MockOperation::Create),
            Just(MockOperation::Place),
            Just(MockOperation::Cancel)
        ];
        prop_oneof![
            6 => (0u64..4, 1u64..4, 1usize..4)
                .prop_map(|(day, nights, rooms)| Step::Book { day, nights, rooms }),
            2 => (0usize..20).prop_map(Step::Cancel),
            1 => (0usize..3).prop_map(Step::Gap),
            1 => (operation, fault).prop_map(|(operation, fault)| Step::Fault(operation, fault)),
        ]
    }

    /// Runs each group of steps at once, with a process for each step.
    async fn play(groups: Vec<Vec<Step>>, collision: MockCollision) {
        let world = World::new();
        world.mock.set_collision(collision);
        let first = stay().check_in();
        let mut reported: Vec<Booking> = Vec::new();
        let mut cancelled = HashSet::new();
        for (group, steps) in groups.into_iter().enumerate() {
            let answers = join_all(steps.into_iter().enumerate().map(|(place, step)| {
                let (process, mock, known) = (world.process(), &world.mock, &reported);
                async move {
                    match step {
                        Step::Book { day, nights, rooms } => {
                            let arrival = first + chrono::Days::new(day);
                            let stay = Stay::new(arrival, arrival + chrono::Days::new(nights)).unwrap();
                            let party = Party::new(vec![room(1); rooms]).unwrap();
                            let request = request(&format!("key-{group}-{place}"), stay, party);
                            (process.book(&request, None).await.ok(), None)
                        }
                        Step::Cancel(which) => match known.get(which) {
                            Some(booking) => {
                                let _ = process.cancel(booking.id).await;
                                (None, Some(booking.id))
                            }
                            None => (None, None),
                        },
                        Step::Gap(yields) => {
                            mock.set_gap(yields);
                            (None, None)
                        }
                        Step::Fault(operation, fault) => {
                            mock.script(operation, fault, 1);
                            (None, None)
                        }
                    }
                }
            }))
            .await;
            for (booked, ended) in answers {
                reported.extend(booked);
                cancelled.extend(ended);
            }
            let mut taken = HashSet::new();
            for booking in reported.iter().filter(|booking| !cancelled.contains(&booking.id)) {
                let now = world.process().booking(booking.id).await.unwrap().unwrap();
                assert_eq!(
                    now.status,
                    BookingStatus::Confirmed,
                    "a reported booking keeps its rooms"
                );
                for room in &now.rooms {
                    for night in room.stay.each_night() {
                        assert!(
                            taken.insert((room.number.clone(), night)),
                            "{:?} twice on {night}",
                            room.number
                        );
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_sequence_of_bookings_and_cancellations_gives_a_room_night_to_two_guests(
            groups in prop::collection::vec(prop::collection::vec(step(), 1..6), 1..8),
            doubles in any::<bool>(),
        ) {
            let collision = if doubles { MockCollision::DoubleBook } else { MockCollision::BackOrder };
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
                .block_on(play(groups, collision));
        }
    }
}
