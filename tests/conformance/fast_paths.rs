//! The common cases of the lock scripts, which come before the functions that the others need: each is played through
//! the whole script, too, and both must answer the same and leave the same keys. This is why they may stay.

use serde_json::{Value, json};

use posada_tests::servers;

/// The scripts read the clock once; here it stands still.
const CLOCK: &str = "{ '1800000000', '123456' }";

macro_rules! source {
    ($name:literal) => {
        include_str!(concat!("../../core/src/locks/", $name))
    };
}

/// One script with its common case in front, and without it.
struct Script {
    before: String,
    free: &'static str,
    whole: String,
}

impl Script {
    fn of_locks(free: &'static str, last: &str) -> Self {
        Self {
            before: [source!("clock.lua"), source!("lease.lua")].join("\n"),
            free,
            whole: [source!("numbers.lua"), source!("queue.lua"), last].join("\n"),
        }
    }

    fn of_holds(free: &'static str, last: &str) -> Self {
        Self {
            before: [
                source!("clock.lua"),
                source!("numbers.lua"),
                source!("holds/layout.lua"),
            ]
            .join("\n"),
            free,
            whole: [source!("holds/hold_table.lua"), last].join("\n"),
        }
    }

    /// Both ways as functions of one script that plays a case on each, and returns the answers and what is stored.
    fn text(&self, make: &str) -> String {
        let Self { before, free, whole } = self;
        let text = format!(
            "local function make(KEYS, ARGV)\n{make}\nend\n\
             local function short(KEYS, ARGV)\n{before}\n{free}\n{whole}\nend\n\
             local function long(KEYS, ARGV)\n{before}\n{whole}\nend\n{}",
            include_str!("fast_paths.lua")
        );
        text.replace("redis.call('TIME')", CLOCK)
    }
}

/// A state to begin with, and a call.
struct Case {
    /// Commands, with `KEYS[n]` by its number; a list of texts without a command is a call of `make`.
    setup: Vec<Value>,
    arguments: Vec<String>,
}

