//! Random steps that can be repeated.

/// A small generator of numbers (xorshift64, Marsaglia 2003): the same seed gives the same run, so that a failure can
/// be repeated.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// A generator from a seed, which must not be zero: zero would give zeros for ever.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below the limit, which is at least one.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// An index into so many things, at least one.
    pub fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(u64::try_from(count).unwrap())).unwrap()
    }
}
