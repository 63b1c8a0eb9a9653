//! The Redis URL: one server, a Sentinel group or a cluster, in plain text or TLS.
//!
//! | form | meaning |
//! |---|---|
//! | `redis://user:password@host:6379/0` | one server |
//! | `redis+sentinel://:password@one:26379,two:26379/mymaster/0` | the primary that the sentinels call `mymaster` |
//! | `redis+cluster://:password@one:6379,two:6379` | a cluster, entered through any of these |
//!
//! `rediss` in place of `redis` means TLS with checked certificates, everywhere.

use super::dsn::{Address, Dsn, decode, scheme};
use super::given::Fault;
use super::postgres_url::unknown_option;
use super::{RedisNode, RedisSettings, RedisTopology};

const FORMS: &str = "must begin with redis:// or rediss:// (TLS), with +sentinel or +cluster before the :// if there \
                     are several servers, and have no quotes around it, or be memory:";

/// The options that mean something here.
const OPTIONS: [&str; 3] = ["db", "ssl_cert_reqs", "protocol"];

/// Options of redis-py and its users that tune their own pools and timers; read over.
const FOREIGN: [&str; 13] = [
    "client_name",
    "decode_responses",
    "encoding",
    "encoding_errors",
    "health_check_interval",
    "max_connections",
    "retry_on_error",
    "retry_on_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_read_size",
    "socket_timeout",
    "timeout",
];

/// The largest database number that we believe.
const LAST_DATABASE: i64 = 1023;

/// Reads a URL. What it does not say has its default.
pub(super) fn parse(text: &str) -> Result<RedisSettings, Fault> {
    let (scheme, rest) = scheme(text).ok_or(FORMS)?;
    let scheme = scheme.to_ascii_lowercase();
    let (base, kind) = scheme.split_once('+').unwrap_or((&scheme, "single"));
    let tls = match base {
        "redis" => false,
        "rediss" => true,
        _ => return Err(FORMS.into()),
    };
    if rest.ends_with("#insecure") {
        return Err(
            "must not end with #insecure: posada always checks certificates; sign the server's with a root \
                    that this machine trusts"
                .into(),
        );
    }
    let dsn = Dsn::parse(rest)?;
    let (topology, database) = match kind {
        "single" => (single(&dsn)?, dsn.path),
        "cluster" => (RedisTopology::Cluster(nodes(&dsn, 6379)?), dsn.path),
        "sentinel" => {
            let (primary, database) = dsn.path.split_once('/').unwrap_or((dsn.path, ""));
            (sentinel(&dsn, primary)?, database)
        }
        _ => return Err(FORMS.into()),
    };
    let mut by_path = Some(database)
        .filter(|text| !text.is_empty())
        .map(database_number)
        .transpose()?;
    for (name, value) in &dsn.options {
        match name.as_str() {
            "db" => {
                let by_option = database_number(value)?;
                if by_path.is_some_and(|by_path| by_path != by_option) {
                    return Err("gives two different database numbers".into());
                }
                by_path = Some(by_option);
            }
            "ssl_cert_reqs" if matches!(value.as_str(), "required" | "CERT_REQUIRED") => {}
            "ssl_cert_reqs" => {
                return Err("ssl_cert_reqs must be required: posada always checks certificates".into());
            }
            "protocol" if matches!(value.as_str(), "2" | "3") => {}
            "protocol" => return Err("protocol must be 2 or 3 (posada speaks 3 in any case)".into()),
            name if FOREIGN.contains(&name) => {}
            name => return Err(unknown_option(name, &OPTIONS)),
        }
    }
    let database = by_path.unwrap_or(0);
    if database != 0 && matches!(topology, RedisTopology::Cluster(_)) {
        return Err("must not name a database: a cluster has only database 0".into());
    }
    Ok(RedisSettings {
        topology,
        tls,
        username: dsn.user,
        password: dsn.password,
        database,
        ..RedisSettings::default()
    })
}

/// The one server.
fn single(dsn: &Dsn<'_>) -> Result<RedisTopology, Fault> {
    match nodes(dsn, 6379)?.as_slice() {
        [node] => Ok(RedisTopology::Single(node.clone())),
        _ => Err("names several servers; write redis+sentinel:// or redis+cluster:// for them".into()),
    }
}

/// The sentinels, and the name under which they know the primary (still encoded).
fn sentinel(dsn: &Dsn<'_>, primary: &str) -> Result<RedisTopology, Fault> {
    if primary.is_empty() {
        return Err(
            "must name the primary as the sentinels do: redis+sentinel://host:26379/mymaster/0".into(),
        );
    }
    Ok(RedisTopology::Sentinel {
        nodes: nodes(dsn, 26379)?,
        primary: decode(primary, "the name of the primary")?,
    })
}

/// The servers; a URL that names none means this machine.
fn nodes(dsn: &Dsn<'_>, default_port: u16) -> Result<Vec<RedisNode>, Fault> {
    let several = dsn.addresses.len() > 1;
    let node = |address: &Address| {
        if address.host.is_empty() && several {
            return Err(Fault::from("has a comma without a host beside it"));
        }
        RedisNode::checked(&address.host, address.port.unwrap_or(default_port))
    };
    dsn.addresses.iter().map(node).collect()
}

