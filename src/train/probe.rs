//! A linear classifier on an encoder, frozen or trained along: one row of the table of `finetune`.

use std::sync::Arc;

use anyhow::Context;
use candle_core::{Device, Module, ModuleT, Result, Tensor, bail};
use sha2::{Digest, Sha256};

use crate::autograd::{self, Precision};
use crate::checkpoint::state::{Parts, Tensors, joined, wrong_config};
use crate::distributed::{Give, Shards};
use crate::layers::Linear;
use crate::losses::classification::cross_entropy;
use crate::models::{Encoder, EncoderConfig, linear_classifier};
use crate::optim::{AdamConfig, GradientTransform, Optimizer};
use crate::params::Parameters;
use crate::train::buffers::Buffers;
use crate::train::sharded_update;

/// An encoder and the classifier on it in training.
pub struct Probe {
    encoder: Encoder,
    /// The encoder with its weights cut off from the graph: all of the encoder where it is frozen, and what measures it
    /// where it is trained.
    frozen_encoder: Encoder,
    classifier: Linear,
    encoder_parameters: Parameters,
    classifier_parameters: Parameters,
    optimizer: Optimizer,
    lr: f64,
    trains_encoder: bool,
    precision: Precision,
    shards: Shards,
}

impl Probe {
    /// A new classifier of `classes` classes, drawn from `seed`, on the encoder that `encoder_parameters` are of.
    /// Without `trains_encoder` nothing of the encoder is ever changed.
    pub fn new(
        encoder: EncoderConfig,
        encoder_parameters: Parameters,
        classes: usize,
        seed: u64,
        trains_encoder: bool,
        adam: AdamConfig,
        precision: Precision,
    ) -> Result<Self> {
        let classifier_parameters = Parameters::new(seed, "classifier", encoder_parameters.device());
        let classifier = linear_classifier(encoder.features(), classes, classifier_parameters.builder().pp("fc"))?;
        let mut trained = classifier_parameters.trainable();
        if trains_encoder {
            trained.extend(encoder_parameters.trainable());
        }
        let frozen_encoder = Encoder::new(encoder, encoder_parameters.frozen().pp("f"))?;
        Ok(Self {
            encoder: Encoder::new(encoder, encoder_parameters.builder().pp("f"))?,
            // Nothing of it changes where it is not trained.
            frozen_encoder: if trains_encoder { frozen_encoder } else { frozen_encoder.folded()? },
            classifier,
            encoder_parameters,
            classifier_parameters,
            optimizer: Optimizer::adam(trained, adam)?,
            lr: adam.lr,
            trains_encoder,
            precision,
            shards: Shards::default(),
        })
    }

    /// From now on a batch of pictures is computed in these shards; a step gets those of this process.
    pub fn set_shards(&mut self, shards: Shards) {
        self.shards = shards;
    }

    /// From now on gradients go through `transform` before each update.
    pub fn set_gradient_transform(&mut self, transform: Arc<dyn GradientTransform>) {
        self.optimizer.set_transform(transform);
    }

    /// One step on pictures (N, H, W, 3) and their classes (N), u32. The loss before the update, a scalar on the device.
    pub fn step(&mut self, pictures: &Tensor, labels: &Tensor) -> Result<Tensor> {
        self.optimizer.prepare(self.lr)?;
        if self.shards.count() > 1 {
            return self.step_in_shards(pictures, labels);
        }
        autograd::training_step(self.precision, || self.learn(&self.features(pictures)?, labels))
    }

    /// The same on features (N, D) that are there already, in one part.
    pub fn step_on_features(&mut self, features: &Tensor, labels: &Tensor) -> Result<Tensor> {
        self.optimizer.prepare(self.lr)?;
        autograd::training_step(self.precision, || self.learn(features, labels))
    }

