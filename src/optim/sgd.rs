use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var, bail};

use crate::ops::{self, SgdRule, SgdSlot, SgdStep, StepNumbers};

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
    /// The learning rate of the step that was prepared.
    lr: f64,
    numbers: StepNumbers,
}

impl Sgd {
    /// Over these parameters; the velocities begin at zero.
    pub fn new(parameters: Vec<(String, Var)>, config: SgdConfig) -> Result<Self> {
        let device = parameters.first().map_or(Device::Cpu, |(_, parameter)| parameter.device().clone());
        let mut slots = BTreeMap::new();
        for (name, parameter) in parameters {
            let velocity = Var::zeros(parameter.shape(), DType::F32, parameter.device())?;
            slots.insert(name, Slot { parameter, velocity });
        }
        Ok(Self { config, slots, lr: 0.0, numbers: StepNumbers::new(&device)? })
    }

    /// One update at learning rate `lr`. Every parameter must have a gradient: one without is a mistake in the graph.
    pub fn step(&mut self, gradients: &GradStore, lr: f64) -> Result<()> {
        self.prepare(lr)?;
        self.apply(gradients)
    }

    /// Begins an update: what of it changes from step to step is told to the device.
    pub fn prepare(&mut self, lr: f64) -> Result<()> {
        self.lr = lr;
        let SgdConfig { momentum, weight_decay, .. } = self.config;
        self.numbers.set_sgd(&SgdStep { lr, momentum, weight_decay, rule: SgdRule::Sgd })
    }

    /// The update that was prepared. What it does on a GPU can be recorded.
    pub fn apply(&self, gradients: &GradStore) -> Result<()> {
        let SgdConfig { momentum, weight_decay, trust } = self.config;
        let mut slots = Vec::with_capacity(self.slots.len());
        for (name, slot) in &self.slots {
            let Some(gradient) = gradients.get(&slot.parameter) else { bail!("no gradient reached {name:?}") };
            let (rule, weight_decay) = match trust {
                None => (SgdRule::Sgd, weight_decay),
                Some(_) if slot.parameter.rank() <= 1 => (SgdRule::Lars { trust: None }, 0.0),
                Some(_) => (SgdRule::Lars { trust }, weight_decay),
            };
            let step = SgdStep { lr: self.lr, momentum, weight_decay, rule };
            slots.push(SgdSlot { parameter: &slot.parameter, gradient, velocity: &slot.velocity, step });
        }
        ops::sgd_steps(&slots, &self.numbers)
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
