//! Stored hashes: which are understood, within which limits, and how good they are.
//!
//! A hash comes from a database that others write to. One with `m=4294967295` would make us allocate four
//! terabytes, one with `$2b$31$` would compute for days: such hashes are known by their text and never computed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use super::input::Password;
use crate::rng;

/// Memory of a new hash, in KiB; with two passes and one lane what OWASP asks for.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT: usize = 16;
const OUTPUT: usize = 32;

/// What is computed at most.
const MOST_MEMORY: u32 = 131_072;
const MOST_PASSES: u32 = 10;
const MOST_LANES: u32 = 8;
const SALTS: std::ops::RangeInclusive<usize> = 8..=48;
const OUTPUTS: std::ops::RangeInclusive<usize> = 16..=64;
const COSTS: std::ops::RangeInclusive<u32> = 4..=14;
/// The column holds no more.
const LONGEST: usize = 255;
/// bcrypt reads no further.
pub(super) const BCRYPT_READS: usize = 72;

/// A hash that can be computed.
pub(super) enum Stored<'a> {
    Argon2 {
        params: Params,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    Bcrypt(&'a str),
}

impl<'a> Stored<'a> {
    /// Reads a stored hash; `None` for what is not one, or is beyond the limits.
    pub(super) fn read(hash: &'a str) -> Option<Self> {
        if hash.len() > LONGEST || !hash.is_ascii() {
            return None;
        }
        if let Some(rest) = hash.strip_prefix("$argon2id$v=19$") {
            return read_argon2(rest);
        }
        let rest = ["$2a$", "$2b$", "$2y$"]
            .iter()
            .find_map(|prefix| hash.strip_prefix(prefix))?;
        let (cost, digest) = rest.split_once('$')?;
        let is_digest = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
        let good = cost.len() == 2
            && cost.parse().is_ok_and(|cost: u32| COSTS.contains(&cost))
            && digest.len() == 53
            && digest.bytes().all(is_digest);
        good.then_some(Self::Bcrypt(hash))
    }

    /// Computes. Takes tens of milliseconds and up to 128 MiB: in the pool only.
    pub(super) fn verify(&self, password: &str, scratch: &mut Scratch) -> bool {
        match self {
            Self::Argon2 { params, salt, output } => compute(params.clone(), password, salt, scratch)
                .is_some_and(|computed| verify_slices_are_equal(&computed, output).is_ok()),
            // bcrypt would take "" and NUL for the same; passlib never made a hash of a password with NUL.
            Self::Bcrypt(hash) => !password.contains('\0') && bcrypt::verify(password, hash).unwrap_or(false),
        }
    }

    /// Whether it is the hash of a password: in its normal form, or as an older program hashed what was typed.
    pub(super) fn is_of(&self, password: &Password, scratch: &mut Scratch) -> bool {
        self.verify(&password.normal, scratch)
            || password
                .typed
                .as_deref()
                .is_some_and(|typed| self.verify(typed, scratch))
    }

    /// Whether the hash is weaker than those that are made today.
    pub(super) fn is_outdated(&self) -> bool {
        match self {
            Self::Argon2 { params, salt, output } => {
                let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
                work < u64::from(MEMORY) * u64::from(PASSES) || salt.len() < SALT || output.len() < OUTPUT
            }
            Self::Bcrypt(_) => true,
        }
    }

    pub(super) fn is_bcrypt(&self) -> bool {
        matches!(self, Self::Bcrypt(_))
    }
}

/// A new argon2id hash with a salt of its own. `None` if the memory cannot be had.
pub(super) fn hash(password: &str, scratch: &mut Scratch) -> Option<String> {
    let salt = rng::salt();
    let output = compute(
        Params::new(MEMORY, PASSES, LANES, Some(OUTPUT)).ok()?,
        password,
        &salt,
        scratch,
    )?;
    Some(format!(
        "$argon2id$v=19$m={MEMORY},t={PASSES},p={LANES}${}${}",
        BASE64_STANDARD_NO_PAD.encode(salt),
        BASE64_STANDARD_NO_PAD.encode(output)
    ))
}

/// Computes as many bytes as `params` say.
fn compute(params: Params, password: &str, salt: &[u8], scratch: &mut Scratch) -> Option<Vec<u8>> {
    let mut output = vec![0; params.output_len()?];
    let blocks = scratch.blocks(params.block_count())?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut output, blocks)
        .ok()
        .map(|()| output)
}

