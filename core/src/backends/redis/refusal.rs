//! What a refusal means that the server puts into words.
//!
//! An error reply says that the command was not executed, so whatever it says, nothing was done. The words only decide
//! what would help: another server, a password, a right, or time. Servers, proxies and services that speak Redis's
//! protocol have hundreds of such words and add new ones, so those that we do not know mean that the server cannot
//! serve now. Only what proves a mistake in our own command or script is a defect of posada.

use redis::RedisError;

/// The longest part of a server's words that is kept.
const LONGEST: usize = 300;

/// What would help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A key holds another type than ours.
    WrongType,
    /// Memory, or room in what was bought.
    OutOfMemory,
    /// The text of the script.
    UnknownScript,
    /// A password, or leave to connect.
    NotAdmitted,
    /// A right, or a server that has the command.
    NotPermitted,
    /// Another number: the server has no such database.
    NoDatabase,
    /// A new connection, which may lead to another server.
    Elsewhere,
    /// Time, or an administrator.
    NotNow,
    /// A correction in posada.
    Defect,
}

/// A server's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) meaning: Meaning,
    /// As the server said it, within bounds and without arguments of ours.
    pub(super) words: String,
}

impl Refusal {
    /// What the server said, if the error is a reply of a server.
    pub(super) fn of(error: &RedisError) -> Option<Self> {
        if let Some(code) = error.code() {
            return Some(Self::read(code, error.detail().unwrap_or_default()));
        }
        let replies = error.clone().into_server_errors()?;
        let (_, reply) = replies.first()?;
        Some(Self::read(reply.code(), reply.details().unwrap_or_default()))
    }

    fn read(code: &str, detail: &str) -> Self {
        // Behind these words come arguments, which may be a guest's.
        let detail = detail
            .split(", with args beginning with")
            .next()
            .unwrap_or(detail);
        // And behind these the script, which the caller knows.
        let detail = match detail.rsplit_once(" script: ") {
            Some((said, place)) if place.contains("@user_script") => said,
            _ => detail,
        };
        let words: String = format!("{code} {detail}").trim().chars().take(LONGEST).collect();
        Self {
            meaning: meaning(code, detail),
            words,
        }
    }
}

fn meaning(code: &str, detail: &str) -> Meaning {
    match inner_code(code, detail) {
        "WRONGTYPE" => Meaning::WrongType,
        "OOM" => Meaning::OutOfMemory,
        "NOSCRIPT" => Meaning::UnknownScript,
        "NOAUTH" | "WRONGPASS" | "DENIED" => Meaning::NotAdmitted,
        // Keys of one call in several parts: a cluster behind one address. Another protocol: an old server.
        "NOPERM" | "CROSSSLOT" | "NOPROTO" => Meaning::NotPermitted,
        "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "LOADING" | "MOVED" | "ASK" | "REDIRECT" => {
            Meaning::Elsewhere
        }
        "POSADA" | "NOSUB" | "NOTBUSY" | "BUSYKEY" | "BUSYGROUP" | "NOGROUP" => Meaning::Defect,
        "ERR" => by_words(&detail.to_ascii_lowercase()),
        _ => Meaning::NotNow,
    }
}

/// The code of what a script met: until version 7 it stands inside the text, behind the line of the script, as in
/// `ERR Error running script (call to f_1): @user_script:12: -OOM command not allowed …`.
fn inner_code<'a>(code: &'a str, detail: &'a str) -> &'a str {
    let mut found = code;
    let mut is_behind_colon = false;
    for word in detail.split_ascii_whitespace() {
        let plain = word.strip_prefix('-').unwrap_or(word);
        let is_code = plain.len() > 2 && plain.bytes().all(|byte| byte.is_ascii_uppercase());
        if is_behind_colon && is_code && found == "ERR" {
            found = plain;
        }
        is_behind_colon = word.ends_with(':');
    }
    found
}

/// What a general error means, in lower case.
fn by_words(detail: &str) -> Meaning {
    let says = |words: &[&str]| words.iter().any(|word| detail.contains(word));
    if says(&["wrongtype"]) {
        Meaning::WrongType
    } else if says(OUT_OF_MEMORY) {
        Meaning::OutOfMemory
    } else if says(NOT_ADMITTED) {
        Meaning::NotAdmitted
    } else if says(NO_DATABASE) {
        Meaning::NoDatabase
    } else if says(NOT_PERMITTED) {
        Meaning::NotPermitted
    } else if says(KILLED) {
        Meaning::NotNow
    } else if says(DEFECT) || is_of_lua(detail) {
        Meaning::Defect
    } else {
        Meaning::NotNow
    }
}

/// Whether Lua itself complains, and not a command that the script called: its line stands there without an `@`.
fn is_of_lua(detail: &str) -> bool {
    let mut places = detail.match_indices("user_script:");
    places.any(|(place, _)| !detail.get(..place).is_some_and(|before| before.ends_with('@')))
}

