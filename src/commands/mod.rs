//! What each command does, straight down.

pub mod evaluate;
pub mod exit_code;
pub mod finetune;
pub mod inspect;
pub mod pretrain_simclr;
pub mod sample;
pub mod train_classifier;
pub mod train_gan;
pub mod weights;
pub mod weights_dir;
