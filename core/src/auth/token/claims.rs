//! The rules that every claim obeys, for both profiles.

use super::json::{Object, Value};
use super::keys::KeyIndex;
use super::{Profile, TokenKind, TokenRules};
use crate::TenantId;
use crate::auth::role::Role;
use crate::text;

/// The longest subject and id, in bytes: what the columns hold.
const LONGEST: usize = 255;
/// Times beyond this many seconds cannot be told apart as floats, and mean nothing.
const LATEST: i64 = 1 << 53;
/// The most digits of a time that is written as a text: those of [`LATEST`].
const MOST_DIGITS: usize = 16;
/// How far the clock of another machine may be ahead and still say something, in seconds: less than what Kerberos allows.
const CLOCKS_APART: i64 = 300;

/// What a good token says. Secrets are not among it: an id without a signature opens nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TokenClaims {
    pub(crate) profile: Profile,
    pub(crate) kind: TokenKind,
    pub(crate) subject: String,
    /// Seconds since 1970.
    pub(crate) expires_at: i64,
    /// The earliest second in which it can have been issued, as far as it is known.
    pub(crate) earliest_issue: i64,
    pub(crate) id: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) role: Option<Role>,
    /// A mark of the moment at which the password was set.
    pub(crate) mark: Option<String>,
    /// Whether the token names its kind: the app's simple tokens do not.
    pub(crate) is_typed: bool,
    /// The key that signed it.
    pub(crate) signer: KeyIndex,
}

/// Why claims are refused.
pub(super) enum Fault {
    Expired,
    Bad(&'static str),
}

impl From<&'static str> for Fault {
    fn from(reason: &'static str) -> Self {
        Self::Bad(reason)
    }
}

pub(super) fn check(
    claims: &Object,
    typ: Option<&str>,
    signer: KeyIndex,
    rules: &TokenRules,
    now: i64,
) -> Result<TokenClaims, Fault> {
    let (profile, kind, is_typed) = kind_of(claims, typ)?;
    if !rules.accepts.contains(&profile) {
        return Err("is of a profile that is not accepted".into());
    }
    let strict = profile == Profile::Strict;
    let time = |name| time(claims, name, strict);
    let expires_at = time("exp")?.ok_or("has no `exp`")?;
    let issued_at = time("iat")?;
    let leeway = if strict { rules.leeway_seconds() } else { 0 };
    if time("nbf")?.is_some_and(|not_before| not_before > now + leeway) {
        return Err("is not valid yet".into());
    }
    // python-jose takes a token in the very second in which it ends; the strict profile does not.
    let ended = if strict {
        now >= expires_at + leeway
    } else {
        now > expires_at
    };
    if ended {
        return Err(Fault::Expired);
    }
    if strict && issued_at.ok_or("has no `iat`")? > now + leeway {
        return Err("was issued in the future".into());
    }
    // A token that is there was issued by now, whatever it says and however far clocks are apart.
    let begin = issued_at.unwrap_or(now).min(now + CLOCKS_APART);
    if expires_at.saturating_sub(begin) > rules.longest_seconds(kind) {
        return Err("lives longer than tokens may".into());
    }
    issuer_and_audience(claims, strict, rules)?;
    let found = TokenClaims {
        profile,
        kind,
        subject: id(claims, "sub")?.ok_or("has no `sub`")?,
        expires_at,
        earliest_issue: earliest_issue(issued_at, expires_at, kind, rules, now),
        id: id(claims, "jti")?,
        session: id(claims, "sid")?,
        tenant: tenant(claims)?,
        role: role(claims, strict)?,
        mark: id(claims, "pwv")?,
        is_typed,
        signer,
    };
    permissions(claims)?;
    let needs_session = strict && matches!(kind, TokenKind::Access | TokenKind::Refresh);
    if strict && found.id.is_none() || needs_session && found.session.is_none() {
        return Err("lacks a claim that its profile needs".into());
    }
    Ok(found)
}

