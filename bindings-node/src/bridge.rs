//! The calls of one environment.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::Status;
use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use posada::bridge::{EventLoop, FirstStep, Progress, Receipt, Work};
use posada::error::codes;
use posada_bindings::Refusal;
use posada_bindings::bridge::{Call, RuntimeHandle};

use crate::arguments::Arguments;
use crate::methods;
use crate::outcome::{self, Outcome};
use crate::target::{self, Target};

/// Tells the event loop that calls have ended. Weak: it keeps no process alive.
type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// The calls that JavaScript waits for, and those that have ended since it looked.
struct Waiting {
    calls: Mutex<HashMap<u64, Arc<Call<Outcome>>>>,
    ended: Mutex<Vec<u64>>,
    /// Calls that were woken while their first step was taken: the loop takes the next one.
    woken: Mutex<Vec<Arc<Call<Outcome>>>>,
    is_woken: AtomicBool,
    wake: Wake,
}

impl Waiting {
    /// Has the loop come round: once for all that happens until then.
    fn wake(&self) {
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            self.wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}

impl EventLoop<Outcome> for Waiting {
    /// The loop drives no connection by itself.
    fn is_entered(&self) -> bool {
        false
    }

    fn schedule(&self, call: Arc<Call<Outcome>>) {
        lock(&self.woken).push(call);
        self.wake();
    }

    fn ended(&self, number: u64) {
        lock(&self.ended).push(number);
        self.wake();
    }
}

/// The way of calls from one environment to the runtime and back.
#[napi]
pub struct Bridge {
    waiting: Arc<Waiting>,
    next: AtomicU32,
}

#[napi]
impl Bridge {
    /// `wake` is called on the loop's thread when `settled` has something to tell.
    #[napi(constructor)]
    pub fn new(wake: Function<'_, (), ()>) -> napi::Result<Self> {
        let wake = wake
            .build_threadsafe_function()
            .callee_handled::<false>()
            .weak::<true>()
            .build()?;
        Ok(Self {
            waiting: Arc::new(Waiting {
                calls: Mutex::default(),
                ended: Mutex::default(),
                woken: Mutex::default(),
                is_woken: AtomicBool::new(false),
                wake,
            }),
            next: AtomicU32::new(1),
        })
    }

    /// Begins a call: `=` and its answer, `!` and its error, or `#` and its number.
    #[napi]
    pub fn begin(&self, target: &Target, method: String, arguments: String) -> String {
        let begun = (|| {
            let arguments = Arguments::read(&arguments)?;
            let work = methods::work(target.services(), &method, &arguments)?;
            self.start(target.runtime(), work)
        })();
        begun.unwrap_or_else(|refusal| format!("!{}", outcome::error(refusal)))
    }

    /// Begins to connect; the answer is a number for `Target.opened`.
    #[napi]
    pub fn connect(&self, variables: String, flags: String) -> String {
        let begun = (|| {
            let runtime = RuntimeHandle::current().map_err(|error| no_runtime(&error))?;
            let work = target::connecting(&runtime, &variables, &flags)?;
            self.start(&runtime, work)
        })();
        begun.unwrap_or_else(|refusal| format!("!{}", outcome::error(refusal)))
    }

    /// The calls that have ended: a number, then `=` and an answer or `!` and an error, one after the other.
    #[napi]
    pub fn settled(&self) -> Vec<String> {
        // Before the numbers are taken: one that is pushed in between wakes the loop once in vain.
        self.waiting.is_woken.store(false, Ordering::Release);
        let woken = std::mem::take(&mut *lock(&self.waiting.woken));
        let stepped: Vec<u64> = woken.iter().filter_map(Call::step).collect();
        let mut ended = std::mem::take(&mut *lock(&self.waiting.ended));
        ended.extend(stepped);
        let mut told = Vec::with_capacity(ended.len() * 2);
        for number in ended {
            let Some(call) = lock(&self.waiting.calls).remove(&number) else {
                continue;
            };
            told.push(number.to_string());
            told.push(match call.take() {
                Progress::Ended(outcome) => text(outcome),
                Progress::Lost | Progress::Pending => text(Err(lost())),
            });
        }
        told
    }

    /// Gives a call up. What it reads is dropped; what it writes ends all the same.
    #[napi]
    pub fn give_up(&self, number: u32) {
        let call = lock(&self.waiting.calls).remove(&u64::from(number));
        if let Some(call) = call {
            call.cancel();
        }
    }

    /// How many calls wait: for tests.
    #[napi(getter)]
    pub fn waiting(&self) -> u32 {
        u32::try_from(lock(&self.waiting.calls).len()).unwrap_or(u32::MAX)
    }

    fn start(&self, runtime: &RuntimeHandle, work: Work<Outcome>) -> Result<String, Refusal> {
        let handle = runtime.handle()?;
        match Call::begin(handle, work) {
            FirstStep::Ended(outcome) => Ok(text(outcome)),
            FirstStep::Panicked(_) => Ok(text(Err(lost()))),
            FirstStep::Unfinished(call, work) => {
                let number = u64::from(self.next.fetch_add(1, Ordering::Relaxed));
                lock(&self.waiting.calls).insert(number, call.clone());
                let event_loop = self.waiting.clone();
                call.continue_with(work, Some(Receipt { event_loop, number }));
                Ok(format!("#{number}"))
            }
        }
    }
}

fn text(outcome: Outcome) -> String {
    match outcome {
        Ok(answer) => format!("={answer}"),
        Err(refusal) => format!("!{}", outcome::error(refusal)),
    }
}

/// The work panicked, which its own message on standard error says, or the runtime ended.
fn lost() -> Refusal {
    Refusal::own(
        codes::POSADA_INTERNAL,
        "the call ended without an answer".to_owned(),
    )
}

/// The system starts no thread.
pub(crate) fn no_runtime(error: &std::io::Error) -> Refusal {
    Refusal::own(
        codes::POSADA_INTERNAL,
        format!("no thread can be started: {error}"),
    )
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
