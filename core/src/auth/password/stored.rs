//! Stored hashes: which are understood, within which limits, and how good they are.
//!
//! A hash comes from a database that others write to. One with `m=4294967295` would make us allocate four
//! terabytes, one with `$2b$31$` would compute for days: such hashes are known by their text and never computed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use base64::prelude::BASE64_STANDARD_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::bcrypt_hash::Bcrypt;
use super::input::Password;
use crate::rng;
use crate::sync::lock;

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
/// The column holds no more.
const LONGEST: usize = 255;

/// base64 as the hashes of other programs have it: whatever stands in the bits that nothing needs.
const LENIENT: GeneralPurpose = GeneralPurpose::new(&STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

/// A hash that can be computed.
pub(super) enum Stored {
    Argon2(Argon),
    Bcrypt(Bcrypt),
}

/// A hash of one of the three kinds of argon2.
pub(super) struct Argon {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Stored {
    /// Reads a stored hash; `None` for what is not one, or is beyond the limits.
    pub(super) fn read(hash: &str) -> Option<Self> {
        if hash.len() > LONGEST || !hash.is_ascii() {
            return None;
        }
        if hash.starts_with("$argon2") {
            return Argon::read(hash).map(Self::Argon2);
        }
        Bcrypt::read(hash).map(Self::Bcrypt)
    }

    /// Computes once, whatever comes of it. Takes tens of milliseconds and up to 128 MiB: in the pool only.
    pub(super) fn verify(&self, password: &str, scratch: &mut Scratch) -> bool {
        match self {
            Self::Argon2(argon) => argon.verify(password, scratch),
            Self::Bcrypt(bcrypt) => {
                scratch.computed += 1;
                bcrypt.verify(password)
            }
        }
    }

    /// Whether it is the hash of a password: in its normal form, or as an older program hashed what was typed.
    /// Computes once for each spelling, also when the first is right, so that time does not tell which was.
    pub(super) fn is_of(&self, password: &Password, scratch: &mut Scratch) -> bool {
        password.spellings().fold(false, |is_right, spelling| {
            self.verify(spelling, scratch) | is_right
        })
    }

    /// Whether the hash is weaker than those that are made today.
    pub(super) fn is_outdated(&self) -> bool {
        match self {
            Self::Argon2(argon) => argon.is_outdated(),
            Self::Bcrypt(_) => true,
        }
    }

    pub(super) fn is_bcrypt(&self) -> bool {
        matches!(self, Self::Bcrypt(_))
    }

    /// Whether its computation takes as long as that of a new hash.
    pub(super) fn costs_as_today(&self) -> bool {
        match self {
            Self::Argon2(argon) => argon.work() == u64::from(MEMORY) * u64::from(PASSES),
            Self::Bcrypt(_) => false,
        }
    }
}

impl Argon {
    /// `$argon2id$v=19$m=19456,t=2,p=1$salt$output`. The oldest hashes name no version.
    fn read(hash: &str) -> Option<Self> {
        let (algorithm, rest) = hash.strip_prefix('$')?.split_once('$')?;
        let algorithm = match algorithm {
            "argon2id" => Algorithm::Argon2id,
            "argon2i" => Algorithm::Argon2i,
            "argon2d" => Algorithm::Argon2d,
            _ => return None,
        };
        let (version, rest) = match rest.strip_prefix("v=") {
            Some(rest) => rest.split_once('$')?,
            None => ("16", rest),
        };
        let version = match version {
            "19" => Version::V0x13,
            "16" => Version::V0x10,
            _ => return None,
        };
        let [costs, salt, output] = rest.split('$').collect::<Vec<_>>().try_into().ok()?;
        let [memory, passes, lanes] = costs.split(',').collect::<Vec<_>>().try_into().ok()?;
        let number = |part: &str, name: &str| part.strip_prefix(name)?.parse::<u32>().ok();
        let (memory, passes, lanes) = (number(memory, "m=")?, number(passes, "t=")?, number(lanes, "p=")?);
        if memory > MOST_MEMORY || !(1..=MOST_PASSES).contains(&passes) || !(1..=MOST_LANES).contains(&lanes)
        {
            return None;
        }
        let (salt, output) = (LENIENT.decode(salt).ok()?, LENIENT.decode(output).ok()?);
        if !SALTS.contains(&salt.len()) || !OUTPUTS.contains(&output.len()) {
            return None;
        }
        Some(Self {
            algorithm,
            version,
            params: Params::new(memory, passes, lanes, Some(output.len())).ok()?,
            salt,
            output,
        })
    }

    fn verify(&self, password: &str, scratch: &mut Scratch) -> bool {
        let argon = Argon2::new(self.algorithm, self.version, self.params.clone());
        let computed = compute(&argon, password, &self.salt, scratch);
        computed.is_some_and(|computed| bool::from(computed.ct_eq(&self.output)))
    }

    fn work(&self) -> u64 {
        u64::from(self.params.m_cost()) * u64::from(self.params.t_cost())
    }

    fn is_outdated(&self) -> bool {
        let is_current = self.algorithm == Algorithm::Argon2id && self.version == Version::V0x13;
        !is_current
            || self.work() < u64::from(MEMORY) * u64::from(PASSES)
            || self.salt.len() < SALT
            || self.output.len() < OUTPUT
    }
}

/// A new argon2id hash with a salt of its own. `None` if the memory cannot be had.
pub(super) fn hash(password: &str, scratch: &mut Scratch) -> Option<String> {
    let salt = rng::salt();
    let params = Params::new(MEMORY, PASSES, LANES, Some(OUTPUT)).ok()?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let output = compute(&argon, password, &salt, scratch)?;
    Some(format!(
        "$argon2id$v=19$m={MEMORY},t={PASSES},p={LANES}${}${}",
        BASE64_STANDARD_NO_PAD.encode(salt),
        BASE64_STANDARD_NO_PAD.encode(output)
    ))
}

/// Computes as many bytes as the parameters say.
fn compute(argon: &Argon2<'_>, password: &str, salt: &[u8], scratch: &mut Scratch) -> Option<Vec<u8>> {
    scratch.computed += 1;
    let mut output = vec![0; argon.params().output_len()?];
    let blocks = scratch.blocks(argon.params().block_count())?;
    argon
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut output, blocks)
        .ok()
        .map(|()| output)
}

/// The memory of a computation. It is lent to one after the other: an allocator keeps what it gets back for the
/// thread that gave it, so that new memory for each would in the end be held once by every thread that ever computed.
#[derive(Default)]
pub(in crate::auth) struct Scratch {
    memory: Vec<Block>,
    /// How many hashes were computed with it: what an onlooker with a stopwatch can find out.
    pub(super) computed: usize,
}

impl Scratch {
    /// That number of blocks, with anything in them. `None` if the memory cannot be had.
    fn blocks(&mut self, count: usize) -> Option<&mut [Block]> {
        if self.memory.len() < count {
            // What is replaced goes first.
            self.memory = Vec::new();
            self.memory.try_reserve_exact(count).ok()?;
            self.memory.resize(count, Block::new());
        }
        self.memory.get_mut(..count)
    }

    /// Whether it is no larger than the hashes of today need.
    fn is_worth_keeping(&self) -> bool {
        u32::try_from(self.memory.len()).is_ok_and(|blocks| blocks <= MEMORY)
    }
}

/// The memory of computations that have ended, for the next: at most `most` pieces.
pub(super) struct ScratchPool {
    kept: Mutex<Vec<Scratch>>,
    most: usize,
    computed: AtomicUsize,
}

impl ScratchPool {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            kept: Mutex::new(Vec::new()),
            most,
            computed: AtomicUsize::new(0),
        }
    }

    /// How many hashes were computed so far.
    #[cfg(test)]
    pub(super) fn computed(&self) -> usize {
        self.computed.load(Ordering::SeqCst)
    }

    /// Computes with a spare piece, or with a new one.
    pub(super) fn lend<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = self.kept().pop().unwrap_or_default();
        let answer = work(&mut scratch);
        self.computed
            .fetch_add(std::mem::take(&mut scratch.computed), Ordering::SeqCst);
        let mut kept = self.kept();
        if scratch.is_worth_keeping() && kept.len() < self.most {
            kept.push(scratch);
        }
        answer
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Scratch>> {
        lock(&self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            good.replace("argon2id", "argon2"),
            good.replace("argon2id", "argon2x"),
            good.replace("v=19", "v=18"),
            good.replace("v=19", "v=0x13"),
            good.replace("m=19456,t=2,p=1", "t=2,m=19456,p=1"),
            format!("{good}$x"),
            "$argon2id$v=19$".repeat(17),
            "x".repeat(256),
        ] {
            assert!(Stored::read(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn case_94_a_weak_hash_verifies_and_is_outdated() {
        let salt = [7_u8; 16];
        let scratch = &mut Scratch::default();
        let params = Params::new(8, 1, 1, Some(32)).unwrap();
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let output = compute(&argon, "Verano", &salt, scratch).unwrap();
        let weak = format!(
            "$argon2id$v=19$m=8,t=1,p=1${}${}",
            BASE64_STANDARD_NO_PAD.encode(salt),
            BASE64_STANDARD_NO_PAD.encode(output)
        );
        let stored = Stored::read(&weak).unwrap();
        assert!(stored.verify("Verano", scratch) && stored.is_outdated());
    }

    /// Made by passlib 1.7.4 with argon2-cffi.
    #[test]
    fn the_other_kinds_of_argon2_verify_and_are_outdated() {
        let scratch = &mut Scratch::default();
        for hash in [
            "$argon2i$v=19$m=64,t=1,p=2$G+OcU4rxvjfmfG8thXBuTQ$JPvRbCnIIopU0WTxj2pONz1zh27uNSCk0szjLU8W8fw",
            "$argon2d$v=19$m=64,t=1,p=2$6p2T8p7T+n9PKcV4b43Rug$Mm4luXajHXNd6OpDni9PVNoOKj0TfFBntjkEMFXveGI",
            "$argon2id$v=19$m=64,t=1,p=2$gRAi5LwXojQGoLQWIuQcgw$hQwXsl66cApCTb+O9aKB2xQSDqfttTb8nHheOT2daTg",
        ] {
            let stored = Stored::read(hash).unwrap();
            assert!(stored.verify("Verano2025!!", scratch), "{hash}");
            assert!(!stored.verify("verano2025!!", scratch), "{hash}");
            assert!(stored.is_outdated(), "{hash}");
        }
    }

    #[test]
    fn a_hash_without_a_version_is_of_the_first_one() {
        let scratch = &mut Scratch::default();
        let params = Params::new(64, 2, 1, Some(32)).unwrap();
        let argon = Argon2::new(Algorithm::Argon2i, Version::V0x10, params);
        let output = BASE64_STANDARD_NO_PAD.encode(compute(&argon, "Verano", &[7; 16], scratch).unwrap());
        let salt = BASE64_STANDARD_NO_PAD.encode([7; 16]);
        for version in ["", "v=16$"] {
            let hash = format!("$argon2i${version}m=64,t=2,p=1${salt}${output}");
            assert!(Stored::read(&hash).unwrap().verify("Verano", scratch), "{hash}");
        }
        let newer = format!("$argon2i$v=19$m=64,t=2,p=1${salt}${output}");
        assert!(!Stored::read(&newer).unwrap().verify("Verano", scratch));
    }

    #[test]
    fn bcrypt_never_sees_nul() {
        let empty = bcrypt::hash("", 4).unwrap();
        let scratch = &mut Scratch::default();
        assert!(Stored::read(&empty).unwrap().verify("", scratch));
        let before = scratch.computed;
        assert!(!Stored::read(&empty).unwrap().verify("\0", scratch));
        assert_eq!(scratch.computed, before + 1, "and takes as long as any other");
    }

    #[test]
    fn memory_that_was_used_makes_the_same_hash() {
        let compute = |memory, scratch: &mut Scratch| {
            let params = Params::new(memory, 2, 2, Some(32)).unwrap();
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            compute(&argon, "Verano", &[7; 16], scratch).unwrap()
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
