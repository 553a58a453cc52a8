use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Result, Tensor, Var, bail};

use crate::ops::{self, AdamStep};

/// What PyTorch's `torch.optim.Adam` calls by the same names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    /// Added to the gradient (L2), not decoupled.
    pub weight_decay: f64,
}

struct Slot {
    parameter: Var,
    first_moment: Var,
    second_moment: Var,
}

/// Adam (Kingma and Ba, 1412.6980) as PyTorch computes it.
pub struct Adam {
    config: AdamConfig,
    slots: BTreeMap<String, Slot>,
    step: u64,
}

impl Adam {
    /// Over these parameters; the moments begin at zero.
    pub fn new(parameters: Vec<(String, Var)>, config: AdamConfig) -> Result<Self> {
        let mut slots = BTreeMap::new();
        for (name, parameter) in parameters {
            let zeros = || Var::zeros(parameter.shape(), DType::F32, parameter.device());
            slots.insert(name, Slot { first_moment: zeros()?, second_moment: zeros()?, parameter });
        }
        Ok(Self { config, slots, step: 0 })
    }

    /// One update. Every parameter must have a gradient: one without is a mistake in the graph.
    pub fn step(&mut self, gradients: &GradStore) -> Result<()> {
        self.step_at(gradients, self.config.lr)
    }

    /// One update at another learning rate than the configured one: that of a schedule.
    pub fn step_at(&mut self, gradients: &GradStore, lr: f64) -> Result<()> {
        self.step += 1;
        let AdamConfig { beta1, beta2, eps, weight_decay, .. } = self.config;
        let step = AdamStep { lr, beta1, beta2, eps, weight_decay, step: self.step };
        for (name, slot) in &self.slots {
            let Some(gradient) = gradients.get(&slot.parameter) else { bail!("no gradient reached {name:?}") };
            ops::adam_step(&slot.parameter, gradient, &slot.first_moment, &slot.second_moment, &step)?;
        }
        Ok(())
    }

    /// How many updates were made.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The moments: `NAME.exp_avg` and `NAME.exp_avg_sq`, after PyTorch's names.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let pair = |(name, slot): (&String, &Slot)| {
            [
                (format!("{name}.exp_avg"), slot.first_moment.as_detached_tensor()),
                (format!("{name}.exp_avg_sq"), slot.second_moment.as_detached_tensor()),
            ]
        };
        self.slots.iter().flat_map(pair).collect()
    }

    /// Goes on from a saved state after `steps` updates.
    pub fn load(&mut self, state: &BTreeMap<String, Tensor>, steps: u64) -> Result<()> {
        if state.len() != 2 * self.slots.len() {
            bail!("the state of Adam has {} tensors, this network needs {}", state.len(), 2 * self.slots.len());
        }
        for (name, slot) in &self.slots {
            for (suffix, moment) in [("exp_avg", &slot.first_moment), ("exp_avg_sq", &slot.second_moment)] {
                let key = format!("{name}.{suffix}");
                let Some(tensor) = state.get(&key) else { bail!("the state of Adam lacks {key:?}") };
                moment.set(&tensor.to_device(moment.device())?)?;
            }
        }
        self.step = steps;
        Ok(())
    }
}
