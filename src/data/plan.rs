//! What each step of a run takes: which images, which latents, which random draws. All of it is a function of the plan and
//! the step alone, so that no step needs those before it, and of several processes each gives its own part of the batch.

use std::ops::Range;

use anyhow::{Result, bail};

use super::augment::{Augmentation, ViewParameters};
use super::{ImageShape, Shard};
use crate::error::Error;
use crate::latent_space::LatentSpace;
use crate::normalisation::Normalisation;
use crate::rng::{Generator, Stream};

/// The random stream of the classes of fakes.
pub const CLASSES: &str = "classes";

/// The random stream of flips.
pub const MIRROR: &str = "mirror";

/// The random stream of the points between real images and fakes.
pub const MIXING: &str = "mixing";

/// The plan of a run's steps. The parts of a step that all ranks give, one after the other, are exactly the step of a
/// single process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepPlan {
    /// Of all that is random.
    pub seed: u64,
    /// Images in the set.
    pub len: usize,
    /// Images a step, of all processes together. The last, partial batch of an epoch is left out.
    pub batch_size: usize,
    /// A new order every epoch, drawn from `seed`; else the order of the set, every epoch the same (the course's).
    pub shuffle: bool,
    /// Each image of a step is flipped from left to right with probability 1/2.
    pub mirror: bool,
    /// Whose part of each step is given.
    pub shard: Shard,
}

/// Which views a step takes of each image.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewPlan {
    /// 2 for SimCLR, 1 for a linear probe.
    pub views_per_image: usize,
    /// Height and width of a view, in pixels.
    pub size: usize,
    /// How their parameters are drawn.
    pub augmentation: Augmentation,
    /// What pixels are to the network.
    pub normalisation: Normalisation,
}

impl StepPlan {
    /// The plan of a single process, without flips. [`Error::TooFewImages`] where a batch is larger than the set, [`Error::Setting`]
    /// where it is empty.
    pub fn new(len: usize, batch_size: usize, shuffle: bool, seed: u64) -> Result<Self> {
        if batch_size == 0 {
            bail!(Error::setting("batch_size", 0, "a batch holds at least one image"));
        }
        if batch_size > len {
            let problem =
                format!("the data set has {len} images, fewer than a batch; give a smaller batch size or more data");
            bail!(Error::TooFewImages { name: "batch_size", value: batch_size.to_string(), problem });
        }
        Ok(Self { seed, len, batch_size, shuffle, mirror: false, shard: Shard::WHOLE })
    }

    /// The part of this plan that one of several processes does. [`Error::Usage`] where there is no such rank, or there
    /// are more processes than images in a batch.
    pub fn part(self, shard: Shard) -> Result<Self> {
        let Shard { rank, world } = shard;
        if rank >= world || world > self.batch_size {
            bail!(Error::Usage(format!(
                "rank {rank} of {world} processes: ranks go from 0 to {}, and a batch of {} images has one for each at least",
                world.saturating_sub(1),
                self.batch_size
            )));
        }
        Ok(Self { shard, ..self })
    }

    /// Whole batches in the set.
    pub fn steps_per_epoch(&self) -> u64 {
        steps_per_epoch(self.len, self.batch_size)
    }

    /// Step s is batch s % [`steps_per_epoch`](Self::steps_per_epoch) of this epoch.
    pub fn epoch(&self, step: u64) -> u64 {
        step / self.steps_per_epoch()
    }

    /// The places in a batch that are this process's.
    pub fn places(&self) -> Range<usize> {
        let Shard { rank, world } = self.shard;
        rank * self.batch_size / world..(rank + 1) * self.batch_size / world
    }

    /// The images that this process takes at a step. An order is drawn anew for each call; [`Order`] keeps an epoch's.
    pub fn indices(&self, step: u64) -> Vec<u32> {
        Order::new(*self).indices(step).to_vec()
    }

    /// `BLOCKS` blocks of latents of `space`, one for each image: (N, `dim`) each.
    pub fn latents<const BLOCKS: usize>(&self, step: u64, space: LatentSpace) -> [Vec<f32>; BLOCKS] {
        let (places, mut block) = (self.places(), 0);
        [(); BLOCKS].map(|()| {
            let mut generator = Stream::new(self.seed, "latents").at(step);
            generator.skip(((block * self.batch_size + places.start) * space.words()) as u64);
            block += 1;
            space.draw(&mut generator, places.len())
        })
    }

