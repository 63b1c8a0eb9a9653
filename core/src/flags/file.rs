//! The snapshot file: the last good flags, for a start while Redis is down.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::FeatureFlags;
use super::adopt::{Judgement, adopt};
use super::store::{RawFlags, RawLayer};
use super::view::{Layer, View};
use crate::tenants::TenantId;

const NAME: &str = "flags.json";

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    version: u64,
    /// When Redis confirmed it.
    pub(super) confirmed: DateTime<Utc>,
    global: RawLayer,
    tenants: BTreeMap<String, RawLayer>,
}

impl Saved {
    pub(super) fn new(view: &View, version: u64, confirmed: DateTime<Utc>) -> Self {
        Self {
            version,
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

    /// Writes the file beside its place and renames it, so that a reader sees all of it or the one before.
    /// Blocks.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let draft = folder.join(format!("{NAME}.{}.new", std::process::id()));
        let mut file = std::fs::File::create(&draft)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(&draft, folder.join(NAME))
    }

    /// Reads the file, if there is one. Blocks.
    pub(super) fn read(folder: &Path) -> std::io::Result<Option<Self>> {
        match std::fs::read(folder.join(NAME)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn into_raw(self) -> RawFlags {
        RawFlags {
            version: self.version,
            global: self.global,
            tenants: self
                .tenants
                .into_iter()
                .filter_map(|(tenant, layer)| Some((TenantId::parse(&tenant).ok()?, layer)))
                .collect(),
        }
    }
}

fn raw(layer: &Layer) -> RawLayer {
    layer
        .iter()
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
        let raw = saved.into_raw();
        let mut ledger = self.0.follower.ledger();
        let judgement = Judgement {
            explained: &HashSet::new(),
            budget: 0,
            trust: true,
            complete: true,
        };
        let adopted = adopt(&self.0.view.load(), &raw, &judgement);
        ledger.version = raw.version;
        self.0.follower.health.restore(&*self.0.clock, age);
        self.publish(adopted.view, adopted.changed);
    }

    /// Writes the snapshot file. The caller has the turn.
    pub(super) async fn save(&self) {
        let follower = &self.0.follower;
        let Some(folder) = follower.options.snapshot_dir.clone() else {
            return;
        };
        let version = follower.ledger().version;
        let saved = Saved::new(&self.0.view.load(), version, self.0.clock.now());
        let written = tokio::task::spawn_blocking(move || saved.write(&folder)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the snapshot of the flags cannot be written");
        }
    }
}
