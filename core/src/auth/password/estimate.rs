//! Whether a password would be guessed soon: zxcvbn, within bounds of its own.
//!
//! The work of zxcvbn grows with the square of the length, and with the number of ways in which digits and signs may
//! stand for letters, of which there are thousands in a text that has all of them. It also multiplies numbers that
//! become too large for 64 bits. So it sees a few short pieces of a password, and never more than a few ways to read
//! one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use zxcvbn::{Score, zxcvbn};

/// Characters of one look. In that many no number of zxcvbn needs more than 64 bits: a walk on a keypad with a turn at
/// every key has five to the power of its turns.
const SEEN: usize = 28;
/// How many pieces of that length are looked at: a password is as good as the best of them.
const LOOKS: usize = 3;
/// More ways to read a piece are not tried: its signs are read in one way then. The digits stay, for years and walks
/// on a keypad are made of them; all of them together can be read in a great number of ways.
const MOST_READINGS: usize = 12;

/// What zxcvbn reads as what, and how we do when there are too many ways.
const READINGS: [(char, &str); 12] = [
    ('a', "4@"),
    ('b', "8"),
    ('c', "({[<"),
    ('e', "3"),
    ('g', "69"),
    ('i', "1!|"),
    ('l', "1|7"),
    ('o', "0"),
    ('s', "$5"),
    ('t', "+7"),
    ('x', "%"),
    ('z', "2"),
];

/// Whether a password is easy to guess for an attacker who knows these words, in lower case.
///
/// Takes up to tens of milliseconds; no I/O. Should zxcvbn panic all the same, the password counts as easy.
pub(super) fn is_guessable(password: &str, words: &[&str]) -> bool {
    let letters: Vec<char> = password.chars().take(SEEN * LOOKS).collect();
    let unit = unit(&letters);
    !unit.chunks(SEEN).any(|piece| is_strong(piece, words))
}

/// The shortest beginning that makes the whole when it is repeated, the last time perhaps in part.
fn unit(letters: &[char]) -> &[char] {
    let length = (1..letters.len()).find(|length| {
        let repeated = letters.iter().skip(*length).zip(letters);
        repeated.into_iter().all(|(one, other)| one == other)
    });
    // A text that only ends as it begins is no repetition.
    match length.filter(|length| length * 2 <= letters.len()) {
        Some(length) => letters.get(..length).unwrap_or(letters),
        None => letters,
    }
}

fn is_strong(piece: &[char], words: &[&str]) -> bool {
    let forwards: String = piece.iter().copied().map(class).collect();
    let backwards: String = forwards.chars().rev().collect();
    // Only words that can be found cost anything.
    let found: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| {
            let word: String = word.chars().map(class).collect();
            forwards.contains(&word) || backwards.contains(&word)
        })
        .collect();
    let text: String = if readings(piece) > MOST_READINGS {
        piece.iter().copied().map(without_signs).collect()
    } else {
        piece.iter().collect()
    };
    let estimate = catch_unwind(AssertUnwindSafe(|| zxcvbn(&text, &found).score() >= Score::Three));
    estimate.unwrap_or_else(|_| {
        tracing::warn!("the strength of a password could not be estimated: it counts as weak");
        false
    })
}

/// In how many ways zxcvbn reads a text, at most.
fn readings(piece: &[char]) -> usize {
    let (mut ways, mut seen) = (1_usize, Vec::new());
    for (_, signs) in READINGS {
        let present: Vec<char> = signs.chars().filter(|sign| piece.contains(sign)).collect();
        // A sign that stands for two letters may keep the first or get the second.
        let again = present.iter().filter(|sign| seen.contains(*sign)).count();
        ways = ways.saturating_mul((present.len() + again).max(1));
        seen.extend(present);
    }
    ways
}

/// A letter as it is meant, most of the time.
fn read(sign: char) -> char {
    let meant = READINGS.iter().find(|(_, signs)| signs.contains(sign));
    meant.map_or(sign, |(letter, _)| *letter)
}

/// A sign as the letter that it is meant for.
fn without_signs(letter: char) -> char {
    if letter.is_ascii_punctuation() {
        read(letter)
    } else {
        letter
    }
}

/// The same for all that may be read as one another.
fn class(letter: char) -> char {
    match read(letter.to_lowercase().next().unwrap_or(letter)) {
        'l' | 't' => 'i',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(password: &str) -> bool {
        is_guessable(password, &["hotel", "costanera", "verano"])
    }

    #[test]
    fn what_repeats_itself_is_as_good_as_its_unit() {
        let unit = |text: &str| unit(&text.chars().collect::<Vec<_>>()).iter().collect::<String>();
        for (text, shortest) in [
            ("", ""),
            ("a", "a"),
            ("aaaa", "a"),
            ("1@1@1@", "1@"),
            ("1@1@1", "1@"),
            ("abcab", "abcab"),
            ("abcabcab", "abc"),
            ("ñúñúñ", "ñú"),
        ] {
            assert_eq!(unit(text), shortest, "{text}");
        }
        assert!(of(&"1@".repeat(9)) && of(&"hotel2027".repeat(8)) && of(&"a".repeat(72)));
        assert!(!of(&"vQ9#kTz2!mWp7x".repeat(5)));
    }

    #[test]
    fn a_password_is_as_good_as_its_best_piece() {
        let weak = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
        assert!(of(weak));
        assert!(!of(&format!("{weak}vQ9#kTz2!mWp7x")));
    }

    #[test]
    fn words_are_found_however_they_are_spelled() {
        for password in ["C0stanera", "c05t4n3r4", "arenatsoc", "HOTELhotel", "h0t3l"] {
            assert!(of(password), "{password}");
        }
    }

    #[test]
    fn texts_that_zxcvbn_reads_in_thousands_of_ways_are_read_in_one() {
        let all = "4@8({[<3691!|0$5+7%2";
        assert!(readings(&all.chars().collect::<Vec<_>>()) > 1000);
        let digits: Vec<char> = all.chars().map(without_signs).collect();
        assert_eq!(readings(&digits), MOST_READINGS);
        assert_eq!(readings(&['p', '4', 's', 's', '1']), 2);
        assert!(!of("4@8({[<3691!|0$5+7%2abQ"));
        assert!(of("123456789012") && of("15031987!|@") && of("159753"));
    }

    #[test]
    fn walks_of_any_length_on_any_keyboard_are_computed() {
        for (keys, is_weak) in [
            ("75", true),
            ("1@", true),
            // No walk, so that its last repetition and the end take ten thousand guesses each.
            ("7539", false),
            ("q2W1QaSzAxCvFgTyUjKl", false),
        ] {
            // Not a whole number of times, so that nothing is cut out of it.
            let walk: String = keys.chars().cycle().take(70).chain(['8', 'x']).collect();
            assert_eq!(of(&walk), is_weak, "{walk}");
        }
    }
}
