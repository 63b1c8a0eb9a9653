//! The Redis URL: one server, a Sentinel group or a cluster, in plain text or TLS.
//!
//! | form | meaning |
//! |---|---|
//! | `redis://user:password@host:6379/0` | one server |
//! | `unix://user:password@/run/redis/redis.sock?db=0` | one server, at its Unix socket |
//! | `redis+sentinel://:password@one:26379,two:26379/mymaster/0` | the primary that the sentinels call `mymaster` |
//! | `redis+cluster://:password@one:6379,two:6379` | a cluster, entered through any of these |
//!
//! `rediss` in place of `redis` means TLS with checked certificates, everywhere.

use super::dsn::{Address, Dsn, decode, scheme};
use super::redis_options::Options;
use super::sourced::Fault;
use super::{RedisNode, RedisSettings, RedisTopology};

const FORMS: &str = "must begin with redis:// or rediss:// (TLS), with +sentinel or +cluster before the :// if there \
                     are several servers, or with unix:// and the path of a socket, and have no quotes around it, or be \
                     memory:";

/// The largest database number that we believe.
const LAST_DATABASE: i64 = 1023;

/// Reads a URL. What it does not say has its default.
pub(super) fn parse(text: &str) -> Result<RedisSettings, Fault> {
    let (scheme, rest) = scheme(text).ok_or(FORMS)?;
    let scheme = scheme.to_ascii_lowercase();
    let (base, kind) = match scheme.split_once('+').unwrap_or((&scheme, "single")) {
        // redis-py's, redis-rs's and Celery's names.
        ("unix", "single") | ("redis", "unix" | "socket") => ("redis", "socket"),
        parts => parts,
    };
    let tls = match base {
        "redis" => false,
        "rediss" => true,
        _ => return Err(FORMS.into()),
    };
    if rest.ends_with("#insecure") {
        return Err(
            "must not end with #insecure: posada always checks certificates; give the root of your own in ssl_ca_certs"
                .into(),
        );
    }
    let dsn = Dsn::parse(rest)?;
    let (topology, database) = match kind {
        "single" => (single(&dsn)?, dsn.path),
        "socket" if !tls => (socket(&dsn)?, ""),
        "cluster" => (RedisTopology::Cluster(nodes(&dsn, 6379)?), dsn.path),
        "sentinel" => {
            let (primary, database) = dsn.path.split_once('/').unwrap_or((dsn.path, ""));
            (sentinel(&dsn, primary)?, database)
        }
        _ => return Err(FORMS.into()),
    };
    let by_path = Some(database)
        .filter(|text| !text.is_empty())
        .map(database_number)
        .transpose()?;
    let options = Options::read(&dsn.options)?;
    let database = match (by_path, options.database) {
        (Some(one), Some(other)) if one != other => return Err("gives two different database numbers".into()),
        (by_path, by_option) => by_path.or(by_option).unwrap_or(0),
    };
    if database != 0 && matches!(topology, RedisTopology::Cluster(_)) {
        return Err("must not name a database: a cluster has only database 0".into());
    }
    let has_sentinels = matches!(topology, RedisTopology::Sentinel { .. });
    options.fit(tls, has_sentinels)?;
    Ok(RedisSettings {
        topology,
        tls,
        root_certificate: options.root_certificate,
        client_certificate: options.client_certificate,
        username: dsn.user.or(options.username),
        password: dsn.password.or(options.password),
        sentinel_username: options.sentinel_username,
        sentinel_password: options.sentinel_password,
        database,
        ..RedisSettings::default()
    })
}

