//! numpy's `RandomState`, as far as figures of other programs depend on what it draws.

/// Words of the state, and how far apart those lie that are mixed (Matsumoto and Nishimura, 1998).
const WORDS: usize = 624;
const DISTANCE: usize = 397;

/// `numpy.random.RandomState(seed)`: the Mersenne Twister MT19937.
pub struct NumpyRandom {
    state: [u32; WORDS],
    /// Words of the state that have been drawn.
    drawn: usize,
}

impl NumpyRandom {
    pub fn new(seed: u32) -> Self {
        let mut state = [seed; WORDS];
        for index in 1..WORDS {
            let before = state[index - 1];
            state[index] = 1_812_433_253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(index as u32);
        }
        Self { state, drawn: WORDS }
    }

    fn next(&mut self) -> u32 {
        if self.drawn == WORDS {
            for index in 0..WORDS {
                let mixed = (self.state[index] & 0x8000_0000) | (self.state[(index + 1) % WORDS] & 0x7fff_ffff);
                let twist = if mixed.is_multiple_of(2) { 0 } else { 0x9908_b0df };
                self.state[index] = self.state[(index + DISTANCE) % WORDS] ^ (mixed >> 1) ^ twist;
            }
            self.drawn = 0;
        }
        let mut word = self.state[self.drawn];
        self.drawn += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// `permutation(count)`: 0 to `count` - 1, shuffled.
    pub fn permutation(&mut self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        for last in (1..count).rev() {
            // The first draw that is small enough, of as many bits as the largest has.
            let mask = u32::MAX >> (last as u32).leading_zeros();
            let place = loop {
                match self.next() & mask {
                    place if place as usize <= last => break place as usize,
                    _ => {}
                }
            };
            order.swap(last, place);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.random.RandomState(2020)`.
    #[test]
    fn draws_are_numpys() {
        let mut random = NumpyRandom::new(2020);
        assert_eq!(random.permutation(12), [2, 1, 11, 4, 10, 5, 7, 9, 6, 3, 8, 0]);
        assert_eq!(random.permutation(1000)[..8], [358, 763, 430, 530, 677, 107, 127, 935]);
        // So many that the state is renewed many times.
        let mut random = NumpyRandom::new(2020);
        assert_eq!(random.permutation(20_000)[..5], [12_969, 14_869, 13_543, 9_580, 12_191]);
        assert_eq!(random.permutation(5), [4, 1, 2, 0, 3]);
        assert!(random.permutation(1) == [0] && random.permutation(0).is_empty());
    }
}
