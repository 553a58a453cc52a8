//! Random numbers: one seed, many named streams, each a pure function of (seed, name, index, position).
//!
//! candle's CPU generator cannot be seeded and its GPU generators differ from card to card, so every random number of
//! the program is drawn here, on the host. The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as
//! easy as 1, 2, 3", SC'11): counter-based, so the draws for step 12,345 or image 67 are reached without drawing
//! those before, and a stream needs no state in a checkpoint beyond the index it has come to.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// One block of Philox4x32-10: 128 random bits for a counter under a key.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let product =
            [u64::from(counter[0]) * u64::from(MULTIPLIERS[0]), u64::from(counter[2]) * u64::from(MULTIPLIERS[1])];
        counter = [
            (product[1] >> 32) as u32 ^ counter[1] ^ key[0],
            product[1] as u32,
            (product[0] >> 32) as u32 ^ counter[3] ^ key[1],
            product[0] as u32,
        ];
    }
    counter
}

/// A family of generators that share a seed and a purpose, told apart by an index (a step, an epoch, an image).
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    key: [u32; 2],
    purpose: u32,
}

impl Stream {
    /// The stream of `purpose` (such as `"shuffle"` or `"init.generator.0.weight"`) under `seed`.
    pub fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a: any hash would do that is the same on every machine.
        let purpose =
            purpose.bytes().fold(0x811C_9DC5u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self { key: [seed as u32, (seed >> 32) as u32], purpose }
    }

    /// The generator at `index`; independent of every other index.
    pub fn at(&self, index: u64) -> Generator {
        Generator { stream: *self, index, block: 0, words: [0; 4], used: 4 }
    }
}

/// A sequence of random numbers: at most 2^34 words from one index of a [`Stream`].
#[derive(Clone, Debug)]
pub struct Generator {
    stream: Stream,
    index: u64,
    block: u32,
    words: [u32; 4],
    used: usize,
}

impl Generator {
    /// The next 32 random bits.
    #[inline]
    pub fn bits(&mut self) -> u32 {
        if self.used == 4 {
            let counter = [self.block, self.index as u32, (self.index >> 32) as u32, self.stream.purpose];
            self.words = philox(counter, self.stream.key);
            self.block = self.block.wrapping_add(1);
            self.used = 0;
        }
        let word = self.words[self.used];
        self.used += 1;
        word
    }

    /// Passes over so many words, in no more time than one takes.
    pub fn skip(&mut self, words: u64) {
        let position = 4 * u64::from(self.block) + self.used as u64 - 4 + words;
        let (block, used) = (position / 4, position % 4);
        (self.block, self.used) = (block as u32, 4);
        if used > 0 {
            self.bits(); // computes the block
            self.used = used as usize;
        }
    }

    /// Uniform in [0, 1), a multiple of 2^-24.
    #[inline]
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in the open interval (-1, 1): the odd multiples of 2^-24, so symmetric, and never 0 or an end.
    #[inline]
    pub fn symmetric(&mut self) -> f32 {
        let odd = 2 * (self.bits() >> 8) as i32 + 1 - 16_777_216;
        odd as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform between `low` and `high`.
    #[inline]
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Standard normal (Box and Muller, "A note on the generation of random normal deviates", 1958). Computed by `libm`,
    /// which gives the same bits on every machine.
    #[inline]
    pub fn normal(&mut self) -> f32 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - f64::from(self.unit()))); // 1 - u is never 0
        let angle = std::f64::consts::TAU * f64::from(self.unit());
        (radius * libm::cos(angle)) as f32
    }

    /// Uniform in `0..bound`, without bias (Lemire, "Fast random integer generation in an interval", 2019).
    /// `bound` must not be 0.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        loop {
            let wide = u64::from(self.bits()) * u64::from(bound);
            if wide as u32 >= bound.wrapping_neg() % bound {
                return (wide >> 32) as u32;
            }
        }
    }

    /// A random order of `0..len` (Fisher-Yates). `len` must be below 2^32.
    pub fn permutation(&mut self, len: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..len as u32).collect();
        for last in (1..len).rev() {
            order.swap(last, self.below(last as u32 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of Random123, `kat_vectors`, philox4x32 10.
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let digits_of_pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(
            philox(digits_of_pi, [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn words_are_skipped_as_if_they_were_drawn() {
        let fresh = Stream::new(7, "latents").at(3);
        let words: Vec<u32> = fresh.clone().words(40);
        for (first, skipped) in [(0, 0), (0, 3), (0, 4), (1, 3), (3, 6), (5, 1), (8, 17), (4, 0)] {
            let mut generator = fresh.clone();
            (0..first).for_each(|_| _ = generator.bits());
            generator.skip(skipped);
            assert_eq!(generator.words(10), words[first + skipped as usize..][..10], "{first}, {skipped}");
        }
    }

    impl Generator {
        fn words(mut self, count: usize) -> Vec<u32> {
            (0..count).map(|_| self.bits()).collect()
        }
    }

    #[test]
    fn symmetric_draws_fill_the_open_interval() {
        let mut generator = Stream::new(7, "latents").at(3);
        let draws: Vec<f32> = (0..100_000).map(|_| generator.symmetric()).collect();
        assert!(draws.iter().all(|z| z.abs() < 1.0 && *z != 0.0));
        let mean = draws.iter().sum::<f32>() / draws.len() as f32;
        let variance = draws.iter().map(|z| z * z).sum::<f32>() / draws.len() as f32;
        assert!(mean.abs() < 0.01 && (variance - 1.0 / 3.0).abs() < 0.005, "mean {mean}, variance {variance}");
    }

    #[test]
    fn normal_draws_have_the_moments_and_tails_of_the_normal_distribution() {
        let mut generator = Stream::new(7, "init").at(0);
        let draws: Vec<f64> = (0..200_000).map(|_| f64::from(generator.normal())).collect();
        let moment = |power: i32| draws.iter().map(|z| z.powi(power)).sum::<f64>() / draws.len() as f64;
        assert!(moment(1).abs() < 0.01 && moment(3).abs() < 0.05, "mean {}, third {}", moment(1), moment(3));
        assert!((moment(2) - 1.0).abs() < 0.01 && (moment(4) - 3.0).abs() < 0.1, "{} {}", moment(2), moment(4));
        let beyond_two = draws.iter().filter(|z| z.abs() > 2.0).count() as f64 / draws.len() as f64;
        assert!((beyond_two - 0.0455).abs() < 0.002, "{beyond_two}");
    }

    #[test]
    fn permutations_hold_every_index_once_and_differ_by_index_and_seed() {
        let order = |seed, index| Stream::new(seed, "shuffle").at(index).permutation(1000);
        let mut sorted = order(1, 0);
        sorted.sort_unstable();
        assert!(sorted.iter().enumerate().all(|(position, &index)| position == index as usize));
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));
        assert_eq!(order(1, 0), order(1, 0));
    }
}
