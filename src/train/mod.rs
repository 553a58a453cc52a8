//! Training: straight loops that read from top to bottom, and what they share.

pub mod adversaries;
pub mod collapse;
pub mod contrastive;
pub mod encoder_source;
pub mod features;
pub mod finetune;
pub mod finetune_config;
mod finetune_files;
pub mod gan;
pub mod gan_config;
mod gan_files;
pub mod health;
mod images;
pub mod labels;
mod latents;
pub mod probe;
mod probe_batches;
pub mod room;
pub mod run;
pub mod signals;
pub mod simclr;
pub mod simclr_config;
mod simclr_files;
pub mod state;
