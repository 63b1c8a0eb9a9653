//! The snapshot file: the last good flags, for a start while Redis is down.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::FeatureFlags;
use super::adopt::{Adopted, Evidence, adopt};
use super::history::History;
use super::store::{RawFlags, RawLayer};
use super::view::{Layer, View};
use crate::disk;
use crate::tenants::TenantId;

const NAME: &str = "flags.json";

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    version: u64,
    /// The ids of the last writes, the newest first.
    #[serde(default)]
    writes: Vec<String>,
    /// When Redis confirmed it.
    pub(super) confirmed: DateTime<Utc>,
    global: RawLayer,
    tenants: BTreeMap<String, RawLayer>,
    /// What Redis had lost.
    #[serde(default)]
    lost: Vec<SavedLoss>,
}

/// A field that differs from what Redis has, because Redis lost it.
#[derive(Debug, Serialize, Deserialize)]
struct SavedLoss {
    tenant: Option<String>,
    flag: String,
    /// What Redis has in its place.
    instead: Option<String>,
}

impl Saved {
    pub(super) fn new(view: &View, history: &History, confirmed: DateTime<Utc>) -> Self {
        let layers = view
            .tenants
            .iter()
            .map(|(tenant, overrides)| (Some(tenant), &overrides.flags));
        let lost = std::iter::once((None, &view.global))
            .chain(layers)
            .flat_map(|(tenant, layer)| layer.iter().map(move |field| (tenant, field)))
            .filter(|(_, (_, entry))| entry.lost)
            .map(|(tenant, (flag, entry))| SavedLoss {
                tenant: tenant.map(ToString::to_string),
                flag: flag.to_string(),
                instead: entry.instead.as_deref().map(Into::into),
            });
        Self {
            version: history.version(),
            writes: history.ids().cloned().collect(),
            lost: lost.collect(),
            confirmed,
            global: raw(&view.global),
            tenants: view
                .tenants
                .iter()
                .filter(|(_, overrides)| !overrides.flags.is_empty())
                .map(|(tenant, overrides)| (tenant.as_str().to_owned(), raw(&overrides.flags)))
                .collect(),
        }
    }

    /// Writes the file. Blocks.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<()> {
        disk::replace(&folder.join(NAME), &serde_json::to_vec(self)?)
    }

    /// Reads the file, if there is one. Blocks.
    pub(super) fn read(folder: &Path) -> std::io::Result<Option<Self>> {
        match disk::read(&folder.join(NAME)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The view of the earlier process, and what it knew of writes.
    fn restore(self, present: &View) -> (Adopted, History) {
        let tenants = self.tenants.into_iter();
        let raw = RawFlags {
            global: self.global,
            tenants: tenants
                .filter_map(|(tenant, layer)| Some((TenantId::parse(&tenant).ok()?, layer)))
                .collect(),
            ..RawFlags::default()
        };
        let evidence = Evidence {
            explained: &HashSet::new(),
            budget: 0,
            is_older: false,
            trust: true,
            complete: true,
        };
        let mut adopted = adopt(present, &raw, &evidence);
        for SavedLoss {
            tenant,
            flag,
            instead,
        } in self.lost
        {
            let Ok(tenant) = tenant.as_deref().map(TenantId::parse).transpose() else {
                continue;
            };
            adopted.view.lose((tenant, flag.into()), instead.as_deref());
        }
        (adopted, History::at(self.version, self.writes))
    }
}

fn raw(layer: &Layer) -> RawLayer {
    layer
        .iter()
        .filter(|(_, entry)| !entry.is_unset())
        .map(|(flag, entry)| (flag.to_string(), entry.raw.to_string()))
        .collect()
}

impl FeatureFlags {
    /// Reads the snapshot file before the first load, whose answer is then judged against it: a Redis that lost
    /// everything is noticed by a process that starts only now. The caller has the turn.
    pub(super) async fn restore(&self) {
        let Some(folder) = self.0.follower.options.snapshot_dir.clone() else {
            return;
        };
        if self.0.follower.restored.swap(true, Ordering::Relaxed) {
            return;
        }
        let read = tokio::task::spawn_blocking(move || Saved::read(&folder)).await;
        let saved = match read {
            Ok(Ok(Some(saved))) => saved,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the snapshot of the flags cannot be read");
                return;
            }
        };
        let age = (self.0.clock.now() - saved.confirmed)
            .to_std()
            .unwrap_or_default();
        let mut ledger = self.0.follower.ledger();
        let (adopted, history) = saved.restore(&self.0.view.load());
        ledger.history = history;
        self.0.follower.health.restore(&*self.0.clock, age);
        self.publish(adopted.view, adopted.changed);
    }

    /// Writes the snapshot file. The caller has the turn.
    pub(super) async fn save(&self) {
        let follower = &self.0.follower;
        let Some(folder) = follower.options.snapshot_dir.clone() else {
            return;
        };
        let saved = Saved::new(
            &self.0.view.load(),
            &follower.ledger().history,
            self.0.clock.now(),
        );
        let written = tokio::task::spawn_blocking(move || saved.write(&folder)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the snapshot of the flags cannot be written");
        }
    }
}
