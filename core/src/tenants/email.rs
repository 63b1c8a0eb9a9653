//! E-mail addresses: trimmed, NFKC, lower-case, with an ASCII domain.

use unicode_normalization::UnicodeNormalization as _;

use super::host;

/// The canonical form, and the same with the domain in Unicode as people (and the app) write it.
pub(super) struct Spellings {
    pub(super) canonical: String,
    pub(super) unicode: String,
}

/// Reads an address that contains `@`. Quoted local parts and display names are not addresses here.
pub(super) fn parse(text: &str) -> Option<Spellings> {
    let (local, domain) = text.rsplit_once('@')?;
    let local = local.nfkc().collect::<String>().to_lowercase();
    let refused = |c: char| c.is_whitespace() || c.is_control() || "@<>\"(),:;\\[]".contains(c);
    if local.is_empty() || local.contains(refused) {
        return None;
    }
    let domain = host::parse_name(domain)?;
    Some(Spellings {
        canonical: format!("{local}@{}", domain.canonical),
        unicode: format!("{local}@{}", domain.unicode),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_and_empty_halves_are_no_addresses() {
        for text in [
            "Ana <ana@hotel.com>",
            "@hotel.com",
            "ana@",
            "a b@hotel.com",
            "ana@hotel..com",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