/// Reads a database number.
pub(super) fn database_number(text: &str) -> Result<i64, Fault> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| plain && *number <= LAST_DATABASE)
        .ok_or_else(|| format!("must have a database number between 0 and {LAST_DATABASE}").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, codes};
    use crate::settings::Secret;

    fn read(url: &str) -> RedisSettings {
        RedisSettings::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    fn refused(url: &str) -> Error {
        let error = RedisSettings::parse(url).expect_err(url);
        assert_eq!(error.field(), Some("redis_url"), "{url}");
        error
    }

    fn node(host: &str, port: u16) -> RedisNode {
        RedisNode {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn the_url_of_the_setup_guide_is_the_default() {
        for url in [
            "redis://localhost:6379/0",
            "redis://localhost",
            "redis://",
            "REDIS://localhost/",
        ] {
            assert_eq!(read(url), RedisSettings::default(), "{url}");
        }
    }

    #[test]
    fn one_server_with_tls_user_password_and_database() {
        let settings = read("rediss://ana:p%40ss%2Fw%3Ard%25%23%3F@redis.example.com:6380/7");
        assert_eq!(
            settings.topology,
            RedisTopology::Single(node("redis.example.com", 6380))
        );
        assert!(settings.tls);
        assert_eq!(settings.username.as_deref(), Some("ana"));
        assert_eq!(settings.password, Some(Secret::new("p@ss/w:rd%#?")));
        assert_eq!(settings.database, 7);
        assert_eq!(read("redis://:s@h").username, None);
        assert_eq!(
            read("redis://[::1]:1").topology,
            RedisTopology::Single(node("::1", 1))
        );
    }

    #[test]
    fn sentinels_name_the_primary() {
        for (scheme, tls) in [("redis+sentinel", false), ("rediss+sentinel", true)] {
            let settings = read(&format!("{scheme}://:s@a:26379,b,[::1]:3/my%20master/2"));
            assert_eq!(
                settings.topology,
                RedisTopology::Sentinel {
                    nodes: vec![node("a", 26379), node("b", 26379), node("::1", 3)],
                    primary: "my master".to_owned()
                }
            );
            assert_eq!((settings.tls, settings.database), (tls, 2));
        }
        assert_eq!(read("redis+sentinel://a/mymaster").database, 0);
        for url in ["redis+sentinel://a", "redis+sentinel://a//0"] {
            assert!(refused(url).message().contains("must name the primary"), "{url}");
        }
        assert!(
            refused("redis+sentinel://a/mymaster/x")
                .message()
                .contains("database number")
        );
    }

    #[test]
    fn a_cluster_has_many_nodes_and_one_database() {
        let settings = read("rediss+cluster://ana:s@a:7000,b/0");
        assert_eq!(
            settings.topology,
            RedisTopology::Cluster(vec![node("a", 7000), node("b", 6379)])
        );
        assert!(settings.tls);
        assert!(refused("redis+cluster://a/1").message().contains("database 0"));
        assert!(refused("redis+cluster://a?db=1").message().contains("database 0"));
        assert!(refused("redis+cluster://a,").message().contains("comma"));
    }

    #[test]
    fn certificates_are_always_checked() {
        for url in [
            "rediss://h#insecure",
            "rediss://:s@h/0#insecure",
            "rediss+cluster://h,i/#insecure",
            "rediss://h?ssl_cert_reqs=none",
            "rediss://h?ssl_cert_reqs=CERT_NONE",
        ] {
            let error = refused(url);
            assert!(
                error.message().contains("always checks certificates"),
                "{url}: {error}"
            );
        }
        read("rediss://h?ssl_cert_reqs=required&protocol=3");
    }

    #[test]
    fn the_database_may_stand_in_an_option_once() {
        assert_eq!(read("redis://h?db=3").database, 3);
        assert_eq!(read("redis://h/3?db=3").database, 3);
        assert!(refused("redis://h/3?db=4").message().contains("two different"));
        for database in ["-1", "+1", "1024", "x", "99999999999999999999", "0/1"] {
            assert!(
                refused(&format!("redis://h/{database}"))
                    .message()
                    .contains("database number"),
                "{database}"
            );
        }
    }

    #[test]
    fn options_of_redis_py_are_read_over_and_unknown_ones_refused() {
        for option in FOREIGN {
            assert_eq!(read(&format!("redis://h?{option}=1")), read("redis://h"));
        }
        let error = refused("redis://h?ssl_cert_req=none");
        assert!(error.is(codes::SETTINGS_UNKNOWN));
        assert!(error.message().contains("did you mean ssl_cert_reqs?"), "{error}");
    }

    #[test]
    fn a_password_in_the_place_of_the_user_is_explained_and_not_shown() {
        let error = refused("redis://s3cret@h");
        assert!(error.message().contains("redis://:password@host"), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_not_a_redis_url_is_told_what_would_be() {
        for text in [
            "http://h",
            "localhost:6379",
            "unix:///run/redis.sock",
            "redis+socket://h",
            "'redis://h'",
            "",
        ] {
            assert!(
                refused(text).message().contains("must begin with redis://"),
                "{text}"
            );
        }
        assert!(refused("redis://a,b").message().contains("redis+sentinel://"));
        assert!(refused("redis://a%20b").message().contains("host"));
    }

    #[test]
    fn a_displayed_url_reads_back_without_its_password() {
        for url in [
            "rediss://:s3cret@h:1/7",
            "redis+sentinel://:s3cret@a:1,[::1]:2/my%2Fmaster/2",
            "rediss+cluster://:s3cret@a:1,b:2/0",
        ] {
            let settings = read(url);
            let shown = settings.to_string();
            assert!(!shown.contains("s3cret"), "{shown}");
            let expected = RedisSettings {
                password: None,
                ..settings
            };
            assert_eq!(read(&shown), expected);
        }
    }
}
