//! The guide `docs/guides/add-a-binding.md`, followed: a language whose event loop is this thread, and whose callers are
//! numbers.

#![allow(
    clippy::expect_used,
    reason = "helpers of a test stand outside of the functions that clippy knows as tests"
)]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use posada::{Posada, Result};
use posada_bindings::Refusal;
use posada_bindings::bridge::{
    Call, FirstStep, LoopState, OpenHandle, ProcessBound, Progress, RuntimeHandle, Sending, close_all,
    take_runtime,
};

/// What a call ends with: text, or the code of the refusal.
type Outcome = std::result::Result<String, &'static str>;

struct Language {
    runtime: RuntimeHandle,
    event_loop: LoopState<Outcome, u64>,
}

/// A call that was begun.
enum Begun {
    Answered(Outcome),
    Waiting(Arc<Call<Outcome>>, u64),
}

impl Language {
    fn start() -> Self {
        let runtime = RuntimeHandle::current().expect("this process has a runtime");
        let event_loop = LoopState::new().expect("this thread may have a loop");
        runtime.watch(event_loop.completions());
        Self { runtime, event_loop }
    }

    fn call(&self, work: impl Future<Output = Result<String>> + Send + 'static) -> Begun {
        let work = work.map(|answer| answer.map_err(|error| Refusal::from(error).facts().code));
        let handle = self.runtime.handle().expect("the runtime runs");
        match self.event_loop.begin(handle, Box::pin(work)) {
            FirstStep::Ended(answer) => Begun::Answered(answer),
            FirstStep::Panicked(panic) => std::panic::resume_unwind(panic),
            FirstStep::Unfinished(call, work) => {
                let receipt = self.event_loop.receipt();
                let number = receipt.number;
                assert!(self.event_loop.wait_for(number, number));
                self.runtime.keep_alive();
                call.continue_with(work, Some(receipt));
                if let Some(Sending::Now | Sending::NextTurn) = self.event_loop.begun() {
                    self.event_loop.send();
                }
                Begun::Waiting(call, number)
            }
        }
    }

    /// Takes turns until the call has ended.
    fn wait(&self, begun: Begun) -> Outcome {
        let (call, number) = match begun {
            Begun::Answered(answer) => return answer,
            Begun::Waiting(call, number) => (call, number),
        };
        loop {
            if let Progress::Ended(answer) = call.take() {
                return answer;
            }
            assert!(
                self.event_loop.completions().wait(Duration::from_secs(10)),
                "nothing comes"
            );
            let woken: Vec<u64> = self.event_loop.turn().collect();
            assert!(woken.iter().all(|woken| *woken == number));
            if self.event_loop.turned().is_some() {
                self.event_loop.send();
            }
        }
    }
}

#[test]
fn a_language_makes_calls_is_refused_cancels_and_closes() {
    let language = Language::start();
    let inside = language.runtime.handle().unwrap().enter();
    let posada = Posada::embedded();
    drop(inside);
    let open = OpenHandle::note(&posada);
    let handle = ProcessBound::new(posada, language.runtime.clone());

    let posada = handle.get().unwrap().clone();
    let created = language.call(async move {
        let session = posada
            .sessions()
            .get_or_create(None, "5491187654321", "whatsapp")
            .await?;
        Ok(session.user().to_owned())
    });
    assert_eq!(language.wait(created).as_deref(), Ok("5491187654321"));

    let refused = language.call(async { posada::TenantId::parse("").map(|id| id.to_string()) });
    assert_eq!(language.wait(refused), Err("tenants.invalid_id"));

    let gives_way = language.call(async {
        tokio::task::yield_now().await;
        Ok("later".to_owned())
    });
    assert_eq!(language.wait(gives_way).as_deref(), Ok("later"));

    let Begun::Waiting(call, number) = language.call(std::future::pending()) else {
        panic!("it never ends");
    };
    call.cancel();
    assert_eq!(language.event_loop.forget(number), Some(number));
    assert_eq!(language.event_loop.waiting_count(), 0);

    drop(open.forget());
    let runtime = take_runtime().unwrap();
    close_all(&runtime, Duration::from_secs(3));
    runtime.shutdown_timeout(Duration::from_secs(3));
    assert_eq!(handle.get().err().unwrap().facts().code, "posada.closed");
}
