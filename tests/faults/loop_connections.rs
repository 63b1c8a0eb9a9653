//! What an event loop of another language may do to the connections that it drives.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::poll;
use posada::bridge::LoopConnections;
use posada::settings::RedisSettings;
use posada::testkit::Proxy;
use posada::testkit::redis::Probe;
use posada_tests::{EventLoop, RedisServer, servers, unique};

fn settings(url: &str, deadline: Duration) -> RedisSettings {
    let mut settings = RedisSettings::parse(url).unwrap();
    settings.command_timeout = deadline;
    settings.connect_timeout = deadline;
    settings
}

fn patient(url: &str) -> Probe {
    Probe::new(&settings(url, Duration::from_secs(10))).unwrap()
}

/// Wakes an event loop that has one future.
struct LoopWaker {
    connections: LoopConnections,
    is_woken: AtomicBool,
}

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.connections.wake();
    }
}

/// An event loop on this very thread.
fn drive<T>(connections: &LoopConnections, future: impl Future<Output = T>) -> T {
    let loop_waker = Arc::new(LoopWaker {
        connections: connections.clone(),
        is_woken: AtomicBool::new(true),
    });
    let waker = Waker::from(loop_waker.clone());
    let mut future = std::pin::pin!(future);
    loop {
        if loop_waker.is_woken.swap(false, Ordering::AcqRel) {
            let _here = connections.enter();
            if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return answer;
            }
        }
        assert!(connections.wait(Duration::from_secs(10)), "nothing comes");
        connections.turn(|| {});
    }
}

#[test]
fn answers_come_although_no_thread_of_tokio_is_free() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let (connections, probe, key) = (
        LoopConnections::new().unwrap(),
        patient(servers::redis().url()),
        unique("n"),
    );
    assert_eq!(drive(&connections, probe.increment(&key)).unwrap(), 1);

    let (busy, is_busy) = mpsc::channel();
    let (free, is_free) = mpsc::channel::<()>();
    runtime.spawn(async move {
        busy.send(()).unwrap();
        let _ = is_free.recv();
    });
    is_busy.recv().unwrap();
    for number in 2..100 {
        assert_eq!(drive(&connections, probe.increment(&key)).unwrap(), number);
    }
    drop(free);
}

#[tokio::test]
async fn an_event_loop_that_stands_still_delays_its_own_answers_only_and_loses_none() {
    let deadline = Duration::from_millis(300);
    let probe = Probe::new(&settings(servers::redis().url(), deadline)).unwrap();
    let (event_loop, key) = (EventLoop::start(), unique("n"));
    assert_eq!(event_loop.within(probe.increment(&key)).await.unwrap(), 1);

    let standing = event_loop.stand_still().await;
    let asked = event_loop.within(probe.increment(&key));
    tokio::pin!(asked);
    assert!(poll!(&mut asked).is_pending());
    // All others are answered: they have a connection of their own.
    while probe.get(&key).await.unwrap().as_deref() != Some("2") {}
    assert!(poll!(&mut asked).is_pending());
    // At its deadline the answer is found that nobody has read.
    assert_eq!(asked.await.unwrap(), 2);
    drop(standing);
    assert_eq!(event_loop.within(probe.increment(&key)).await.unwrap(), 3);
}

#[tokio::test]
async fn what_an_event_loop_leaves_behind_is_driven_by_tokio() {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.url()).await;
    let probe = patient(proxy.url());
    let event_loop = EventLoop::start();
    assert_eq!(event_loop.within(probe.increment("n")).await.unwrap(), 1);

    let before = proxy.requests();
    proxy.hold_answers();
    let mut asked = Box::pin(probe.increment("n"));
    assert!(poll!(Box::pin(event_loop.within(&mut asked))).is_pending());
    proxy.wait_for_requests(before + 1).await;
    drop(event_loop);
    proxy.heal();
    assert_eq!(asked.await.unwrap(), 2);
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn each_event_loop_has_a_connection_and_all_others_share_one() {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.url()).await;
    let probe = patient(proxy.url());
    let event_loops = [EventLoop::start(), EventLoop::start()];
    for turn in 0..3 {
        for (place, event_loop) in event_loops.iter().enumerate() {
            let expected = turn * 3 + i64::try_from(place).unwrap() + 1;
            assert_eq!(event_loop.within(probe.increment("n")).await.unwrap(), expected);
        }
        assert_eq!(probe.increment("n").await.unwrap(), turn * 3 + 3);
    }
    assert_eq!(proxy.connections(), 3);
}

#[tokio::test]
async fn questions_and_answers_that_no_socket_holds_at_once_arrive_whole() {
    let (probe, event_loop, key) = (
        patient(servers::redis().url()),
        EventLoop::start(),
        unique("text"),
    );
    let text = "0123456789abcdef".repeat(1 << 20);
    assert_eq!(
        event_loop.within(probe.append(&key, &text)).await.unwrap(),
        text.len()
    );
    let stored = event_loop.within(probe.get(&key)).await.unwrap().unwrap();
    assert!(
        stored == text,
        "{} bytes of {} came back",
        stored.len(),
        text.len()
    );
}

#[tokio::test]
async fn many_questions_at_once_are_each_answered() {
    let (probe, event_loop) = (patient(servers::redis().url()), EventLoop::start());
    let keys: Vec<String> = (0..200).map(|_| unique("n")).collect();
    for expected in 1..=20 {
        let all = keys.iter().map(|key| event_loop.within(probe.increment(key)));
        for answer in futures_util::future::join_all(all).await {
            assert_eq!(answer.unwrap(), expected);
        }
    }
}
