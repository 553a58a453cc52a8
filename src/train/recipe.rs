//! Recipes: what the flags are that nobody typed.

use serde::{Deserialize, Serialize};

use super::gan_config::GanConfig;
use crate::models::Architecture;

/// A set of defaults for `train-gan`. Networks, loss, batch size and images seen are the same in all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Recipe {
    /// The course's: the defaults below
    #[default]
    Course,
    /// What this program's search has found to draw best, by model: vanilla's is --discriminator-lr 2e-3
    /// --r1 1, lsgan's --r1 0.02, dcgan's --lr 2e-3 --r1 1 --r1-every 4
    Best,
}

impl Recipe {
    /// `config` with this recipe's values for the fields that are not among `typed`, those that the user set.
    pub fn resolve(self, mut config: GanConfig, typed: &[String]) -> GanConfig {
        let mut best = config.clone();
        match self {
            Self::Course => return config,
            Self::Best => best_of(&mut best),
        }
        macro_rules! take {
            ($($field:ident),*) => {
                $(if !typed.iter().any(|name| name == stringify!($field)) { config.$field = best.$field; })*
            };
        }
        take!(lr, discriminator_lr, beta1, beta2, schedule, ema_decay, label_smoothing, r1, r1_every, diffaugment);
        config
    }
}

/// Found on MNIST, on training images that were not trained on; README has what each is worth.
fn best_of(config: &mut GanConfig) {
    match config.model {
        Architecture::Vanilla => {
            config.discriminator_lr = Some(2e-3);
            config.r1 = 1.0;
        }
        // Least-squares scores lie between 0 and 1: a slope weighs more there, and a faster D is too much.
        Architecture::Lsgan => config.r1 = 0.02,
        Architecture::Dcgan => {
            config.lr = 2e-3;
            config.r1 = 1.0;
            config.r1_every = 4;
        }
    }
}
