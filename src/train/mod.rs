//! How each method trains: its configuration and one step of it.

pub mod adaptive_augmentation;
pub mod adversaries;
pub mod augment_pipeline;
pub mod augment_strength;
mod buffers;
pub mod classifier_config;
pub mod collapse;
pub mod contrastive;
pub mod diffaugment;
pub mod distortions;
pub mod finetune_config;
mod gan_checks;
pub mod gan_config;
mod gan_images;
mod gan_size;
pub mod health;
pub mod init_network;
pub mod labels;
pub mod normalise;
mod penalty;
pub mod probe;
pub mod probe_batches;
pub mod recipe;
mod simclr_choices;
pub mod simclr_config;
pub mod simclr_images;
mod simclr_optimizer;
