use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, TensorId, Var, bail};

use super::WeightAverage;
use super::optimizer::Rule;
use crate::autograd::{Update, Updates};
use crate::ops::{self, AdamSlot, AdamStep, AdamUpdate, StepNumbers};

/// What PyTorch's `torch.optim.Adam` and `AdamW` call by the same names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    /// Of Adam added to the gradient (L2), of AdamW decoupled from it.
    pub weight_decay: f64,
}

struct Slot {
    parameter: Var,
    first_moment: Var,
    second_moment: Var,
    /// Whether it is a weight of a layer, which has two dimensions or four: AdamW leaves biases and norms, which have one,
    /// and tokens and positions, which have three, undecayed, as is usual for transformers.
    is_weight: bool,
}

/// Adam (Kingma and Ba, 1412.6980) or AdamW (Loshchilov and Hutter, 1711.05101) as PyTorch computes it.
pub(super) struct Adam {
    config: AdamConfig,
    /// Whether it is AdamW.
    decoupled: bool,
    slots: BTreeMap<String, Slot>,
    /// Number and learning rate of the update that was prepared.
    step: u64,
    lr: f64,
    numbers: StepNumbers,
}

impl Adam {
    /// Over these parameters; the moments begin at zero.
    pub fn new(parameters: Vec<(String, Var)>, config: AdamConfig, decoupled: bool) -> Result<Self> {
        let device = parameters.first().map_or(Device::Cpu, |(_, parameter)| parameter.device().clone());
        let mut slots = BTreeMap::new();
        for (name, parameter) in parameters {
            let zeros = || Var::zeros(parameter.shape(), DType::F32, parameter.device());
            let is_weight = [2, 4].contains(&parameter.rank());
            slots.insert(name, Slot { first_moment: zeros()?, second_moment: zeros()?, parameter, is_weight });
        }
        Ok(Self { config, decoupled, slots, step: 0, lr: config.lr, numbers: StepNumbers::new(&device)? })
    }

    /// The numbers of the step of weights, or of the other parameters.
    fn numbers_of_step(&self, is_weight: bool) -> AdamStep {
        let AdamConfig { beta1, beta2, eps, weight_decay, .. } = self.config;
        let weight_decay = if is_weight || !self.decoupled { weight_decay } else { 0.0 };
        AdamStep { lr: self.lr, beta1, beta2, eps, weight_decay, decoupled: self.decoupled, step: self.step }
    }
}

impl Rule for Adam {
    fn parameters(&self) -> Vec<(&str, &Var)> {
        self.slots.iter().map(|(name, slot)| (name.as_str(), &slot.parameter)).collect()
    }

    fn prepare(&mut self, step: u64, lr: f64) -> Result<()> {
        (self.step, self.lr) = (step, lr);
        self.numbers.set_adam(&self.numbers_of_step(true))
    }

    fn apply(&self, gradients: &[Tensor]) -> Result<()> {
        let (weights, others): (Vec<_>, Vec<_>) =
            self.slots.values().zip(gradients).partition(|(slot, _)| slot.is_weight || !self.decoupled);
        for (slots, is_weight) in [(weights, true), (others, false)] {
            let slots: Vec<_> = slots
                .into_iter()
                .map(|(Slot { parameter, first_moment, second_moment, .. }, gradient)| AdamSlot {
                    parameter,
                    gradient,
                    first_moment,
                    second_moment,
                })
                .collect();
            ops::adam_steps(&slots, &self.numbers_of_step(is_weight), &self.numbers)?;
        }
        Ok(())
    }

    fn updates<'a>(&'a self, average: Option<&'a WeightAverage>) -> Option<Box<dyn Updates + 'a>> {
        Some(Box::new(Updating { adam: self, average }))
    }

    fn moments(&self) -> Vec<Vec<Tensor>> {
        let of =
            |moment: fn(&Slot) -> &Var| self.slots.values().map(|slot| moment(slot).as_detached_tensor()).collect();
        vec![of(|slot| &slot.first_moment), of(|slot| &slot.second_moment)]
    }

    fn state(&self) -> BTreeMap<String, Tensor> {
        let pair = |(name, slot): (&String, &Slot)| {
            [
                (format!("{name}.exp_avg"), slot.first_moment.as_detached_tensor()),
                (format!("{name}.exp_avg_sq"), slot.second_moment.as_detached_tensor()),
            ]
        };
        self.slots.iter().flat_map(pair).collect()
    }

    fn load(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
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
        Ok(())
    }
}

/// A step in progress.
struct Updating<'a> {
    adam: &'a Adam,
    average: Option<&'a WeightAverage>,
}

impl Updates for Updating<'_> {
    fn update_of(&self, variable: TensorId) -> Option<Box<dyn Update + '_>> {
        let Slot { parameter, first_moment, second_moment, is_weight } =
            self.adam.slots.values().find(|slot| slot.parameter.id() == variable)?;
        let average = self.average.and_then(|average| average.of(variable));
        Some(Box::new(AdamUpdate {
            parameter,
            first_moment,
            second_moment,
            step: self.adam.numbers_of_step(*is_weight),
            average,
        }))
    }
}
