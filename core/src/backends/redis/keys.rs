//! Every Redis key and channel of posada, and the only place that puts one together.
//!
//! Keys that the production app shares have its exact form. Keys of our own begin with `posada:`, so that the
//! app's `SCAN session:*` and `lock:room:*` never meet them. Parts from outside are escaped, so that no two
//! (tenant, user) pairs share a key; plain ids come out unchanged.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::TenantId;

/// What could end a part (`:`), begin an escape (`%`) or move the key to another slot (`{` and `}`).
const SPECIAL: &AsciiSet = &CONTROLS.add(b':').add(b'%').add(b'{').add(b'}');

/// Counts the writes of flags through posada.
pub(crate) const FLAGS_VERSION: &str = "posada:flags:version";
/// List of the last writes of flags through posada, the newest first.
pub(crate) const FLAGS_LOG: &str = "posada:flags:log";
/// Set of the tenants that were given overrides of flags through posada.
pub(crate) const FLAGS_TENANTS: &str = "posada:flags:tenants";
/// Channel that tells which flag was written.
pub(crate) const FLAGS_CHANNEL: &str = "posada:flags";

/// The hash of the app's flags, or of one tenant's overrides.
pub(crate) fn flags(tenant: Option<&TenantId>) -> String {
    match tenant {
        None => "feature_flags".to_owned(),
        Some(tenant) => format!("feature_flags:{}", part(tenant.as_str())),
    }
}

