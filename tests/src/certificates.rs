//! Certificates for servers and clients of a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An authority, a server's certificate for `localhost` and a client's, each a file; and an authority that signed
/// neither. The files are gone with this value.
#[derive(Debug)]
pub struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    /// Makes all of them.
    pub fn make() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let made = Self { folder };
        for authority in ["ours", "other"] {
            made.openssl(&format!(
                "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={authority} -keyout {authority}.key -out \
                 {authority}.crt -addext basicConstraints=critical,CA:TRUE"
            ));
        }
        fs::write(made.file("names"), "subjectAltName=DNS:localhost\n").expect("the folder is ours");
        for owner in ["server", "client"] {
            made.openssl(&format!(
                "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout {owner}.key -out {owner}.csr"
            ));
            made.openssl(&format!(
                "x509 -req -in {owner}.csr -CA ours.crt -CAkey ours.key -CAcreateserial -days 2 -extfile names -out \
                 {owner}.crt"
            ));
        }
        made
    }

    /// `ours.crt`, `other.crt`, `server.crt`, `server.key`, `client.crt` or `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as a text.
    pub fn path(&self, name: &str) -> String {
        self.file(name)
            .to_str()
            .expect("the folder has a plain name")
            .to_owned()
    }

    fn openssl(&self, arguments: &str) {
        openssl(self.folder.path(), arguments);
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let ran = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("openssl can be started: it makes the certificates of this test");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
