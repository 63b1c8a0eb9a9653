//! Files that hold what belongs to guests and hotels: only their owner may read them.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::rng;

/// How the draft of a file ends.
const DRAFT: &str = "new";

/// A draft of that age belongs to a process that ended in the middle.
const LEFT_BEHIND: Duration = Duration::from_hours(1);

/// Writes a file beside its place and renames it, so that a reader sees all of it or the one before. It can be read by
/// its owner only, and so can the folder when it is made here. Blocks.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let draft = path.with_extension(format!("{}.{DRAFT}", rng::token()));
    let written = write(&draft, content).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Reads a file that [`replace`] wrote, or an earlier version of posada, which let others read it: that ends here.
/// Takes the drafts away that processes left behind. Blocks.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    remove_drafts(path);
    restrict(path);
    fs::read(path)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Takes a file's rights from everybody but its owner. A file that is not ours stays as it is.
fn restrict(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if let Ok(facts) = fs::metadata(path)
            && facts.permissions().mode() & 0o077 != 0
            && let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        {
            let path = path.display();
            tracing::warn!(%path, %error, "others can read the snapshot, and its rights cannot be changed");
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// Removes the drafts of a file that no process writes any more.
fn remove_drafts(path: &Path) {
    let (Some(folder), Some(stem)) = (path.parent(), path.file_stem().and_then(|stem| stem.to_str())) else {
        return;
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_draft = name.to_str().is_some_and(|name| {
            name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.'))
                && name.strip_suffix(DRAFT).is_some_and(|rest| rest.ends_with('.'))
        });
        if !is_draft {
            continue;
        }
        let age = entry
            .metadata()
            .and_then(|facts| facts.modified())
            .map(|time| time.elapsed());
        if let Ok(Ok(age)) = age
            && age > LEFT_BEHIND
        {
            let _ = fs::remove_file(entry.path());
        } else {
            restrict(&entry.path());
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::SystemTime;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_and_its_new_folder_are_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("var").join("flags.json");
        replace(&path, b"one").unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o600, b"two".to_vec()));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_could_read_is_for_its_owner_only_once_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tenants.json");
        fs::write(&path, b"{}").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(read(&path).unwrap(), b"{}");
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn drafts_that_were_left_behind_are_removed_and_those_that_are_written_now_stay() {
        let folder = tempfile::tempdir().unwrap();
        let [old, young, other] = ["flags.json.4711.new", "flags.abc.new", "flagship.new"].map(|name| {
            let path = folder.path().join(name);
            fs::write(&path, b"x").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            path
        });
        #[allow(
            clippy::disallowed_methods,
            reason = "the age of a file is told by the machine's own clock"
        )]
        let past = SystemTime::now() - LEFT_BEHIND * 2;
        for path in [&old, &other] {
            fs::File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_modified(past)
                .unwrap();
        }
        assert!(read(&folder.path().join("flags.json")).is_err());
        assert!(!old.exists() && young.exists() && other.exists());
        assert_eq!((mode(&young), mode(&other)), (0o600, 0o644));
    }
}
