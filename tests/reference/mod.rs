//! The networks, the losses, the optimizers and some steps of training against PyTorch: `generate.py`,
//! `generate_conditional.py`, `generate_radford.py`, `generate_simclr.py` and `generate_vit.py` computed the numbers in f64,
//! `*.json` hold them, and beside each how far PyTorch's own f32 is from it. Both sides make the weights by one rule.
//! `check_pytorch.py`, `check_radford.py`, `check_conditional.py` and `check_vit.py` are run by hand.

mod adam;
mod augment;
mod conditional;
mod contrastive;
mod embeddings;
mod encoders;
mod features;
mod inception;
mod losses;
mod losses_of_steps;
mod networks;
mod penalties;
mod radford;
mod rule;
mod scores;
mod sgd;
mod spectral;
mod trajectories;
mod vectors;
mod views;
mod vit;
