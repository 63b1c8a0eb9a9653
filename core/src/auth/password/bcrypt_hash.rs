//! bcrypt hashes as passlib reads them, which made those of the app.
//!
//! * The versions `$2$`, `$2a$`, `$2b$` and `$2y$`; not `$2x$`, which stands for a faulty program and which passlib
//!   refuses too. `$2$` hashes the password without a NUL at its end.
//! * The last character of the salt has four bits more than the salt, and that of the digest two. Some programs leave
//!   something in them; passlib ignores them, and so do we.
//! * What is beyond 72 bytes is not read.

use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use subtle::ConstantTimeEq as _;

/// bcrypt reads no further.
pub(super) const BCRYPT_READS: usize = 72;

/// What is computed at most: 2^14 rounds take a second.
const COSTS: std::ops::RangeInclusive<u32> = 4..=14;

/// bcrypt's own base64, whatever stands in the bits that nothing needs.
const LENIENT: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// A hash that can be computed.
pub(super) struct Bcrypt {
    cost: u32,
    salt: [u8; 16],
    digest: [u8; 23],
    /// Whether the password ends with a NUL, as in every version but the first.
    is_terminated: bool,
}

impl Bcrypt {
    /// Reads a stored hash; `None` for what is not one, or is beyond the limits.
    pub(super) fn read(hash: &str) -> Option<Self> {
        let (version, rest) = hash.strip_prefix('$')?.split_once('$')?;
        let is_terminated = match version {
            "2" => false,
            "2a" | "2b" | "2y" => true,
            _ => return None,
        };
        let (cost, text) = rest.split_once('$')?;
        if cost.len() != 2 || !cost.bytes().all(|byte| byte.is_ascii_digit()) || text.len() != 53 {
            return None;
        }
        let cost = cost.parse().ok().filter(|cost| COSTS.contains(cost))?;
        let (salt, digest) = text.split_at_checked(22)?;
        Some(Self {
            cost,
            salt: LENIENT.decode(salt).ok()?.try_into().ok()?,
            digest: LENIENT.decode(digest).ok()?.try_into().ok()?,
            is_terminated,
        })
    }

    /// Whether it is the hash of a password. Computes in any case.
    pub(super) fn verify(&self, password: &str) -> bool {
        let computed = bcrypt::bcrypt(self.cost, self.salt, &self.key(password.as_bytes()));
        let is_same = computed
            .get(..self.digest.len())
            .is_some_and(|computed| bool::from(computed.ct_eq(&self.digest)));
        // bcrypt would take "" and NUL for the same; passlib never made a hash of a password with NUL.
        is_same && !password.contains('\0')
    }

    /// What bcrypt repeats until it has 72 bytes; never empty.
    fn key(&self, password: &[u8]) -> Vec<u8> {
        let end: &[u8] = if self.is_terminated || password.is_empty() {
            b"\0"
        } else {
            b""
        };
        password.iter().chain(end).copied().take(BCRYPT_READS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifies(password: &str, hash: &str) -> bool {
        Bcrypt::read(hash).is_some_and(|hash| hash.verify(password))
    }

    /// All made or judged by passlib 1.7.4 with bcrypt 4.3.0.
    #[test]
    fn what_stands_in_the_spare_bits_of_salt_and_digest_means_nothing() {
        for hash in [
            "$2b$04$abcdefghijklmnopqrstuuWY.RSUJNfKB2lb5YorHlhY7q7d6XRBK",
            "$2b$04$abcdefghijklmnopqrstuvWY.RSUJNfKB2lb5YorHlhY7q7d6XRBK",
            "$2b$04$abcdefghijklmnopqrstu7WY.RSUJNfKB2lb5YorHlhY7q7d6XRBK",
            "$2b$04$abcdefghijklmnopqrstuuWY.RSUJNfKB2lb5YorHlhY7q7d6XRBL",
            "$2b$04$abcdefghijklmnopqrstuuWY.RSUJNfKB2lb5YorHlhY7q7d6XRBN",
            "$2b$04$abcdefghijklmnopqrstuzWY.RSUJNfKB2lb5YorHlhY7q7d6XRBN",
            "$2a$04$abcdefghijklmnopqrstuzWY.RSUJNfKB2lb5YorHlhY7q7d6XRBN",
            "$2y$04$abcdefghijklmnopqrstuzWY.RSUJNfKB2lb5YorHlhY7q7d6XRBN",
        ] {
            assert!(verifies("Verano2025!!", hash), "{hash}");
            assert!(!verifies("verano2025!!", hash), "{hash}");
        }
        let other = "$2b$04$abcdefghijklmnopqrstuuWY.RSUJNfKB2lb5YorHlhY7q7d6XRBO";
        assert!(
            !verifies("Verano2025!!", other),
            "these bits belong to the digest"
        );
    }

    /// Made by passlib 1.7.4.
    #[test]
    fn the_first_version_hashes_without_an_end() {
        let x = |count: usize| "x".repeat(count);
        for (password, hash) in [
            (
                "Verano2025!!",
                "$2$04$9U31t9eH4nt9n16Cpn.7POqiTsWmEz7kUXzdqBRzHZOtakGLfJ2Wm",
            ),
            ("", "$2$04$wVkgnr70.Di0GrMk294PjegqLzGZopku1a7giCUxunT9xs6C5xqwe"),
            (
                "ab",
                "$2$04$BzXhufoWiZFjx7hTolpXUunpTBhbeoi/eo4aEgX5XQwegynUm1T0K",
            ),
            (
                &x(71),
                "$2$04$hoHg0b6O4bLAgpCD3USIlOQSSAWgcLIqcRiQFKPA3I.NG9IwKJMHG",
            ),
            (
                &x(72),
                "$2$04$lh.c7TMisLiX/wNKUioMX.GnIhzCO.coBdi.KjvybJxIwhBDDck1W",
            ),
            (
                &x(80),
                "$2$04$vnr/bamWVkvuQTVIoEXJC.875qJ9zcTiZwYDbZH9naMpu/XNXFiwy",
            ),
            (
                "ñandú",
                "$2$04$a4GxE2kdf1iKxBMeOL67uOTahIG2AUcdl2gYH6A4PuBUj2Iv8rQ7K",
            ),
        ] {
            assert!(verifies(password, hash), "{password} {hash}");
            assert!(!verifies("other", hash), "{hash}");
        }
    }

    #[test]
    fn what_passlib_refuses_is_refused() {
        let good = "$2b$04$abcdefghijklmnopqrstuuWY.RSUJNfKB2lb5YorHlhY7q7d6XRBK";
        for bad in [
            good.replace("$2b$", "$2x$"),
            good.replace("$2b$", "$2c$"),
            good.replace("$2b$", "$2B$"),
            good.replace("$2b$", "2b$"),
            good.replace("$04$", "$4$"),
            good.replace("$04$", "$+4$"),
            good.replace("$04$", "$03$"),
            good.replace("$04$", "$31$"),
            format!("{good} "),
            format!("{good}\n"),
            format!("bcrypt${good}"),
            good.get(..59).unwrap().to_owned(),
            good.get(..29).unwrap().to_owned(),
            good.replace('W', "="),
        ] {
            assert!(Bcrypt::read(&bad).is_none(), "{bad:?}");
        }
    }
}
