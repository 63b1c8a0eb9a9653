//! Everything that a few callers can do to one lock, in every order: an exhaustive search over the memory twin of the
//! lock scripts, with answers that get lost, requests that arrive late, and callers that die; in a second search also
//! with owners who enter again, signs of life, and releases by force, which has 18,397 states for two callers in six
//! steps and 6,797 for three in five.
//!
//! A state is reached again by repeating its path, so the store needs no way to copy itself. Two paths that lead to
//! the same store and the same callers are followed once.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;

use super::MemoryLocks;
use super::model::{LockName, Release};
use super::store::{Attempt, Extension, Grant, LockKey, LockStore, Released, Renewal, Wake, Wakes};
use crate::clock::{Clock, SystemClock};

const TICK: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(2);
/// How often a caller begins anew, with a new token.
const ROUNDS: u8 = 2;
/// What the token of a second entry ends with.
const SECOND: &str = "f";
/// The number of ticks within which every live waiter has had its turn: each of the others may let a lease and a life
/// pass first.
const TICKS_UNTIL_SERVED: u64 = 20;

/// A clock whose text is its time alone, so that equal states look equal.
#[derive(Clone, Default)]
struct Ticks(Arc<AtomicU64>);

impl Ticks {
    fn millis(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn pass(&self) {
        let tick = u64::try_from(TICK.as_millis()).unwrap();
        self.0.fetch_add(tick, Ordering::Relaxed);
    }
}

impl fmt::Debug for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.millis())
    }
}

impl Clock for Ticks {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(i64::try_from(self.millis()).unwrap())
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }

    fn coarse_millis(&self) -> u64 {
        self.millis()
    }
}

/// What may happen next. The number is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It asks, ready to wait, and hears the answer.
    Ask(usize),
    /// It asks without waiting, and hears the answer.
    Try(usize),
    /// It asks, and the answer is lost.
    AskUnheard(usize),
    /// It asks, and the request stays in the network.
    Send(usize),
    /// That request arrives; its caller does not listen for the answer any more.
    Arrive(usize),
    Extend(usize),
    /// It extends, and the answer is lost: it relies on what it knew before.
    ExtendUnheard(usize),
    Release(usize),
    /// It gives its wait up.
    Withdraw(usize),
    /// It never does anything again, with or without the lock.
    Die(usize),
    /// The owner enters the lock that it holds once more.
    Enter(usize),
    /// It leaves by the entry that came second; a release leaves by the first.
    Leave(usize),
    /// Its process gives a sign of life.
    Beat(usize),
    /// The lock is taken away by force, and its holder hears of it.
    Force,
    Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    /// It wants the lock and has asked at least once.
    Waiting,
    /// It believes that it holds the lock until this time.
    Holding {
        until: u64,
    },
    Gone,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Caller {
    phase: Phase,
    round: u8,
    late: Option<String>,
    /// By which entries it holds the lock: the first, the second, or both.
    entries: [bool; 2],
}

struct World {
    clock: Ticks,
    store: MemoryLocks,
    wakes: Vec<Box<dyn Wakes>>,
    key: LockKey,
    callers: Vec<Caller>,
    /// Tokens that asked to wait and were neither withdrawn nor seen granted since.
    queued: BTreeSet<String>,
    last: (u64, String),
}

impl World {
    fn new(callers: usize) -> Self {
        let clock = Ticks::default();
        let store = MemoryLocks::new(Arc::new(clock.clone()));
        let wakes = (0..callers).map(|caller| {
            let mut wakes = store.listen(&process(caller));
            assert_eq!(wakes.next().now_or_never(), Some(Wake::Everybody));
            wakes
        });
        let wakes = wakes.collect();
        let caller = Caller {
            phase: Phase::Idle,
            round: 0,
            late: None,
            entries: [false; 2],
        };
        Self {
            clock,
            store,
            wakes,
            key: LockKey {
                tenant: None,
                name: LockName::parse("name").unwrap(),
            },
            callers: vec![caller; callers],
            queued: BTreeSet::new(),
            last: (0, String::new()),
        }
    }

