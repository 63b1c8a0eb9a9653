//! What the disk remembers, so that a restart during an outage still knows its hotels.
//!
//! One JSON file with a checksum, written beside and renamed over the old one, so that a reader sees one or the
//! other. A file that is damaged, or of another version, counts as none. It holds guests' addresses: only its
//! owner may read it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha1::{Digest as _, Sha1};
use tokio::sync::Notify;

use super::TenantId;
use super::answer::Answer;
use super::identifier::{Identifier, IdentifierKind};
use super::lookup::Inner;
use super::model::{BusinessHours, Tenant, TenantStatus};
use super::question::Target;
use super::resolution::Verdict;
use crate::disk;
use crate::hex::hex;
use crate::task::Tasks;

/// How long changes gather before they are written.
const PAUSE: Duration = Duration::from_secs(2);
const FORMAT: u32 = 1;

/// One file.
#[derive(Debug)]
pub(super) struct Snapshot {
    path: PathBuf,
    changes: Arc<Notify>,
}

/// One answer that an earlier process left.
pub(super) struct SnapshotEntry {
    pub(super) target: Target,
    pub(super) verdict: Verdict,
    pub(super) fetched: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct SnapshotFile {
    format: u32,
    checksum: String,
    body: Box<RawValue>,
}

#[derive(Serialize, Deserialize, Default)]
struct Body {
    tenants: BTreeMap<String, StoredTenant>,
    answers: Vec<StoredAnswer>,
}

#[derive(Serialize, Deserialize)]
struct StoredTenant {
    name: String,
    active: bool,
    start: Option<u8>,
    end: Option<u8>,
    timezone: Option<String>,
    created_millis: Option<i64>,
    updated_millis: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct StoredAnswer {
    /// `email`, `phone`, `host`, `account`, or `tenant` for a tenant by its id.
    kind: String,
    text: String,
    tenants: Vec<String>,
    fetched_millis: i64,
}

impl Snapshot {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self {
            path: folder.join("tenants.json"),
            changes: Arc::default(),
        }
    }

    /// Notified when there is something to write.
    pub(super) fn changes(&self) -> Arc<Notify> {
        self.changes.clone()
    }

    /// What was kept; nothing when there is no usable file.
    pub(super) async fn read(&self) -> Vec<SnapshotEntry> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
        match read {
            Ok(Ok(body)) => body.into_kept(),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the snapshot of tenants cannot be used");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    /// Writes what is remembered. `now` is the moment of the answers' own clock, `wall` the same in UTC.
    pub(super) async fn write(
        &self,
        answers: Vec<(Target, Option<Arc<Answer>>)>,
        now: i64,
        wall: DateTime<Utc>,
    ) {
        let path = self.path.clone();
        let write = move || write_file(&path, &Body::of(answers, now, wall));
        if let Ok(Err(error)) = tokio::task::spawn_blocking(write).await {
            tracing::warn!(%error, "the snapshot of tenants cannot be written");
        }
    }
}

/// Writes some time after each change, and once more when the handle is closed.
pub(super) async fn write_when_changed(inner: Weak<Inner>, changes: Arc<Notify>, tasks: Tasks) {
    let stopping = tasks.stopping();
    let mut open = true;
    while open {
        tokio::select! {
            () = changes.notified() => {}
            () = stopping.cancelled() => open = false,
        }
        if open {
            // Not a wait for something: only so that a burst of changes costs one write.
            tasks.pause(PAUSE).await;
        }
        let Some(inner) = inner.upgrade() else { return };
        inner.save_snapshot().await;
    }
}

impl Body {
    fn of(answers: Vec<(Target, Option<Arc<Answer>>)>, now: i64, wall: DateTime<Utc>) -> Self {
        let mut body = Self::default();
        let mut newest = BTreeMap::new();
        for (target, answer) in answers {
            let Some(answer) = answer else { continue };
            let tenants = answer.verdict.tenants();
            for tenant in tenants {
                // Two answers may hold two states of a tenant; the later one is right.
                let known = newest.entry(tenant.id.to_string()).or_insert(i64::MIN);
                if *known <= answer.fetched {
                    *known = answer.fetched;
                    body.tenants
                        .insert(tenant.id.to_string(), StoredTenant::of(tenant));
                }
            }
            let (kind, text) = match &target {
                Target::Identifier(identifier) => (identifier.kind().as_str(), identifier.to_string()),
                Target::Tenant(id) => ("tenant", id.to_string()),
            };
            body.answers.push(StoredAnswer {
                kind: kind.to_owned(),
                text,
                tenants: tenants.iter().map(|tenant| tenant.id.to_string()).collect(),
                fetched_millis: wall.timestamp_millis() - (now - answer.fetched),
            });
        }
        body
    }

