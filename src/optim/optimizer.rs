//! The one way of gradients to weights: [`Optimizer::minimise`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use candle_core::{Result, Tensor, TensorId, Var, bail};

use super::adam::{Adam, AdamConfig};
use super::sgd::{Sgd, SgdConfig};
use super::{GradientTransform, WeightAverage};
use crate::autograd::{self, Update, Updates};

/// Gradients that are written at once, and used while they are in the cache.
const PIECE: usize = 32 * 1024;

/// How an optimizer moves its parameters by their gradients.
pub(super) trait Rule: Send + Sync {
    /// The parameters, in the order of their names.
    fn parameters(&self) -> Vec<(&str, &Var)>;

    /// Begins update number `step` (from 1) at learning rate `lr`: what changes from step to step is told to the device.
    fn prepare(&mut self, step: u64, lr: f64) -> Result<()>;

    /// The update that was prepared, by the gradients of all parameters in their order. What it does on a GPU can be
    /// recorded.
    fn apply(&self, gradients: &[Tensor]) -> Result<()>;

    /// The same, parameter by parameter within the backward pass and with the step of `average`, on the CPU. None where
    /// the rule has no such update.
    fn updates<'a>(&'a self, average: Option<&'a WeightAverage>) -> Option<Box<dyn Updates + 'a>>;

    /// Of each kind that [`updates`](Self::updates) move, those of all parameters.
    fn moments(&self) -> Vec<Vec<Tensor>> {
        Vec::new()
    }

    /// What is kept between steps, by name.
    fn state(&self) -> BTreeMap<String, Tensor>;

    /// Goes on from a saved state.
    fn load(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()>;
}

/// Moves parameters by the gradients of a loss.
pub struct Optimizer {
    rule: Box<dyn Rule>,
    transform: Option<Arc<dyn GradientTransform>>,
    /// Updates that were prepared.
    steps: u64,
}

impl Optimizer {
    /// Adam over these parameters; the moments begin at zero.
    pub fn adam(parameters: Vec<(String, Var)>, config: AdamConfig) -> Result<Self> {
        Ok(Self { rule: Box::new(Adam::new(parameters, config, false)?), transform: None, steps: 0 })
    }

    /// AdamW over these parameters: Adam whose weight decay is apart from the gradient, and of the weights of layers alone.
    pub fn adamw(parameters: Vec<(String, Var)>, config: AdamConfig) -> Result<Self> {
        Ok(Self { rule: Box::new(Adam::new(parameters, config, true)?), transform: None, steps: 0 })
    }

    /// SGD with momentum, or LARS, over these parameters; the velocities begin at zero.
    pub fn sgd(parameters: Vec<(String, Var)>, config: SgdConfig) -> Result<Self> {
        Ok(Self { rule: Box::new(Sgd::new(parameters, config)?), transform: None, steps: 0 })
    }

    /// From now on gradients go through `transform` before each update.
    pub fn set_transform(&mut self, transform: Arc<dyn GradientTransform>) {
        self.transform = Some(transform);
    }

    /// Begins an update at learning rate `lr`: what changes from step to step is told to the device. Once for each
    /// [`minimise`](Self::minimise), before it, and outside of what is captured.
    pub fn prepare(&mut self, lr: f64) -> Result<()> {
        self.steps += 1;
        self.rule.prepare(self.steps, lr)
    }

    /// The update that was prepared, by the gradients of `loss`, and with it that of the weights' average. What it does on
    /// a GPU can be captured.
    ///
    /// Every gradient of a weight passes here. Without a transform, on the CPU, each weight of Adam's is updated within the
    /// backward pass, as soon as its gradient is there: both are then still in the cache, and the gradient takes no memory
    /// for the rest of the pass. Else all gradients are complete first, and go through the transform in the order of the
    /// parameters' names. Both ways give the same weights to the bit.
    ///
    /// Every parameter must have a gradient: one without is a mistake in the graph, and an error.
    pub fn minimise(&self, loss: &Tensor, average: Option<&WeightAverage>) -> Result<()> {
        let fused = self.rule.updates(average).filter(|_| self.transform.is_none() && self.is_on_cpu());
        let moved = match fused {
            Some(updates) => self.check_all(autograd::update(loss, &*updates)?)?,
            None => return self.apply(self.gradients(loss)?, average),
        };
        average.map_or(Ok(()), |average| average.apply(&moved))
    }

    /// The update that was prepared, by gradients from elsewhere, and with it that of the weights' average.
    pub fn apply(&self, mut gradients: Vec<Tensor>, average: Option<&WeightAverage>) -> Result<()> {
        if let Some(transform) = &self.transform {
            transform.transform(&mut gradients)?;
        }
        self.rule.apply(&gradients)?;
        average.map_or(Ok(()), |average| average.apply(&HashSet::new()))
    }

