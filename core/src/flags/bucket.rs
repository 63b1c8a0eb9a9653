//! Buckets for gradual rollouts and variants: MurmurHash3 (x86, 32 bits) of `group:identifier`.
//!
//! The numbers are Unleash's and frozen by `tests/vectors/flags/buckets.json`: a guest who is in a rollout of
//! 20 % stays in it at 30 %, in every process and every language. The group's part of the hash is computed once,
//! when the definition is read, so that an evaluation hashes only the identifier and allocates nothing.

/// The hash of everything up to the identifier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets {
    hash: u32,
    /// Bytes of the prefix that do not fill a block of four yet, the first in the lowest byte.
    pending: u32,
    pending_count: u32,
    length: u32,
}

impl Buckets {
    /// The seed that Unleash uses for variants, so that who is in a rollout does not decide which variant it gets.
    pub(super) const VARIANT_SEED: u32 = 86_028_157;

    /// Prepares the buckets of one group.
    pub(super) fn new(group: &str, seed: u32) -> Self {
        let mut buckets = Self {
            hash: seed,
            pending: 0,
            pending_count: 0,
            length: 0,
        };
        buckets.feed(group.as_bytes());
        buckets.feed(b":");
        buckets
    }

    /// The bucket of an identifier, in `1..=count`. `count` must not be zero.
    pub(super) fn bucket(mut self, identifier: &str, count: u32) -> u32 {
        self.feed(identifier.as_bytes());
        self.finish().checked_rem(count).unwrap_or(0) + 1
    }

    fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.pending |= u32::from(byte) << (8 * self.pending_count);
            self.pending_count += 1;
            if self.pending_count == 4 {
                self.hash ^= mix(self.pending);
                self.hash = self
                    .hash
                    .rotate_left(13)
                    .wrapping_mul(5)
                    .wrapping_add(0xe654_6b64);
                (self.pending, self.pending_count) = (0, 0);
            }
        }
        // Lengths beyond 32 bits cannot occur: identifiers are bounded by the request that carries them.
        self.length = self
            .length
            .wrapping_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    }

    fn finish(self) -> u32 {
        let mut hash = self.hash;
        if self.pending_count > 0 {
            hash ^= mix(self.pending);
        }
        hash ^= self.length;
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        hash ^ (hash >> 16)
    }
}

fn mix(block: u32) -> u32 {
    block
        .wrapping_mul(0xcc9e_2d51)
        .rotate_left(15)
        .wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use unleash_yggdrasil::strategy_parsing::normalized_hash;

    use super::*;

    #[test]
    fn buckets_are_those_of_the_frozen_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/flags/buckets.json")).unwrap();
        for case in vectors["cases"].as_array().unwrap() {
            let (group, identifier) = (
                case["group"].as_str().unwrap(),
                case["identifier"].as_str().unwrap(),
            );
            let seed = u32::try_from(case["seed"].as_u64().unwrap()).unwrap();
            let count = u32::try_from(case["count"].as_u64().unwrap()).unwrap();
            let bucket = u64::from(Buckets::new(group, seed).bucket(identifier, count));
            assert_eq!(bucket, case["bucket"].as_u64().unwrap(), "{case}");
        }
    }

    #[test]
    fn buckets_agree_with_unleash_for_every_length_of_group_and_identifier() {
        let text = "añb-5491112345678-ü-xyz-0123456789";
        let cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        for &group_end in &cuts {
            for &start in &cuts {
                let (group, identifier) = (&text[..group_end], &text[start..]);
                for (count, seed) in [(100, 0), (1000, Buckets::VARIANT_SEED)] {
                    let expected = normalized_hash(group, identifier, count, seed).unwrap();
                    assert_eq!(Buckets::new(group, seed).bucket(identifier, count), expected);
                }
            }
        }
    }
}