    /// [`step`](Self::step) where the batch of all processes is cut into several shards: losses, gradients and batch-norm
    /// statistics are the means over them. In each shard the batch norms look at that shard alone.
    fn step_in_shards(&self, pictures: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let trained: &[&Parameters] = if self.trains_encoder { &[&self.encoder_parameters] } else { &[] };
        let buffers = Buffers::of(trained)?;
        let size = pictures.dim(0)? / self.shards.of_process();
        let compute = |part: usize, give: &Give| {
            buffers.reset()?;
            let rows = |x: &Tensor| x.narrow(0, part * size, size);
            let loss = self.loss(&self.features(&rows(pictures)?)?, &rows(labels)?)?;
            self.optimizer.give_gradients(&loss, give)?;
            Ok([vec![loss.detach()], buffers.averaged()?].concat())
        };
        let parameters = self.optimizer.parameters();
        let (gradients, mut means) = self.shards.sum_in_steps(self.precision, false, &parameters, compute)?;
        buffers.set_averaged(&means.split_off(means.len() - buffers.averaged_count()))?;
        sharded_update::update(&self.optimizer, None, &self.shards, gradients, self.precision)?;
        match means.pop() {
            Some(loss) => Ok(loss),
            None => bail!("a shard gives a loss"),
        }
    }

    /// Makes moments those of all processes, each of which has moved a part of them. To be called by all, before anything
    /// looks at them.
    pub fn complete(&self) -> Result<()> {
        sharded_update::complete(&self.optimizer, None, &self.shards)
    }

    /// h of pictures to learn from: (N, H, W, 3) to (N, D).
    fn features(&self, pictures: &Tensor) -> Result<Tensor> {
        match self.trains_encoder {
            true => self.encoder.forward_t(pictures, true),
            false => self.frozen_encoder.forward_t(pictures, false),
        }
    }

    fn loss(&self, features: &Tensor, labels: &Tensor) -> Result<Tensor> {
        cross_entropy(&self.classifier.forward(features)?, labels)
    }

    fn learn(&self, features: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let loss = self.loss(features, labels)?;
        self.optimizer.minimise(&loss, None)?;
        Ok(loss.detach())
    }

    /// Scores of the classes from features: (N, D) to (N, C).
    pub fn classify(&self, features: &Tensor) -> Result<Tensor> {
        Ok(self.classifier.forward(features)?.detach())
    }

    /// The encoder as it is now, for use in evaluation mode.
    pub fn frozen_encoder(&self) -> &Encoder {
        &self.frozen_encoder
    }

    /// The hash of every parameter and buffer of the encoder, to the bit.
    pub fn encoder_hash(&self) -> Result<String> {
        hash(&self.encoder_parameters.tensors())
    }

    /// Encoder and classifier, `f.*` and `fc.*`: what is for use.
    pub fn tensors(&self) -> Tensors {
        joined([("", self.encoder_parameters.tensors()), ("", self.classifier_parameters.tensors())])
    }

    /// Everything that a step changes, by the names of the checkpoint file.
    pub fn state(&self) -> Tensors {
        let encoder = if self.trains_encoder { self.encoder_parameters.tensors() } else { Tensors::new() };
        joined([("", encoder), ("", self.classifier_parameters.tensors()), ("optimizer.", self.optimizer.state())])
    }

    /// Goes on from a saved [`state`](Self::state) after `steps` steps. Names, shapes and dtypes must be exact.
    pub fn restore(&mut self, state: &Tensors, steps: u64) -> anyhow::Result<()> {
        let mut parts = Parts::of(state);
        let mut load = |parameters: &Parameters, prefix: &str| -> anyhow::Result<()> {
            let part = parts.take(prefix).into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor));
            parameters.load(&part.collect()).with_context(wrong_config)
        };
        load(&self.classifier_parameters, "fc.")?;
        if self.trains_encoder {
            load(&self.encoder_parameters, "f.")?;
        }
        self.optimizer.load(&parts.take("optimizer."), steps).with_context(wrong_config)?;
        parts.finish()
    }
}