/// The memory of a computation. It is lent to one after the other: an allocator keeps what it gets back for the
/// thread that gave it, so that new memory for each would in the end be held once by every thread that ever computed.
#[derive(Default)]
pub(in crate::auth) struct Scratch(Vec<Block>);

impl Scratch {
    /// So many blocks, with anything in them. `None` if the memory cannot be had.
    fn blocks(&mut self, count: usize) -> Option<&mut [Block]> {
        if self.0.len() < count {
            // What is replaced goes first.
            self.0 = Vec::new();
            self.0.try_reserve_exact(count).ok()?;
            self.0.resize(count, Block::new());
        }
        self.0.get_mut(..count)
    }

    /// Whether it is no larger than the hashes of today need.
    fn is_worth_keeping(&self) -> bool {
        u32::try_from(self.0.len()).is_ok_and(|blocks| blocks <= MEMORY)
    }
}

/// The memory of computations that have ended, for the next: never more than so many pieces.
pub(super) struct Spares {
    kept: Mutex<Vec<Scratch>>,
    most: usize,
}

impl Spares {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            kept: Mutex::new(Vec::new()),
            most,
        }
    }

    /// Computes with a spare piece, or with a new one.
    pub(super) fn lend<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = self.kept().pop().unwrap_or_default();
        let answer = work(&mut scratch);
        let mut kept = self.kept();
        if scratch.is_worth_keeping() && kept.len() < self.most {
            kept.push(scratch);
        }
        answer
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Scratch>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_argon2<'a>(rest: &str) -> Option<Stored<'a>> {
    let [costs, salt, output] = rest.split('$').collect::<Vec<_>>().try_into().ok()?;
    let [memory, passes, lanes] = costs.split(',').collect::<Vec<_>>().try_into().ok()?;
    let number = |part: &str, name: &str| part.strip_prefix(name)?.parse::<u32>().ok();
    let (memory, passes, lanes) = (number(memory, "m=")?, number(passes, "t=")?, number(lanes, "p=")?);
    if memory > MOST_MEMORY || !(1..=MOST_PASSES).contains(&passes) || !(1..=MOST_LANES).contains(&lanes) {
        return None;
    }
    let (salt, output) = (
        BASE64_STANDARD_NO_PAD.decode(salt).ok()?,
        BASE64_STANDARD_NO_PAD.decode(output).ok()?,
    );
    if !SALTS.contains(&salt.len()) || !OUTPUTS.contains(&output.len()) {
        return None;
    }
    let params = Params::new(memory, passes, lanes, Some(output.len())).ok()?;
    Some(Stored::Argon2 { params, salt, output })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    #[test]
    fn a_new_hash_verifies_is_current_and_differs_from_the_next() {
        let scratch = &mut Scratch::default();
        let (one, other) = (hash("Verano", scratch).unwrap(), hash("Verano", scratch).unwrap());
        assert_ne!(one, other);
        let stored = Stored::read(&one).unwrap();
        assert!(stored.verify("Verano", scratch) && !stored.verify("verano", scratch));
        assert!(!stored.is_outdated());
    }

    #[test]
    fn case_91_and_92_passlibs_hashes_verify_as_passlib_says() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../../tests/vectors/auth/passwords.json")).unwrap();
        for vector in vectors.as_array().unwrap() {
            let stored = Stored::read(vector["hash"].as_str().unwrap()).expect("passlib made it");
            let verifies = stored.verify(vector["password"].as_str().unwrap(), &mut Scratch::default());
            assert_eq!(verifies, vector["verifies"].as_bool().unwrap(), "{vector}");
            assert!(stored.is_outdated() && stored.is_bcrypt());
        }
    }

    #[test]
    fn case_93_hashes_beyond_the_limits_are_refused_without_computing() {
        let argon2 = |costs: &str, salt: usize, output: usize| {
            let (salt, output) = (vec![7_u8; salt], vec![7_u8; output]);
            format!(
                "$argon2id$v=19${costs}${}${}",
                BASE64_STANDARD_NO_PAD.encode(salt),
                BASE64_STANDARD_NO_PAD.encode(output)
            )
        };
        let good = argon2("m=19456,t=2,p=1", 16, 32);
        let digest = "x".repeat(53);
        assert!(Stored::read(&good).is_some());
        let started = SystemClock.instant();
        for bad in [
            String::new(),
            "notahash".to_owned(),
            "ñ".repeat(30),
            format!("$2b$31${digest}"),
            format!("$2b$03${digest}"),
            format!("$2x$10${digest}"),
            format!("$2b$10${}", "x".repeat(52)),
            format!("$2b$1$0{digest}"),
            argon2("m=4294967295,t=2,p=1", 16, 32),
            argon2("m=19456,t=4294967295,p=1", 16, 32),
            argon2("m=19456,t=0,p=1", 16, 32),
            argon2("m=19456,t=2,p=0", 16, 32),
            argon2("m=19456,t=2,p=16777215", 16, 32),
            argon2("m=1,t=2,p=1", 16, 32),
            argon2("m=19456,t=2,p=1", 4, 32),
            argon2("m=19456,t=2,p=1", 16, 4),
            argon2("m=19456,t=2,p=1,keyid=AAAA", 16, 32),
            good.replace("argon2id", "argon2d"),
            good.replace("argon2id", "argon2i"),
            good.replace("v=19", "v=16"),
            format!("{good}$x"),
            "$argon2id$v=19$".repeat(17),
            "x".repeat(256),
        ] {
            assert!(Stored::read(&bad).is_none(), "{bad}");
        }
        assert!(started.elapsed().as_millis() < 50, "{:?}", started.elapsed());
    }

    #[test]
    fn case_94_a_weak_hash_verifies_and_is_outdated() {
        let salt = [7_u8; 16];
        let scratch = &mut Scratch::default();
        let params = Params::new(8, 1, 1, Some(32)).unwrap();
        let output = compute(params, "Verano", &salt, scratch).unwrap();
        let weak = format!(
            "$argon2id$v=19$m=8,t=1,p=1${}${}",
            BASE64_STANDARD_NO_PAD.encode(salt),
            BASE64_STANDARD_NO_PAD.encode(output)
        );
        let stored = Stored::read(&weak).unwrap();
        assert!(stored.verify("Verano", scratch) && stored.is_outdated());
    }

    #[test]
    fn bcrypt_never_sees_nul() {
        let empty = bcrypt::hash("", 4).unwrap();
        let scratch = &mut Scratch::default();
        assert!(Stored::read(&empty).unwrap().verify("", scratch));
        assert!(!Stored::read(&empty).unwrap().verify("\0", scratch));
    }

    #[test]
    fn memory_that_was_used_makes_the_same_hash() {
        let compute = |memory, scratch: &mut Scratch| {
            let params = Params::new(memory, 2, 2, Some(32)).unwrap();
            compute(params, "Verano", &[7; 16], scratch).unwrap()
        };
        let used = &mut Scratch::default();
        compute(256, used);
        compute(64, used);
        for memory in [32, 256, 512] {
            assert_eq!(
                compute(memory, used),
                compute(memory, &mut Scratch::default()),
                "{memory}"
            );
        }
        assert!(used.is_worth_keeping());
        compute(MEMORY + 8, used);
        assert!(!used.is_worth_keeping());
    }
}
