//! What the user of a connection may do, found out by trying: a managed server shows its access list to no client.
//!
//! Nothing is written by it. A write is tried where it finds nothing to change, and a message is sent where no client
//! listens.

use redis::Value;
use tokio::time::timeout;

use super::{Effect, Failure, Redis, keys};

/// Something that posada needs and that the access list of Redis can forbid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Right {
    /// To run scripts.
    Scripts,
    /// To read and write keys.
    Keys {
        /// What an access list calls them.
        pattern: &'static str,
        /// What is kept there.
        keeps: &'static str,
    },
    /// To send messages to others.
    Publish,
    /// To listen on this channel.
    Listen(String),
}

impl Redis {
    /// What we may not do. Whatever fails for another reason counts as permitted. Cancel-safe.
    pub(crate) async fn denied(&self) -> Vec<Right> {
        let mut denied = Vec::new();
        // Both, because a script is sent by its text only when the server does not know it yet.
        let by_text = self.is_denied(redis::cmd("EVAL").arg("return 1").arg(0)).await;
        let by_hash = self
            .is_denied(redis::cmd("EVALSHA").arg("0".repeat(40)).arg(0))
            .await;
        if by_text || by_hash {
            denied.push(Right::Scripts);
        }
        for kind in keys::kinds() {
            let key = kind.sample;
            let reading = self.is_denied(redis::cmd("GET").arg(&key)).await;
            // A field of that name is in no hash of ours, and in anything else it is no field.
            let writing = self
                .is_denied(redis::cmd("HDEL").arg(&key).arg(keys::NO_FIELD))
                .await;
            if reading || writing {
                denied.push(Right::Keys {
                    pattern: kind.pattern,
                    keeps: kind.keeps,
                });
            }
        }
        let channel = keys::wake_channel("doctor");
        if self.is_denied(redis::cmd("PUBLISH").arg(&channel).arg("")).await {
            denied.push(Right::Publish);
        }
        for channel in [keys::TENANTS_CHANNEL, keys::FLAGS_CHANNEL, &channel] {
            if self.may_not_listen(channel).await {
                denied.push(Right::Listen(channel.to_owned()));
            }
        }
        denied
    }

    async fn is_denied(&self, command: &redis::Cmd) -> bool {
        let outcome = self.write::<Value>(command).await;
        matches!(outcome, Err(Failure::NotPermitted(_)))
    }

    async fn may_not_listen(&self, channel: &str) -> bool {
        let listening = async {
            let client = self.0.factory.connector.subscriber(0).await?;
            client.get_async_pubsub().await?.subscribe(channel).await
        };
        match timeout(self.0.factory.connect_timeout, listening).await {
            Ok(Err(error)) => matches!(
                Failure::from_driver(&error, Effect::Read),
                Failure::NotPermitted(_)
            ),
            Ok(Ok(())) | Err(_) => false,
        }
    }
}
