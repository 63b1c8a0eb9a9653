//! What a text is by its look: a number or date as a spreadsheet writes it, or an address of the Internet.

use std::net::Ipv4Addr;

use super::plan::Plan;

/// Whether a spreadsheet took a text for a number or a date and wrote it in its own way: `5491112345678.0`,
/// `5.491112345678E+12`, `2.2507123456`, `0x4FE`, `2026-11-30`. Which text it was cannot be known, because digits may
/// be lost.
pub(super) fn is_changed(text: &str) -> bool {
    let text = text.trim();
    is_exponential(text) || is_hexadecimal(text) || is_fraction(text) || is_date(text)
}

/// Whether a text is an address of the Internet's version 4.
pub(super) fn is_address(text: &str) -> bool {
    text.trim().parse::<Ipv4Addr>().is_ok()
}

/// `0x4FE`.
pub(super) fn is_hexadecimal(text: &str) -> bool {
    text.strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .is_some_and(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()))
}

/// `5.491112345678E+12`, `5491112345678e0`, `5,49×10^12`.
fn is_exponential(text: &str) -> bool {
    const MARKS: [&str; 6] = ["e", "E", "×10", "x10^", "*10^", "·10^"];
    MARKS.iter().any(|mark| {
        text.split_once(mark).is_some_and(|(mantissa, exponent)| {
            let mantissa = mantissa.trim().trim_start_matches(['+', '-']);
            let exponent = exponent.trim().trim_start_matches(['+', '-', '^']);
            let is_number = mantissa.starts_with(|c: char| c.is_ascii_digit())
                && mantissa
                    .bytes()
                    .all(|c| c.is_ascii_digit() || c == b'.' || c == b',');
            is_number && is_digits(exponent)
        })
    })
}

/// One point or comma between digits. A point is punctuation of a phone number behind a national code (`030.1234567`)
/// and, with a plus, behind the code of a country (`+1.2025550143`).
fn is_fraction(text: &str) -> bool {
    let (plus, text) = match text.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('-').unwrap_or(text)),
    };
    let Some((whole, rest)) = text.split_once(['.', ',']) else {
        return false;
    };
    if !is_digits(rest) || !whole.bytes().all(|digit| digit.is_ascii_digit()) {
        return false;
    }
    if !plus {
        return whole.len() < 2 || !whole.starts_with('0');
    }
    let follows_code = whole.len() <= 3 && Plan::of_code(whole).is_some();
    !follows_code && (whole.len() <= 3 || rest.len() <= 2)
}

/// `2026-11-30`, `30.11.2026`, `11/30/2026`.
fn is_date(text: &str) -> bool {
    let Some(mark) = text.chars().find(|c| !c.is_ascii_digit()) else {
        return false;
    };
    let parts: Vec<_> = text.split(mark).collect();
    let is_year = |text: &str| text.len() == 4 && (text.starts_with("19") || text.starts_with("20"));
    let is_day = |text: &str| text.len() <= 2 && text.parse::<u8>().is_ok_and(|day| (1..=31).contains(&day));
    match parts.as_slice() {
        _ if !matches!(mark, '-' | '.' | '/') || !parts.iter().all(|part| is_digits(part)) => false,
        [first, second, third] => {
            is_day(second) && ((is_year(first) && is_day(third)) || (is_day(first) && is_year(third)))
        }
        _ => false,
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_dates_of_a_spreadsheet_are_known() {
        for text in [
            "5491112345678.0",
            "+5491112345678.00",
            "5491112345678,0",
            "-5491112345678.0",
            "5.491112345678E12",
            "5.491112345678E+12",
            "1.4155552671e10",
            "5,49E+12",
            "5491112345678e0",
            "5.491112345678E-012",
            "5.491112345678×10^12",
            "5.491112345678 x10^12",
            "2.2507123456",
            "0.2507123456",
            ".2507123456",
            "+5.491112345678",
            "0x4FE8A7B0E4E",
            "2026-11-30",
            "30.11.2026",
            "1/3/2027",
        ] {
            assert!(is_changed(text), "{text}");
        }
    }

    #[test]
    fn numbers_of_people_and_names_are_not_taken_for_those() {
        for text in [
            "",
            "5491112345678",
            "+1.2025550143",
            "+54.91112345678",
            "030.1234567",
            "+1.202.555.0143",
            "01.23.45.67.89",
            "20-2611-3012",
            "030/1234567",
            "hotel.example",
            "1e100.example",
            "e5",
            "0xhotel",
            "192.0.2.10",
            "12-34-5678",
        ] {
            assert!(!is_changed(text), "{text}");
        }
    }
}