/// One part of a key.
pub(crate) fn part(text: &str) -> Cow<'_, str> {
    // Only ASCII needs escaping; the rest passes as it is, so that keys stay readable.
    if text.bytes().all(|byte| !SPECIAL_BYTES.contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_ascii() {
            let mut buffer = [0; 1];
            escaped.extend(utf8_percent_encode(character.encode_utf8(&mut buffer), SPECIAL));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

const SPECIAL_BYTES: &[u8] = b":%{}";

/// What is known of a named lock; all of it in one slot.
pub(crate) struct LockKeys {
    /// The grant, live or past: a text.
    pub(crate) lease: String,
    /// The waiters in their order: a sorted set.
    pub(crate) queue: String,
    /// Until when each waiter counts as alive, and its channel: a hash.
    pub(crate) waiters: String,
}

/// The keys of a named lock. Locks whose names begin with the same `{group}` share a slot.
pub(crate) fn lock(tenant: Option<&str>, name: &str) -> LockKeys {
    let group = name.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    let tag = match group.filter(|(group, _)| !group.is_empty()) {
        Some((group, rest)) => [
            "posada:{lock:",
            &owned_by(tenant),
            &part(group),
            "}/",
            &part(rest),
        ]
        .concat(),
        None => ["posada:{lock:", &owned_by(tenant), &part(name), "}"].concat(),
    };
    LockKeys {
        lease: [&tag, ":lease"].concat(),
        queue: [&tag, ":queue"].concat(),
        waiters: [&tag, ":waiters"].concat(),
    }
}

/// The named locks of a tenant that are held: a sorted set.
pub(crate) fn held_locks(tenant: Option<&str>) -> String {
    match tenant {
        Some(tenant) => format!("posada:locks:{}", part(tenant)),
        None => "posada:locks".to_owned(),
    }
}

/// The holds of one resource; all of them in one slot.
pub(crate) struct HoldKeys {
    /// Records, units per night and the fence: a hash. Its key ends in `:book`, as the versions before wrote it, so
    /// that a deployment finds the holds that are live.
    pub(crate) table: String,
    /// The holds by their end: a sorted set.
    pub(crate) ends: String,
}

/// The keys of the holds of a resource, such as `room` and `101`.
pub(crate) fn holds(tenant: Option<&str>, kind: &str, id: &str) -> HoldKeys {
    let tag = format!("posada:{{stay:{}{}:{}}}", owned_by(tenant), part(kind), part(id));
    HoldKeys {
        table: format!("{tag}:book"),
        ends: format!("{tag}:ends"),
    }
}

/// What is remembered of an idempotency key of a property management system.
pub(crate) fn booking_key(system: &str, key: &str) -> String {
    format!("posada:booking:{}:{}", part(system), part(key))
}

/// The idempotency keys of a property management system whose bookings are unsettled.
pub(crate) fn unsettled_bookings(system: &str) -> String {
    format!("posada:bookings:unsettled:{}", part(system))
}

/// An answer of a property management system that is kept.
pub(crate) fn pms_answer(system: &str, hotel: &str, question: &str) -> String {
    format!("{}:answer:{}", pms_part(system, hotel), part(question))
}

/// When we last changed something in a part of a property management system, in the slot of its answers.
pub(crate) fn pms_change(system: &str, hotel: &str) -> String {
    format!("{}:changed", pms_part(system, hotel))
}

fn pms_part(system: &str, hotel: &str) -> String {
    format!("posada:{{pms:{}:{}}}", part(system), part(hotel))
}

/// The channel on which the waiters of a process are woken.
pub(crate) fn wake_channel(process: &str) -> String {
    ["posada:wake:", &part(process)].concat()
}

fn owned_by(tenant: Option<&str>) -> String {
    tenant.map_or_else(String::new, |tenant| format!("{}:", part(tenant)))
}

/// The counter or list of a rate limit, as the Python package `limits` names it. Not escaped: the package does not.
pub(crate) fn limit(item: &str) -> String {
    format!("LIMITS:{item}")
}

/// The current window of a sliding counter.
pub(crate) fn limit_window(item: &str) -> String {
    format!("LIMITS:{{{item}}}")
}

/// The previous window of a sliding counter, in the same slot.
pub(crate) fn limit_previous_window(item: &str) -> String {
    format!("LIMITS:{{{item}}}/-1")
}

/// A conversation, shared with the app: `session:{tenant}:{user}`, or `session:{user}` without a tenant.
pub(crate) fn session(tenant: Option<&TenantId>, user: &str) -> String {
    match tenant {
        Some(tenant) => format!("session:{}:{}", part(tenant.as_str()), part(user)),
        None => format!("session:{}", part(user)),
    }
}

/// A pattern for every conversation of a tenant, stored by posada or by the app; it meets some of other tenants, too.
pub(crate) fn sessions_of_tenant(tenant: &TenantId) -> String {
    format!("session:{}:*", literal(tenant.as_str()))
}

/// A pattern for every conversation of a user, stored by posada or by the app; it meets some of other users, too.
pub(crate) fn sessions_of_user(user: &str) -> String {
    format!("session:*{}", literal(user))
}

/// What means itself in a pattern.
fn literal(text: &str) -> String {
    text.chars().fold(String::new(), |mut pattern, character| {
        if "*?[]\\^-".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
        pattern
    })
}

/// The live conversations of a tenant, or of those without one.
pub(crate) fn session_index(tenant: Option<&TenantId>) -> String {
    match tenant {
        Some(tenant) => format!("posada:sessions:{}", part(tenant.as_str())),
        None => "posada:sessions".to_owned(),
    }
}

/// The tenants that have, or had, conversations.
pub(crate) fn session_tenants() -> &'static str {
    "posada:session_tenants"
}

/// What processes know of a sign-in session.
pub(crate) fn sign_in(session: &str) -> String {
    format!("posada:auth:session:{}", part(session))
}

/// The attempts to sign in to an account, which is known by a keyed hash.
pub(crate) fn sign_in_account(account: &str) -> String {
    format!("posada:auth:account:{}", part(account))
}

/// The attempts to sign in from an address.
pub(crate) fn sign_in_address(address: &str) -> String {
    format!("posada:auth:address:{}", part(address))
}

/// The key that is asked whether the server takes writes. Nothing is ever kept there.
pub(crate) const HEALTH: &str = "posada:health";

/// The same for a cluster: one key in each sixteenth of the slots, so that no part is missed that serves that much.
pub(crate) const HEALTH_OF_PARTS: [&str; 16] = [
    "posada:health:40",
    "posada:health:62",
    "posada:health:22",
    "posada:health:3",
    "posada:health:41",
    "posada:health:63",
    "posada:health:23",
    "posada:health:2",
    "posada:health:42",
    "posada:health:60",
    "posada:health:20",
    "posada:health:1",
    "posada:health:43",
    "posada:health:61",
    "posada:health:21",
    "posada:health:0",
];

/// The channel on which resolvers tell each other that a tenant changed.
pub(crate) const TENANTS_CHANNEL: &str = "posada:tenants";

/// A kind of key, for who has to permit it.
pub(crate) struct Kind {
    /// What an access list calls it.
    pub(crate) pattern: &'static str,
    /// What is kept there.
    pub(crate) keeps: &'static str,
    /// An example: a key of this kind that is never stored, unless the kind has only one key.
    pub(crate) sample: String,
}

/// A field that no hash of ours has.
pub(crate) const NO_FIELD: &str = "posada:doctor";

/// Every kind of key that we use.
pub(crate) fn kinds() -> [Kind; 5] {
    let kind = |pattern, keeps, sample| Kind {
        pattern,
        keeps,
        sample,
    };
    let of_nobody = "posada:doctor".to_owned();
    [
        kind("session:*", "conversations", session(None, &of_nobody)),
        kind("feature_flags", "flags", flags(None)),
        kind(
            "feature_flags:*",
            "the flags of a hotel",
            format!("{}:{}", flags(None), part(&of_nobody)),
        ),
        kind("LIMITS:*", "limits", limit(&of_nobody)),
        kind("posada:*", "locks, holds, sign-in and bookings", of_nobody),
    ]
}

/// The pattern of every channel that we use.
pub(crate) const CHANNELS: &str = "posada:*";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_ids_stay_as_they_are() {
        for id in ["5491112345678", "ana@hotel.example", "hotel-test", "Ñandú"] {
            assert_eq!(part(id), id);
        }
    }

    #[test]
    fn separators_escapes_and_braces_are_escaped() {
        assert_eq!(part("a:b"), "a%3Ab");
        assert_eq!(part("a%3Ab"), "a%253Ab");
        assert_eq!(part("{x}é:"), "%7Bx%7Dé%3A");
    }

    #[test]
    fn a_conversation_has_the_apps_key_and_no_two_share_one() {
        let tenant = |id| TenantId::parse(id).unwrap();
        assert_eq!(
            session(Some(&tenant("hotel-test")), "5491112345678"),
            "session:hotel-test:5491112345678"
        );
        assert_eq!(session(None, "ana@hotel.example"), "session:ana@hotel.example");
        let keys = [
            session(Some(&tenant("a")), "b:c"),
            session(Some(&tenant("a:b")), "c"),
            session(None, "a:b:c"),
        ];
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    }

    #[test]
    fn keys_of_one_lock_share_a_slot_and_those_of_two_tenants_do_not_meet() {
        let keys = lock(Some("a"), "b:c");
        assert_eq!(keys.lease, "posada:{lock:a:b%3Ac}:lease");
        assert_eq!(keys.queue, "posada:{lock:a:b%3Ac}:queue");
        assert_ne!(lock(Some("a:b"), "c").lease, keys.lease);
        assert_ne!(lock(None, "a:b:c").lease, keys.lease);
        assert_eq!(
            lock(Some("a"), "{b:c}d}").lease,
            "posada:{lock:a:b%3Ac}/d%7D:lease"
        );
        assert_eq!(lock(None, "{a}").lease, "posada:{lock:a}/:lease");
        assert_eq!(lock(None, "{}a").lease, "posada:{lock:%7B%7Da}:lease");
        assert_eq!(holds(None, "room", "101").table, "posada:{stay:room:101}:book");
        assert_eq!(
            holds(Some("t"), "room", "101").ends,
            "posada:{stay:t:room:101}:ends"
        );
    }

    #[test]
    fn every_sixteenth_of_a_cluster_has_a_key_for_health() {
        use redis::cluster_routing::Slot;

        for (part, key) in (0_u16..).zip(HEALTH_OF_PARTS) {
            let mut slots = part * 1024..(part + 1) * 1024;
            assert!(
                slots.any(|slot| Slot::new(slot) == Some(Slot::for_key(key))),
                "{key}"
            );
        }
    }

    #[test]
    fn a_pattern_means_the_names_in_it_literally() {
        let tenant = TenantId::parse("a*[b]").unwrap();
        assert_eq!(sessions_of_tenant(&tenant), r"session:a\*\[b\]:*");
        assert_eq!(sessions_of_user("54?9"), r"session:*54\?9");
    }
}
