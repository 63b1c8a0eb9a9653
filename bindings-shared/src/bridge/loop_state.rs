//! The state of one event loop: which callers wait, what has ended, and when the loop sends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use posada::bridge::{Call, FirstStep, Receipt, Work};
use tokio::runtime::Handle;

use super::batch_policy::{BatchPolicy, Sending};
use super::completion_queue::CompletionQueue;

/// One event loop, as a binding needs it. `T` is what a call ends with, `W` is a caller that waits: a task, a promise.
pub struct LoopState<T, W> {
    completions: Arc<CompletionQueue<T>>,
    /// Which caller waits, by the number of the call. Touched on the loop's thread, and by a collector of garbage.
    waiting: Mutex<HashMap<u64, W>>,
    next: AtomicU64,
    batches: BatchPolicy,
}

impl<T: Send + 'static, W> LoopState<T, W> {
    /// The state of a loop that has made no call.
    ///
    /// # Errors
    /// The system's, when it has no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            completions: Arc::new(CompletionQueue::new()?),
            waiting: Mutex::new(HashMap::new()),
            next: AtomicU64::new(0),
            batches: BatchPolicy::default(),
        })
    }

    /// The calls that have ended.
    pub fn completions(&self) -> &Arc<CompletionQueue<T>> {
        &self.completions
    }

    /// Takes the first step of a call on the loop's thread. The loop drives the call by itself if it has little else to
    /// do; otherwise the threads of the runtime help, and what the call asks waits until [`begun`](Self::begun).
    pub fn begin(&self, runtime: &Handle, work: Work<T>) -> FirstStep<T> {
        let _entered = self.completions.enter(self.has_few_calls());
        Call::begin(runtime, work)
    }

    /// A number for a call, by which this loop hears of its end.
    pub fn receipt(&self) -> Receipt<T> {
        Receipt {
            event_loop: self.completions.clone(),
            number: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whether so few calls wait that the loop answers them fastest by itself.
    fn has_few_calls(&self) -> bool {
        self.batches.is_few(self.waiting().len())
    }

    /// A call has taken its first step: returns when the loop is to send what it gathered, so that what many callers
    /// ask in one turn goes out in a few batches. `None` when there is nothing to send.
    pub fn begun(&self) -> Option<Sending> {
        self.completions.has_gathered().then(|| self.batches.begun())
    }

    /// Notes which caller to wake when the call has ended; `false` when one waits already.
    pub fn wait_for(&self, call: u64, waiter: W) -> bool {
        match self.waiting().entry(call) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(waiter);
                true
            }
        }
    }

    /// The caller that waits for a call; from now on none does.
    pub fn forget(&self, call: u64) -> Option<W> {
        self.waiting().remove(&call)
    }

    /// All callers that wait, because the loop was closed; from now on none does.
    pub fn forget_all(&self) -> HashMap<u64, W> {
        std::mem::take(&mut *self.waiting())
    }

    /// Takes a turn: drives what can be driven, and returns the callers whose calls have ended. On the loop's thread.
    pub fn turn(&self) -> impl Iterator<Item = W> + '_ {
        self.batches.note(self.waiting().len());
        self.completions
            .turn()
            .into_iter()
            .filter_map(|call| self.forget(call))
    }

    /// After a turn, when its callers were woken: when to send what they will ask. `None` when they are so few that each
    /// sends for itself.
    pub fn turned(&self) -> Option<Sending> {
        (!self.has_few_calls()).then(|| self.batches.next_turn())
    }

    /// Sends what the loop has gathered. On the loop's thread.
    pub fn send(&self) {
        self.batches.sent();
        self.completions.send();
    }

    /// How many callers wait.
    pub fn waiting_count(&self) -> usize {
        self.waiting().len()
    }

    /// The callers that wait, unless a thread is just changing them: for a collector of garbage, which must not wait.
    pub fn try_waiting(&self) -> Option<MutexGuard<'_, HashMap<u64, W>>> {
        self.waiting.try_lock().ok()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, W>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use posada::bridge::Progress;
    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn runtime() -> Runtime {
        Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    }

    fn answer(call: &Call<u32>) -> Option<u32> {
        match call.take() {
            Progress::Ended(answer) => Some(answer),
            Progress::Lost | Progress::Pending => None,
        }
    }

    #[test]
    fn what_memory_answers_ends_in_the_first_step() {
        let (runtime, state) = (runtime(), LoopState::<u32, ()>::new().unwrap());
        let first = state.begin(runtime.handle(), Box::pin(async { 7 }));
        assert!(matches!(first, FirstStep::Ended(7)));
    }

    #[test]
    fn a_call_that_a_thread_of_the_runtime_ends_wakes_its_loop_once_and_its_waiter() {
        let (runtime, state) = (runtime(), LoopState::<u32, &str>::new().unwrap());
        let (tell, told) = oneshot::channel();
        let work = Box::pin(async move { told.await.unwrap() });
        let FirstStep::Unfinished(call, work) = state.begin(runtime.handle(), work) else {
            panic!("nothing was told yet");
        };
        let receipt = state.receipt();
        assert!(state.wait_for(receipt.number, "the guest's message"));
        assert!(
            !state.wait_for(receipt.number, "another"),
            "a call has one waiter"
        );
        call.continue_with(work, Some(receipt));
        runtime.spawn(async move { tell.send(7).unwrap() });
        assert!(state.completions().wait(SOON));
        assert_eq!(state.turn().collect::<Vec<_>>(), ["the guest's message"]);
        assert_eq!(answer(&call), Some(7));
        assert!(matches!(call.take(), Progress::Lost), "an answer is taken once");
        assert_eq!((state.waiting_count(), state.completions().wakeups()), (0, 1));
    }

    #[test]
    fn a_call_that_wakes_itself_goes_on_in_the_turn_of_its_loop() {
        let (runtime, state) = (runtime(), LoopState::<u32, ()>::new().unwrap());
        let work = Box::pin(async {
            let first = std::thread::current().id();
            tokio::task::yield_now().await;
            u32::from(first == std::thread::current().id())
        });
        let FirstStep::Unfinished(call, work) = state.begin(runtime.handle(), work) else {
            panic!("it gives way once");
        };
        let receipt = state.receipt();
        assert!(state.wait_for(receipt.number, ()));
        call.continue_with(work, Some(receipt));
        while state.turn().count() == 0 {
            assert!(state.completions().wait(SOON));
        }
        assert_eq!(answer(&call), Some(1));
    }

    #[test]
    fn a_cancelled_call_drops_its_work_wherever_it_is() {
        let (runtime, state) = (runtime(), LoopState::<u32, ()>::new().unwrap());
        for is_spawned in [false, true] {
            let (held, mut dropped) = oneshot::channel::<()>();
            let work = Box::pin(async move {
                let _held = held;
                std::future::pending().await
            });
            let call = if is_spawned {
                Call::spawned(runtime.handle(), work, state.receipt())
            } else {
                let FirstStep::Unfinished(call, work) = state.begin(runtime.handle(), work) else {
                    panic!("it waits for ever");
                };
                call.continue_with(work, Some(state.receipt()));
                call
            };
            call.cancel();
            assert!(runtime.block_on(&mut dropped).is_err());
            assert!(answer(&call).is_none());
        }
    }

    #[test]
    fn what_must_end_ends_although_its_call_was_cancelled_before_its_first_step() {
        let (runtime, state) = (runtime(), LoopState::<u32, ()>::new().unwrap());
        let (done, finished) = std::sync::mpsc::channel();
        let busy = runtime.spawn(async { std::thread::sleep(Duration::from_millis(20)) });
        let work = posada::bridge::to_the_end(runtime.handle(), async move {
            done.send(()).unwrap();
            7
        });
        Call::spawned(runtime.handle(), Box::pin(work), state.receipt()).cancel();
        finished.recv_timeout(SOON).unwrap();
        runtime.block_on(busy).unwrap();
    }

    #[test]
    fn a_call_that_panics_in_a_task_ends_without_an_answer() {
        let (runtime, state) = (runtime(), LoopState::<u32, &str>::new().unwrap());
        let receipt = state.receipt();
        assert!(state.wait_for(receipt.number, "a caller"));
        let work = Box::pin(async { panic!("on purpose") });
        let call = Call::spawned(runtime.handle(), work, receipt);
        assert!(state.completions().wait(SOON));
        assert_eq!(state.turn().count(), 1, "the caller is woken all the same");
        assert!(matches!(call.take(), Progress::Lost));
    }
}
