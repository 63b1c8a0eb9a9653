//! Flags in Redis: the app's hash, one more hash per tenant, a version, a log of the last writes, and a channel.
//!
//! A write goes to the hash first, then to the version and the log, then to the channel: a process that hears the
//! notice finds the value. One server does all of it in one script, which knows by the log when it runs for a second
//! time because the first answer was lost with its connection. On a cluster the keys live on different nodes, so there
//! it takes several calls, and a write that ends in the middle is `redis.outcome_unknown`: repeat it, it is the same
//! when it happens twice.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::history::History;
use super::store::{FlagNotices, FlagStore, LOG, LoggedWrite, Notice, RawFlags, RawLayer, Written};
use crate::backends::redis::{Event, Failure, Redis, Script, Subscription, keys};
use crate::error::{Error, Result, codes};
use crate::rng;
use crate::tenants::TenantId;

/// Hashes that are read at the same time.
const AT_ONCE: usize = 64;

/// Most looks at a server that goes back in time while it is looked at.
const ATTEMPTS: u32 = 3;

static WRITE: Script = Script::new("flags.write", include_str!("write.lua"));

/// Flags in Redis.
#[derive(Clone)]
pub(crate) struct RedisFlags(Redis);

/// What a notice says on the wire.
#[derive(Serialize, Deserialize)]
struct NoticeText {
    flag: String,
    tenant: Option<String>,
}

impl RedisFlags {
    pub(crate) fn new(redis: Redis) -> Self {
        Self(redis)
    }

    async fn layer(&self, tenant: Option<&TenantId>) -> Result<RawLayer, Failure> {
        let key = keys::flags(tenant);
        let fields: BTreeMap<Vec<u8>, Vec<u8>> = self.0.read(redis::cmd("HGETALL").arg(&key)).await?;
        // A foreign program may store anything; what is not UTF-8 is not truthy, and must not hide the rest.
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(fields
            .into_iter()
            .map(|(flag, value)| (text(flag), text(value)))
            .collect())
    }

    /// Sets or removes a field.
    async fn write(&self, tenant: Option<&TenantId>, flag: &str, value: Option<&str>) -> Result<Written> {
        let notice = NoticeText {
            flag: flag.to_owned(),
            tenant: tenant.map(ToString::to_string),
        };
        let notice = serde_json::to_vec(&notice).map_err(|error| {
            Error::new(codes::POSADA_INTERNAL, "a notice cannot be written").caused_by(error)
        })?;
        let (hash, id) = (keys::flags(tenant), rng::token());
        let (removed, version) = if self.0.is_cluster() {
            self.write_in_steps(&hash, tenant, flag, value, &notice, &id)
                .await?
        } else {
            self.0
                .script(&WRITE)
                .key(&hash)
                .key(keys::FLAGS_VERSION)
                .key(keys::FLAGS_TENANTS)
                .key(keys::FLAGS_LOG)
                .arg(flag)
                .arg(value.unwrap_or_default())
                .arg(if value.is_some() { "set" } else { "unset" })
                .arg(tenant.map(TenantId::as_str).unwrap_or_default())
                .arg(keys::FLAGS_CHANNEL)
                .arg(notice)
                .arg(&id)
                .arg(LOG)
                .write_once::<(u64, u64)>()
                .await?
        };
        Ok(Written {
            was_set: removed > 0,
            version,
            id,
        })
    }

    /// Returns how many fields of that name were there, and the version.
    async fn write_in_steps(
        &self,
        hash: &str,
        tenant: Option<&TenantId>,
        flag: &str,
        value: Option<&str>,
        notice: &[u8],
        id: &str,
    ) -> Result<(u64, u64), Failure> {
        if let (Some(tenant), Some(_)) = (tenant, value) {
            let register = redis::cmd("SADD")
                .arg(keys::FLAGS_TENANTS)
                .arg(tenant.as_str())
                .to_owned();
            self.0.write::<u64>(&register).await?;
        }
        let command = match value {
            Some(value) => redis::cmd("HSET").arg(hash).arg(flag).arg(value).to_owned(),
            None => redis::cmd("HDEL").arg(hash).arg(flag).to_owned(),
        };
        let count: u64 = self.0.write(&command).await?;
        let count = if value.is_some() {
            u64::from(count == 0)
        } else {
            count
        };
        let told = async {
            let version: u64 = self.0.write(redis::cmd("INCR").arg(keys::FLAGS_VERSION)).await?;
            let mut entry = format!("{id} {count} {version} ").into_bytes();
            entry.extend_from_slice(notice);
            self.0
                .write::<u64>(redis::cmd("LPUSH").arg(keys::FLAGS_LOG).arg(entry))
                .await?;
            self.0
                .write::<()>(redis::cmd("LTRIM").arg(keys::FLAGS_LOG).arg(0).arg(LOG - 1))
                .await?;
            self.0.publish(keys::FLAGS_CHANNEL, notice).await?;
            Ok(version)
        };
        let version = told.await.map_err(|failure| match failure {
            Failure::Closed => Failure::Closed,
            // The value is there, but the others may not know: only a repeat makes sure.
            _ => Failure::OutcomeUnknown,
        })?;
        Ok((count, version))
    }

