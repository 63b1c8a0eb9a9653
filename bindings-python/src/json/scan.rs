//! The loop that meets every byte of a string.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes stand before the first that `json.dumps` does not write as it is: a quote, a backslash, or whatever
/// is not a printable ASCII character.
#[inline]
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let length = first_special(*word);
        if length < 8 {
            return number * 8 + length;
        }
    }
    let mut last = [b' '; 8];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    bytes.len() - rest.len() + first_special(last).min(rest.len())
}

/// The place of the first such byte among eight, or 8. A borrow or a carry only ever troubles the bytes behind one.
#[inline]
fn first_special(bytes: [u8; 8]) -> usize {
    let word = u64::from_le_bytes(bytes);
    let beyond_printable = word | word.wrapping_add(ONES);
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    let special = (beyond_printable | control | quote | backslash) & HIGH;
    special.trailing_zeros() as usize / 8
}