/// The header says which profile it is, and so which claims say the kind: never both.
fn kind_of(claims: &Object, typ: Option<&str>) -> Result<(Profile, TokenKind, bool), Fault> {
    let legacy = typ.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    match (legacy, claims.get("type")) {
        (true, None) => Ok((Profile::Legacy, TokenKind::Access, false)),
        (true, Some(Value::Text(name))) => TokenKind::from_legacy(name)
            .map(|kind| (Profile::Legacy, kind, true))
            .ok_or(Fault::Bad("is of an unknown type")),
        (false, None) => TokenKind::from_strict(typ.unwrap_or_default())
            .map(|kind| (Profile::Strict, kind, true))
            .ok_or(Fault::Bad("has an unknown `typ`")),
        (_, Some(_)) => Err("has a `type` of the wrong type".into()),
    }
}

/// The earliest second in which a token can have been issued, by what it says and by the clock at its first sight.
///
/// A token without `iat` is one of the app's `create_access_token`, which all live equally long. A moment in the future
/// is not believed: either the clock that wrote it is ahead, by minutes at most, or it says nothing, and the token may
/// be as old as its end allows.
fn earliest_issue(
    issued_at: Option<i64>,
    expires_at: i64,
    kind: TokenKind,
    rules: &TokenRules,
    now: i64,
) -> i64 {
    let claimed = issued_at.unwrap_or(expires_at.saturating_sub(rules.app_life_seconds()));
    match claimed.saturating_sub(now) {
        ..=0 => claimed,
        1..CLOCKS_APART => claimed - CLOCKS_APART,
        _ => expires_at.saturating_sub(rules.longest_seconds(kind)),
    }
}

/// A whole number of seconds since 1970. The legacy profile takes it as a text of digits too, as the app's libraries
/// do; a truth value or null is never one.
fn time(claims: &Object, name: &str, strict: bool) -> Result<Option<i64>, &'static str> {
    let is_number = |text: &str| {
        (1..=MOST_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let seconds = match claims.get(name) {
        None => return Ok(None),
        Some(Value::Integer(seconds)) => *seconds,
        Some(Value::Text(text)) if !strict && is_number(text) => text.parse().unwrap_or(LATEST),
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "the range is checked before the cast, and the fraction of a second is dropped on purpose"
        )]
        Some(Value::Float(seconds)) if seconds.abs() < LATEST as f64 => seconds.floor() as i64,
        Some(_) => return Err("has a time that is not a number"),
    };
    if (0..LATEST).contains(&seconds) {
        Ok(Some(seconds))
    } else {
        Err("has a time out of range")
    }
}

fn id(claims: &Object, name: &str) -> Result<Option<String>, &'static str> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Text(id)) if text::check(id, LONGEST).is_ok() => Ok(Some(id.clone())),
        Some(_) => Err("has a name or id of the wrong type or length"),
    }
}

fn tenant(claims: &Object) -> Result<Option<TenantId>, &'static str> {
    id(claims, "tid")?
        .map(|tenant| TenantId::parse(&tenant).map_err(|_| "has an impossible tenant"))
        .transpose()
}

fn role(claims: &Object, strict: bool) -> Result<Option<Role>, &'static str> {
    match id(claims, "role")? {
        None => Ok(None),
        Some(name) => match Role::parse(&name) {
            Err(_) if strict => Err("has an unknown role"),
            role => Ok(role.ok()),
        },
    }
}

fn permissions(claims: &Object) -> Result<(), &'static str> {
    match claims.get("permissions") {
        None => Ok(()),
        Some(Value::List(items)) if items.iter().all(|item| matches!(item, Value::Text(_))) => Ok(()),
        Some(_) => Err("has permissions that are not a list of names"),
    }
}

fn issuer_and_audience(claims: &Object, strict: bool, rules: &TokenRules) -> Result<(), &'static str> {
    if !strict {
        // The app's verifiers ignore an issuer and refuse every audience.
        return match claims.get("aud") {
            None => Ok(()),
            Some(_) => Err("is for another audience"),
        };
    }
    if claims.get("iss") != Some(&Value::Text(rules.issuer.clone())) {
        return Err("is from another issuer");
    }
    let is_ours = |value: &Value| matches!(value, Value::Text(name) if *name == rules.audience);
    let good = match claims.get("aud") {
        Some(Value::List(names)) => {
            names.iter().all(|name| matches!(name, Value::Text(_))) && names.iter().any(is_ours)
        }
        Some(value) => is_ours(value),
        None => false,
    };
    if good {
        Ok(())
    } else {
        Err("is for another audience")
    }
}
