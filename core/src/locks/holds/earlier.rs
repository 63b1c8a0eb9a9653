//! Holds of a version that named a room type without its hotel: they keep their nights as long as they live, so that an
//! update in which both versions run sells no night twice. To be removed with the release after it.

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::future::try_join_all;

use super::engine::{HoldEngine, Made, PlannedHold};
use super::model::StayHold;
use super::store::{Record, ResourceKey, Shortage};
use crate::error::Result;
use crate::stay::Stay;

/// What earlier holds take of the nights of a request.
pub(super) struct Kept {
    /// The most units that they have in one night.
    units: u32,
    shortage: Shortage,
    /// When the server said so.
    now: DateTime<Utc>,
}

/// The earlier holds in the nights of a request; `None` when there are none.
pub(super) async fn kept(holds: &HoldEngine, request: &StayHold) -> Result<Option<Kept>> {
    let nights: Vec<_> = request.stay.each_night().collect();
    kept_in(holds, request, &nights).await
}

/// The same in some nights of the request: those that a hold which is moved does not have yet.
async fn kept_in(holds: &HoldEngine, request: &StayHold, nights: &[NaiveDate]) -> Result<Option<Kept>> {
    let Some(resource) = request.resource.without_hotel() else {
        return Ok(None);
    };
    let key = ResourceKey {
        tenant: request.tenant.clone(),
        resource,
    };
    let step = holds.store().list(&key).await?;
    let (mut records, now) = holds.open(&key, step);
    records.retain(|record| nights.iter().any(|night| record.slot.stay.contains(*night)));
    let nights = || nights.iter().copied();
    let most = nights().map(|night| units_on(&records, night)).max();
    Ok(most.filter(|units| *units > 0).map(|units| Kept {
        units,
        shortage: Shortage {
            nights: nights().filter(|night| units_on(&records, *night) > 0).collect(),
            frees_at: records.iter().map(|record| record.expires_at).min(),
            own: None,
        },
        now,
    }))
}

fn units_on(records: &[Record], night: NaiveDate) -> u32 {
    let on = records.iter().filter(|record| record.slot.stay.contains(night));
    on.map(|record| record.quantity).sum()
}

/// A request for what earlier holds leave.
///
/// # Errors
/// `locks.nights_taken` when they leave too little.
fn beside(holds: &HoldEngine, request: &StayHold, kept: &Kept) -> Result<StayHold> {
    let left = request.capacity.saturating_sub(kept.units);
    if left >= request.quantity {
        return Ok(request.clone().capacity(left));
    }
    let planned = PlannedHold::of(request, holds);
    Err(holds.taken(request, &planned.key, &planned.slot, &kept.shortage, kept.now))
}

/// The same for several requests.
pub(super) async fn all_beside(holds: &HoldEngine, requests: &[StayHold]) -> Result<Vec<StayHold>> {
    let kept = try_join_all(requests.iter().map(|request| kept(holds, request))).await?;
    let each = requests.iter().zip(kept);
    each.map(|(request, kept)| match kept {
        Some(kept) => beside(holds, request, &kept),
        None => Ok(request.clone()),
    })
    .collect()
}

/// How many units earlier holds leave a hold that is moved to the stay of `request`, in the nights that it does not have
/// yet.
///
/// # Errors
/// `locks.nights_taken` when they leave too little.
pub(super) async fn left_to_move(holds: &HoldEngine, from: Stay, request: &StayHold) -> Result<u32> {
    let added: Vec<_> = request
        .stay
        .each_night()
        .filter(|night| !from.contains(*night))
        .collect();
    match kept_in(holds, request, &added).await? {
        Some(kept) => Ok(beside(holds, request, &kept)?.capacity),
        None => Ok(request.capacity),
    }
}

