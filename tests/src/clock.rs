//! A clock for one server, which a test sets.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::process::{Scratch, find_program};

const SOURCE: &str = include_str!("shifted_clock.c");

/// A library that answers the time, and the file that says how wrong it is.
#[derive(Debug)]
pub(crate) struct Clock {
    library: PathBuf,
    moved: PathBuf,
}

impl Clock {
    /// Compiles it into the folder of a server.
    pub(crate) fn build(scratch: &Scratch) -> Self {
        let source = scratch.write("shifted_clock.c", SOURCE);
        let library = scratch.path().join("shifted_clock.so");
        let built = Command::new(find_program("cc"))
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .status()
            .expect("the C compiler can be started");
        assert!(built.success(), "the clock does not compile");
        let clock = Self {
            library,
            moved: scratch.path().join("clock"),
        };
        clock.set(0);
        clock
    }

    /// Lets a server that is to be started use it.
    pub(crate) fn give_to(&self, server: &mut Command) {
        server
            .env("LD_PRELOAD", &self.library)
            .env("POSADA_TEST_CLOCK", &self.moved);
    }

    /// Moves it so many seconds away from the real time.
    pub(crate) fn set(&self, seconds: i64) {
        // Renamed, because half a number would be read as another one.
        let new = self.moved.with_extension("new");
        fs::write(&new, seconds.to_string()).expect("the folder can be written");
        fs::rename(&new, &self.moved).expect("the folder can be written");
    }
}
