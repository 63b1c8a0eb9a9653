//! Files stay small enough to be read at one sitting.

use crate::files::tracked;

const LONGEST: usize = 600;

#[test]
fn no_source_file_is_longer_than_600_lines() {
    let long: Vec<String> = tracked()
        .into_iter()
        .filter(|file| {
            ["rs", "py", "ts", "lua", "sh"]
                .iter()
                .any(|kind| file.path.ends_with(&format!(".{kind}")))
        })
        .map(|file| (file.text.lines().count(), file.path))
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, path)| format!("{path}: {lines} lines; split it where its subject changes"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}