/// Makes a hold of what earlier ones leave.
pub(super) async fn made_beside(holds: &HoldEngine, request: &StayHold, kept: &Kept) -> Result<Made> {
    let request = beside(holds, request, kept)?;
    let planned = PlannedHold::of(&request, holds);
    let asked = holds.instant();
    let step = holds.store().hold(planned.request(&request)).await?;
    holds.made(&request, &planned, step, asked)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::MemoryHolds;
    use super::super::store::{HoldRequest, HoldSlot, HoldStore as _, Holder};
    use crate::clock::SystemClock;
    use crate::error::codes;
    use crate::locks::{HoldRules, LockManager, MemoryAudit, MemoryFences, MemoryLocks, Resource, StayHold};
    use crate::task::Tasks;

    use super::*;

    fn nights() -> Stay {
        Stay::parse("2027-03-10", "2027-03-12").unwrap()
    }

    fn rooms(of: &str, session: &str) -> StayHold {
        let resource: Resource = of.parse().unwrap();
        StayHold::new(resource, nights()).session_id(session)
    }

    /// A process after the update, and two units of the room type 3 that one before it holds.
    async fn updated() -> LockManager {
        let clock = SystemClock::shared();
        let store = Arc::new(MemoryHolds::new(clock.clone()));
        let key = ResourceKey {
            tenant: None,
            resource: "room_type:3".parse().unwrap(),
        };
        let slot = HoldSlot {
            stay: Stay::parse("2027-03-11", "2027-03-13").unwrap(),
            holder: Holder::Session("before".to_owned()),
        };
        let request = HoldRequest {
            key: &key,
            slot: &slot,
            id: "id",
            token: "token",
            user_id: None,
            quantity: 2,
            capacity: 5,
            ttl: Duration::from_mins(20),
        };
        store.hold(request).await.unwrap();
        LockManager::new(
            Arc::new(MemoryLocks::new(clock.clone())),
            store,
            Arc::new(MemoryAudit::default()),
            Arc::new(MemoryFences::default()),
            HoldRules::default(),
            clock,
            Tasks::new(),
        )
    }

    #[tokio::test]
    async fn nights_of_earlier_holds_are_not_held_again() {
        let locks = updated().await;
        let five = |session: &str, quantity| rooms("room_type:1/3", session).capacity(5).quantity(quantity);
        let error = locks.hold_stay(&five("ana", 4)).await.unwrap_err();
        assert!(error.is(codes::LOCKS_NIGHTS_TAKEN), "{error}");
        assert_eq!(error.fact("nights"), Some("2027-03-11"));
        let error = locks.hold_stays(&[five("ana", 4)]).await.unwrap_err();
        assert!(error.is(codes::LOCKS_NIGHTS_TAKEN), "{error}");
        let hold = locks.hold_stay(&five("ana", 3)).await.unwrap();
        assert_eq!(locks.hold_stay(&five("ana", 3)).await.unwrap().id(), hold.id());
        let error = locks.hold_stay(&five("bea", 1)).await.unwrap_err();
        assert!(error.is(codes::LOCKS_NIGHTS_TAKEN), "{error}");
        hold.release().await.unwrap();
        assert!(locks.hold_stays(&[five("bea", 3)]).await.is_ok());
        assert!(locks.hold_stay(&five("eva", 1).capacity(6)).await.is_ok());
    }

    #[tokio::test]
    async fn a_hold_is_not_moved_into_nights_of_earlier_holds() {
        let locks = updated().await;
        let stay = |from, to| Stay::parse(from, to).unwrap();
        let before = stay("2027-03-08", "2027-03-11");
        let four = StayHold::new("room_type:1/3".parse().unwrap(), before).session_id("ana");
        let mut hold = locks.hold_stay(&four.capacity(5).quantity(4)).await.unwrap();
        for to in [stay("2027-03-08", "2027-03-12"), stay("2027-03-11", "2027-03-12")] {
            let error = hold.move_to(to, 5).await.unwrap_err();
            assert!(error.is(codes::LOCKS_NIGHTS_TAKEN), "{error}");
            assert_eq!(error.fact("nights"), Some("2027-03-11"));
            assert_eq!(hold.stay(), before, "nothing was changed");
        }
        // The same nights fit where the hotel has six rooms, and the night of the earlier departure is free.
        hold.move_to(stay("2027-03-13", "2027-03-14"), 5).await.unwrap();
        hold.move_to(stay("2027-03-12", "2027-03-14"), 6).await.unwrap();
        // Nights that the hold has already are kept, whatever others are in them.
        hold.move_to(stay("2027-03-12", "2027-03-13"), 5).await.unwrap();
    }

    #[tokio::test]
    async fn an_earlier_hold_is_listed_and_resumed_under_its_name_and_none_is_made_of_it() {
        let locks = updated().await;
        let old: Resource = "room_type:3".parse().unwrap();
        assert_eq!(locks.holds(None, &old, nights()).await.unwrap().len(), 1);
        let error = locks.hold_stay(&rooms("room_type:3", "ana")).await.unwrap_err();
        assert!(error.is(codes::LOCKS_INVALID_RESOURCE), "{error}");
        let ticket = r#"{"tenant":null,"resource":"room_type:3","check_in":"2027-03-11","check_out":"2027-03-13",
            "session_id":"before","hold_id":null,"token":"token"}"#;
        let hold = locks.resume_hold(ticket).await.unwrap();
        assert_eq!((hold.quantity(), hold.resource()), (2, &old));
        hold.release().await.unwrap();
        let all = rooms("room_type:1/3", "ana").capacity(5).quantity(5);
        assert!(locks.hold_stay(&all).await.is_ok());
    }
}