    fn at(callers: usize, path: &[Step]) -> Self {
        let mut world = Self::new(callers);
        for step in path {
            world.take(*step);
        }
        world
    }

    fn token(&self, caller: usize) -> String {
        format!("{:x}{:x}", caller + 10, self.callers[caller].round)
    }

    /// The token of an entry that is open.
    fn entry(&self, caller: usize) -> String {
        let token = self.token(caller);
        match self.callers[caller].entries {
            [false, true] => token + SECOND,
            _ => token,
        }
    }

    /// What may happen next; with `all`, also what is done to a lock beside asking for it.
    fn possible(&self, all: bool) -> Vec<Step> {
        let mut steps = vec![Step::Tick];
        if all {
            steps.push(Step::Force);
            for (number, caller) in self.callers.iter().enumerate() {
                match (caller.phase, caller.entries) {
                    (Phase::Waiting, _) => steps.push(Step::Beat(number)),
                    (Phase::Holding { .. }, [true, true]) => steps.push(Step::Leave(number)),
                    (Phase::Holding { .. }, [true, false]) => steps.push(Step::Enter(number)),
                    _ => {}
                }
            }
        }
        for (number, caller) in self.callers.iter().enumerate() {
            match caller.phase {
                Phase::Idle if caller.round < ROUNDS => {
                    steps.extend([Step::Ask(number), Step::Try(number), Step::AskUnheard(number)]);
                    if caller.late.is_none() {
                        steps.push(Step::Send(number));
                    }
                }
                Phase::Waiting => steps.extend([
                    Step::Ask(number),
                    Step::AskUnheard(number),
                    Step::Withdraw(number),
                    Step::Die(number),
                ]),
                Phase::Holding { .. } => steps.extend([
                    Step::Extend(number),
                    Step::ExtendUnheard(number),
                    Step::Release(number),
                    Step::Die(number),
                ]),
                Phase::Idle | Phase::Gone => {}
            }
            if caller.late.is_some() {
                steps.push(Step::Arrive(number));
            }
            // Callers are alike: who acts first is the first one.
            if caller.round == 0 && caller.phase == Phase::Idle {
                break;
            }
        }
        steps
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Ask(caller) => {
                let granted = self.acquire(&self.token(caller), true);
                self.learn(caller, granted, Phase::Waiting);
            }
            Step::Try(caller) => {
                let granted = self.acquire(&self.token(caller), false);
                self.learn(caller, granted, Phase::Idle);
            }
            Step::AskUnheard(caller) => {
                self.acquire(&self.token(caller), true);
                self.callers[caller].phase = Phase::Waiting;
            }
            Step::Send(caller) => {
                self.callers[caller].late = Some(self.token(caller));
                self.callers[caller].phase = Phase::Waiting;
            }
            Step::Arrive(caller) => {
                let token = self.callers[caller].late.take().unwrap();
                self.acquire(&token, true);
            }
            Step::Extend(caller) => {
                if self.extend(&self.entry(caller)) {
                    self.callers[caller].phase = self.held();
                } else {
                    self.begin_anew(caller);
                }
            }
            Step::ExtendUnheard(caller) => {
                self.extend(&self.entry(caller));
            }
            Step::Release(caller) if self.callers[caller].entries == [true; 2] => {
                assert_eq!(self.release(&self.token(caller)), Released::Left);
                self.callers[caller].entries = [false, true];
            }
            Step::Release(caller) | Step::Withdraw(caller) => {
                self.release(&self.entry(caller));
                self.begin_anew(caller);
            }
            Step::Enter(caller) => {
                let granted = self.acquire(&(self.token(caller) + SECOND), false);
                assert!(granted, "its owner did not get in");
                (self.callers[caller].phase, self.callers[caller].entries) = (self.held(), [true; 2]);
            }
            Step::Leave(caller) => {
                assert_eq!(self.release(&(self.token(caller) + SECOND)), Released::Left);
                self.callers[caller].entries = [true, false];
            }
            Step::Beat(caller) => {
                let beat = self.store.beat(&self.key, &process(caller)).now_or_never();
                beat.expect("memory answers at once").unwrap();
            }
            Step::Force => self.force(),
            Step::Die(caller) => self.callers[caller].phase = Phase::Gone,
            Step::Tick => {
                self.clock.pass();
                let now = self.clock.millis();
                // The guard's own deadline: a holder that is late does not believe that it holds.
                for caller in 0..self.callers.len() {
                    if matches!(self.callers[caller].phase, Phase::Holding { until } if until <= now) {
                        self.begin_anew(caller);
                    }
                }
            }
        }
    }

    fn held(&self) -> Phase {
        Phase::Holding {
            until: self.clock.millis() + u64::try_from(TTL.as_millis()).unwrap(),
        }
    }

    fn learn(&mut self, caller: usize, granted: bool, otherwise: Phase) {
        self.callers[caller].phase = if granted { self.held() } else { otherwise };
        self.callers[caller].entries = [granted, false];
    }

    /// Takes the lock away. The caller that believes to hold it is told, with all its tokens.
    fn force(&mut self) {
        self.was_woken();
        let found = self.store.force_release(&self.key).now_or_never();
        let ended = found.expect("memory answers at once").unwrap().answer;
        let now = self.clock.millis();
        for caller in 0..self.callers.len() {
            if !matches!(self.callers[caller].phase, Phase::Holding { until } if until > now) {
                continue;
            }
            let tokens = ended.as_ref().expect("the holder had a lease").token.clone();
            assert!(tokens.split(',').any(|token| token == self.entry(caller)));
            let told = std::iter::from_fn(|| self.wakes[caller].next().now_or_never());
            assert!(
                told.into_iter().any(|wake| wake == Wake::Forced(tokens.clone())),
                "not told"
            );
            self.begin_anew(caller);
        }
        self.was_woken();
    }

    fn begin_anew(&mut self, caller: usize) {
        self.callers[caller].phase = Phase::Idle;
        self.callers[caller].round += 1;
        self.callers[caller].entries = [false; 2];
    }

    fn acquire(&mut self, token: &str, waits: bool) -> bool {
        let process = process(caller_of(token));
        let attempt = Attempt {
            key: &self.key,
            token,
            owner: owner_of(token),
            ttl: TTL,
            process: &process,
            waits,
            again: true,
        };
        let found = self.store.acquire(attempt).now_or_never();
        match found.expect("memory answers at once").unwrap().answer {
            Grant::Granted(lease) => {
                let is_ours = lease.token.split(',').any(|one| one == token);
                assert!(is_ours, "the grant of another caller was returned");
                let (fence, last) = &self.last;
                assert!(
                    lease.fence > *fence || lease.fence == *fence && last == owner_of(token),
                    "fence {} after {fence}",
                    lease.fence
                );
                self.last = (lease.fence, owner_of(token).to_owned());
                self.queued.remove(token);
                true
            }
            Grant::Busy { .. } | Grant::Full => {
                if waits {
                    self.queued.insert(token.to_owned());
                }
                false
            }
        }
    }

    fn extend(&mut self, token: &str) -> bool {
        let renewal = Renewal {
            key: &self.key,
            token,
            ttl: TTL,
        };
        let found = self.store.extend(&[renewal]).now_or_never();
        let answer = found.expect("memory answers at once").pop().unwrap();
        matches!(answer.unwrap().answer, Extension::Extended(_))
    }

    /// Releases, and checks that the next in the queue hears of it: without lost messages no caller waits in vain.
    fn release(&mut self, token: &str) -> Released {
        let waiting = self.state().map_or(0, |state| state.waiters);
        self.was_woken();
        let process = process(caller_of(token));
        let found = self.store.release(&self.key, token, &process).now_or_never();
        let answer = found.expect("memory answers at once").unwrap().answer;
        self.queued.remove(token);
        if matches!(answer.released, Released::Done(Release::Released, _)) && waiting > 0 {
            let was_told = self.was_woken() || answer.next.is_some();
            assert!(was_told, "no caller was told although one waits");
        }
        answer.released
    }

    /// Whether a message has gone out since this was last asked.
    fn was_woken(&mut self) -> bool {
        // Every caller's messages are taken, also after one was found.
        let heard = self
            .wakes
            .iter_mut()
            .map(|wakes| std::iter::from_fn(|| wakes.next().now_or_never()).count());
        heard.sum::<usize>() > 0
    }

    fn state(&self) -> Option<crate::locks::LockState> {
        let state = self.store.inspect(&self.key).now_or_never();
        state.expect("memory answers at once").unwrap()
    }

    fn check(&self) {
        let now = self.clock.millis();
        let believers = self.callers.iter();
        let believers = believers
            .filter(|caller| matches!(caller.phase, Phase::Holding { until } if until > now))
            .count();
        assert!(believers <= 1, "{believers} believe that they hold the lock");
        if let Some(state) = self.state() {
            let others = self.queued.iter().filter(|token| **token != state.owner).count();
            assert!(
                state.waiters <= others,
                "{} wait, of whom {others} can",
                state.waiters
            );
        }
    }

    /// Lets time pass while the holders do nothing and the waiters ask: each gets its turn.
    fn check_that_nobody_waits_for_ever(mut self) {
        let is_waiting = |caller: &Caller| caller.phase == Phase::Waiting;
        for _ in 0..TICKS_UNTIL_SERVED {
            if !self.callers.iter().any(is_waiting) {
                return;
            }
            for number in 0..self.callers.len() {
                if is_waiting(&self.callers[number]) && self.acquire(&self.token(number), true) {
                    self.callers[number].phase = Phase::Gone;
                }
            }
            self.clock.pass();
        }
        panic!("stuck: {:?}", self.callers);
    }

    /// What tells this state from others. The store's text has everything that its answers depend on.
    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.store).hash(&mut hasher);
        (&self.callers, &self.queued, &self.last).hash(&mut hasher);
        hasher.finish()
    }
}

