//! The Redis URL.

use super::dsn::{Dsn, Fault, scheme};
use super::redis::{RedisNode, RedisSettings, RedisTopology};

/// What a Redis URL may begin with.
const FORMS: &str = "must begin with redis://, rediss:// (TLS), redis+sentinel://, rediss+sentinel://, \
                     redis+cluster:// or rediss+cluster://, or be memory:";

/// Reads a URL into settings that begin from the defaults.
pub(super) fn parse(text: &str) -> Result<RedisSettings, Fault> {
    let (scheme, rest) = scheme(text).ok_or(FORMS)?;
    let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    let tls = match base {
        "redis" => false,
        "rediss" => true,
        _ => return Err(FORMS.into()),
    };
    let dsn = Dsn::parse(rest)?;
    let default_port = if kind == "sentinel" { 26379 } else { 6379 };
    let nodes: Vec<RedisNode> = dsn
        .addresses
        .iter()
        .map(|address| RedisNode {
            host: if address.host.is_empty() {
                "localhost".into()
            } else {
                address.host.clone()
            },
            port: address.port.unwrap_or(default_port),
        })
        .collect();
    let (topology, database) = match kind {
        "" => {
            let [node] = <[RedisNode; 1]>::try_from(nodes).map_err(|_| "must name one server")?;
            (RedisTopology::Single(node), dsn.path)
        }
        "sentinel" => {
            let (primary, database) = dsn.path.split_once('/').unwrap_or((dsn.path, ""));
            let primary = super::dsn::decode(primary, "the name of the primary")?;
            (RedisTopology::Sentinel { nodes, primary }, database)
        }
        "cluster" => (RedisTopology::Cluster(nodes), dsn.path),
        _ => return Err(FORMS.into()),
    };
    Ok(RedisSettings {
        topology,
        tls,
        username: dsn.user,
        password: dsn.password,
        database: if database.is_empty() {
            0
        } else {
            database.parse().map_err(|_| "must have a database number")?
        },
        ..RedisSettings::default()
    })
}
