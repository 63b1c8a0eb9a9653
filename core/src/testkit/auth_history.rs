//! What clients of one session saw while they raced, and whether that can have happened one after the other.
//!
//! A history is linearisable when every call can be given one moment between its beginning and its end such that, in
//! the order of these moments, a session of three variables would have answered the same. In particular nothing
//! that began after the end of a session may find it alive.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;

use super::Dice;
use crate::Authenticator;
use crate::auth::TokenPair;
use crate::error::{Error, codes};

/// What a client asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// The next pair for this refresh token.
    Refresh(String),
    /// Whether the session is alive.
    Verify,
    /// The end of the session: a logout, or a change of the password.
    End,
}

/// What it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This refresh token is the next.
    Next(String),
    /// The token was used before; the session has ended.
    Reused,
    /// The session has ended.
    Ended,
    /// The session is alive.
    Alive,
    /// The call was carried out.
    Done,
}

/// A call, its answer, and when it began and ended on a clock that all clients share.
#[derive(Debug, Clone)]
pub struct Event {
    /// The question.
    pub call: Call,
    /// The answer.
    pub answer: Answer,
    /// When it began.
    pub begun: u64,
    /// When it ended; later than it began.
    pub ended: u64,
}

/// A session, as the history must have found it. Time stands still, so every second use is within the grace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Model {
    present: String,
    previous: Option<String>,
    is_over: bool,
}

impl Model {
    /// The session after the call, if this is what it would have answered.
    fn after(&self, event: &Event) -> Option<Self> {
        let over = Self {
            is_over: true,
            ..self.clone()
        };
        match (&event.call, &event.answer) {
            (Call::End, Answer::Done) => Some(over),
            (Call::Verify, Answer::Alive) => (!self.is_over).then(|| self.clone()),
            (Call::Verify | Call::Refresh(_), Answer::Ended) => self.is_over.then(|| self.clone()),
            (Call::Refresh(token), Answer::Next(next)) if !self.is_over => {
                if *token == self.present {
                    Some(Self {
                        present: next.clone(),
                        previous: Some(token.clone()),
                        is_over: false,
                    })
                } else {
                    let is_repeated = self.previous.as_ref() == Some(token) && *next == self.present;
                    is_repeated.then(|| self.clone())
                }
            }
            (Call::Refresh(token), Answer::Reused) => {
                let is_old = *token != self.present && self.previous.as_ref() != Some(token);
                (!self.is_over && is_old).then_some(over)
            }
            _ => None,
        }
    }
}

/// Whether a session that began with this refresh token can have answered so. At most 20 events.
pub fn is_linearisable(first: &str, events: &[Event]) -> bool {
    assert!(
        events.len() <= 20,
        "the search grows with two to the power of the events"
    );
    let begin = Model {
        present: first.to_owned(),
        previous: None,
        is_over: false,
    };
    let all = (1_u32 << events.len()) - 1;
    let (mut seen, mut open) = (HashSet::new(), vec![(0_u32, begin)]);
    while let Some((done, model)) = open.pop() {
        if done == all {
            return true;
        }
        let is_left = |index: &usize| done & (1 << index) == 0;
        // Whatever ended before another began also came before it.
        let first_end = (0..events.len())
            .filter(is_left)
            .map(|index| events[index].ended)
            .min()
            .unwrap_or(u64::MAX);
        for index in (0..events.len()).filter(is_left) {
            if events[index].begun > first_end {
                continue;
            }
            if let Some(next) = model.after(&events[index]) {
                let step = (done | 1 << index, next);
                if seen.insert(step.clone()) {
                    open.push(step);
                }
            }
        }
    }
    false
}

