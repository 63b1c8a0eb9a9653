//! What Redis says when it is asked. Managed servers refuse some questions; then the report says so.

use redis::Value;

use super::clocks;
use super::codes;
use super::model::{Finding, Severity};
use super::refusal;
use crate::backends::ClockReading;
use crate::backends::redis::{Failure, Redis, Right, keys};
use crate::clock::SharedClock;
use crate::settings::{Environment, RedisSettings, RedisTopology};

/// The oldest version that has every command that we use, as (major, minor).
const OLDEST_VERSION: (u32, u32) = (6, 2);
/// Nearly full, in hundredths.
const NEARLY_FULL: u64 = 90;

/// Asks the server about itself. Writes nothing.
pub(super) async fn examine(
    redis: &Redis,
    settings: &RedisSettings,
    environment: Environment,
    clock: &SharedClock,
) -> Vec<Finding> {
    let told = match redis.read::<Value>(&redis::cmd("INFO")).await {
        Ok(told) => texts(&told),
        Err(Failure::NotPermitted(reason)) => {
            return vec![
                not_told(&reason, settings),
                permissions(&Box::pin(redis.denied()).await, settings),
            ];
        }
        Err(failure) => return vec![not_connected(&failure, settings)],
    };
    let nodes: Vec<Node> = told.iter().filter_map(|text| Node::read(text)).collect();
    let mut findings = vec![Finding::ok(
        codes::REDIS_CONNECTION,
        format!("Connected to {}.", place(settings)),
    )];
    if nodes.is_empty() {
        findings.push(Finding::ok(
            codes::REDIS_VERSION,
            "INFO says nothing here, so version, eviction and persistence could not be read.",
        ));
    }
    // What is alike on every node is said once.
    for node in &nodes {
        let judged = [
            version(node),
            topology(node, settings),
            eviction(node),
            memory_limit(node),
        ];
        for finding in judged {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    // In a box, because the caller that awaits all examinations holds a future that is too deep for the compiler
    // otherwise.
    findings.push(match redis.may_write().await {
        Ok(()) => Finding::ok(codes::REDIS_SERVING, "Redis takes writes."),
        // The next finding speaks of it.
        Err(Failure::NotPermitted(_)) => Finding::ok(codes::REDIS_SERVING, "Redis takes commands."),
        Err(failure) => not_connected(&failure, settings),
    });
    findings.push(permissions(&Box::pin(redis.denied()).await, settings));
    findings.push(persistence(redis, &nodes, environment).await);
    let asked = clock.now();
    if let Ok(told) = redis.read::<Value>(&redis::cmd("TIME")).await {
        let answered = clock.now();
        if let Some(told) = time(&texts(&told)) {
            findings.push(clocks::judge(
                "Redis",
                ClockReading {
                    asked,
                    told,
                    answered,
                },
            ));
        }
    }
    findings
}

/// What one server says about itself.
struct Node(Vec<(String, String)>);

impl Node {
    /// Reads an answer to `INFO`, unless the text is something else, such as the address of a node.
    fn read(text: &str) -> Option<Self> {
        let lines = text.lines().filter_map(|line| line.trim().split_once(':'));
        let facts: Vec<_> = lines
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let node = Self(facts);
        node.fact("redis_version").is_some().then_some(node)
    }

    fn fact(&self, name: &str) -> Option<&str> {
        let fact = self.0.iter().find(|(known, _)| known == name);
        fact.map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.fact(name)?.parse().ok()
    }
}

/// Every text in an answer, in its order: the answers of several nodes come as a map.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::BulkString(bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => vec![text.clone()],
        Value::Int(number) => vec![number.to_string()],
        Value::Array(values) | Value::Set(values) => values.iter().flat_map(texts).collect(),
        Value::Map(pairs) => pairs
            .iter()
            .flat_map(|(name, value)| [texts(name), texts(value)].concat())
            .collect(),
        _ => Vec::new(),
    }
}

/// Seconds and microseconds, the first two numbers of an answer.
fn time(texts: &[String]) -> Option<chrono::DateTime<chrono::Utc>> {
    let mut numbers = texts.iter().filter_map(|text| text.parse::<i64>().ok());
    let (seconds, micros) = (numbers.next()?, numbers.next()?);
    chrono::DateTime::from_timestamp_micros(seconds.checked_mul(1_000_000)?.checked_add(micros)?)
}

/// The address without user and password.
fn place(settings: &RedisSettings) -> String {
    match &settings.topology {
        RedisTopology::Single(node) => format!("{node}/{}", settings.database),
        several => several.to_string(),
    }
}

