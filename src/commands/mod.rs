//! What each command does, straight down.

pub mod evaluate;
pub mod finetune;
pub mod pretrain_simclr;
pub mod sample;
pub mod train_classifier;
pub mod train_gan;
pub mod weights;
