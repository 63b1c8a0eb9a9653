//! How far a text needs no attention: the one loop that meets every byte of a document.

/// The bytes before the first that is special. Sixteen are looked at together, which compilers turn into a few vector
/// instructions as long as the question has no branch.
pub(super) fn plain_length(bytes: &[u8], is_special: impl Fn(u8) -> bool) -> usize {
    let has_special = |chunk: &&[u8; 16]| chunk.iter().fold(false, |found, byte| found | is_special(*byte));
    let (chunks, _) = bytes.as_chunks::<16>();
    let whole = chunks.iter().take_while(|chunk| !has_special(chunk)).count() * 16;
    let rest = bytes.get(whole..).unwrap_or_default();
    whole
        + rest
            .iter()
            .position(|byte| is_special(*byte))
            .unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_special_byte_is_found_wherever_it_stands() {
        for length in 0..70 {
            let plain = vec![b'a'; length];
            assert_eq!(plain_length(&plain, |byte| byte == b'"'), length);
            for at in 0..length {
                let mut text = plain.clone();
                text[at..].fill(b'"');
                assert_eq!(plain_length(&text, |byte| byte == b'"'), at);
            }
        }
    }
}