fn not_told(reason: &str, settings: &RedisSettings) -> Finding {
    Finding::warning(
        codes::REDIS_REFUSED,
        format!(
            "{} does not tell this user about itself: {reason}.",
            place(settings)
        ),
        "Give the user the command INFO, or ask an administrator for maxmemory-policy, which should be noeviction.",
    )
}

fn not_connected(failure: &Failure, settings: &RedisSettings) -> Finding {
    let place = place(settings);
    match failure {
        failure if is_about_cluster(failure) => Finding::error(
            codes::TOPOLOGY,
            format!("{place} is no cluster: {}.", reason(failure)),
            "Write redis:// instead of redis+cluster:// in REDIS_URL.",
        ),
        Failure::Closed => Finding::closed(),
        Failure::Declined { words, .. } => Finding::error(
            codes::REDIS_SERVING,
            format!("{place} refuses work: {words}."),
            refusal::remedy(words),
        ),
        Failure::OutOfMemory => Finding::error(
            codes::REDIS_SERVING,
            format!("{place} has no memory left and refuses writes."),
            "Raise maxmemory, or the plan, or find out what fills it with MEMORY STATS.",
        ),
        Failure::NoDatabase(words) => Finding::error(
            codes::SETTINGS,
            format!(
                "{place}: the server has no database {}: {words}.",
                settings.database
            ),
            "Write a database that the server has behind the last slash of REDIS_URL, or in REDIS_DB: 0 always exists.",
        ),
        Failure::Refused(reason) => {
            let remedy = if matches!(settings.topology, RedisTopology::Sentinel { .. }) {
                "Correct user and password in REDIS_URL or REDIS_PASSWORD. Sentinels with a password of their own get it by \
                 ?sentinel_password=… in REDIS_URL."
            } else if settings.password.is_none() {
                "Set the password in REDIS_PASSWORD or in REDIS_URL, as in redis://:password@host."
            } else {
                "Correct user and password in REDIS_URL or REDIS_PASSWORD; in a URL write @ / ? # % as %40 %2F %3F %23 \
                 %25."
            };
            Finding::error(
                codes::REDIS_REFUSED,
                format!("{place} refused us: {reason}."),
                remedy,
            )
        }
        failure => {
            let remedy = match settings.topology {
                RedisTopology::Sentinel { .. } => {
                    "Check that a sentinel runs at one of the addresses, that it knows a primary of that name, and \
                     that this machine reaches the primary at the address that the sentinel tells."
                }
                _ if !settings.tls => {
                    "Check that Redis runs, that host and port are right, and that firewalls let this machine through. \
                     A server that wants TLS needs rediss://."
                }
                _ => {
                    "Check that Redis runs, that host and port are right, that the port speaks TLS, and that firewalls \
                     let this machine through."
                }
            };
            let seen = format!("{place}: {}.", reason(failure));
            Finding::error(codes::REDIS_UNREACHABLE, seen, remedy)
        }
    }
}

/// The failure without the place, which the finding names already.
fn reason(failure: &Failure) -> String {
    match failure {
        Failure::Unavailable { reason, .. } => format!("it cannot be reached: {reason}"),
        Failure::Declined { words, .. } => words.clone(),
        failure => failure.to_string(),
    }
}

fn is_about_cluster(failure: &Failure) -> bool {
    failure.to_string().contains("cluster support disabled")
}

/// What the access list forbids, and the rule that permits all that we do.
fn permissions(denied: &[Right], settings: &RedisSettings) -> Finding {
    let user = settings.username.as_deref().unwrap_or("default");
    if denied.is_empty() {
        let seen = format!("The user {user} may run scripts, use our keys, and send and hear messages.");
        return Finding::ok(codes::REDIS_PERMISSIONS, seen);
    }
    let lacks: Vec<String> = denied.iter().map(lack).collect();
    let patterns: Vec<String> = keys::kinds()
        .iter()
        .map(|kind| format!("~{}", kind.pattern))
        .collect();
    let cluster = match settings.topology {
        RedisTopology::Cluster(_) => " +cluster|slots",
        RedisTopology::Single(_) | RedisTopology::Sentinel { .. } => "",
    };
    Finding::error(
        codes::REDIS_PERMISSIONS,
        format!("The user {user} may not {}.", lacks.join("; ")),
        format!(
            "As an administrator: ACL SETUSER {user} {} &{} +@read +@write +@scripting +@pubsub +@connection +info \
             +time +wait +role +config|get{cluster}",
            patterns.join(" "),
            keys::CHANNELS
        ),
    )
}

