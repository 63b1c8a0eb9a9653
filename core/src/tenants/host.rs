//! Host names: lower-case, ASCII, without port and trailing dot; exact names before the longest wildcard.

use std::net::{Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;

use super::spelling;

/// The canonical form in ASCII, and the same in Unicode as people write it.
#[derive(Debug)]
pub(super) struct Spellings {
    pub(super) canonical: String,
    pub(super) unicode: String,
}

/// Reads a `Host` header, a host name, or a pattern `*.example.com`. `is_host` says that it is one for sure; otherwise
/// a port is known as one only behind a name with a point, or behind `localhost`.
pub(super) fn parse(text: &str, is_host: bool) -> Option<Spellings> {
    if let Some(bracketed) = text.strip_prefix('[') {
        return parse_ipv6(bracketed);
    }
    let (name, has_port) = strip_port(text)?;
    if has_port && !is_host && !name.contains('.') && !name.eq_ignore_ascii_case("localhost") {
        return None;
    }
    match name.strip_prefix("*.") {
        Some(parent) => {
            let parent = parse_name(parent)?;
            Some(Spellings {
                canonical: format!("*.{}", parent.canonical),
                unicode: format!("*.{}", parent.unicode),
            })
        }
        None => parse_name(name),
    }
}

/// Reads a bare name: no port, no pattern.
pub(super) fn parse_name(text: &str) -> Option<Spellings> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let canonical = idna::domain_to_ascii_cow(name.as_bytes(), AsciiDenyList::URL).ok()?;
    // Mapping can make dots, so the labels are counted afterwards.
    if canonical.is_empty()
        || canonical.len() > 253
        || canonical.split('.').any(|l| l.is_empty() || l.len() > 63)
    {
        return None;
    }
    if canonical.contains(|c: char| c.is_whitespace() || "*\"'(),;&=+$!{}".contains(c)) {
        return None;
    }
    if canonical.parse::<Ipv4Addr>().is_err() && is_number(&canonical) {
        return None;
    }
    let (unicode, _) = idna::domain_to_unicode(&canonical);
    Some(Spellings {
        canonical: canonical.into_owned(),
        unicode,
    })
}

/// Whether a name has no letters, ends in a number, or is one: no name of a host does, and digits on their own are an
/// account or the number of a telephone, which would be found under it.
fn is_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    !name.contains(|c: char| c.is_ascii_alphabetic())
        || last.bytes().all(|digit| digit.is_ascii_digit())
        || spelling::is_hexadecimal(last)
        || spelling::is_changed(name)
}

/// What may answer for this host, best first: itself, then the wildcards from the longest to the shortest.
pub(super) fn candidates(spellings: &Spellings) -> Vec<String> {
    let mut candidates = vec![spellings.canonical.clone()];
    let is_address = spellings.canonical.starts_with('[') || spellings.canonical.parse::<Ipv4Addr>().is_ok();
    if !is_address && !spellings.canonical.starts_with('*') {
        candidates.extend(wildcards(&spellings.canonical));
    }
    candidates
}

/// The wildcards that cover a name, longest first.
pub(super) fn wildcards(name: &str) -> impl Iterator<Item = String> {
    name.match_indices('.')
        .filter_map(|(dot, _)| name.get(dot..).map(|parent| format!("*{parent}")))
}

fn parse_ipv6(bracketed: &str) -> Option<Spellings> {
    let (address, rest) = bracketed.split_once(']')?;
    if !rest.is_empty() && !rest.strip_prefix(':').is_some_and(is_port) {
        return None;
    }
    let canonical = format!("[{}]", address.parse::<Ipv6Addr>().ok()?);
    Some(Spellings {
        unicode: canonical.clone(),
        canonical,
    })
}

/// The name, and whether a port followed it.
fn strip_port(text: &str) -> Option<(&str, bool)> {
    match text.split_once(':') {
        None => Some((text, false)),
        Some((name, port)) => is_port(port).then_some((name, true)),
    }
}

/// At most five digits, up to 65535; none at all is the usual port.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || (text.bytes().all(|digit| digit.is_ascii_digit())
            && text.len() <= 5
            && text.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_from_the_longest_to_the_shortest() {
        let spellings = parse("Book.Hotel.Example.com:8443", false).unwrap();
        assert_eq!(
            candidates(&spellings),
            [
                "book.hotel.example.com",
                "*.hotel.example.com",
                "*.example.com",
                "*.com"
            ]
        );
    }

    #[test]
    fn texts_that_no_host_can_have_are_refused() {
        for text in [
            "",
            ".",
            "a..b",
            "a b",
            "a/b",
            "*",
            "*.",
            "a.*.b",
            "x:80:80",
            "[::1",
            "[::1]80",
            "hotel.example:565233119996327",
            "hotel.example:99999",
            "5491112345678.0",
            "hotel.1",
            "1.2.3.4.5",
            "256.1.1.1",
            "5491112345678",
            "12345678901234567",
            "1234-5678-9012-3456",
            "5491112345678:80",
            "*.5491112345678",
            "5.491112345678E12",
            "5491112345678e0",
            "0x4FE8A7B0E4E",
            "hotel.0x7f",
            &"a".repeat(64),
        ] {
            assert!(parse(text, true).is_none(), "{text:?}");
        }
        assert!(parse("messenger:8080", false).is_none());
        assert!(parse("web:8080", true).is_some());
        assert!(parse("1e100.example", true).is_some());
        assert!(parse("3com", true).is_some());
    }
}