    /// `BLOCKS` blocks of classes below `classes`, one for each image: N each. All classes are equally likely, whatever their
    /// shares of the images: as in the code of Miyato and Koyama (1802.05637), a rare class is learned from as many fakes.
    pub fn classes<const BLOCKS: usize>(&self, step: u64, classes: usize) -> [Vec<u32>; BLOCKS] {
        let drawn = self.draws(step, CLASSES, BLOCKS, |generator| generator.below(classes as u32));
        let count = self.places().len();
        std::array::from_fn(|block| drawn[block * count..(block + 1) * count].to_vec())
    }

    /// What `draw` draws from the stream of `purpose` for each image of `blocks` batches: one block after the other, of
    /// each the part of this process. Those of the other processes are drawn and left out, for a draw may take any number
    /// of words.
    pub fn draws<T>(&self, step: u64, purpose: &str, blocks: usize, draw: impl Fn(&mut Generator) -> T) -> Vec<T> {
        let (mut generator, places) = (Stream::new(self.seed, purpose).at(step), self.places());
        let draws = (0..blocks * self.batch_size).map(|at| (at, draw(&mut generator)));
        draws.filter(|(at, _)| places.contains(&(at % self.batch_size))).map(|(_, drawn)| drawn).collect()
    }

    /// Which images of this process's step are flipped from left to right; `None` where none ever is.
    pub fn flips(&self, step: u64) -> Option<Vec<bool>> {
        self.mirror.then(|| self.draws(step, MIRROR, 1, |generator| generator.below(2) == 1))
    }

    /// A generator of its own for each of this process's places of a step.
    pub fn generators(&self, step: u64, purpose: &str) -> impl Iterator<Item = Generator> {
        let (stream, first) = (Stream::new(self.seed, purpose), step * self.batch_size as u64);
        self.places().map(move |place| stream.at(first + place as u64))
    }

    /// The views of the images with these indices and shapes at a step: one of each image, then the next one of each.
    pub fn view_parameters(
        &self,
        step: u64,
        views: &ViewPlan,
        images: &[(u32, ImageShape)],
    ) -> Vec<(u32, ViewParameters)> {
        let epoch = self.epoch(step);
        let view = |number, (image, shape)| (image, views.augmentation.view(self.seed, epoch, image, number, shape));
        (0..views.views_per_image).flat_map(|number| images.iter().map(move |image| view(number, *image))).collect()
    }
}

/// The images of a plan's steps, with the order of the epoch that was asked for last.
#[derive(Clone, Debug)]
pub struct Order {
    plan: StepPlan,
    /// The epoch that `indices` is the order of.
    epoch: Option<u64>,
    indices: Vec<u32>,
}

impl Order {
    /// The images of `plan`.
    pub fn new(plan: StepPlan) -> Self {
        Self { plan, epoch: None, indices: Vec::new() }
    }

    /// The images that this process takes at a step.
    pub fn indices(&mut self, step: u64) -> &[u32] {
        let StepPlan { seed, len, batch_size, shuffle, .. } = self.plan;
        let epoch = self.plan.epoch(step);
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.indices = match shuffle {
                true => Stream::new(seed, "shuffle").at(epoch).permutation(len),
                false => (0..len as u32).collect(),
            };
        }
        let begin = (step % self.plan.steps_per_epoch()) as usize * batch_size;
        &self.indices[begin..][self.plan.places()]
    }
}

