//! How far a text needs no attention: the one loop that meets every byte of a document.
//!
//! Eight bytes are looked at together, as a number. A question about them is answered by a number too: the high bit of
//! the first byte for which it is true is the lowest bit that is set.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Which bytes `json.dumps` does not write as they are in a string: a quote, a backslash, and whatever is not a
/// printable ASCII character.
pub(super) fn special(word: u64) -> u64 {
    let beyond_printable = (word | word.wrapping_add(ONES)) & HIGH;
    ending(word) | beyond_printable
}

/// Which bytes end a run of characters: a quote, a backslash and the control characters.
pub(super) fn ending(word: u64) -> u64 {
    // With this bit turned over, a quote follows the control characters, and a blank comes behind it.
    let quote_or_control = (word ^ (ONES * 2)).wrapping_sub(ONES * 0x21) & !word & HIGH;
    let difference = word ^ (ONES * u64::from(b'\\'));
    let backslash = difference.wrapping_sub(ONES) & !difference & HIGH;
    quote_or_control | backslash
}

/// How many bytes stand before the first about which the question is true.
pub(super) fn plain_length(bytes: &[u8], question: impl Fn(u64) -> u64) -> usize {
    let first = |word: &[u8; 8]| question(u64::from_le_bytes(*word)).trailing_zeros() as usize / 8;
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let length = first(word);
        if length < 8 {
            return number * 8 + length;
        }
    }
    let mut last = [b' '; 8];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    bytes.len() - rest.len() + first(&last).min(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_is_found_wherever_it_stands_and_whatever_follows() {
        for length in 0..40 {
            let plain = vec![b'a'; length];
            assert_eq!(plain_length(&plain, special), length);
            for at in 0..length {
                for byte in 0..=255 {
                    let mut text = plain.clone();
                    text[at..].fill(byte);
                    let is_ending = matches!(byte, b'"' | b'\\' | 0..=0x1f);
                    let is_special = is_ending || byte >= 0x7f;
                    assert_eq!(plain_length(&text, ending), if is_ending { at } else { length });
                    assert_eq!(plain_length(&text, special), if is_special { at } else { length });
                }
            }
        }
    }

    #[test]
    fn neighbours_are_not_mistaken_for_each_other() {
        for pair in 0..=u16::MAX {
            let [one, other] = pair.to_le_bytes();
            let is_special = |byte: u8| matches!(byte, b'"' | b'\\') || !(0x20..0x7f).contains(&byte);
            let expected = match (is_special(one), is_special(other)) {
                (true, _) => 3,
                (false, true) => 4,
                (false, false) => 8,
            };
            let text = [b'a', b'a', b'a', one, other, b'a', b'a', b'a'];
            assert_eq!(plain_length(&text, special), expected, "{pair:04x}");
        }
    }
}
