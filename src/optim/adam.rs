use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, TensorId, Var, bail};

use crate::ops::{self, AdamSlot, AdamStep, AdamUpdate, StepNumbers, Update, Updates};

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
    /// The learning rate of the step that was prepared.
    lr: f64,
    numbers: StepNumbers,
}

impl Adam {
    /// Over these parameters; the moments begin at zero.
    pub fn new(parameters: Vec<(String, Var)>, config: AdamConfig) -> Result<Self> {
        let device = parameters.first().map_or(Device::Cpu, |(_, parameter)| parameter.device().clone());
        let mut slots = BTreeMap::new();
        for (name, parameter) in parameters {
            let zeros = || Var::zeros(parameter.shape(), DType::F32, parameter.device());
            slots.insert(name, Slot { first_moment: zeros()?, second_moment: zeros()?, parameter });
        }
        Ok(Self { config, slots, step: 0, lr: config.lr, numbers: StepNumbers::new(&device)? })
    }

    /// One update. Every parameter must have a gradient: one without is a mistake in the graph.
    pub fn step(&mut self, gradients: &GradStore) -> Result<()> {
        self.step_at(gradients, self.config.lr)
    }

    /// One update at another learning rate than the configured one: that of a schedule.
    pub fn step_at(&mut self, gradients: &GradStore, lr: f64) -> Result<()> {
        self.prepare_at(lr)?;
        self.apply(gradients)
    }

    /// Begins an update: what of it changes from step to step is told to the device.
    pub fn prepare(&mut self) -> Result<()> {
        self.prepare_at(self.config.lr)
    }

    /// The same at another learning rate than the configured one.
    pub fn prepare_at(&mut self, lr: f64) -> Result<()> {
        self.step += 1;
        self.lr = lr;
        self.numbers.set_adam(&self.numbers_of_step())
    }

    /// The update that was prepared. What it does on a GPU can be recorded.
    pub fn apply(&self, gradients: &GradStore) -> Result<()> {
        let mut slots = Vec::with_capacity(self.slots.len());
        for (name, Slot { parameter, first_moment, second_moment }) in &self.slots {
            let Some(gradient) = gradients.get(parameter) else { bail!("no gradient reached {name:?}") };
            slots.push(AdamSlot { parameter, gradient, first_moment, second_moment });
        }
        ops::adam_steps(&slots, &self.numbers_of_step(), &self.numbers)
    }

    /// The update that was prepared, by the gradients of `loss`. On the CPU each parameter is updated within the backward
    /// pass, as soon as its gradient is there: it is then still in the cache, and takes no memory for the rest of the pass.
    pub fn minimise(&self, loss: &Tensor) -> Result<()> {
        if !self.slots.values().all(|slot| slot.parameter.device().is_cpu()) {
            return self.apply(&ops::backward(loss)?);
        }
        let updated = ops::update(loss, self)?;
        match self.slots.iter().find(|(_, slot)| !updated.contains(&slot.parameter.id())) {
            Some((name, _)) => bail!("no gradient reached {name:?}"),
            None => Ok(()),
        }
    }

    fn numbers_of_step(&self) -> AdamStep {
        let AdamConfig { beta1, beta2, eps, weight_decay, .. } = self.config;
        AdamStep { lr: self.lr, beta1, beta2, eps, weight_decay, step: self.step }
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

impl Updates for Adam {
    fn update_of(&self, variable: TensorId) -> Option<Box<dyn Update + '_>> {
        let Slot { parameter, first_moment, second_moment } =
            self.slots.values().find(|slot| slot.parameter.id() == variable)?;
        Some(Box::new(AdamUpdate { parameter, first_moment, second_moment, step: self.numbers_of_step() }))
    }
}