/// A caller's token without the mark of its second entry: callers are owners, too.
fn owner_of(token: &str) -> &str {
    token.strip_suffix(SECOND).unwrap_or(token)
}

fn caller_of(token: &str) -> usize {
    usize::from_str_radix(&token[..1], 16).unwrap() - 10
}

/// Each caller lives in a process of its own.
fn process(caller: usize) -> String {
    format!("process {caller}")
}

/// Checks the state at the end of a path, unless it was seen before; answers it when it is new.
fn visit(callers: usize, path: &[Step], seen: &HashSet<u64>) -> Option<u64> {
    let visited = catch_unwind(|| {
        let world = World::at(callers, path);
        let key = world.key();
        if seen.contains(&key) {
            return None;
        }
        world.check();
        world.check_that_nobody_waits_for_ever();
        Some(key)
    });
    visited.unwrap_or_else(|_| panic!("what the message above says happens on the path {path:?}"))
}

/// Visits every state that this number of callers reaches in this number of steps; returns how many there are.
fn explore(callers: usize, depth: usize, all: bool) -> usize {
    let mut seen = HashSet::from([World::new(callers).key()]);
    let mut open = VecDeque::from([Vec::new()]);
    while let Some(path) = open.pop_front() {
        for step in World::at(callers, &path).possible(all) {
            let mut longer: Vec<Step> = path.clone();
            longer.push(step);
            let Some(state) = visit(callers, &longer, &seen) else {
                continue;
            };
            seen.insert(state);
            if longer.len() < depth {
                open.push_back(longer);
            }
        }
    }
    seen.len()
}

#[test]
fn two_callers_never_hold_together_and_never_wait_for_ever() {
    let states = explore(2, 7, false);
    assert!(states > 5_000, "only {states} states");
}

#[test]
fn three_callers_never_hold_together_and_never_wait_for_ever() {
    let states = explore(3, 6, false);
    assert!(states > 5_000, "only {states} states");
}

#[test]
fn two_callers_who_also_enter_again_beat_and_are_forced_out_do_neither() {
    let states = explore(2, 6, true);
    assert!(states > 15_000, "only {states} states");
}

#[test]
fn three_callers_who_also_enter_again_beat_and_are_forced_out_do_neither() {
    let states = explore(3, 5, true);
    assert!(states > 6_000, "only {states} states");
}