    /// Whether [`apply_in_part`](Self::apply_in_part) can be used: whether the update of a value asks for its own gradient and
    /// for no other.
    pub fn updates_parts(&self) -> bool {
        self.rule.updates(None).is_some() && self.transform.is_none() && self.is_on_cpu()
    }

    /// The update that was prepared, of some of the parameters' values alone, and with it that of their average. `part` are a
    /// parameter's place in the order of their names, and some of its values, one after another; `write` overwrites a piece
    /// by the gradients of the values from a place of the part on. The others are for other processes to update: each has
    /// then the moments and averages of its own part.
    pub fn apply_in_part(
        &self,
        part: impl IntoIterator<Item = (usize, Range<usize>)>,
        write: &(dyn Fn(usize, &mut [f32]) + Sync),
        average: Option<&WeightAverage>,
    ) -> Result<()> {
        let Some(updates) = self.rule.updates(average) else { bail!("an update of all values at once") };
        let parameters = self.rule.parameters();
        let mut begin = 0;
        for (place, range) in part {
            let update = parameters.get(place).and_then(|(_, parameter)| updates.update_of(parameter.id()));
            let Some(update) = update else { bail!("there is no parameter {place}") };
            let (first, length) = (begin, range.len());
            update.in_range(range, PIECE, &|index, gradient| write(first + index * PIECE, gradient))?;
            begin += length;
        }
        let moved = parameters.iter().map(|(_, parameter)| parameter.id()).collect();
        average.map_or(Ok(()), |average| average.apply(&moved))
    }

    /// The parameters, in the order of their names.
    pub fn parameters(&self) -> Vec<Tensor> {
        self.rule.parameters().into_iter().map(|(_, parameter)| parameter.as_detached_tensor()).collect()
    }

    /// The moments of the parameters, in the order of their names, where [`updates_parts`](Self::updates_parts) says that
    /// each value has its own.
    pub fn moments(&self) -> Vec<Vec<Tensor>> {
        self.rule.moments()
    }

    /// The gradients of `loss`, one for each parameter, in the order of their names.
    pub fn gradients(&self, loss: &Tensor) -> Result<Vec<Tensor>> {
        let mut gradients = autograd::backward(loss)?;
        let of = |(name, parameter): (&str, &Var)| match gradients.remove(parameter) {
            Some(gradient) => Ok(gradient),
            None => bail!("no gradient reached {name:?}"),
        };
        self.rule.parameters().into_iter().map(of).collect()
    }

    /// The same, but each is given away as soon as it is complete, with its parameter's place in the order of their names,
    /// while the backward pass goes on: after the last op that uses the parameter, however often it is used and whatever the
    /// loss is a sum of. On a GPU, and of parameters that candle's own ops use, they are complete at the end of the pass.
    pub fn give_gradients(&self, loss: &Tensor, give: &dyn Fn(usize, Tensor) -> Result<()>) -> Result<()> {
        let parameters = self.rule.parameters().into_iter().enumerate();
        let places = parameters.map(|(place, (_, parameter))| (parameter.id(), place)).collect();
        self.check_all(autograd::update(loss, &Giving { places, give })?).map(drop)
    }

    /// `taken` itself, if nothing is missing in it.
    fn check_all(&self, taken: HashSet<TensorId>) -> Result<HashSet<TensorId>> {
        match self.rule.parameters().iter().find(|(_, parameter)| !taken.contains(&parameter.id())) {
            Some((name, _)) => bail!("no gradient reached {name:?}"),
            None => Ok(taken),
        }
    }

    fn is_on_cpu(&self) -> bool {
        self.rule.parameters().iter().all(|(_, parameter)| parameter.device().is_cpu())
    }

    /// How many updates were begun.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What is kept between steps, after PyTorch's names: Adam's moments `NAME.exp_avg` and `NAME.exp_avg_sq`, SGD's
    /// velocities `NAME.momentum_buffer`.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        self.rule.state()
    }

    /// Goes on from a saved state after `steps` updates.
    pub fn load(&mut self, state: &BTreeMap<String, Tensor>, steps: u64) -> Result<()> {
        self.rule.load(state)?;
        self.steps = steps;
        Ok(())
    }
}

/// Gives gradients away, each with the place of its parameter.
struct Giving<'a> {
    places: HashMap<TensorId, usize>,
    give: &'a dyn Fn(usize, Tensor) -> Result<()>,
}