const OUT_OF_MEMORY: &[&str] = &[
    "oom command not allowed",
    "out of memory",
    "capacity quota exceeded",
    "max storage size exceeded",
];
const NOT_ADMITTED: &[&str] = &[
    "authentication required",
    "client sent auth",
    "auth <password> called without any password",
    "invalid password",
    "invalid username-password",
    "unauthenticated",
];
const NO_DATABASE: &[&str] = &[
    "db index",
    "0th database is supported",
    "select is not allowed",
    "unsupported command 'select'",
];
const NOT_PERMITTED: &[&str] = &[
    "acl failure",
    "has no permission",
    "no permissions to access",
    "can't run this command",
    "can't access at least one of the keys",
    "unknown command",
    "unknown redis command",
    "unknown subcommand",
    "unsupported command",
    "command is not supported",
    "command not supported",
    "command is disabled",
    "command is not allowed",
    "not hash to the same slot",
    "undeclared key",
    "non local key",
    "max request size exceeded",
    "exceeds maximum allowed size",
    "invalid bulk length",
];
const KILLED: &[&str] = &["script killed", "execution was interrupted"];
const DEFECT: &[&str] = &[
    "compiling script",
    "wrong number of arg",
    "syntax error",
    "is not an integer",
    "not a valid float",
    "not an integer or out of range",
    "would overflow",
    "no such key",
    "invalid expire",
    "index out of range",
    "offset is out of range",
    "number of keys",
    "arguments must be strings",
    "at least one argument",
    "attempt to ",
    "bad argument #",
    "nonexistent global variable",
    "results to unpack",
    "stack overflow",
    "posada the lease",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(reply: &str) -> Meaning {
        let (code, detail) = reply.split_once(' ').unwrap_or((reply, ""));
        Refusal::read(code, detail).meaning
    }

    #[test]
    fn a_server_that_cannot_serve_now_is_no_defect_whatever_its_words() {
        for reply in [
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands \
             that may modify the data set are disabled, because this instance is configured to report errors during \
             writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for \
             details about the RDB error.",
            "MISCONF Errors writing to the AOF file: No space left on device",
            "NOREPLICAS Not enough good replicas to write.",
            "NOREPLICAS Not enough good replicas to write. script: 8a7b5d9e1, on @user_script:12.",
            "ERR Error running script (call to f_8a7b5d9e1): @user_script: 12: -NOREPLICAS Not enough good slaves to write.",
            "ERR Error running script (call to f_8a7b5d9e1): @user_script: 12: -MISCONF Errors writing to the AOF file",
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            "UNKILLABLE Sorry the script already executed write commands against the dataset.",
            "ERR Script killed by user with SCRIPT KILL. script: 8a7b5d9e1, on @user_script:1.",
            "ERR Error running script (call to f_8a7b): @user_script:1: user_script:1: Script killed by user with SCRIPT KILL...",
            "EXECABORT Transaction discarded because of previous errors.",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "INPROG Failover already in progress",
            "NOMASTERLINK Can't SYNC while not connected with my master",
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
            "IDONTKNOW",
            "THROTTLED too many commands",
            "ERR max number of clients reached",
            "ERR max number of clients + cluster connections reached",
            "ERR max daily request limit exceeded. Limit: 10000, Usage: 10001.",
            "ERR max requests limit exceeded. Limit: 500000, Usage: 500000.",
            "ERR max concurrent connections exceeded",
            "ERR upstream failure",
            "ERR no upstream host",
            "ERR Connection timed out",
            "ERR server connection close",
            "ERR Server closed the connection",
            "ERR This database is being resized",
            "ERR",
            "TEAPOT",
        ] {
            assert_eq!(meant(reply), Meaning::NotNow, "{reply}");
        }
    }

    #[test]
    fn what_another_server_could_do_asks_for_a_new_connection() {
        for reply in [
            "READONLY You can't write against a read only replica.",
            "READONLY You can't write against a read only replica. script: 8a7b5d9e1, on @user_script:12.",
            "ERR Error running script (call to f_8a7b5d9e1): @user_script: 12: -READONLY You can't write against a read only replica.",
            "READONLY Replica can't interact with the keyspace",
            "LOADING Redis is loading the dataset in memory",
            "LOADING Dragonfly is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "CLUSTERDOWN The cluster is down",
            "CLUSTERDOWN Hash slot not served",
            "MOVED 3999 127.0.0.1:6381",
            "REDIRECT 127.0.0.1:6381",
        ] {
            assert_eq!(meant(reply), Meaning::Elsewhere, "{reply}");
        }
    }

    #[test]
    fn passwords_rights_and_missing_commands_are_told_apart() {
        for (reply, expected) in [
            ("NOAUTH Authentication required.", Meaning::NotAdmitted),
            (
                "NOAUTH HELLO must be called with the client already authenticated",
                Meaning::NotAdmitted,
            ),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                Meaning::NotAdmitted,
            ),
            (
                "DENIED Redis is running in protected mode because protected mode is enabled",
                Meaning::NotAdmitted,
            ),
            ("ERR invalid password", Meaning::NotAdmitted),
            (
                "ERR Client sent AUTH, but no password is set",
                Meaning::NotAdmitted,
            ),
            (
                "ERR AUTH <password> called without any password configured for the default user.",
                Meaning::NotAdmitted,
            ),
            (
                "NOPERM this user has no permissions to run the 'eval' command",
                Meaning::NotPermitted,
            ),
            ("NOPERM No permissions to access a key", Meaning::NotPermitted),
            (
                "ERR ACL failure in script: User posada has no permissions to run the 'get' command script: 8a7b, on \
                 @user_script:1.",
                Meaning::NotPermitted,
            ),
            (
                "ERR Error running script (call to f_8a7b): @user_script: 1: The user executing the script can't run \
                 this command or subcommand",
                Meaning::NotPermitted,
            ),
            (
                "ERR unknown command 'EVALSHA', with args beginning with: '8a7b' '1' 'session:…'",
                Meaning::NotPermitted,
            ),
            ("ERR unsupported command 'evalsha'", Meaning::NotPermitted),
            ("NOPROTO unsupported protocol version", Meaning::NotPermitted),
            (
                "CROSSSLOT Keys in request don't hash to the same slot",
                Meaning::NotPermitted,
            ),
            ("ERR script tried accessing undeclared key", Meaning::NotPermitted),
            (
                "ERR max request size exceeded. Limit: 1048576 bytes, Actual: 1048999 bytes",
                Meaning::NotPermitted,
            ),
            ("ERR DB index is out of range", Meaning::NoDatabase),
            ("ERR invalid DB index", Meaning::NoDatabase),
            (
                "ERR Only 0th database is supported! Selected DB: 3",
                Meaning::NoDatabase,
            ),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Meaning::OutOfMemory,
            ),
            (
                "ERR Error running script (call to f_8a7b): @user_script: 12: -OOM command not allowed when used memory \
                 > 'maxmemory'.",
                Meaning::OutOfMemory,
            ),
            ("ERR Out of memory", Meaning::OutOfMemory),
            ("ERR DB capacity quota exceeded", Meaning::OutOfMemory),
            (
                "ERR Error running script (call to f_8a7b): @user_script:1: WRONGTYPE Operation against a key holding \
                 the wrong kind of value",
                Meaning::WrongType,
            ),
            (
                "WRONGTYPE Operation against a key holding the wrong kind of value script: 8a7b, on @user_script:1.",
                Meaning::WrongType,
            ),
            (
                "NOSCRIPT No matching script. Please use EVAL.",
                Meaning::UnknownScript,
            ),
        ] {
            assert_eq!(meant(reply), expected, "{reply}");
        }
    }

    #[test]
    fn a_mistake_in_a_script_of_ours_is_a_defect() {
        for reply in [
            "ERR Error compiling script (new function): user_script:1: '=' expected near 'x'",
            "ERR user_script:1: attempt to index a nil value script: 8a7b, on @user_script:1.",
            "ERR user_script:7: something that a script throws script: 8a7b, on @user_script:7.",
            "ERR Error running script (call to f_8a7b): @user_script:7: user_script:7: attempt to index a nil value",
            "ERR value is not an integer or out of range script: 8a7b, on @user_script:3.",
            "ERR Error running script (call to f_8a7b): @user_script:3: ERR value is not an integer or out of range",
            "ERR wrong number of arguments for 'get' command",
            "ERR Wrong number of args calling Redis command from script script: 8a7b, on @user_script:1.",
            "ERR syntax error",
            "POSADA the lease cannot be read",
            "ERR POSADA the lease cannot be read",
        ] {
            assert_eq!(meant(reply), Meaning::Defect, "{reply}");
        }
    }

    #[test]
    fn words_are_bounded_and_hold_no_arguments_of_ours() {
        let refusal = Refusal::read(
            "ERR",
            "unknown command 'SETRANGE', with args beginning with: 'session:default:5491112345678' ",
        );
        assert_eq!(refusal.words, "ERR unknown command 'SETRANGE'");
        assert_eq!(
            Refusal::read("ERR", &"ñ".repeat(5000)).words.chars().count(),
            LONGEST
        );
        assert_eq!(Refusal::read("IDONTKNOW", "").words, "IDONTKNOW");
        let of_script = "Not enough good replicas to write. script: 8a7b5d9e1, on @user_script:12.";
        assert_eq!(
            Refusal::read("NOREPLICAS", of_script).words,
            "NOREPLICAS Not enough good replicas to write."
        );
    }
}
