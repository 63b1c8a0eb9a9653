//! The tracked files of the repository, and the code in them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// One text file.
pub(crate) struct TextFile {
    /// From the root of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// Every text file that git tracks, or would track.
pub(crate) fn all() -> &'static [TextFile] {
    static ALL: LazyLock<Vec<TextFile>> = LazyLock::new(|| {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root())
            .output()
            .expect("git can be started: it knows which files belong to the repository");
        assert!(
            listed.status.success(),
            "git ls-files: {}",
            String::from_utf8_lossy(&listed.stderr)
        );
        let files: Vec<TextFile> = String::from_utf8(listed.stdout)
            .unwrap()
            .split_terminator('\0')
            .filter_map(|path| {
                let text = std::fs::read_to_string(root().join(path)).ok()?;
                Some(TextFile {
                    path: path.to_owned(),
                    text,
                })
            })
            .collect();
        assert!(files.len() > 20, "the list of files is too short to be true");
        files
    });
    &ALL
}

/// The sources of the crate `posada`.
pub(crate) fn core() -> impl Iterator<Item = &'static TextFile> {
    all()
        .iter()
        .filter(|file| file.path.starts_with("core/src/") && file.is_rust())
}

impl TextFile {
    pub(crate) fn is_rust(&self) -> bool {
        self.has_ending(&["rs"])
    }

    pub(crate) fn has_ending(&self, endings: &[&str]) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|ending| endings.iter().any(|wanted| ending.eq_ignore_ascii_case(wanted)))
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }

    /// The lines with their numbers, without comments.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, without_comment(line)))
    }

    /// Like [`code`](Self::code), up to the unit tests at the end of the file.
    pub(crate) fn code_without_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code()
            .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
    }

    /// Whether the file declares a module of that name, so that the name means it and not a crate.
    pub(crate) fn declares_module(&self, name: &str) -> bool {
        let declaration = format!("mod {name};");
        self.code()
            .any(|(_, line)| line.trim_end().ends_with(&declaration))
    }

    /// A finding in this file.
    pub(crate) fn at(&self, line: usize, advice: &str) -> String {
        let shown = self.text.lines().nth(line - 1).unwrap_or_default().trim();
        format!("{}:{line}: {advice}\n    {shown}", self.path)
    }
}

/// Fails if there are findings, and shows all of them.
#[track_caller]
pub(crate) fn expect_none(findings: impl IntoIterator<Item = String>) {
    let findings: Vec<String> = findings.into_iter().collect();
    assert!(
        findings.is_empty(),
        "{} found:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

/// Cuts at `//`, unless it is part of a URL or follows an odd number of quotes and so stands in a text.
fn without_comment(line: &str) -> &str {
    let is_comment = |&(position, _): &(usize, &str)| {
        let before = &line[..position];
        !before.ends_with(':') && before.matches('"').count().is_multiple_of(2)
    };
    line.match_indices("//")
        .find(is_comment)
        .map_or(line, |(position, _)| &line[..position])
}

#[test]
fn comments_are_told_from_code() {
    assert_eq!(without_comment("let a = 1; // sqlx::"), "let a = 1; ");
    assert_eq!(without_comment("/// sqlx::"), "");
    assert_eq!(without_comment("let url = \"a//b\";"), "let url = \"a//b\";");
}