/// SHA-256 of tensors: their names, dtypes, shapes and bytes, in the order of the names.
pub fn hash(tensors: &Tensors) -> Result<String> {
    let mut hasher = Sha256::new();
    for (name, tensor) in tensors {
        hasher.update(format!("{name} {:?} {:?}\n", tensor.dtype(), tensor.dims()));
        let flat = tensor.to_device(&Device::Cpu)?.flatten_all()?;
        match flat.dtype() {
            candle_core::DType::I64 => {
                flat.to_vec1::<i64>()?.iter().for_each(|value| hasher.update(value.to_le_bytes()));
            }
            _ => {
                let bytes: Vec<u8> = flat.to_vec1::<f32>()?.iter().flat_map(|value| value.to_le_bytes()).collect();
                hasher.update(bytes);
            }
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{EncoderArchitecture, Stem};
    use crate::pretrained::encoder::fresh;
    use crate::rng::Stream;

    const ENCODER: EncoderConfig =
        EncoderConfig { architecture: EncoderArchitecture::Resnet9, stem: Stem::Small, side: 8 };

    fn pictures(count: usize) -> Tensor {
        let mut generator = Stream::new(0, "pictures").at(0);
        let values: Vec<f32> = (0..count * 8 * 8 * 3).map(|_| generator.symmetric()).collect();
        Tensor::from_vec(values, (count, 8, 8, 3), &Device::Cpu).unwrap()
    }

    fn train(trains_encoder: bool) -> (Probe, String, String) {
        let parameters = fresh(ENCODER, 0, &Device::Cpu).unwrap();
        let adam = AdamConfig { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1 };
        let mut probe = Probe::new(ENCODER, parameters, 3, 0, trains_encoder, adam, Precision::F32).unwrap();
        let before = probe.encoder_hash().unwrap();
        let labels = Tensor::new(&[0u32, 1, 2, 0], &Device::Cpu).unwrap();
        for _ in 0..3 {
            probe.step(&pictures(4), &labels).unwrap();
        }
        let after = probe.encoder_hash().unwrap();
        (probe, before, after)
    }

    #[test]
    fn a_frozen_encoder_keeps_every_byte_and_the_classifier_learns() {
        let (probe, before, after) = train(false);
        assert_eq!(before, after);
        let fresh = Parameters::new(0, "classifier", &Device::Cpu);
        linear_classifier(ENCODER.features(), 3, fresh.builder().pp("fc")).unwrap();
        let weights = |parameters: &Parameters| parameters.tensors()["fc.weight"].to_vec2::<f32>().unwrap();
        assert_ne!(weights(&fresh), weights(&probe.classifier_parameters));
    }

    #[test]
    fn a_trained_encoder_changes_and_so_does_its_hash() {
        let (probe, before, after) = train(true);
        assert_ne!(before, after);
        // A buffer alone counts too.
        let variables = probe.encoder_parameters.all();
        let (_, mean) = variables.iter().find(|(name, _)| name == "f.1.running_mean").unwrap();
        mean.set(&(mean.as_detached_tensor() + 1e-3).unwrap()).unwrap();
        assert_ne!(after, probe.encoder_hash().unwrap());
    }

    #[test]
    fn a_restored_probe_goes_on_to_the_same_bytes() {
        let (mut probe, ..) = train(true);
        let labels = Tensor::new(&[2u32, 1, 0, 0], &Device::Cpu).unwrap();
        let (saved, _, _) = train(true);
        let parameters = fresh(ENCODER, 7, &Device::Cpu).unwrap();
        let adam = AdamConfig { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1 };
        let mut other = Probe::new(ENCODER, parameters, 3, 9, true, adam, Precision::F32).unwrap();
        other.restore(&saved.state(), 3).unwrap();
        for probe in [&mut probe, &mut other] {
            probe.step(&pictures(4), &labels).unwrap();
        }
        assert_eq!(hash(&probe.tensors()).unwrap(), hash(&other.tensors()).unwrap());
        assert_eq!(hash(&probe.state()).unwrap(), hash(&other.state()).unwrap());
    }
}
