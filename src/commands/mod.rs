//! What each command does, straight down. Commands do not import each other; they share
//! [`Invocation`], `images`, `weights` and `weights_dir`.

pub mod evaluate;
pub mod exit_code;
pub mod finetune;
mod images;
pub mod inspect;
pub mod pretrain_simclr;
pub mod sample;
pub mod train_classifier;
pub mod train_gan;
pub mod weights;
pub mod weights_dir;

use candle_core::Device;

use crate::report::{Console, Monitor};
use crate::run::RunOptions;

/// What a command that trains is given beside its configuration.
#[derive(Clone, Copy)]
pub struct Invocation<'a> {
    /// The fields of the configuration that the user set, which a resumed run checks against its own.
    pub typed: &'a [String],
    pub options: &'a RunOptions,
    pub device: &'a Device,
    /// Whether every record is streamed to stdout.
    pub json: bool,
    pub console: &'a Console,
}

impl Invocation<'_> {
    fn monitor(&self) -> Monitor {
        Monitor::new(self.console, self.json)
    }
}
