//! Remarks: what the server cannot keep of one is replaced by something that the front desk sees, because it would drop
//! the rest of a tag, all of a text that looks like a script, and every character that its database has not.

/// In place of what the database would make a question mark of.
const UNKNOWN: char = '□';

/// The remark as the server keeps it.
pub(super) fn written(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // What stands behind it would be taken for a tag and removed.
            '<' => written.push('‹'),
            '>' => written.push('›'),
            // `onload =`, also inside of a word, and `script:` would remove the whole remark.
            '=' if ends_in_event(&written) => written.push('＝'),
            ':' if ends_in(&written, "script") => written.push('：'),
            other if u32::from(other) > 0xFFFF => written.push(UNKNOWN),
            other => written.push(other),
        }
    }
    written
}

fn ends_in(text: &str, end: &str) -> bool {
    let start = text.len().checked_sub(end.len());
    let tail = start.and_then(|start| text.get(start..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// Whether the last word could be the name of an event.
fn ends_in_event(text: &str) -> bool {
    let text = text.trim_end();
    let word = text
        .rsplit(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();
    word.to_ascii_lowercase().contains("on")
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn what_the_server_cannot_keep_of_a_remark_is_replaced_visibly() {
        for (remark, kept) in [
            ("late arrival, 3 > 2 beds", "late arrival, 3 › 2 beds"),
            ("if <18 years: cot", "if ‹18 years: cot"),
            ("Happy birthday 🎂!", "Happy birthday □!"),
            ("onload = x, a=b", "onload ＝ x, a=b"),
            ("JavaScript: no", "JavaScript： no"),
            ("¿Llegan tarde? Sí | 王", "¿Llegan tarde? Sí | 王"),
        ] {
            assert_eq!(written(remark), kept);
        }
    }
}
