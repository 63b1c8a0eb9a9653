//! Keys that were read before, as Python's own strings.
//!
//! An app's documents have the same few keys. A string that is kept needs neither to be made nor to be hashed again,
//! and all documents share it.

use std::sync::{Mutex, MutexGuard, TryLockError};

use pyo3::prelude::*;
use pyo3::types::PyString;

/// How many keys are kept at most; a new one replaces whichever stood in its place.
const PLACES: usize = 1024;
/// A longer key is not kept.
const LONGEST: usize = 32;

/// A key's bytes, and zeros: none of its own is zero, for it is printable.
type Padded = [u8; LONGEST];

static KEYS: Mutex<Keys> = Mutex::new(Keys(Vec::new()));

struct Keys(Vec<Option<(Padded, Py<PyString>)>>);

/// The keys, while one document is read.
pub(super) struct Known(Option<MutexGuard<'static, Keys>>);

impl Known {
    /// Without them if they are in use: a finaliser may read a document in the middle of another, and so may another
    /// thread when a finaliser lets it run.
    pub(super) fn open() -> Self {
        let mut keys = match KEYS.try_lock() {
            Ok(keys) => keys,
            Err(TryLockError::Poisoned(keys)) => keys.into_inner(),
            Err(TryLockError::WouldBlock) => return Self(None),
        };
        if keys.0.is_empty() {
            keys.0.resize_with(PLACES, || None);
        }
        Self(Some(keys))
    }

    /// A key of printable ASCII characters, as Python's string.
    pub(super) fn get<'py>(&mut self, py: Python<'py>, key: &str) -> Bound<'py, PyString> {
        let mut padded: Padded = [0; LONGEST];
        let (Some(bytes), Some(keys)) = (padded.get_mut(..key.len()), &mut self.0) else {
            return PyString::new(py, key);
        };
        bytes.copy_from_slice(key.as_bytes());
        let Some(place) = keys.0.get_mut(place_of(&padded)) else {
            return PyString::new(py, key);
        };
        match place {
            Some((bytes, known)) if *bytes == padded => known.bind(py).clone(),
            place => {
                let made = PyString::new(py, key);
                *place = Some((padded, made.clone().unbind()));
                made
            }
        }
    }
}

/// Where a key is kept.
fn place_of(key: &Padded) -> usize {
    let (words, _) = key.as_chunks::<8>();
    let mixed = words.iter().fold(0_u64, |mixed, word| {
        (mixed.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    usize::try_from(mixed >> 40).unwrap_or(0) % PLACES
}
