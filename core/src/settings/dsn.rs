//! Takes a server URL apart: `scheme://user:password@host:port,host:port/path?name=value`.
//!
//! Written here and not taken from a crate because one URL may name several hosts (Sentinel, cluster), because
//! passwords arrive half-encoded, and because a fault must never repeat any piece of the text: whatever cannot be
//! read may be a password.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::Secret;
use super::sourced::Fault;

/// One server of a URL. An absent host or port is for the caller to default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Decoded; IPv6 without its brackets.
    pub(super) host: String,
    /// Never 0.
    pub(super) port: Option<u16>,
}

/// The pieces of a URL, percent-decoded.
#[derive(Debug)]
pub(super) struct Dsn<'a> {
    /// Never empty.
    pub(super) user: Option<String>,
    /// Never empty: `user:@host` has none.
    pub(super) password: Option<Secret>,
    /// At least one; a URL without a host has one with an empty name.
    pub(super) addresses: Vec<Address>,
    /// Still encoded, without the first slash.
    pub(super) path: &'a str,
    /// In the order in which they stand.
    pub(super) options: Vec<(String, String)>,
}

/// Splits a URL into its scheme and the rest behind `://`. The scheme is only returned when it looks like one.
pub(super) fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let looks_right = scheme.len() <= 40
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            // No scheme of the standard has `_`; SQLAlchemy's drivers do, as in `postgresql+psycopg_async`.
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'));
    looks_right.then_some((scheme, rest))
}

/// What may be shown of a URL that could not be read: the scheme if it is one of ours, and nothing else.
pub(super) fn redacted(text: &str) -> String {
    match scheme(text) {
        Some((scheme, _)) => match scheme.split('+').next() {
            Some(base @ ("postgres" | "postgresql" | "redis" | "rediss" | "unix")) => format!("{base}://***"),
            _ => "***".to_owned(),
        },
        None => "***".to_owned(),
    }
}

/// Whether a URL still holds a word in brackets such as `[PASSWORD]`, as dashboards and guides print it.
fn has_placeholder(text: &str) -> bool {
    text.split('[').skip(1).any(|behind| {
        behind.split_once(']').is_some_and(|(word, _)| {
            word.len() > 2
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || b"-_".contains(&byte))
        })
    })
}

impl<'a> Dsn<'a> {
    /// Reads what stands behind `scheme://`.
    ///
    /// Lenient where only one meaning is possible (an `@` or `:` inside a password), and strict where a wrong guess
    /// would send half a password to another host.
    pub(super) fn parse(rest: &'a str) -> Result<Self, Fault> {
        if rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("must not contain white space or control characters; write a space as %20".into());
        }
        if has_placeholder(rest) {
            return Err(
                "still holds a placeholder in brackets such as [PASSWORD]; put the real value there, without brackets"
                    .into(),
            );
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

/// What a piece of a URL need not encode.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes a piece so that [`decode`] gives it back.
pub(super) fn encode(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, ENCODED)
}

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault(rest: &str) -> String {
        Dsn::parse(rest).unwrap_err().blame("url").message().to_owned()
    }

    fn password(rest: &str) -> String {
        Dsn::parse(rest).unwrap().password.unwrap().expose().to_owned()
    }

    fn hosts(rest: &str) -> Vec<(String, Option<u16>)> {
        let dsn = Dsn::parse(rest).unwrap();
        dsn.addresses
            .into_iter()
            .map(|address| (address.host, address.port))
            .collect()
    }

    #[test]
    fn encoded_passwords_are_decoded() {
        for (written, meant) in [
            ("p%40ss%2Fw%3Ard%25%23%3F", "p@ss/w:rd%#?"),
            ("contrase%C3%B1a", "contraseña"),
            ("%F0%9F%94%91", "🔑"),
            ("a%20b", "a b"),
            ("%5BPASSWORD%5D", "[PASSWORD]"),
        ] {
            assert_eq!(password(&format!("ana:{written}@h/db")), meant);
        }
    }