    fn into_kept(self) -> Vec<SnapshotEntry> {
        let restore =
            |(id, stored): (String, StoredTenant)| Some((id.clone(), Arc::new(stored.restore(&id)?)));
        let tenants: BTreeMap<_, _> = self.tenants.into_iter().filter_map(restore).collect();
        let answers = self.answers.into_iter();
        answers
            .filter_map(|answer| {
                let owners: Option<Vec<_>> =
                    answer.tenants.iter().map(|id| tenants.get(id).cloned()).collect();
                Some(SnapshotEntry {
                    target: read_target(&answer.kind, &answer.text)?,
                    verdict: Verdict::of(owners?),
                    fetched: DateTime::from_timestamp_millis(answer.fetched_millis)?,
                })
            })
            .filter(|kept| kept.verdict != Verdict::Unknown)
            .collect()
    }
}

impl StoredTenant {
    fn of(tenant: &Tenant) -> Self {
        Self {
            name: tenant.name.clone(),
            active: tenant.is_active(),
            start: tenant.business_hours.start,
            end: tenant.business_hours.end,
            timezone: tenant.business_hours.timezone.clone(),
            created_millis: tenant.created_at.map(|time| time.timestamp_millis()),
            updated_millis: tenant.updated_at.map(|time| time.timestamp_millis()),
        }
    }

    fn restore(self, id: &str) -> Option<Tenant> {
        let mut tenant = Tenant::bare(TenantId::parse(id).ok()?);
        tenant.name = self.name;
        tenant.status = if self.active {
            TenantStatus::Active
        } else {
            TenantStatus::Inactive
        };
        tenant.business_hours =
            BusinessHours::from_columns(self.start.map(i32::from), self.end.map(i32::from), self.timezone);
        tenant.created_at = self.created_millis.and_then(DateTime::from_timestamp_millis);
        tenant.updated_at = self.updated_millis.and_then(DateTime::from_timestamp_millis);
        Some(tenant)
    }
}

fn read_target(kind: &str, text: &str) -> Option<Target> {
    let hint = match kind {
        "tenant" => return Some(Target::Tenant(TenantId::parse(text).ok()?)),
        "phone" => IdentifierKind::Phone.hint(),
        "host" => IdentifierKind::Host.hint(),
        "email" => IdentifierKind::Email.hint(),
        "account" => IdentifierKind::Account.hint(),
        _ => return None,
    };
    Some(Target::Identifier(Identifier::parse_hinted(text, hint).ok()?))
}

fn read_file(path: &Path) -> io::Result<Body> {
    let envelope: SnapshotFile = serde_json::from_slice(&disk::read(path)?)?;
    if envelope.format != FORMAT || envelope.checksum != checksum(&envelope.body) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "wrong version or checksum",
        ));
    }
    Ok(serde_json::from_str(envelope.body.get())?)
}

fn write_file(path: &Path, body: &Body) -> io::Result<()> {
    let body = serde_json::value::to_raw_value(body)?;
    let envelope = SnapshotFile {
        format: FORMAT,
        checksum: checksum(&body),
        body,
    };
    disk::replace(path, &serde_json::to_vec(&envelope)?)
}

fn checksum(body: &RawValue) -> String {
    hex(&Sha1::digest(body.get().as_bytes()))
}
