//! Questions that come while others are under way share the next statement.
//!
//! A lone question is asked at once. When several statements are under way already, the questions that follow gather,
//! and whichever statement is answered first makes way for one that asks for all of them: the busier the process is,
//! the less each question costs it and the database. This is what [`DataLoader`](https://github.com/graphql/dataloader)
//! does, with the answer in place of a tick of the clock. A database that is slow does not hold them up: after a while
//! they are asked beside it.

use std::sync::{Arc, Mutex, MutexGuard};

use super::answer::OpenQuestion;
use super::question::Target;
use crate::sync;

/// Statements under way before questions gather.
const PERMITS: usize = 2;
/// Most questions of one statement.
pub(super) const BATCH: usize = 500;

/// A question on its way.
pub(super) type Asked = (Target, OpenQuestion);

/// The questions of a resolver that wait for a statement. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Gathering(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    permits: usize,
    waiting: Vec<Asked>,
}

/// The right to ask the store, one statement after the other. Dropping one that is open gives up what waits, if
/// no other is there to ask for it.
pub(super) struct QueryPermit {
    gathering: Gathering,
    is_open: bool,
}

impl Gathering {
    /// Returns a permit for this question, or keeps the question until one is free.
    pub(super) fn join(&self, asked: Asked) -> Option<(QueryPermit, Asked)> {
        let mut state = self.state();
        if state.permits < PERMITS {
            return Some((self.open(&mut state), asked));
        }
        state.waiting.push(asked);
        None
    }

    /// Another permit for what waits, if anything does: the open ones take too long.
    pub(super) fn overtake(&self) -> Option<(QueryPermit, Vec<Asked>)> {
        let mut state = self.state();
        let waiting = state.next_batch();
        (!waiting.is_empty()).then(|| (self.open(&mut state), waiting))
    }

    fn open(&self, state: &mut State) -> QueryPermit {
        state.permits += 1;
        QueryPermit {
            gathering: self.clone(),
            is_open: true,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        sync::lock(&self.0)
    }
}

impl State {
    fn next_batch(&mut self) -> Vec<Asked> {
        let count = self.waiting.len().min(BATCH);
        self.waiting.drain(..count).collect()
    }
}

impl QueryPermit {
    /// What waits. When nothing does, the permit is closed.
    pub(super) fn next(mut self) -> Option<(Self, Vec<Asked>)> {
        let mut state = self.gathering.state();
        let batch = state.next_batch();
        if batch.is_empty() {
            state.permits -= 1;
            drop(state);
            self.is_open = false;
            return None;
        }
        drop(state);
        Some((self, batch))
    }
}

impl Drop for QueryPermit {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let mut state = self.gathering.state();
        state.permits -= 1;
        // The last one: no statement is left whose end would ask for what waits. Dropped outside of the lock, because
        // a question that is given up wakes callers, which may join again.
        if state.permits == 0 {
            let given_up = std::mem::take(&mut state.waiting);
            drop(state);
            drop(given_up);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::single_flight::SingleFlight;
    use crate::tenants::TenantId;
    use crate::tenants::answer::Waiting;

    fn waited_for(id: &str) -> (Asked, Waiting) {
        let (waiting, leader) = SingleFlight::default().join(&id.into());
        let question = OpenQuestion {
            generation: 0,
            leader: leader.unwrap(),
        };
        ((Target::Tenant(TenantId::parse(id).unwrap()), question), waiting)
    }

    fn asked(id: &str) -> Asked {
        waited_for(id).0
    }

    fn names(batch: &[Asked]) -> Vec<String> {
        batch.iter().map(|(target, _)| target.key()).collect()
    }

    #[test]
    fn questions_gather_when_every_lane_is_taken_and_leave_in_their_order() {
        let gathering = Gathering::default();
        let permits: Vec<_> = (0..PERMITS)
            .map(|_| gathering.join(asked("first")).unwrap().0)
            .collect();
        for name in ["a", "b"] {
            assert!(gathering.join(asked(name)).is_none());
        }
        let mut permits = permits.into_iter();
        let (permit, batch) = permits.next().unwrap().next().unwrap();
        assert_eq!(names(&batch), ["tenant:a", "tenant:b"]);
        // Nothing waits: the permit closes, and the next question has one of its own.
        assert!(permit.next().is_none());
        assert!(gathering.join(asked("c")).is_some());
    }

    #[test]
    fn a_batch_is_no_larger_than_a_statement_may_be() {
        let gathering = Gathering::default();
        let permits: Vec<_> = (0..PERMITS)
            .map(|_| gathering.join(asked("first")).unwrap().0)
            .collect();
        for _ in 0..=BATCH {
            assert!(gathering.join(asked("a")).is_none());
        }
        let (_overtaking, batch) = gathering.overtake().unwrap();
        assert_eq!(batch.len(), BATCH);
        assert_eq!(gathering.overtake().unwrap().1.len(), 1);
        assert!(gathering.overtake().is_none());
        drop(permits);
    }

    #[test]
    fn what_nobody_will_ask_any_more_is_given_up() {
        let gathering = Gathering::default();
        let mut permits: Vec<_> = (0..PERMITS)
            .map(|_| gathering.join(asked("first")).unwrap().0)
            .collect();
        let (asked_last, waiting) = waited_for("a");
        let mut waiting = Box::pin(waiting.outcome());
        assert!(gathering.join(asked_last).is_none());
        permits.pop();
        assert!(waiting.as_mut().now_or_never().is_none());
        permits.clear();
        assert!(matches!(waiting.now_or_never(), Some(None)));
        assert!(gathering.join(asked("b")).is_some());
    }
}