/// What is forbidden, and what does not work because of it.
fn lack(right: &Right) -> String {
    match right {
        Right::Scripts => "run scripts, which locks, holds, conversations and limits are made of".to_owned(),
        Right::Keys { pattern, keeps } => format!("read and write the keys {pattern}, which are {keeps}"),
        Right::Publish => {
            "send messages (PUBLISH), by which processes tell each other of locks and changes".to_owned()
        }
        Right::Listen(channel) => format!("hear the channel {channel}, so that changes are noticed late"),
    }
}

fn version(node: &Node) -> Finding {
    let version = node.fact("redis_version").unwrap_or_default();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let seen = format!("Redis {version}.");
    if found < OLDEST_VERSION {
        let (major, minor) = OLDEST_VERSION;
        let remedy = format!("Update to version {major}.{minor} or newer: some of our scripts fail here.");
        Finding::error(codes::REDIS_VERSION, seen, remedy)
    } else {
        Finding::ok(codes::REDIS_VERSION, seen)
    }
}

/// What the server is, beside what the settings take it for.
fn topology(node: &Node, settings: &RedisSettings) -> Finding {
    let is_single = matches!(settings.topology, RedisTopology::Single(_));
    let mode = node.fact("redis_mode").unwrap_or("standalone");
    if mode == "sentinel" {
        Finding::error(
            codes::TOPOLOGY,
            "This is a sentinel and keeps no data.",
            "Write redis+sentinel://host,host/primary/0 in REDIS_URL, or the address of the Redis server itself.",
        )
    } else if is_single && (mode == "cluster" || node.number("cluster_enabled") == Some(1)) {
        Finding::error(
            codes::TOPOLOGY,
            "This is a node of a cluster, and the settings take it for a single server: commands for other nodes fail.",
            "Write redis+cluster:// instead of redis:// in REDIS_URL.",
        )
    } else if node.fact("role") == Some("slave") {
        Finding::error(
            codes::TOPOLOGY,
            "This is a replica, which takes no writes.",
            "Use the address of the primary, or redis+sentinel:// so that it is found after a failover.",
        )
    } else {
        let kind = match settings.topology {
            RedisTopology::Single(_) => "A single server",
            RedisTopology::Sentinel { .. } => "The primary of a Sentinel group",
            RedisTopology::Cluster(_) => "A cluster",
        };
        Finding::ok(codes::TOPOLOGY, format!("{kind}, as the settings say."))
    }
}

fn eviction(node: &Node) -> Finding {
    let Some(policy) = node.fact("maxmemory_policy") else {
        return Finding::ok(
            codes::EVICTION,
            "The maxmemory-policy could not be read; it should be noeviction.",
        );
    };
    if policy == "noeviction" {
        return Finding::ok(
            codes::EVICTION,
            "The maxmemory-policy is noeviction: nothing is thrown away before its time.",
        );
    }
    let what = if policy.starts_with("allkeys-") {
        "locks, holds, flags and conversations"
    } else {
        "locks, holds and conversations"
    };
    let remedy = "Set maxmemory-policy to noeviction and give Redis enough memory; caches of other programs belong on a \
                  server of their own.";
    let evicted = node.number("evicted_keys").unwrap_or(0);
    if evicted > 0 {
        let seen = format!(
            "The maxmemory-policy is {policy}, and {evicted} keys were thrown away since Redis started; {what} may \
             have been among them."
        );
        return Finding::error(codes::EVICTION, seen, remedy);
    }
    let when = match node.number("maxmemory") {
        Some(0) => "as soon as a memory limit is set",
        _ => "when memory runs out",
    };
    Finding::warning(
        codes::EVICTION,
        format!("The maxmemory-policy is {policy}: Redis throws away {what} {when}."),
        remedy,
    )
}

fn memory_limit(node: &Node) -> Finding {
    let (used, limit) = (node.number("used_memory"), node.number("maxmemory"));
    let (Some(used), Some(limit @ 1..)) = (used, limit) else {
        return Finding::ok(codes::MEMORY_LIMIT, "Redis has no memory limit of its own.");
    };
    if used.saturating_mul(100) >= limit.saturating_mul(NEARLY_FULL) {
        Finding::warning(
            codes::MEMORY_LIMIT,
            format!("Redis uses {} of {} MB.", used >> 20, limit >> 20),
            "Raise maxmemory, or find out what fills it with MEMORY STATS: writes are refused when it is full.",
        )
    } else {
        // The amount changes all the time; nodes that are alike should read alike.
        Finding::ok(
            codes::MEMORY_LIMIT,
            format!("Redis uses less than {NEARLY_FULL} % of its {} MB.", limit >> 20),
        )
    }
}