/// Lets clients on several handles race for one session until `end` has ended it: each refreshes with what it holds or
/// with what it began with, or looks whether the session is alive. Panics unless the history is linearisable and
/// the session is over for everybody afterwards. Answers how many refreshes were in time.
pub async fn race(
    handles: &[&Authenticator],
    pair: &TokenPair,
    dice: &mut Dice,
    end: impl Future<Output = Result<(), Error>>,
) -> usize {
    let ticks = AtomicU64::new(0);
    let tick = || ticks.fetch_add(1, Ordering::SeqCst);
    let timed = async |call: Call, work: std::pin::Pin<Box<dyn Future<Output = Answer> + Send + '_>>| {
        let begun = tick();
        let answer = work.await;
        Event {
            call,
            answer,
            begun,
            ended: tick(),
        }
    };
    let plans: Vec<Vec<u64>> = (0..4).map(|_| (0..3).map(|_| dice.below(24)).collect()).collect();
    let delay = dice.below(12);
    let clients = plans.iter().enumerate().map(|(number, plan)| {
        let auth = handles[number % handles.len()];
        async move {
            let (mut events, mut held) = (Vec::new(), pair.clone());
            for choice in plan {
                pause(choice % 4).await;
                let access = held.access.clone();
                let event = if choice / 4 == 0 {
                    let look = async move { alive(auth.verify_privileged(&access).await) };
                    timed(Call::Verify, Box::pin(look)).await
                } else {
                    let token = if choice / 4 == 1 {
                        &pair.refresh
                    } else {
                        &held.refresh
                    }
                    .clone();
                    let mut next = None;
                    let refresh = async {
                        match auth.refresh(&token).await {
                            Ok(pair) => Answer::Next(mark(&next.insert(pair).refresh)),
                            Err(error) => refusal(&error),
                        }
                    };
                    let event = timed(Call::Refresh(mark(&token)), Box::pin(refresh)).await;
                    held = next.unwrap_or(held);
                    event
                };
                events.push(event);
            }
            (events, held)
        }
    });
    let ender = async {
        pause(delay).await;
        let done = async {
            end.await.expect("the end of the session succeeds");
            Answer::Done
        };
        let begun = tick();
        let answer = done.await;
        Event {
            call: Call::End,
            answer,
            begun,
            ended: tick(),
        }
    };
    let (outcomes, last) = futures_util::join!(join_all(clients), ender);
    let mut events = vec![last];
    let mut pairs = vec![pair.clone()];
    for (seen, held) in outcomes {
        events.extend(seen);
        pairs.push(held);
    }
    assert!(
        is_linearisable(&mark(&pair.refresh), &events),
        "no order explains what the clients saw: {events:#?}"
    );
    // A process learns at once of an end of its own, and within the staleness of one that another has found out.
    let may_be_late = handles.len() > 1 && events.iter().any(|event| event.answer == Answer::Reused);
    for pair in &pairs {
        let verdict = if may_be_late {
            handles[0].verify_privileged(&pair.access).await
        } else {
            handles[0].verify(&pair.access).await
        };
        let alive = verdict.is_ok();
        assert!(
            !alive,
            "a token outlived its session, here where it was ended: {events:#?}"
        );
        for auth in handles {
            let refreshed = auth.refresh(&pair.refresh).await.is_ok();
            assert!(!refreshed, "a refresh outlived the session: {events:#?}");
        }
    }
    let is_given = |event: &&Event| matches!(event.answer, Answer::Next(_));
    events.iter().filter(is_given).count()
}

/// The end of its signature stands for a token: whole tokens would make a history unreadable.
fn mark(token: &str) -> String {
    token.chars().skip(token.len().saturating_sub(8)).collect()
}

async fn pause(turns: u64) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

fn alive<T>(verdict: Result<T, Error>) -> Answer {
    match verdict {
        Ok(_) => Answer::Alive,
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &Error) -> Answer {
    if error.is(codes::AUTH_TOKEN_REUSED) {
        return Answer::Reused;
    }
    assert!(error.is(codes::AUTH_SESSION_ENDED), "{error}");
    Answer::Ended
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(call: Call, answer: Answer, begun: u64, ended: u64) -> Event {
        Event {
            call,
            answer,
            begun,
            ended,
        }
    }

    fn refresh(token: &str, next: &str, begun: u64, ended: u64) -> Event {
        event(
            Call::Refresh(token.to_owned()),
            Answer::Next(next.to_owned()),
            begun,
            ended,
        )
    }

    #[test]
    fn calls_that_overlap_may_have_come_in_either_order() {
        let end = event(Call::End, Answer::Done, 1, 4);
        assert!(is_linearisable("a", &[end.clone(), refresh("a", "b", 2, 3)]));
        assert!(is_linearisable("a", &[end, refresh("a", "b", 0, 5)]));
    }

    #[test]
    fn what_began_after_the_end_cannot_have_come_before_it() {
        let end = event(Call::End, Answer::Done, 0, 1);
        assert!(!is_linearisable("a", &[end.clone(), refresh("a", "b", 2, 3)]));
        let looked = event(Call::Verify, Answer::Alive, 2, 3);
        assert!(!is_linearisable("a", &[end.clone(), looked]));
        let told = event(Call::Verify, Answer::Ended, 2, 3);
        assert!(is_linearisable("a", &[end, told]));
    }

    #[test]
    fn two_lineages_of_one_token_are_no_history() {
        assert!(is_linearisable(
            "a",
            &[refresh("a", "b", 0, 3), refresh("a", "b", 1, 2)]
        ));
        assert!(!is_linearisable(
            "a",
            &[refresh("a", "b", 0, 3), refresh("a", "c", 1, 2)]
        ));
    }

    #[test]
    fn nobody_is_told_of_an_end_that_was_not() {
        let told = event(Call::Verify, Answer::Ended, 0, 1);
        assert!(!is_linearisable("a", &[told]));
    }
}
