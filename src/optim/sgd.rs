use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Result, Tensor, Var, bail};

use crate::ops::{self, SgdRule, SgdStep};

/// What PyTorch's `torch.optim.SGD` calls by the same names; with `trust`, LARS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdConfig {
    pub momentum: f64,
    /// Added to the gradient (L2), not decoupled.
    pub weight_decay: f64,
    /// LARS's trust coefficient (You, Gitman and Ginsburg, 1708.03888). As SimCLR uses it (2002.05709, section 2.2), biases
    /// and batch norms (whatever has one dimension) are then neither decayed nor adapted.
    pub trust: Option<f64>,
}

struct Slot {
    parameter: Var,
    velocity: Var,
}

/// Stochastic gradient descent with momentum, or LARS.
pub struct Sgd {
    config: SgdConfig,
    slots: BTreeMap<String, Slot>,
}

impl Sgd {
    /// Over these parameters; the velocities begin at zero.
    pub fn new(parameters: Vec<(String, Var)>, config: SgdConfig) -> Result<Self> {
        let mut slots = BTreeMap::new();
        for (name, parameter) in parameters {
            let velocity = Var::zeros(parameter.shape(), DType::F32, parameter.device())?;
            slots.insert(name, Slot { parameter, velocity });
        }
        Ok(Self { config, slots })
    }

    /// One update at learning rate `lr`. Every parameter must have a gradient: one without is a mistake in the graph.
    pub fn step(&mut self, gradients: &GradStore, lr: f64) -> Result<()> {
        let SgdConfig { momentum, weight_decay, trust } = self.config;
        for (name, slot) in &self.slots {
            let Some(gradient) = gradients.get(&slot.parameter) else { bail!("no gradient reached {name:?}") };
            let (rule, weight_decay) = match trust {
                None => (SgdRule::Sgd, weight_decay),
                Some(_) if slot.parameter.rank() <= 1 => (SgdRule::Lars { trust: None }, 0.0),
                Some(_) => (SgdRule::Lars { trust }, weight_decay),
            };
            let step = SgdStep { lr, momentum, weight_decay, rule };
            ops::sgd_step(&slot.parameter, gradient, &slot.velocity, &step)?;
        }
        Ok(())
    }

    /// The velocities: `NAME.momentum_buffer`, after PyTorch's name.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let named =
            |(name, slot): (&String, &Slot)| (format!("{name}.momentum_buffer"), slot.velocity.as_detached_tensor());
        self.slots.iter().map(named).collect()
    }

    /// Goes on from a saved state.
    pub fn load(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        if state.len() != self.slots.len() {
            bail!("the state of SGD has {} tensors, this network needs {}", state.len(), self.slots.len());
        }
        for (name, slot) in &self.slots {
            let key = format!("{name}.momentum_buffer");
            let Some(tensor) = state.get(&key) else { bail!("the state of SGD lacks {key:?}") };
            slot.velocity.set(&tensor.to_device(slot.velocity.device())?)?;
        }
        Ok(())
    }
}
