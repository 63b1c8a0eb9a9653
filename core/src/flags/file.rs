//! The snapshot file: the last good flags, for a start while Redis is down.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

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