async fn persistence(redis: &Redis, nodes: &[Node], environment: Environment) -> Finding {
    let logs = !nodes.is_empty() && nodes.iter().all(|node| node.number("aof_enabled") == Some(1));
    if logs {
        return Finding::ok(codes::PERSISTENCE, "Redis logs its writes (appendonly).");
    }
    let failed = nodes
        .iter()
        .any(|node| node.fact("rdb_last_bgsave_status") == Some("err"));
    if failed {
        return Finding::error(
            codes::PERSISTENCE,
            "Redis could not write its last snapshot, and may refuse writes because of that.",
            "Read the log of Redis; its disk is full, or the folder is not its own.",
        );
    }
    let configured = redis
        .read::<Value>(redis::cmd("CONFIG").arg("GET").arg("save"))
        .await;
    let Ok(configured) = configured else {
        return Finding::ok(
            codes::PERSISTENCE,
            "Whether Redis writes snapshots could not be read: CONFIG is not for us here.",
        );
    };
    let words = texts(&configured);
    let intervals = words.iter().zip(words.iter().skip(1));
    let never = intervals
        .filter(|(name, _)| *name == "save")
        .any(|(_, interval)| interval.is_empty());
    if never {
        Finding::warning(
            codes::PERSISTENCE,
            "Redis writes nothing to disk: flags and conversations are gone after a restart.",
            "Set appendonly yes, or save with an interval.",
        )
        .rated(if environment.is_production() {
            Severity::Error
        } else {
            Severity::Warning
        })
    } else {
        Finding::ok(codes::PERSISTENCE, "Redis writes snapshots.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::RedisSettings;

    fn node(facts: &str) -> Node {
        Node::read(&format!(
            "# Server\r\nredis_version:7.0.15\r\n{}\r\n",
            facts.replace(' ', "\r\n")
        ))
        .unwrap()
    }

    #[test]
    fn an_eviction_policy_is_rated_what_it_does() {
        use Severity::{Error, Ok, Warning};
        for (facts, severity, word) in [
            (
                "maxmemory:0 maxmemory_policy:noeviction evicted_keys:0",
                Ok,
                "noeviction",
            ),
            (
                "maxmemory:0 maxmemory_policy:allkeys-lru evicted_keys:0",
                Warning,
                "as soon as",
            ),
            (
                "maxmemory:5000 maxmemory_policy:allkeys-lru evicted_keys:0",
                Warning,
                "flags",
            ),
            (
                "maxmemory:5000 maxmemory_policy:volatile-ttl evicted_keys:0",
                Warning,
                "runs out",
            ),
            (
                "maxmemory:5000 maxmemory_policy:allkeys-lru evicted_keys:7",
                Error,
                "7 keys",
            ),
            ("maxmemory:0", Ok, "could not be read"),
        ] {
            let finding = eviction(&node(facts));
            assert_eq!(finding.severity, severity, "{finding}");
            assert!(finding.seen.contains(word), "{finding}");
        }
    }

    #[test]
    fn a_server_that_is_something_else_is_recognised() {
        let single = RedisSettings::parse("redis://localhost").unwrap();
        let cluster = RedisSettings::parse("redis+cluster://localhost").unwrap();
        for (facts, settings, severity) in [
            (
                "redis_mode:standalone role:master cluster_enabled:0",
                &single,
                Severity::Ok,
            ),
            (
                "redis_mode:cluster role:master cluster_enabled:1",
                &single,
                Severity::Error,
            ),
            (
                "redis_mode:cluster role:master cluster_enabled:1",
                &cluster,
                Severity::Ok,
            ),
            (
                "redis_mode:standalone role:slave cluster_enabled:0",
                &single,
                Severity::Error,
            ),
            ("redis_mode:sentinel", &single, Severity::Error),
        ] {
            assert_eq!(topology(&node(facts), settings).severity, severity, "{facts}");
        }
    }

    #[test]
    fn old_versions_and_full_memories_are_seen() {
        let old = Node::read("redis_version:6.0.16\r\n").unwrap();
        assert_eq!(version(&old).severity, Severity::Error);
        assert_eq!(version(&node("")).severity, Severity::Ok);
        let full = "used_memory:99000000 maxmemory:100000000";
        assert_eq!(memory_limit(&node(full)).severity, Severity::Warning);
        let roomy = "used_memory:9000000 maxmemory:100000000";
        assert_eq!(memory_limit(&node(roomy)).severity, Severity::Ok);
        assert_eq!(
            memory_limit(&node("used_memory:9 maxmemory:0")).severity,
            Severity::Ok
        );
    }

    #[test]
    fn the_time_is_found_among_the_answers_of_nodes() {
        let told = ["127.0.0.1:7000", "1764003600", "250000"].map(str::to_owned);
        assert_eq!(time(&told).unwrap().timestamp_millis(), 1_764_003_600_250);
        assert_eq!(time(&told[..1]), None);
    }
}
