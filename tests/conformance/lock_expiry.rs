//! A lock or a hold that ended by itself is audited once, whoever of many processes meets it, and by whatever step.

use std::time::Duration;

use posada::locks::{AcquireOptions, AuditEvent, Resource, StayHold};
use posada::{Posada, Stay};
use posada_tests::{servers, unique};

use crate::locks::on;

const BRIEF: Duration = Duration::from_millis(150);

/// How many rows of this key all these processes have that say that it expired. Each has an audit of its own.
async fn expired(processes: &[Posada], key: &str) -> usize {
    let mut count = 0;
    for posada in processes {
        posada.locks().flush_audit(Duration::from_secs(5)).await.unwrap();
        let rows = posada.locks().audit(key, 100).await.unwrap();
        count += rows.iter().filter(|row| row.event == AuditEvent::Expired).count();
    }
    count
}

#[tokio::test]
async fn a_lock_that_ended_by_itself_is_audited_once() {
    for url in [servers::redis().url(), servers::cluster().url()] {
        let processes: Vec<_> = (0..6).map(|_| on(url)).collect();
        let group = unique("expired");
        let (name, other) = (format!("{{{group}}}a"), format!("{{{group}}}b"));
        let brief = AcquireOptions::new().ttl(BRIEF);
        let dead = processes[0].locks().acquire(&name, &brief).await.unwrap();
        dead.lost().await;
        // The server counts a little longer than the holder dares to.
        while processes[0].locks().inspect(None, &name).await.unwrap().is_some() {}
        // `b` is held, so the requests for both are refused after they met `a`.
        let _held = processes[1]
            .locks()
            .acquire(&other, &AcquireOptions::new())
            .await
            .unwrap();
        let each = processes.iter().enumerate().map(|(number, posada)| {
            let (locks, name, other) = (posada.locks(), &name, &other);
            async move {
                let options = AcquireOptions::new();
                match number % 3 {
                    0 => drop(locks.acquire_all(&[name, other], &options).await),
                    1 => drop(locks.try_acquire(name, &options).await.unwrap()),
                    _ => drop(locks.force_release(None, name, "a test").await.unwrap()),
                }
            }
        });
        futures_util::future::join_all(each).await;
        dead.release().await.unwrap();
        assert_eq!(expired(&processes, &name).await, 1, "on {url}");
    }
}

#[tokio::test]
async fn a_hold_that_ended_by_itself_is_audited_once() {
    for url in [servers::redis().url(), servers::cluster().url()] {
        let processes: Vec<_> = (0..6).map(|_| on(url)).collect();
        let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
        let (room, full) = (
            Resource::room(&unique("a")).unwrap(),
            Resource::room(&unique("b")).unwrap(),
        );
        let brief = StayHold::new(room.clone(), stay).ttl(BRIEF);
        let dead = processes[0].locks().hold_stay(&brief).await.unwrap();
        let key = dead.audit_key();
        processes[1]
            .locks()
            .hold_stay(&StayHold::new(full.clone(), stay))
            .await
            .unwrap();
        // The servers read the clock of this machine.
        while chrono::Utc::now() <= dead.expires_at() {
            tokio::task::yield_now().await;
        }
        let both = [StayHold::new(room.clone(), stay), StayHold::new(full, stay)];
        let each = processes.iter().enumerate().map(|(number, posada)| {
            let (locks, room, both) = (posada.locks(), &room, &both);
            async move {
                match number % 3 {
                    0 => drop(locks.hold_stays(both).await),
                    1 => drop(locks.sweep().await.unwrap()),
                    _ => drop(locks.holds(None, room, stay).await.unwrap()),
                }
            }
        });
        futures_util::future::join_all(each).await;
        dead.release().await.unwrap();
        assert_eq!(expired(&processes, &key).await, 1, "on {url}");
    }
}
