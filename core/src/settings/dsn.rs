//! Takes a server URL apart: `scheme://user:password@host:port,host:port/path?name=value`.
//!
//! Written here and not taken from a crate because one URL may name several hosts (Sentinel, cluster), because
//! passwords arrive half-encoded, and because a fault must never repeat any piece of the text: whatever cannot be
//! read may be a password.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::Secret;

/// One server of a URL. An absent host or port is for the caller to default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

/// The pieces of a URL, percent-decoded.
#[derive(Debug)]
pub(super) struct Dsn<'a> {
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    /// At least one; a URL without a host has one with an empty name.
    pub(super) addresses: Vec<Address>,
    /// Still encoded, without the first slash.
    pub(super) path: &'a str,
    pub(super) options: Vec<(String, String)>,
}

/// Why a text is not a URL, in words that follow the name of the setting. Holds no piece of the text.
pub(super) type Fault = Cow<'static, str>;

/// Splits a URL into its scheme and the rest behind `://`. The scheme is only returned when it looks like one.
pub(super) fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let looks_right = scheme.len() <= 24
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    looks_right.then_some((scheme, rest))
}

impl<'a> Dsn<'a> {
    /// Reads what stands behind `scheme://`.
    pub(super) fn parse(rest: &'a str) -> Result<Self, Fault> {
        if rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("must not contain white space or control characters; write a space as %20".into());
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        // An at sign or hash sign behind the host is nearly always the end of a password with an unencoded `/` or
        // `?`. Reading on would take the first half of it for a host, and connect there.
        if tail.contains('@') {
            return Err(
                "holds an @ behind the host; in user and password write @ as %40, / as %2F, ? as %3F, # as %23 and % as %25"
                    .into(),
            );
        }
        if tail.contains('#') {
            return Err("must not have a part behind #; in user and password write # as %23".into());
        }
        let (user, password, hosts) = match authority.rsplit_once('@') {
            None => (None, None, authority),
            Some((who, hosts)) => {
                let (user, password) = match who.split_once(':') {
                    None => (who, None),
                    Some((user, password)) => (user, Some(password)),
                };
                let user = Some(decode(user, "the user")?).filter(|user| !user.is_empty());
                let password = match password.filter(|text| !text.is_empty()) {
                    None => None,
                    Some(text) => Some(Secret::new(decode(text, "the password")?)),
                };
                (user, password, hosts)
            }
        };
        let addresses = hosts.split(',').map(address).collect::<Result<Vec<_>, _>>()?;
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let options = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair
                    .split_once('=')
                    .ok_or("holds an option without a value; options are written name=value")?;
                Ok((decode(name, "an option")?, decode(value, "an option")?))
            })
            .collect::<Result<Vec<_>, Fault>>()?;
        Ok(Self {
            user,
            password,
            addresses,
            path: path.strip_prefix('/').unwrap_or(path),
            options,
        })
    }
}

/// Decodes `%XX`, strictly: a stray `%` is most often a password that was never encoded.
pub(super) fn decode(text: &str, what: &str) -> Result<String, Fault> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        let hex = after.bytes().take(2).filter(u8::is_ascii_hexdigit).count();
        if hex < 2 {
            return Err(format!(
                "{what} holds a % that is not followed by two hexadecimal digits; write % itself as %25"
            )
            .into());
        }
        rest = after;
    }
    match percent_decode_str(text).decode_utf8() {
        Err(_) => Err(format!("{what} is not UTF-8 once decoded").into()),
        Ok(decoded) if decoded.contains('\0') => Err(format!("{what} must not contain %00").into()),
        Ok(decoded) => Ok(decoded.into_owned()),
    }
}

fn address(text: &str) -> Result<Address, Fault> {
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let (host, after) = inner
            .split_once(']')
            .ok_or("has an IPv6 address without its closing ]")?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err("has something between [ and ] that is not an IPv6 address".into());
        }
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err("has something behind the ] of an IPv6 address".into()),
        }
    } else {
        match text.split_once(':') {
            None => (text, None),
            Some((_, port)) if port.contains(':') => {
                return Err("has more than one : in its host; write IPv6 addresses in [ ]".into());
            }
            Some((host, port)) => (host, Some(port)),
        }
    };
    Ok(Address {
        host: decode(host, "the host")?,
        port: match port.filter(|port| !port.is_empty()) {
            None => None,
            Some(port) => Some(parse_port(port)?),
        },
    })
}

/// A TCP port, 1 to 65535.
pub(super) fn parse_port(text: &str) -> Result<u16, Fault> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(
            "must have a port between 1 and 65535; if that is a piece of the password, encode it (/ as %2F)"
                .into(),
        ),
    }
}
