//! The tracked files of the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One tracked text file.
pub(crate) struct TrackedFile {
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

/// Every tracked or new text file that git does not ignore.
pub(crate) fn tracked() -> Vec<TrackedFile> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git can be started: these tests look at the files that it tracks");
    assert!(
        listed.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let files: Vec<TrackedFile> = String::from_utf8(listed.stdout)
        .unwrap()
        .split_terminator('\0')
        .filter_map(|path| {
            let text = std::fs::read_to_string(root().join(path)).ok()?;
            Some(TrackedFile {
                path: path.to_owned(),
                text,
            })
        })
        .collect();
    assert!(files.len() > 20, "the list of files is too short to be true");
    files
}