    #[test]
    fn an_unencoded_colon_at_sign_or_letter_of_another_alphabet_is_no_riddle() {
        assert_eq!(password("ana:a:b@h"), "a:b");
        assert_eq!(password("ana:a@b@h"), "a@b");
        assert_eq!(password("ana:señal@h"), "señal");
        assert_eq!(password(":solo@h"), "solo");
    }

    #[test]
    fn an_unencoded_slash_or_question_or_hash_mark_in_a_password_is_explained() {
        for rest in [
            "ana:a/b@h/db",
            "ana:a?b@h/db",
            "ana:a#b@h/db",
            "ana:p@a/b@h/db",
            "ana:1234/x@h/db?a=b",
        ] {
            assert!(fault(rest).contains("@ behind the host"), "{rest}");
        }
        assert!(fault("h/db#part").contains('#'));
        assert!(fault("ana:100%sure@h").contains("write % itself as %25"));
        assert!(fault("ana:pass word@h").contains("white space"));
    }

    #[test]
    fn broken_encodings_are_refused() {
        for rest in ["a:%@h", "a:%4@h", "a:%zz@h", "a:%ñ@h", "a:%FF@h", "a:%00@h"] {
            assert!(Dsn::parse(rest).is_err(), "{rest}");
        }
    }

    #[test]
    fn the_placeholders_of_guides_are_refused() {
        for rest in [
            "postgres.[PROJECT-REF]:secret@aws-0-us-east-1.pooler.supabase.com:6543/postgres",
            "postgres.abc:[PASSWORD]@aws-0-us-east-1.pooler.supabase.com:6543/postgres",
            "postgres:[YOUR-PASSWORD]@db.abc.supabase.co:5432/postgres",
        ] {
            assert!(fault(rest).contains("placeholder"), "{rest}");
        }
    }

    #[test]
    fn hosts_ports_and_addresses_are_told_apart() {
        assert_eq!(
            hosts("u@a:1,b,[::1]:3,[2001:db8::2]/x"),
            [
                ("a".into(), Some(1)),
                ("b".into(), None),
                ("::1".into(), Some(3)),
                ("2001:db8::2".into(), None)
            ]
        );
        assert_eq!(
            hosts("%2Frun%2Fpostgresql/db"),
            [("/run/postgresql".into(), None)]
        );
        assert_eq!(hosts(""), [(String::new(), None)]);
        for rest in [
            "::1/db",
            "[::1/db",
            "[::1]x/db",
            "[nonsense]/db",
            "h:0",
            "h:65536",
            "h:+1",
            "h:1x",
        ] {
            assert!(Dsn::parse(rest).is_err(), "{rest}");
        }
    }

    #[test]
    fn path_and_options_are_split_and_options_decoded() {
        let dsn = Dsn::parse("h/a/b?x=1&&y=%2Fa%3Db").unwrap();
        assert_eq!(dsn.path, "a/b");
        assert_eq!(
            dsn.options,
            [("x".into(), "1".into()), ("y".into(), "/a=b".into())]
        );
        assert!(fault("h?x").contains("name=value"));
    }

    #[test]
    fn a_url_is_shown_by_its_scheme_alone() {
        for (text, shown) in [
            ("postgresql+asyncpg://ana:s3cret@h/db", "postgresql://***"),
            ("postgresql+psycopg_async://ana:s3cret@h/db", "postgresql://***"),
            ("rediss://:s3cret@h", "rediss://***"),
            ("s3cret://h", "***"),
            ("s3cret", "***"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(text in "[^\0]{1,40}") {
            prop_assert_eq!(decode(&encode(&text).to_string(), "it").unwrap(), text.clone());
            let dsn = format!("{}:{}@h", encode(&text), encode(&text));
            let dsn = Dsn::parse(&dsn).unwrap();
            prop_assert_eq!(dsn.user.as_deref(), Some(text.as_str()));
            prop_assert_eq!(dsn.password, Some(Secret::new(text)));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,80}", odd in "[@:/?#%&=,\\[\\]a0\u{e9} ]{0,40}") {
            let _ = Dsn::parse(&text);
            let _ = Dsn::parse(&odd);
        }
    }
}
