//! Making holds: one, or several at once, all of them or none; and finding one again.

use super::earlier;
use super::engine::{HoldEngine, Made, PlannedHold};
use super::hold::Hold;
use super::model::StayHold;
use super::release;
use super::store::{Changed, HoldOutcome};
use super::ticket::Ticket;
use std::time::Duration;

use crate::error::{Error, Result, codes};
use crate::locks::acquisition::REPEAT_WITHDRAWAL_AFTER;
use crate::locks::order::in_place;
use crate::scope::Scope;
use crate::task::Need;

/// Most holds of one request; a script must not keep the server for long.
const MOST: usize = 100;

/// Makes a hold, or finds the one that the same request made before.
pub(in crate::locks) async fn hold(holds: &HoldEngine, request: &StayHold) -> Result<Hold> {
    request.check()?;
    holds.tasks().ensure_open()?;
    let planned = PlannedHold::of(request, holds);
    holds.end_pending(&planned.key, &planned.slot).await?;
    let asked = holds.instant();
    // Both at once: earlier holds are there only during an update, and then the hold is made again.
    let making = holds.store().hold(planned.request(request));
    let (kept, step) = tokio::join!(earlier::kept(holds, request), making);
    let made = holds.made(request, &planned, step?, asked)?;
    let made = match kept? {
        Some(kept) if made.is_new => {
            holds.end(&planned.key, &planned.slot, &planned.token).await?;
            earlier::made_beside(holds, request, &kept).await?
        }
        Some(_) | None => made,
    };
    Ok(Hold::new(holds.clone(), planned.key, made))
}

/// Finds a hold by its ticket.
pub(in crate::locks) async fn resume(holds: &HoldEngine, ticket: &str, scope: &Scope) -> Result<Hold> {
    let Ticket { key, slot, token } = Ticket::parse(ticket)?;
    scope.admit(key.tenant.as_ref())?;
    holds.end_pending(&key, &slot).await?;
    let asked = holds.instant();
    let step = holds.store().confirm(&key, &slot, &token, Duration::ZERO).await?;
    let (answer, now) = holds.open(&key, step);
    let refused = |code, message: &str| {
        let error = Error::new(code, message).with("resource", &key.resource);
        Err(error.with("stay", slot.stay))
    };
    let record = match answer {
        Changed::Done(record) | Changed::Already(record) | Changed::MaxExtensions(record) => record,
        Changed::Gone => return refused(codes::LOCKS_LOST, "the hold has ended"),
        Changed::NotOwner => {
            return refused(codes::LOCKS_NOT_OWNER, "the nights are held under another token");
        }
    };
    let made = Made {
        record,
        asked,
        now,
        is_new: false,
    };
    Ok(Hold::new(holds.clone(), key, made))
}

/// Makes these holds, and returns them in the same order.
pub(in crate::locks) async fn hold_all(holds: &HoldEngine, requests: &[StayHold]) -> Result<Vec<Hold>> {
    if requests.len() > MOST {
        let what = "must be at most 100";
        return Err(Error::field_invalid(
            codes::LOCKS_INVALID_QUANTITY,
            "requests",
            what,
        ));
    }
    requests.iter().try_for_each(StayHold::check)?;
    holds.tasks().ensure_open()?;
    let requests = earlier::all_beside(holds, requests).await?;
    let mut sorted: Vec<_> = requests.iter().enumerate().collect();
    sorted.sort_by_key(|(_, request)| (&request.tenant, &request.resource, request.stay));
    let parts = sorted.iter().map(|(_, request)| Part {
        planned: PlannedHold::of(request, holds),
        on_server: ServerState::Nothing,
    });
    let mut set = Set {
        holds: holds.clone(),
        parts: parts.collect(),
    };
    for Part { planned, .. } in &set.parts {
        holds.end_pending(&planned.key, &planned.slot).await?;
    }
    let in_order: Vec<_> = sorted.iter().map(|(_, request)| *request).collect();
    let made = match set.make(&in_order).await {
        Ok(made) => made,
        Err(error) => {
            set.give_back().await;
            return Err(error);
        }
    };
    set.parts.clear();
    Ok(in_place(sorted.iter().map(|(place, _)| *place).zip(made)))
}