/// Whole batches in so many images.
pub fn steps_per_epoch(images: usize, batch_size: usize) -> u64 {
    (images / batch_size.max(1)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent_space::LatentDistribution;

    const STEPS: [u64; 4] = [0, 1, 7, 1_000_003];

    fn plan(shuffle: bool) -> StepPlan {
        StepPlan::new(41, 12, shuffle, 5).unwrap()
    }

    /// What every rank gives, one rank after the other.
    fn parts<T>(whole: StepPlan, world: usize, of: impl Fn(StepPlan) -> T) -> Vec<T> {
        (0..world).map(|rank| of(whole.part(Shard { rank, world }).unwrap())).collect()
    }

    /// The parts of several blocks (N of each), block by block.
    fn joined<T: Clone>(parts: &[Vec<T>], blocks: usize) -> Vec<T> {
        let block = |at: usize| parts.iter().flat_map(move |part| part.chunks(part.len() / blocks).nth(at).unwrap());
        (0..blocks).flat_map(block).cloned().collect()
    }

    #[test]
    fn the_parts_of_all_ranks_are_the_step_of_one_process() {
        for (shuffle, world) in [(true, 1), (true, 2), (false, 3), (true, 4), (true, 5), (true, 12)] {
            let whole = plan(shuffle);
            for step in STEPS {
                let indices = |plan: StepPlan| plan.indices(step);
                assert_eq!(joined(&parts(whole, world, indices), 1), whole.indices(step), "indices of {world}");

                for distribution in [LatentDistribution::Uniform, LatentDistribution::Normal] {
                    let latents =
                        |plan: StepPlan| plan.latents::<2>(step, LatentSpace { dim: 7, distribution }).concat();
                    assert_eq!(joined(&parts(whole, world, latents), 2), latents(whole), "latents of {world}");
                }

                let classes = |plan: StepPlan| plan.classes::<2>(step, 7).concat();
                assert_eq!(joined(&parts(whole, world, classes), 2), classes(whole), "classes of {world}");

                // Of any number of words each.
                let draw = |generator: &mut Generator| match generator.below(3) {
                    0 => vec![generator.bits()],
                    more => (0..more).map(|_| generator.below(9)).collect(),
                };
                let draws = |plan: StepPlan| plan.draws(step, "draws", 3, draw);
                assert_eq!(joined(&parts(whole, world, draws), 3), draws(whole), "draws of {world}");

                let flips = |plan: StepPlan| StepPlan { mirror: true, ..plan }.flips(step).unwrap();
                assert_eq!(joined(&parts(whole, world, flips), 1), flips(whole), "flips of {world}");

                let words =
                    |plan: StepPlan| plan.generators(step, "warp").map(|mut own| own.bits()).collect::<Vec<_>>();
                assert_eq!(joined(&parts(whole, world, words), 1), words(whole), "generators of {world}");

                let (augmentation, normalisation) = (Augmentation::default(), Normalisation::cifar10());
                let views = ViewPlan { views_per_image: 2, size: 8, augmentation, normalisation };
                let views = |plan: StepPlan| {
                    let shape = |index: u32| ImageShape { height: 20 + index as usize, width: 30, channels: 3 };
                    let images: Vec<_> = plan.indices(step).into_iter().map(|index| (index, shape(index))).collect();
                    plan.view_parameters(step, &views, &images)
                };
                assert_eq!(joined(&parts(whole, world, views), 2), views(whole), "views of {world}");
            }
        }
    }

    /// The streams as they were before plans: one generator a step, whose words are drawn one after the other.
    #[test]
    fn a_plan_draws_what_its_streams_give() {
        for step in STEPS {
            let mut generator = Stream::new(5, "latents").at(step);
            let expected = [(); 2].map(|()| (0..12 * 7).map(|_| generator.symmetric()).collect::<Vec<f32>>());
            assert_eq!(plan(true).latents(step, LatentSpace::uniform(7)), expected);
            let mut generator = Stream::new(5, "x").at(step);
            let expected: Vec<u32> = (0..36).map(|_| generator.below(29)).collect();
            assert_eq!(plan(true).draws(step, "x", 3, |generator| generator.below(29)), expected);
        }
    }

    #[test]
    fn an_epoch_takes_whole_batches_and_a_step_needs_none_before_it() {
        let mut order = Order::new(plan(true));
        let steps: Vec<Vec<u32>> = (0..9).map(|step| order.indices(step).to_vec()).collect();
        for (epoch, steps) in steps.chunks(3).enumerate() {
            let permutation = Stream::new(5, "shuffle").at(epoch as u64).permutation(41);
            assert_eq!(steps.concat(), permutation[..36]);
        }
        for step in [8, 2, 5, 0] {
            assert_eq!(plan(true).indices(step as u64), steps[step]);
            assert_eq!(order.indices(step as u64), steps[step]);
        }
        assert_eq!((plan(false).indices(4), plan(true).epoch(4)), ((12..24).collect(), 1));
    }

    #[test]
    fn plans_that_cannot_be_are_refused() {
        assert!(StepPlan::new(11, 12, true, 0).is_err() && StepPlan::new(11, 0, true, 0).is_err());
        for (rank, world) in [(1, 1), (0, 0), (4, 4), (0, 13)] {
            assert!(plan(true).part(Shard { rank, world }).is_err(), "{rank} of {world}");
        }
    }
}
