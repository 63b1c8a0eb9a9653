//! Files stay small enough to be read at one sitting.

use crate::files;

const LONGEST: usize = 600;

#[test]
fn no_source_file_is_longer_than_600_lines() {
    files::expect_none(
        files::all()
            .iter()
            .filter(|file| file.has_ending(&["rs", "py", "ts", "js", "lua", "sh"]))
            .map(|file| (file.text.lines().count(), &file.path))
            .filter(|(lines, _)| *lines > LONGEST)
            .map(|(lines, path)| format!("{path}:{lines}: too long; split it where its subject changes")),
    );
}