/// The server at a socket.
fn socket(dsn: &Dsn<'_>) -> Result<RedisTopology, Fault> {
    if dsn.addresses.iter().any(|address| !address.host.is_empty()) {
        return Err(
            "must have three slashes before the path of the socket, as in unix:///run/redis/redis.sock"
                .into(),
        );
    }
    let path = decode(dsn.path, "the path of the socket")?;
    Ok(RedisTopology::Single(RedisNode::at_socket(&format!("/{path}"))?))
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
        for option in [
            "client_name=posada",
            "decode_responses=True",
            "encoding=utf-8",
            "health_check_interval=30",
            "max_connections=50",
            "retry_on_timeout=true",
            "socket_timeout=5.0",
            "socket_keepalive=true",
            "timeout=20",
            "family=0",
            "family=6",
            "protocol=3",
            "protocol=resp3",
            "ssl_check_hostname=false&ssl_check_hostname=true",
            "connectTimeout=10000",
            "maxRetriesPerRequest=1",
            "lazyConnect=true",
            "enableReadyCheck=false",
            "pool_size=10",
            "dial_timeout=5s",
            "skip_full_coverage_check=true",
        ] {
            if option.contains("ssl_check") {
                assert!(RedisSettings::parse(&format!("rediss://h?{option}")).is_err());
                continue;
            }
            assert_eq!(
                read(&format!("redis://h?{option}")),
                read("redis://h"),
                "{option}"
            );
        }
        // These would change what is done.
        for option in [
            "keyPrefix=hotel:",
            "family=5",
            "readOnly=true",
            "verifyPeer=NONE",
            "protocol=4",
        ] {
            refused(&format!("redis://h?{option}"));
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
            "rediss+unix:///run/redis.sock",
            "unix+sentinel:///run/redis.sock",
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
            "unix://:s3cret@/run/redis%20one/redis.sock?db=3",
            "redis+sentinel://a/mymaster/0?sentinel_password=s3cret",
        ] {
            let settings = read(url);
            let shown = settings.to_string();
            assert!(!shown.contains("s3cret"), "{shown}");
            let expected = RedisSettings {
                password: None,
                sentinel_password: None,
                ..settings
            };
            assert_eq!(read(&shown), expected);
        }
    }

    #[test]
    fn a_socket_has_the_names_that_other_clients_give_it() {
        for (url, path, database) in [
            ("unix:///run/redis/redis.sock", "/run/redis/redis.sock", 0),
            ("unix:///run/redis/redis.sock?db=3", "/run/redis/redis.sock", 3),
            ("unix://:s3cret@/run/redis.sock?db=1", "/run/redis.sock", 1),
            ("redis+unix:///run/redis%20one.sock", "/run/redis one.sock", 0),
            (
                "redis+socket:///run/redis.sock?virtual_host=2",
                "/run/redis.sock",
                2,
            ),
            ("redis://%2Frun%2Fredis.sock/4", "/run/redis.sock", 4),
        ] {
            let settings = read(url);
            assert_eq!(
                settings.topology,
                RedisTopology::Single(node(path, 6379)),
                "{url}"
            );
            assert_eq!((settings.database, settings.tls), (database, false), "{url}");
        }
        assert_eq!(
            read("unix://ana:s3cret@/run/redis.sock").username.as_deref(),
            Some("ana")
        );
        for (url, says) in [
            ("unix://run/redis.sock", "three slashes"),
            ("redis+socket://h", "three slashes"),
            ("unix://", "file of the socket"),
            ("unix:///", "file of the socket"),
            ("unix:///run/redis/", "file of the socket"),
            ("rediss://%2Frun%2Fredis.sock", "only one server"),
            ("redis+cluster://%2Frun%2Fredis.sock", "only one server"),
        ] {
            assert!(refused(url).message().contains(says), "{url}");
        }
    }

    #[test]
    fn sentinels_have_a_password_of_their_own() {
        for url in [
            "redis+sentinel://:s@a/mymaster/0?sentinel_password=p%40ss&sentinel_username=eva",
            "redis+sentinel://:s@a/mymaster/0?sentinelPassword=p%40ss&sentinelUsername=eva",
        ] {
            let settings = read(url);
            assert_eq!(settings.sentinel_password, Some(Secret::new("p@ss")));
            assert_eq!(settings.sentinel_username.as_deref(), Some("eva"));
            assert_eq!(settings.password, Some(Secret::new("s")));
            assert!(!format!("{settings:?} {settings}").contains("p@ss"));
        }
        for url in [
            "redis://h?sentinel_password=s3cret",
            "redis+sentinel://a/m?sentinel_username=eva",
        ] {
            let error = refused(url);
            assert!(error.message().contains("sentinel_"), "{error}");
            assert!(!format!("{error:?}").contains("s3cret"));
        }
    }

    #[test]
    fn certificates_of_ones_own_are_files_and_belong_to_tls() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let settings = read(&format!("rediss://h?ssl_ca_certs={path}&ssl_check_hostname=true"));
        assert_eq!(settings.root_certificate.as_deref(), Some(file.path()));
        let settings = read(&format!("rediss://h?ssl_certfile={path}&ssl_keyfile={path}"));
        let client = settings.client_certificate.clone().unwrap();
        assert_eq!(
            (client.certificate.as_path(), client.key.as_path()),
            (file.path(), file.path())
        );
        assert_eq!(read(&settings.to_string()), settings);
        assert!(
            read(&format!("rediss://h?ssl_certfile={path}"))
                .client_certificate
                .is_some()
        );
        for (url, says) in [
            ("rediss://h?ssl_ca_certs=/no/such/file", "a file that exists"),
            ("rediss://h?ssl_certfile=/no/such/file", "a file that exists"),
            (&format!("rediss://h?ssl_keyfile={path}"), "ssl_certfile"),
            (&format!("redis://h?ssl_ca_certs={path}"), "rediss://"),
            ("rediss://h?ssl_ca_path=/etc/ssl", "ssl_ca_certs"),
            ("rediss://h?ssl_keyfile_password=s3cret", "without a password"),
            (
                "rediss://h?ssl_check_hostname=false",
                "always checks certificates",
            ),
            ("redis://h?ssl=true", "rediss://"),
            ("rediss://h?ssl=false", "rediss://"),
        ] {
            let error = refused(url);
            assert!(error.message().contains(says), "{url}: {error}");
            assert!(!format!("{error:?}").contains("s3cret"));
        }
        assert_eq!(read("rediss://h?ssl=true"), read("rediss://h"));
    }

    #[test]
    fn user_and_password_may_stand_in_options_as_in_redis_py() {
        let settings = read("redis://h?username=ana&password=p%40ss");
        assert_eq!(settings.username.as_deref(), Some("ana"));
        assert_eq!(settings.password, Some(Secret::new("p@ss")));
        assert_eq!(
            read("redis://:own@h?password=other").password,
            Some(Secret::new("own"))
        );
    }
}
