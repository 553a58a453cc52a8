//! The networks, the losses, Adam and ten steps of training against PyTorch: `generate.py` computed the numbers in f64,
//! `*.json` hold them, and beside each how far PyTorch's own f32 is from it. Both sides make the weights by one rule.

mod adam;
mod losses;
mod networks;
mod rule;
mod trajectories;
mod vectors;