/// The parts of one request. What it has made is taken back when it is dropped: a caller who goes away leaves nothing.
/// Tokens were chosen before anything was sent, and a hold that was there before has another one.
struct Set {
    holds: HoldEngine,
    parts: Vec<Part>,
}

struct Part {
    planned: PlannedHold,
    on_server: ServerState,
}

/// What the server may know of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerState {
    Nothing,
    Made,
    /// It was asked for and not answered.
    Unknown,
}

impl Set {
    async fn make(&mut self, requests: &[&StayHold]) -> Result<Vec<Hold>> {
        let keys: Vec<_> = self.parts.iter().map(|part| &part.planned.key).collect();
        if self.holds.store().share_a_step(&keys) {
            self.make_in_one_step(requests).await
        } else {
            self.make_in_order(requests).await
        }
    }

    async fn make_in_one_step(&mut self, requests: &[&StayHold]) -> Result<Vec<Hold>> {
        let holds = self.holds.clone();
        for part in &mut self.parts {
            part.on_server = ServerState::Unknown;
        }
        let asked = holds.instant();
        let each = self.parts.iter().zip(requests);
        let planned: Vec<_> = each
            .map(|(part, request)| part.planned.request(request))
            .collect();
        let mut steps = holds.store().hold_together(&planned).await?;
        drop(planned);
        let refused = steps.pop_if(|last| !matches!(last.answer, HoldOutcome::New(_) | HoldOutcome::Same(_)));
        let mut answered = self.parts.iter_mut().zip(requests);
        let Some(refused) = refused else {
            let made = answered.zip(steps).map(|((part, request), step)| {
                part.on_server = ServerState::Made;
                let made = holds.made(request, &part.planned, step, asked)?;
                Ok(Hold::new(holds.clone(), part.planned.key.clone(), made))
            });
            return made.collect();
        };
        for (step, (part, _)) in steps.into_iter().zip(answered.by_ref()) {
            holds.open(&part.planned.key, step);
        }
        let outcome = answered
            .next()
            .map(|(part, request)| holds.made(request, &part.planned, refused, asked));
        // The step that refused has undone the rest.
        for part in &mut self.parts {
            part.on_server = ServerState::Nothing;
        }
        match outcome {
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Ok(Vec::new()),
        }
    }

    async fn make_in_order(&mut self, requests: &[&StayHold]) -> Result<Vec<Hold>> {
        let holds = self.holds.clone();
        let mut made = Vec::with_capacity(requests.len());
        for (part, request) in self.parts.iter_mut().zip(requests) {
            part.on_server = ServerState::Unknown;
            let asked = holds.instant();
            let step = holds.store().hold(part.planned.request(request)).await?;
            part.on_server = ServerState::Nothing;
            let answer = holds.made(request, &part.planned, step, asked)?;
            if answer.is_new {
                part.on_server = ServerState::Made;
            }
            made.push(Hold::new(holds.clone(), part.planned.key.clone(), answer));
        }
        Ok(made)
    }

    /// Releases what is known to be made. What cannot be released now is released when this is dropped.
    async fn give_back(&mut self) {
        for part in &mut self.parts {
            let PlannedHold { key, slot, token, .. } = &part.planned;
            if part.on_server == ServerState::Made && self.holds.end(key, slot, token).await.is_ok() {
                part.on_server = ServerState::Nothing;
            }
        }
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        let mut unknown = Vec::new();
        for Part { planned, on_server } in std::mem::take(&mut self.parts) {
            match on_server {
                ServerState::Nothing => {}
                ServerState::Made => planned.release_later(&self.holds, Need::Sure),
                ServerState::Unknown => unknown.push(planned),
            }
        }
        if unknown.is_empty() {
            return;
        }
        let holds = self.holds.clone();
        self.holds.tasks().in_background(async move {
            for planned in &unknown {
                planned.release_later(&holds, Need::Perhaps);
            }
            // This may have overtaken the request.
            holds.tasks().pause(REPEAT_WITHDRAWAL_AFTER).await;
            for planned in &unknown {
                planned.release_later(&holds, Need::Perhaps);
            }
        });
    }
}

impl PlannedHold {
    /// Releases what was made for it, in the background.
    fn release_later(&self, holds: &HoldEngine, need: Need) {
        release::later(holds, &self.key, &self.slot, &self.token, need, self.ttl);
    }
}
