//! Many waiters for one lock: their order, and what a crowd costs.

use std::time::{Duration, Instant};

use posada::Posada;
use posada::locks::{AcquireOptions, LockGuard};
use posada_tests::{RedisServer, unique, wait_until};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::locks::on;

const HANDOVERS: u32 = 200;

fn patient() -> AcquireOptions {
    AcquireOptions::new()
        .ttl(Duration::from_mins(1))
        .wait(Duration::from_mins(5))
}

/// Starts a waiter that hands its guard to the channel, and so many of them.
fn queue_up(posada: &Posada, name: &str, crowd: usize) -> UnboundedReceiver<LockGuard> {
    let (granted, grants) = unbounded_channel();
    for _ in 0..crowd {
        let (posada, name, granted) = (posada.clone(), name.to_owned(), granted.clone());
        tokio::spawn(async move {
            let guard = posada.locks().acquire(&name, &patient()).await.unwrap();
            // At the end of the test nobody takes it any more.
            let _ = granted.send(guard);
        });
    }
    grants
}

async fn wait_for_waiters(posada: &Posada, name: &str, crowd: usize) {
    let begun = Instant::now();
    loop {
        let waiters = posada.locks().inspect(None, name).await.unwrap().unwrap().waiters;
        if waiters == crowd {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "{waiters} of {crowd} wait"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn twenty_waiters_of_two_processes_keep_their_order_within_one_place() {
    let server = RedisServer::start();
    let processes = [on(server.url()), on(server.url())];
    let name = unique("order");
    let waited = name.clone();
    let guard = processes[0].locks().acquire(&name, &patient()).await.unwrap();
    let (granted, mut grants) = unbounded_channel();
    for number in 0..20 {
        let (posada, name, granted) = (processes[number % 2].clone(), name.clone(), granted.clone());
        tokio::spawn(async move {
            let guard = posada.locks().acquire(&name, &patient()).await.unwrap();
            granted.send(number).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            guard.release().await.unwrap();
        });
        wait_for_waiters(&processes[0], &waited, number + 1).await;
    }
    guard.release().await.unwrap();
    for place in 0..20 {
        let number = grants.recv().await.unwrap();
        assert!(
            number.abs_diff(place) <= 1,
            "waiter {number} was served as number {place}"
        );
    }
}

/// What one hand-over costs the server with so many waiters: commands, those inside scripts included.
async fn commands_per_handover(crowd: usize) -> u64 {
    let server = RedisServer::start();
    let posada = on(server.url());
    let name = unique("crowd");
    let mut guard = posada.locks().acquire(&name, &patient()).await.unwrap();
    let mut grants = queue_up(&posada, &name, 1);
    wait_for_waiters(&posada, &name, 1).await;
    let (clients, memory) = (clients(&server), resident_kilobytes());
    let mut others = queue_up(&posada, &name, crowd - 1);
    wait_for_waiters(&posada, &name, crowd).await;
    let grown = resident_kilobytes().saturating_sub(memory);
    println!("{crowd} waiters: {grown} KB");
    // Other tests of this process allocate at the same time, so this bound is wide.
    assert!(grown < 20 * 10_000, "{crowd} waiters took {grown} KB");
    wait_until("a crowd has no connections of its own", || {
        let now = self::clients(&server);
        if now == clients {
            Ok(())
        } else {
            Err(format!("{now} clients after {clients}"))
        }
    });
    server.command::<()>(&["CONFIG", "RESETSTAT"]);
    let mut fence = guard.fence();
    for number in 0..HANDOVERS {
        guard.release().await.unwrap();
        guard = if number == 0 { &mut grants } else { &mut others }
            .recv()
            .await
            .unwrap();
        assert!(guard.fence() > fence);
        fence = guard.fence();
    }
    let commands = commands(&server) / u64::from(HANDOVERS);
    println!("{crowd} waiters: {commands} commands per hand-over");
    commands
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_waiters_share_their_process_s_connections_and_are_no_herd() {
    let (few, many) = (
        commands_per_handover(300).await,
        commands_per_handover(10_000).await,
    );
    assert!(
        many <= few + few / 2,
        "{few} commands for each hand-over among 300, {many} among 10,000"
    );
    assert!(many <= 20, "{many} commands for each hand-over");
}

/// The connections that are not ours for asking.
fn clients(server: &RedisServer) -> usize {
    let list: String = server.command(&["CLIENT", "LIST"]);
    list.lines().filter(|line| !line.contains("cmd=client")).count()
}

fn commands(server: &RedisServer) -> u64 {
    let statistics: String = server.command(&["INFO", "commandstats"]);
    let calls = statistics.split(":calls=").skip(1);
    calls
        .map(|rest| rest.split(',').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
