//! What to do about a refusal of Redis, by what its words speak of.

/// Beginnings or parts of what servers, proxies and services say, and the remedy. The first that fits is taken.
const REMEDIES: &[(&[&str], &str)] = &[
    (
        &["MISCONF"],
        "Redis cannot write its snapshot or its log and therefore refuses writes: read its log, free its disk, and see \
         that the folder of `CONFIG GET dir` is its own.",
    ),
    (
        &["NOREPLICAS"],
        "Fewer replicas are connected than min-replicas-to-write asks for: bring them back, or lower it.",
    ),
    (
        &["READONLY"],
        "This is a replica: use the address of the primary, or redis+sentinel:// so that it is found after a failover.",
    ),
    (
        &["MASTERDOWN"],
        "This is a replica that has lost its primary: use the address of the primary, or redis+sentinel://.",
    ),
    (
        &["LOADING"],
        "Redis has just started and reads its data: wait until it is done. INFO persistence shows how far it is.",
    ),
    (
        &["BUSY", "UNKILLABLE"],
        "A script or function holds the server up: find it with SLOWLOG GET, and end it with SCRIPT KILL or FUNCTION KILL.",
    ),
    (
        &["CLUSTERDOWN", "TRYAGAIN"],
        "A part of the cluster is without a primary, or is being moved: look at CLUSTER INFO and CLUSTER NODES.",
    ),
    (
        &["MOVED", "ASK", "CROSSSLOT"],
        "This is a node of a cluster: write redis+cluster:// instead of redis:// in REDIS_URL.",
    ),
    (
        &["REDIRECT"],
        "The server is handing over to another: use an address that follows the primary, or redis+sentinel://.",
    ),
    (
        &["INPROG", "UNBLOCKED", "NOMASTERLINK"],
        "A failover is under way: wait until it is done.",
    ),
    (
        &[
            "number of clients",
            "concurrent connections",
            "too many connections",
        ],
        "The server has no connection left: raise maxclients or the plan, or run fewer processes. Every process takes \
         two, and one for each of its event loops.",
    ),
    (
        &["limit exceeded", "quota", "THROTTL", "rate limit", "too many"],
        "What was bought of the service is used up: look at its usage, and raise the plan.",
    ),
    (
        &[
            "upstream",
            "backend",
            "no server connection",
            "server connection",
            "Connection timed out",
            "Connection refused",
        ],
        "These are words of a proxy that does not reach a Redis behind it: look at the proxy's log and at its servers.",
    ),
];

const UNKNOWN: &str =
    "These are the server's own words, which posada does not know: read its log, or ask who runs it.";

/// What to do about these words.
pub(super) fn remedy(words: &str) -> &'static str {
    let fits = |part: &&str| words.contains(*part);
    let known = REMEDIES.iter().find(|(parts, _)| parts.iter().any(fits));
    known.map_or(UNKNOWN, |(_, remedy)| *remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_of_words_has_its_remedy() {
        for (words, says) in [
            (
                "MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.",
                "disk",
            ),
            (
                "ERR Error running script (call to f_8a7b): @user_script: 12: -MISCONF Errors writing to the AOF",
                "disk",
            ),
            (
                "NOREPLICAS Not enough good replicas to write.",
                "min-replicas-to-write",
            ),
            (
                "READONLY You can't write against a read only replica.",
                "address of the primary",
            ),
            ("MASTERDOWN Link with MASTER is down", "lost its primary"),
            ("LOADING Redis is loading the dataset in memory", "wait"),
            ("BUSY Redis is busy running a script.", "SCRIPT KILL"),
            ("CLUSTERDOWN Hash slot not served", "CLUSTER INFO"),
            ("MOVED 3999 127.0.0.1:6381", "redis+cluster://"),
            ("ERR max number of clients reached", "maxclients"),
            ("ERR max concurrent connections exceeded", "maxclients"),
            (
                "ERR max daily request limit exceeded. Limit: 10000, Usage: 10001.",
                "plan",
            ),
            ("ERR upstream failure", "proxy"),
            ("TEAPOT short and stout", "own words"),
        ] {
            assert!(remedy(words).contains(says), "{words}: {}", remedy(words));
        }
    }
}