/// Plays the cases, and returns how many were common ones. `long_form` makes the whole script's answer of the short one.
fn play(script: &str, keys: usize, cases: &[Case], long_form: impl Fn(&str) -> Value) -> usize {
    let mut common = 0;
    for (number, case) in cases.iter().enumerate() {
        let keys: Vec<_> = (1..=keys).map(|key| format!("{{fast:{number}}}:{key}")).collect();
        let (setup, arguments) = (json!(case.setup).to_string(), json!(case.arguments).to_string());
        let count = keys.len().to_string();
        let mut words = vec!["EVAL", script, &count];
        words.extend(keys.iter().map(String::as_str));
        words.extend([setup.as_str(), arguments.as_str()]);
        let played: Vec<String> = servers::redis().command(&words);
        let played: Vec<Value> = played
            .iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .collect();
        let [short, short_state, long, long_state] = played.as_slice() else {
            panic!("{played:?}");
        };
        let of = format!("{setup} then {arguments}");
        let expected = short.as_str().map_or_else(|| short.clone(), &long_form);
        common += usize::from(short.is_string());
        assert_eq!(&expected, long, "answers to {of}");
        assert_eq!(short_state, long_state, "keys after {of}");
    }
    common
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";
const CHANNEL: &str = "posada:wake:00112233445566778899aabbccddeeff";

/// Every kind of lease beside every kind of queue.
fn lock_states() -> Vec<Vec<Value>> {
    let lease = |text: String| vec![json!(["SET", 1, text, "PX", "604830000"])];
    let held = |state: &str, tokens: &str, expires: &str, again: &str, owner: &str| {
        lease(format!(
            "{state}\t1799999999000001\t\t{tokens}\t{expires}\t1799999999000\t{again}\t{CHANNEL}\t{owner}"
        ))
    };
    let (later, over) = ("1800000030123", "1800000000123");
    let mut leases = vec![
        vec![],
        lease("nonsense".to_owned()),
        vec![json!(["RPUSH", 1, "a list"])],
    ];
    // Below, at and above the clock, and with fewer and with more digits.
    for fence in [
        "7",
        "999999999999999",
        "1800000000123455",
        "1800000000123456",
        "1800000000123457",
        "18000000001234560",
    ] {
        leases.push(lease(format!("ended\t{fence}\t")));
        leases.push(lease(format!("ended\t{fence}\t{OTHER}")));
    }
    for (tokens, owner) in [(TOKEN, "anna"), (OTHER, "anna"), (OTHER, "ben")] {
        for again in ["0", "1"] {
            for expires in [later, over, "999999999999", "18000000301230"] {
                leases.push(held("held", tokens, expires, again, owner));
            }
        }
        leases.push(held("offered", tokens, later, "0", owner));
        leases.push(held("offered", tokens, over, "0", owner));
    }
    leases.push(held("held", &format!("{TOKEN},{OTHER}"), later, "1", "anna"));
    let waiter = |token: &str, alive: &str| {
        vec![
            json!(["ZADD", 2, "1799999999500000", token]),
            json!([
                "HSET",
                3,
                token,
                format!("30000\t0\t{CHANNEL}:2\tcara"),
                format!("@{CHANNEL}:2"),
                alive
            ]),
        ]
    };
    let queues = [
        vec![],
        waiter(TOKEN, later),
        waiter("ab", later),
        waiter("ab", over),
    ];
    // An ended lease has no queue: the step that writes `ended` has looked for waiters. The short way relies on it.
    let is_ended = |lease: &[Value]| {
        lease
            .iter()
            .any(|command| command[2].as_str().is_some_and(|text| text.starts_with("ended")))
    };
    let reachable = |lease: &[Value], queue: &[Value]| queue.is_empty() || !is_ended(lease);
    let mut states = Vec::new();
    for lease in &leases {
        for queue in queues.iter().filter(|queue| reachable(lease, queue)) {
            states.push([lease.as_slice(), queue].concat());
        }
    }
    states
}

#[test]
fn a_lock_that_is_free_is_granted_by_the_short_way_as_by_the_whole_script() {
    let script = Script::of_locks(source!("acquire_free.lua"), source!("acquire.lua")).text("");
    let mut cases = Vec::new();
    for setup in lock_states() {
        for (waits, again) in [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")] {
            let arguments = texts(&[TOKEN, "anna", "30000", CHANNEL, waits, again, "604830000"]);
            cases.push(Case {
                setup: setup.clone(),
                arguments,
            });
        }
    }
    let common = play(&script, 3, &cases, |lease| json!(["granted", lease, ""]));
    assert!(
        common >= 12,
        "{common} of {} cases took the short way",
        cases.len()
    );
}

#[test]
fn a_lock_that_nobody_waits_for_is_released_by_the_short_way_as_by_the_whole_script() {
    let script = Script::of_locks(source!("release_alone.lua"), source!("release.lua")).text("");
    let mut cases = Vec::new();
    for setup in lock_states() {
        for token in [TOKEN, OTHER] {
            let arguments = texts(&[token, CHANNEL]);
            cases.push(Case {
                setup: setup.clone(),
                arguments,
            });
        }
    }
    let common = play(&script, 3, &cases, |lease| json!(["released", lease, "", ""]));
    assert!(
        common >= 5,
        "{common} of {} cases took the short way",
        cases.len()
    );
}

/// The whole script's answer: now, nothing expired, the outcome and the record.
fn hold_answer(text: &str) -> Value {
    let (outcome, rest) = text.split_once('\t').unwrap();
    let (now, record) = rest.split_once('\t').unwrap();
    json!([now, {}, outcome, record])
}

fn request(slot: &str, token: &str, quantity: &str, capacity: &str, ttl: &str, most: &str) -> Vec<String> {
    texts(&[slot, "0f1e2d3c", token, "user-7", quantity, capacity, ttl, most])
}

const SLOT: &str = "20888:20891:=conversation-1";

/// Hold tables as callers make them: empty, with others and with our own on the same or on other nights, with holds
/// that have ended, and with a fence ahead of the clock.
fn hold_states() -> Vec<Vec<Value>> {
    let hold = |slot: &str, token: &str, quantity: &str, ttl: &str| {
        json!([request(slot, token, quantity, "9", ttl, "10000")])
    };
    let longer = hold("20887:20889:=conversation-2", OTHER, "1", "1200000");
    let shorter = hold("20890:20893:#0a0b", OTHER, "2", "60000");
    let beside = hold("20891:20894:=conversation-3", OTHER, "1", "600000");
    let own = hold(SLOT, TOKEN, "1", "600000");
    let own_of_two = hold(SLOT, TOKEN, "2", "600000");
    let not_ours = hold(SLOT, OTHER, "1", "600000");
    let ended = hold("20888:20890:=conversation-4", OTHER, "3", "-1000");
    let own_ended = hold(SLOT, TOKEN, "1", "-1000");
    let ahead = json!(["HSET", 1, "fence", "1900000000000000"]);
    let behind = json!(["HSET", 1, "fence", "999"]);
    let mut states = Vec::new();
    let others = [
        vec![],
        vec![longer.clone()],
        vec![shorter.clone()],
        vec![beside.clone()],
        vec![longer, shorter, beside],
    ];
    for others in others {
        for last in [
            None,
            Some(&own),
            Some(&own_of_two),
            Some(&not_ours),
            Some(&ended),
            Some(&own_ended),
            Some(&ahead),
            Some(&behind),
        ] {
            states.push(others.iter().chain(last).cloned().collect());
        }
    }
    // A server that evicts may have dropped one of the two keys.
    states.push(vec![own.clone(), json!(["DEL", 2])]);
    states.push(vec![own, json!(["DEL", 1])]);
    states
}

#[test]
fn nights_that_are_free_are_held_by_the_short_way_as_by_the_whole_script() {
    let whole = Script::of_holds(source!("holds/hold_free.lua"), source!("holds/hold.lua"));
    let script = whole.text(&format!("{}\n{}", whole.before, whole.whole));
    let mut cases = Vec::new();
    for setup in hold_states() {
        for (quantity, capacity) in [("1", "1"), ("1", "2"), ("2", "4"), ("3", "9")] {
            for most in ["1", "10000"] {
                let arguments = request(SLOT, TOKEN, quantity, capacity, "1200000", most);
                cases.push(Case {
                    setup: setup.clone(),
                    arguments,
                });
            }
        }
    }
    let common = play(&script, 2, &cases, hold_answer);
    assert!(
        common >= 20,
        "{common} of {} cases took the short way",
        cases.len()
    );
}

#[test]
fn a_hold_is_released_by_the_short_way_as_by_the_whole_script() {
    let make = Script::of_holds("", source!("holds/hold.lua"));
    let whole = Script::of_holds(source!("holds/release_held.lua"), source!("holds/release.lua"));
    let script = whole.text(&format!("{}\n{}", make.before, make.whole));
    let mut cases = Vec::new();
    for setup in hold_states() {
        for slot in [
            SLOT,
            "20887:20889:=conversation-2",
            "20890:20893:#0a0b",
            "20900:20901:=nothing",
        ] {
            for token in [TOKEN, OTHER] {
                let arguments = texts(&[slot, token]);
                cases.push(Case {
                    setup: setup.clone(),
                    arguments,
                });
            }
        }
    }
    let common = play(&script, 2, &cases, hold_answer);
    assert!(
        common >= 20,
        "{common} of {} cases took the short way",
        cases.len()
    );
}