impl Updates for Giving<'_> {
    fn update_of(&self, _: TensorId) -> Option<Box<dyn Update + '_>> {
        None
    }

    fn take(&self, variable: TensorId, gradient: &Tensor) -> Result<bool> {
        let Some(place) = self.places.get(&variable) else { return Ok(false) };
        (self.give)(*place, gradient.clone()).map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::Precision;
    use crate::layers::{Linear, LinearConfig};
    use crate::ops::{self, Activation};
    use crate::params::Parameters;
    use candle_core::{DType, Device, Module};
    use candle_nn::VarBuilder;

    const ADAM: AdamConfig = AdamConfig { lr: 1e-2, beta1: 0.5, beta2: 0.999, eps: 1e-8, weight_decay: 1e-3 };
    const SGD: SgdConfig = SgdConfig { momentum: 0.9, weight_decay: 1e-3, trust: None };

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

    /// Keeps every gradient as it is, and checks what it gets.
    struct Identity(Vec<Vec<usize>>);

    impl GradientTransform for Identity {
        fn transform(&self, gradients: &mut [Tensor]) -> Result<()> {
            assert!(gradients.iter().map(Tensor::dims).eq(&self.0), "one for each parameter, by their names");
            Ok(())
        }
    }

    /// Nothing is left of a gradient.
    struct Zero;

    impl GradientTransform for Zero {
        fn transform(&self, gradients: &mut [Tensor]) -> Result<()> {
            gradients.iter_mut().try_for_each(|gradient| {
                *gradient = gradient.zeros_like()?;
                Ok(())
            })
        }
    }

    type MakeTransform = fn(&Parameters) -> Arc<dyn GradientTransform>;
    type Begin = fn(Vec<(String, Var)>) -> Result<Optimizer>;

    /// Weights, moments and average after three steps, each a training step or not.
    fn trained(in_steps: bool, begin: Begin, transform: Option<MakeTransform>) -> Vec<Vec<f32>> {
        let [network, average] = ["network", "network"].map(|scope| Parameters::new(3, scope, &Device::Cpu));
        let (layers, _) = (layers(&network.builder()), layers(&average.builder()));
        let mut optimizer = begin(network.trainable()).unwrap();
        if let Some(transform) = transform {
            optimizer.set_transform(transform(&network));
        }
        let mut average = WeightAverage::new(average, &network, 0.9).unwrap();
        for update in 1..=3 {
            let x = (Tensor::arange(0.0, 5.0 * 33.0, &Device::Cpu).unwrap() / (100.0 * update as f64)).unwrap();
            let x = x.to_dtype(DType::F32).unwrap().reshape((5, 33)).unwrap();
            optimizer.prepare(1e-2).unwrap();
            average.prepare(update).unwrap();
            let run = || optimizer.minimise(&loss(&layers, &x), Some(&average)).unwrap();
            if in_steps { autograd::training_step(Precision::F32, run) } else { run() }
        }
        let tensors = [network.tensors(), optimizer.state(), average.parameters().tensors()];
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
        tensors.iter().flat_map(BTreeMap::values).map(values).collect()
    }

    /// For Adam without a transform that is an update within the backward pass.
    #[test]
    fn gradients_that_pass_through_a_transform_unchanged_give_the_same_bytes() {
        let identity = |network: &Parameters| -> Arc<dyn GradientTransform> {
            Arc::new(Identity(network.trainable().iter().map(|(_, parameter)| parameter.dims().to_vec()).collect()))
        };
        let rules: [Begin; 4] = [
            |parameters| Optimizer::adam(parameters, ADAM),
            |parameters| Optimizer::adamw(parameters, ADAM),
            |parameters| Optimizer::sgd(parameters, SGD),
            |parameters| Optimizer::sgd(parameters, SgdConfig { trust: Some(0.02), ..SGD }),
        ];
        for begin in rules {
            let expected = trained(false, begin, None);
            assert!(trained(true, begin, None) == expected);
            assert!(trained(false, begin, Some(identity)) == expected);
            assert!(trained(true, begin, Some(identity)) == expected);
            assert!(trained(true, begin, Some(|_| Arc::new(Zero))) != expected, "it has an effect");
        }
    }

    #[test]
    fn every_parameter_must_have_an_effect() {
        let transforms: [Option<Arc<dyn GradientTransform>>; 2] = [None, Some(Arc::new(Zero))];
        for transform in transforms {
            let network = Parameters::new(3, "network", &Device::Cpu);
            let layers = layers(&network.builder());
            let mut optimizer = Optimizer::adam(network.trainable(), ADAM).unwrap();
            optimizer.transform = transform;
            optimizer.prepare(ADAM.lr).unwrap();
            let x = Tensor::ones((5, 33), DType::F32, &Device::Cpu).unwrap();
            let found = autograd::training_step(Precision::F32, || {
                optimizer.minimise(&layers[0].forward(&x).unwrap().mean_all().unwrap(), None).unwrap_err().to_string()
            });
            assert!(found.starts_with("no gradient reached \"candle.bias\""), "{found}");
        }
    }
}
