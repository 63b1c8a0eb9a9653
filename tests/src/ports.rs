//! Loopback ports that no other test process is about to use.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which systems give ports to outgoing connections, and so low that a cluster's bus
/// (the port plus 10000) is below it too.
const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;
const CLUSTER_BUS: u16 = 10_000;

/// A port that stays ours, also while its server is stopped, until the value is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// Locked; the system unlocks it when this process ends.
    _claim: File,
}

impl Port {
    /// Claims a free port.
    pub(crate) fn free() -> Self {
        Self::find(is_free)
    }

    /// Claims a port whose cluster bus port is free as well.
    pub(crate) fn free_with_bus() -> Self {
        Self::find(|number| is_free(number) && is_free(number + CLUSTER_BUS))
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    fn find(is_usable: impl Fn(u16) -> bool) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let folder = claims_folder();
        // Processes begin at different places, so that they rarely look at the same port.
        let start = u16::try_from(std::process::id() % 997).unwrap_or(0) * 10;
        for _ in 0..COUNT {
            let number = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
            let claim =
                File::create(folder.join(number.to_string())).expect("the port's claim can be written");
            if claim.try_lock().is_ok() && is_usable(number) {
                return Self {
                    number,
                    _claim: claim,
                };
            }
        }
        panic!("no free port between {FIRST} and {}", FIRST + COUNT);
    }
}

fn is_free(number: u16) -> bool {
    TcpListener::bind(("127.0.0.1", number)).is_ok()
}

fn claims_folder() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("posada-test-ports-{user}"));
    fs::create_dir_all(&folder).expect("the temporary folder can be written");
    folder
}
