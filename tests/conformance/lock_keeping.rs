//! What it costs to keep locks alive on a cluster, where one call cannot have the locks of two slots.

use std::time::Duration;

use posada::Posada;
use posada::locks::{AcquireOptions, LockGuard};
use posada_tests::RedisCluster;

use crate::locks::on;

/// Scripts, and reads from sockets that had requests in them, on all nodes so far.
fn work(cluster: &mut RedisCluster) -> (u64, u64) {
    let (mut scripts, mut reads) = (0, 0);
    for node in cluster.nodes() {
        let statistics: String = node.command(&["INFO", "everything"]);
        let number = |prefix: &str| -> u64 {
            let line = statistics.lines().find_map(|line| line.strip_prefix(prefix));
            line.map_or(0, |rest| rest.split([',', '\r']).next().unwrap().parse().unwrap())
        };
        scripts += number("cmdstat_evalsha:calls=");
        reads += number("total_reads_processed:");
    }
    (scripts, reads)
}

async fn keep(posada: &Posada, names: impl Iterator<Item = String>) -> Vec<LockGuard> {
    let options = AcquireOptions::new()
        .ttl(Duration::from_secs(2))
        .auto_extend(true);
    let taken = names.map(|name| {
        let (locks, options) = (posada.locks().clone(), options.clone());
        async move { locks.acquire(&name, &options).await }
    });
    futures_util::future::try_join_all(taken).await.unwrap()
}

/// Waits until each of these locks was extended once more.
async fn extended(guards: &[LockGuard]) {
    let ends: Vec<_> = guards.iter().map(LockGuard::expires_at).collect();
    let all = async {
        for (guard, end) in guards.iter().zip(ends) {
            while guard.expires_at() <= end {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
}

#[tokio::test]
async fn locks_of_one_group_are_extended_in_one_call() {
    let mut cluster = RedisCluster::start(3);
    let posada = on(cluster.url());
    let guards = keep(&posada, (0..60).map(|number| format!("{{group}}:{number}"))).await;
    extended(&guards).await;
    let before = work(&mut cluster);
    for _ in 0..3 {
        extended(&guards).await;
    }
    let scripts = work(&mut cluster).0 - before.0;
    // A few rounds of one or two calls; one for each lock would be 180.
    assert!((3..=20).contains(&scripts), "{scripts} calls");
}

#[tokio::test]
async fn locks_of_different_slots_share_the_round_trips_to_their_nodes() {
    let mut cluster = RedisCluster::start(3);
    let posada = on(cluster.url());
    let guards = keep(&posada, (0..120).map(|number| format!("kept-{number}"))).await;
    extended(&guards).await;
    let before = work(&mut cluster);
    for _ in 0..3 {
        extended(&guards).await;
    }
    let after = work(&mut cluster);
    let (scripts, reads) = (after.0 - before.0, after.1 - before.1);
    println!("{scripts} extensions in {reads} reads");
    assert!(scripts >= 360, "only {scripts} extensions");
    // One after the other they would be as many reads as extensions. What remains is the talk of the nodes, the look
    // at the statistics, and a read for each piece of a round that did not come in one.
    assert!(reads < scripts / 3, "{scripts} extensions in {reads} reads");
}
