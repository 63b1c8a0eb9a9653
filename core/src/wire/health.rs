//! How the servers are.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::doctor::{Diagnosis, Finding, Severity};
use crate::health::{Check, Health};
use crate::migrations::Applied;

names! { Check, Severity }

members! {
    Applied { migrations, version }
    Finding { code, severity, seen, remedy }
}

/// As dashboards have read it from the first version on.
fn moment(timestamp: DateTime<Utc>) -> String {
    timestamp.to_rfc3339_opts(SecondsFormat::Micros, false)
}

impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Health", 4)?;
        object.serialize_field("status", self.status())?;
        object.serialize_field("postgres", &self.postgres)?;
        object.serialize_field("redis", &self.redis)?;
        object.serialize_field("timestamp", &moment(self.timestamp))?;
        object.end()
    }
}

impl Serialize for Diagnosis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Diagnosis", 3)?;
        object.serialize_field("severity", &self.severity())?;
        object.serialize_field("timestamp", &moment(self.timestamp))?;
        object.serialize_field("findings", &self.findings)?;
        object.end()
    }
}
