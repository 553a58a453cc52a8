//! Which class each sample of a conditional generator is of.

use crate::data::one_hot;
use crate::pretrained::Latents;

/// The classes of samples, by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleClasses {
    /// The generator is not conditional.
    Unconditional,
    /// Sample i is of class i modulo their number, and has latent i.
    InTurn {
        /// Their number.
        classes: usize,
    },
    /// Every sample is of one class. Sample i has latent i.
    One {
        /// It.
        class: u32,
        /// Their number.
        classes: usize,
    },
    /// The first samples are of all classes with latent 0, the next with latent 1, and so on: a grid of them, column by
    /// column, has a row a class. Sample i is of class i modulo their number.
    Each {
        /// Their number.
        classes: usize,
    },
}

impl SampleClasses {
    /// Those of a generator of `classes` classes where nothing is asked for.
    pub fn of(classes: usize) -> Self {
        match classes {
            0 => Self::Unconditional,
            _ => Self::InTurn { classes },
        }
    }

    /// How many there are: 0 where the generator is not conditional.
    pub fn count(self) -> usize {
        match self {
            Self::Unconditional => 0,
            Self::InTurn { classes } | Self::One { classes, .. } | Self::Each { classes } => classes,
        }
    }

    /// How many samples so many latents are enough for.
    pub fn samples(self, latents: u64) -> u64 {
        match self {
            Self::Each { classes } => latents.saturating_mul(classes as u64),
            Self::Unconditional | Self::InTurn { .. } | Self::One { .. } => latents,
        }
    }

    /// The latent that a sample has.
    pub fn latent_of(self, sample: u64) -> u64 {
        match self {
            Self::Each { classes } => sample / classes as u64,
            Self::Unconditional | Self::InTurn { .. } | Self::One { .. } => sample,
        }
    }

    /// The class of a sample.
    pub fn class_of(self, sample: u64) -> Option<u32> {
        match self {
            Self::Unconditional => None,
            Self::One { class, .. } => Some(class),
            Self::InTurn { classes } | Self::Each { classes } => Some((sample % classes as u64) as u32),
        }
    }

    /// What a generator takes: `latents` of `latent_dim` values, row by row, each followed by the one-hot class of the
    /// sample in `samples` if there are classes.
    pub fn append_to(self, latents: Vec<f32>, latent_dim: usize, samples: impl Iterator<Item = u64>) -> Vec<f32> {
        if self == Self::Unconditional {
            return latents;
        }
        let rows = latents.chunks_exact(latent_dim).zip(samples);
        let row = |(latent, sample): (&[f32], u64)| -> Vec<f32> {
            let class: Vec<u32> = self.class_of(sample).into_iter().collect();
            [latent, &one_hot(&class, self.count())].concat()
        };
        rows.flat_map(row).collect()
    }

    /// What a generator takes for samples `first` to `first + count`, row by row, of the latents that are drawn or given.
    pub fn inputs(self, latents: &Latents, first: u64, count: usize) -> Vec<f32> {
        let samples = first..first + count as u64;
        let rows = match self {
            Self::Each { .. } => samples.clone().flat_map(|sample| latents.range(self.latent_of(sample), 1)).collect(),
            _ => latents.range(first, count),
        };
        self.append_to(rows, latents.latent_dim(), samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent_space::LatentSpace;

    const DRAWN: Latents = Latents::Drawn { seed: 5, space: LatentSpace::uniform(3) };

    #[test]
    fn a_sample_depends_on_its_number_alone() {
        for classes in [
            SampleClasses::Unconditional,
            SampleClasses::InTurn { classes: 4 },
            SampleClasses::One { class: 2, classes: 4 },
            SampleClasses::Each { classes: 4 },
        ] {
            let width = 3 + classes.count();
            let all = classes.inputs(&DRAWN, 0, 20);
            assert_eq!(all.len(), 20 * width);
            assert_eq!(classes.inputs(&DRAWN, 7, 6), all[7 * width..13 * width], "{classes:?}");
        }
    }

    #[test]
    fn latents_and_classes_are_those_that_the_choice_says() {
        let drawn = DRAWN.range(0, 20);
        for (classes, latent, class) in [
            (SampleClasses::of(4), 7, 3u8),
            (SampleClasses::One { class: 2, classes: 4 }, 7, 2),
            (SampleClasses::Each { classes: 4 }, 1, 3),
        ] {
            let row = classes.inputs(&DRAWN, 7, 1);
            assert_eq!(row[..3], drawn[3 * latent..3 * latent + 3], "{classes:?}");
            assert_eq!(row[3..], [0, 1, 2, 3].map(|other| f32::from(other == class)), "{classes:?}");
            assert_eq!((classes.latent_of(7), classes.class_of(7)), (latent as u64, Some(class.into())));
        }
        assert_eq!(SampleClasses::of(0).inputs(&DRAWN, 7, 1), drawn[21..24]);
    }
}
