//! How many calls an event loop makes at a time, and what follows from it for how they are sent.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Beside fewer calls than this, one is answered sooner without a change of threads. Beside more, the loop's thread is
/// the one with most to do, and others take over a part of it. On two processors with the server beside them, 1, 2 and 4
/// calls at a time take 0.77, 0.68 and 1.1 times as long, 16 take 1.3 times.
const FEW: usize = 2;

/// The calls of one turn are sent in this many batches, so that the server works while the loop asks more.
const PARTS: usize = 4;
/// Most calls that are sent together: by then a write costs each of them little.
const TOGETHER: usize = 8;

/// The remembered number of calls shrinks by this part of itself in each turn.
const FADING: usize = 4;

/// The calls of one event loop. Touched on its thread only.
#[derive(Default)]
pub(super) struct BatchPolicy {
    /// How many waited at a time, lately.
    size: AtomicUsize,
    /// How many were begun since something was sent.
    unsent: AtomicUsize,
    /// Whether the loop will send in its next turn.
    will_send: AtomicBool,
}

/// When what a call asks is to be sent.
pub enum Sending {
    /// At once.
    Now,
    /// In the loop's next turn, which the caller has to ask for.
    NextTurn,
    /// The loop was asked for it already.
    Arranged,
}

impl BatchPolicy {
    /// Notes how many wait, at the beginning of a turn. A large number is remembered for some turns, because all of the
    /// calls may be answered at once.
    pub(super) fn note(&self, waiting: usize) {
        let before = self.size.load(Ordering::Relaxed);
        // An exponential decay that ends at zero: rounding up takes at least one away.
        let fading = before - before.div_ceil(FADING);
        self.size.store(waiting.max(fading), Ordering::Relaxed);
    }

    /// Whether so few wait, and waited, that the loop answers them fastest by itself.
    pub(super) fn is_few(&self, waiting: usize) -> bool {
        waiting < FEW && self.size.load(Ordering::Relaxed) <= FEW
    }

    /// A call was begun, and what it asks was gathered.
    pub(super) fn begun(&self) -> Sending {
        let unsent = self.unsent.fetch_add(1, Ordering::Relaxed) + 1;
        if unsent >= (self.size.load(Ordering::Relaxed) / PARTS).clamp(1, TOGETHER) {
            self.unsent.store(0, Ordering::Relaxed);
            return Sending::Now;
        }
        self.next_turn()
    }

    /// The loop has to send in its next turn.
    pub(super) fn next_turn(&self) -> Sending {
        if self.will_send.swap(true, Ordering::Relaxed) {
            Sending::Arranged
        } else {
            Sending::NextTurn
        }
    }

    /// The turn has come.
    pub(super) fn sent(&self) {
        self.unsent.store(0, Ordering::Relaxed);
        self.will_send.store(false, Ordering::Relaxed);
    }
}
