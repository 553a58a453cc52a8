use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, Var, bail};

use super::WeightAverage;
use super::optimizer::Rule;
use crate::autograd::Updates;
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
pub(super) struct Sgd {
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

    /// The numbers of the step of one parameter.
    fn step_of(&self, parameter: &Var) -> SgdStep {
        let SgdConfig { momentum, weight_decay, trust } = self.config;
        let (rule, weight_decay) = match trust {
            None => (SgdRule::Sgd, weight_decay),
            Some(_) if parameter.rank() <= 1 => (SgdRule::Lars { trust: None }, 0.0),
            Some(_) => (SgdRule::Lars { trust }, weight_decay),
        };
        SgdStep { lr: self.lr, momentum, weight_decay, rule }
    }
}

impl Rule for Sgd {
    fn parameters(&self) -> Vec<(&str, &Var)> {
        self.slots.iter().map(|(name, slot)| (name.as_str(), &slot.parameter)).collect()
    }

    fn prepare(&mut self, _: u64, lr: f64) -> Result<()> {
        self.lr = lr;
        let SgdConfig { momentum, weight_decay, .. } = self.config;
        self.numbers.set_sgd(&SgdStep { lr, momentum, weight_decay, rule: SgdRule::Sgd })
    }

    fn apply(&self, gradients: &[Tensor]) -> Result<()> {
        let slots = self.slots.values().zip(gradients);
        let slots: Vec<_> = slots
            .map(|(Slot { parameter, velocity }, gradient)| SgdSlot {
                parameter,
                gradient,
                velocity,
                step: self.step_of(parameter),
            })
            .collect();
        ops::sgd_steps(&slots, &self.numbers)
    }

    /// LARS needs the norm of a whole gradient first.
    fn updates<'a>(&'a self, _: Option<&'a WeightAverage>) -> Option<Box<dyn Updates + 'a>> {
        None
    }

    fn state(&self) -> BTreeMap<String, Tensor> {
        let named =
            |(name, slot): (&String, &Slot)| (format!("{name}.momentum_buffer"), slot.velocity.as_detached_tensor());
        self.slots.iter().map(named).collect()
    }

    fn load(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
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
