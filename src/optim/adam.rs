use std::collections::{BTreeMap, HashSet};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, TensorId, Var, bail};

use super::WeightAverage;
use crate::autograd::{self, Update, Updates};
use crate::ops::{self, AdamSlot, AdamStep, AdamUpdate, StepNumbers};

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

    /// The update that was prepared, by the gradients of `loss`, and with it that of the weights' average.
    ///
    /// On the CPU each weight is updated within the backward pass, as soon as its gradient is there: both are then still in
    /// the cache, and the gradient takes no memory for the rest of the pass.
    pub fn minimise(&self, loss: &Tensor, average: Option<&WeightAverage>) -> Result<()> {
        let mut updated = HashSet::new();
        if self.slots.values().all(|slot| slot.parameter.device().is_cpu()) {
            updated = autograd::update(loss, &Updating { adam: self, average })?;
            if let Some((name, _)) = self.slots.iter().find(|(_, slot)| !updated.contains(&slot.parameter.id())) {
                bail!("no gradient reached {name:?}")
            }
        } else {
            self.apply(&autograd::backward(loss)?)?;
        }
        match average {
            Some(average) => average.apply(&updated),
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

/// A step in progress.
struct Updating<'a> {
    adam: &'a Adam,
    average: Option<&'a WeightAverage>,
}

impl Updates for Updating<'_> {
    fn update_of(&self, variable: TensorId) -> Option<Box<dyn Update + '_>> {
        let Slot { parameter, first_moment, second_moment } =
            self.adam.slots.values().find(|slot| slot.parameter.id() == variable)?;
        let average = self.average.and_then(|average| average.of(variable));
        Some(Box::new(AdamUpdate {
            parameter,
            first_moment,
            second_moment,
            step: self.adam.numbers_of_step(),
            average,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::Precision;
    use crate::layers::{Linear, LinearConfig};
    use crate::ops::Activation;
    use crate::params::Parameters;
    use candle_core::Module;
    use candle_nn::VarBuilder;

    const CONFIG: AdamConfig = AdamConfig { lr: 1e-2, beta1: 0.5, beta2: 0.999, eps: 1e-8, weight_decay: 1e-3 };

    /// A layer that is used twice, one whose weight is more than a piece, one of candle's, and one by itself.
    fn layers(vb: &VarBuilder) -> [Linear; 4] {
        let config = LinearConfig { activation: Activation::Tanh, ..Default::default() };
        let layer = |inputs, outputs, name: &str| Linear::new(inputs, outputs, config, vb.pp(name)).unwrap();
        [layer(33, 33, "twice"), layer(33, 150, "large"), layer(150, 20, "candle"), layer(20, 1, "last")]
    }

    fn loss([twice, large, candle, last]: &[Linear; 4], x: &Tensor) -> Tensor {
        let x = large.forward(&twice.forward(&twice.forward(x).unwrap()).unwrap()).unwrap();
        let x = (candle.forward(&(x * 0.5).unwrap()).unwrap().sqr().unwrap() + 0.1).unwrap();
        ops::half_mean_square(&last.forward(&x).unwrap(), 1.0).unwrap()
    }

    /// Weights, moments and average after three steps, each a training step or not.
    fn trained(in_steps: bool, step: impl Fn(&Adam, &Tensor, &WeightAverage) + Sync) -> Vec<Vec<f32>> {
        let [network, average] = ["network", "network"].map(|scope| Parameters::new(3, scope, &Device::Cpu));
        let (layers, _) = (layers(&network.builder()), layers(&average.builder()));
        let mut adam = Adam::new(network.trainable(), CONFIG).unwrap();
        let mut average = WeightAverage::new(average, &network, 0.9).unwrap();
        for update in 1..=3 {
            let x = (Tensor::arange(0.0, 5.0 * 33.0, &Device::Cpu).unwrap() / (100.0 * update as f64)).unwrap();
            let x = x.to_dtype(DType::F32).unwrap().reshape((5, 33)).unwrap();
            adam.prepare().unwrap();
            average.prepare(update).unwrap();
            let run = || step(&adam, &loss(&layers, &x), &average);
            if in_steps { autograd::training_step(Precision::F32, run) } else { run() }
        }
        let tensors = [network.tensors(), adam.state(), average.parameters().tensors()];
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
        tensors.iter().flat_map(BTreeMap::values).map(values).collect()
    }

    #[test]
    fn an_update_within_the_backward_pass_is_that_after_it_to_the_bit() {
        let after = |adam: &Adam, loss: &Tensor, average: &WeightAverage| {
            adam.apply(&autograd::backward(loss).unwrap()).unwrap();
            average.apply(&HashSet::new()).unwrap();
        };
        let within = |adam: &Adam, loss: &Tensor, average: &WeightAverage| adam.minimise(loss, Some(average)).unwrap();
        let expected = trained(false, after);
        assert!(expected[0] != trained(false, |_, _, _| ())[0]);
        assert!(expected == trained(true, after));
        assert!(expected == trained(false, within));
        assert!(expected == trained(true, within));
    }

    #[test]
    fn every_parameter_must_have_an_effect() {
        let network = Parameters::new(3, "network", &Device::Cpu);
        let layers = layers(&network.builder());
        let mut adam = Adam::new(network.trainable(), CONFIG).unwrap();
        adam.prepare().unwrap();
        let x = Tensor::ones((5, 33), DType::F32, &Device::Cpu).unwrap();
        let found = autograd::training_step(Precision::F32, || {
            adam.minimise(&layers[0].forward(&x).unwrap().mean_all().unwrap(), None).unwrap_err().to_string()
        });
        assert!(found.starts_with("no gradient reached \"candle.bias\""), "{found}");
    }
}