    /// The version and the last writes, and then the hashes.
    async fn look(&self, tenants: &[TenantId]) -> Result<RawFlags, Failure> {
        let (version, log) = self.history().await?;
        let global = self.layer(None);
        let overrides = stream::iter(tenants.iter().cloned())
            .map(|tenant| async move {
                match self.layer(Some(&tenant)).await {
                    Ok(layer) => Ok((tenant, layer)),
                    Err(Failure::WrongType) => {
                        // One tenant's foreign key must not cost the others their flags.
                        tracing::warn!(%tenant, "the key of the tenant's flags is not a hash");
                        Ok((tenant, RawLayer::new()))
                    }
                    Err(failure) => Err(failure),
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect();
        let (global, tenants) = tokio::try_join!(global, overrides)?;
        Ok(RawFlags {
            version,
            log,
            global,
            tenants,
        })
    }

    /// The version, and the last writes, at that moment or a little later.
    async fn history(&self) -> Result<(u64, Vec<LoggedWrite>), Failure> {
        let mut version = redis::cmd("GET");
        version.arg(keys::FLAGS_VERSION);
        let mut log = redis::cmd("LRANGE");
        log.arg(keys::FLAGS_LOG).arg(0).arg(LOG - 1);
        let (version, log): (Option<String>, Vec<Vec<u8>>) = if self.0.is_cluster() {
            (self.0.read(&version).await?, self.0.read(&log).await?)
        } else {
            let mut both = redis::pipe();
            both.add_command(version).add_command(log);
            self.0.read_all(&both).await?
        };
        let version = version.and_then(|text| text.parse().ok()).unwrap_or_default();
        Ok((
            version,
            log.iter().filter_map(|entry| read_logged(entry)).collect(),
        ))
    }
}

impl std::fmt::Debug for RedisFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisFlags")
    }
}

#[async_trait]
impl FlagStore for RedisFlags {
    async fn load(&self, tenants: &[TenantId]) -> Result<RawFlags> {
        let mut attempts = 0;
        loop {
            let raw = self.look(tenants).await?;
            let (version, log) = self.history().await?;
            let after = RawFlags {
                version,
                log,
                ..RawFlags::default()
            };
            attempts += 1;
            // A server that lost its data in between answered partly before and partly after it.
            if !History::of(&raw).is_newer_than(&after) || attempts == ATTEMPTS {
                return Ok(raw);
            }
        }
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        let names: Vec<String> = self
            .0
            .read(redis::cmd("SMEMBERS").arg(keys::FLAGS_TENANTS))
            .await?;
        Ok(names
            .iter()
            .filter_map(|name| TenantId::parse(name).ok())
            .collect())
    }

    async fn set(&self, tenant: Option<&TenantId>, flag: &str, value: &str) -> Result<Written> {
        self.write(tenant, flag, Some(value)).await
    }

    async fn unset(&self, tenant: Option<&TenantId>, flag: &str) -> Result<Written> {
        self.write(tenant, flag, None).await
    }

    fn changes(&self) -> Box<dyn FlagNotices> {
        Box::new(RedisNotices(self.0.subscribe(keys::FLAGS_CHANNEL)))
    }
}

struct RedisNotices(Subscription);

#[async_trait]
impl FlagNotices for RedisNotices {
    async fn next(&mut self) -> Option<Notice> {
        Some(match self.0.next().await {
            Event::Reconnected => Notice::Missed,
            Event::Message(payload) => read_notice(&payload),
        })
    }
}

/// A notice that cannot be read, perhaps of a later version, still says that something happened.
fn read_notice(payload: &[u8]) -> Notice {
    let Ok(NoticeText { flag, tenant }) = serde_json::from_slice(payload) else {
        return Notice::Missed;
    };
    match tenant.as_deref().map(TenantId::parse).transpose() {
        Ok(tenant) => Notice::Written { tenant, flag },
        Err(_) => Notice::Missed,
    }
}

/// An entry of the log: the write's id, what it found, its version, and its notice.
fn read_logged(entry: &[u8]) -> Option<LoggedWrite> {
    let mut parts = entry.splitn(4, |byte| *byte == b' ');
    let id = String::from_utf8(parts.next()?.to_vec()).ok()?;
    let Notice::Written { tenant, flag } = read_notice(parts.nth(2)?) else {
        return None;
    };
    Some(LoggedWrite { id, tenant, flag })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_notice_means_look_again() {
        let tenant = TenantId::parse("hotel-test").unwrap();
        assert_eq!(
            read_notice(br#"{"flag":"a","tenant":"hotel-test"}"#),
            Notice::Written {
                tenant: Some(tenant),
                flag: "a".to_owned()
            }
        );
        for payload in [&b"hello"[..], b"{}", br#"{"flag":"a","tenant":""}"#] {
            assert_eq!(read_notice(payload), Notice::Missed);
        }
    }

    #[test]
    fn an_entry_of_the_log_says_which_flag_was_written() {
        let entry = br#"5c1f 1 12 {"flag":"booking stop","tenant":"hotel-test"}"#;
        let wanted = LoggedWrite {
            id: "5c1f".to_owned(),
            tenant: Some(TenantId::parse("hotel-test").unwrap()),
            flag: "booking stop".to_owned(),
        };
        assert_eq!(read_logged(entry), Some(wanted));
        for entry in [&b""[..], b"5c1f", b"5c1f 1 12", b"5c1f 1 12 {}"] {
            assert_eq!(read_logged(entry), None);
        }
    }
}
