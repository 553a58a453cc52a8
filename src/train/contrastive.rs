//! SimCLR's two networks with everything that a step changes: weights, batch-norm statistics, the optimizer's state.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use candle_core::{Device, Error, ModuleT, Result, Tensor, Var, bail};

use crate::autograd::{self, Precision};
use crate::checkpoint::state::{Parts, Tensors, joined, wrong_config};
use crate::distributed::{Give, Shards};
use crate::losses::nt_xent::nt_xent;
use crate::models::{Encoder, ProjectionHead, ProjectionHeadConfig};
use crate::optim::{GradientTransform, Optimizer};
use crate::params::Parameters;
use crate::train::buffers::Buffers;
use crate::train::sharded_update;
use crate::train::simclr_config::{SimclrConfig, ViewBatches};

/// An encoder f and its projection head g in training.
pub struct Contrastive {
    encoder: Encoder,
    /// The encoder with its weights cut off from the graph: what looks at features between steps.
    frozen_encoder: Encoder,
    projection_head: ProjectionHead,
    head_config: ProjectionHeadConfig,
    encoder_parameters: Parameters,
    head_parameters: Parameters,
    optimizer: Optimizer,
    temperature: f64,
    views: ViewBatches,
    steps: autograd::CapturedStep<ContrastiveOutcome>,
    precision: Precision,
    shards: Shards,
    /// Whether batch norms look at all shards.
    sync_batch_norm: bool,
}

/// What one step leaves to look at, still on the device: fetch it when it is to be logged, not every step, and before
/// the next step, which on CUDA overwrites it.
#[derive(Clone, Debug)]
pub struct ContrastiveOutcome {
    /// NT-Xent before the update. A scalar.
    pub loss: Tensor,
    /// z of the first views and of the second, (N, E) each, of all processes.
    pub left: Tensor,
    pub right: Tensor,
}

impl Contrastive {
    pub fn new(config: &SimclrConfig, device: &Device) -> Result<Self> {
        let encoder_parameters = Parameters::new(config.seed, "encoder", device);
        let head_parameters = Parameters::new(config.seed, "projection_head", device);
        let encoder = Encoder::new(config.encoder(), encoder_parameters.builder().pp("f"))?;
        let frozen_encoder = Encoder::new(config.encoder(), encoder_parameters.frozen().pp("f"))?;
        let head_config = ProjectionHeadConfig::default();
        let projection_head =
            ProjectionHead::new(config.encoder.features(), head_config, head_parameters.builder().pp("g"))?;
        let trained = [encoder_parameters.trainable(), head_parameters.trainable()].concat();
        Ok(Self {
            encoder,
            frozen_encoder,
            projection_head,
            head_config,
            encoder_parameters,
            head_parameters,
            optimizer: config.optimizer(trained)?,
            temperature: config.temperature,
            views: config.views,
            steps: autograd::CapturedStep::default(),
            precision: config.precision,
            shards: Shards::default(),
            sync_batch_norm: config.sync_batch_norm,
        })
    }

    /// From now on a batch is computed in these shards; a step gets those of this process.
    pub fn set_shards(&mut self, shards: Shards) {
        self.shards = shards;
    }

    /// From now on gradients go through `transform` before each update.
    pub fn set_gradient_transform(&mut self, transform: Arc<dyn GradientTransform>) {
        self.optimizer.set_transform(transform);
    }

    /// One step at learning rate `lr` on the views (2N, H, W, C) of N images: one view of each, then the other of each.
    pub fn step(&mut self, views: &Tensor, lr: f64) -> Result<ContrastiveOutcome> {
        self.optimizer.prepare(lr)?;
        if self.shards.count() > 1 {
            return self.compute_in_shards(views);
        }
        let mut steps = std::mem::take(&mut self.steps);
        let outcome = steps.run(std::slice::from_ref(views), |inputs| match inputs {
            [views] => self.compute(views),
            _ => bail!("a step has one input"),
        });
        self.steps = steps;
        outcome
    }

    /// What the device does in a step.
    fn compute(&self, views: &Tensor) -> Result<ContrastiveOutcome> {
        autograd::training_step(self.precision, || {
            let [left, right] = self.embed_both(views)?; // (N, E) each
            let loss = nt_xent(&left, &right, self.temperature)?;
            self.optimizer.minimise(&loss, None)?;
            Ok(ContrastiveOutcome { loss: loss.detach(), left: left.detach(), right: right.detach() })
        })
    }

    /// The same where the batch of all processes is cut into several shards. In each the batch norms look at that shard
    /// alone, or all look at the whole batch; the loss is that of the embeddings of all shards, and its gradients in them go
    /// back into the shards.
    fn compute_in_shards(&self, views: &Tensor) -> Result<ContrastiveOutcome> {
        let networks = [&self.encoder_parameters, &self.head_parameters];
        let buffers = Buffers::of(if self.sync_batch_norm { &[] } else { &networks })?;
        let parts = self.shards.of_process();
        let size = views.dim(0)? / 2 / parts;
        let shards = self.shards.in_steps(self.precision, self.sync_batch_norm, |part| {
            let halves = [0, 1].map(|half| views.narrow(0, (half * parts + part) * size, size));
            let [left, right] = halves;
            let views = Tensor::cat(&[left?, right?], 0)?; // (2 N / S, H, W, 3)
            buffers.reset()?;
            let (embeddings, recording) = autograd::recorded(|| self.embed_both(&views));
            Ok((embeddings?, buffers.averaged()?, recording))
        })?;
        let all = |side: usize| {
            let own: Vec<_> = shards.iter().map(|(embeddings, _, _)| embeddings[side].detach()).collect();
            Var::from_tensor(&self.shards.gather(&Tensor::cat(&own, 0)?)?)
        };
        let (left, right) = (all(0)?, all(1)?); // (N, E) each
        let (loss, gradients) = autograd::training_step(self.precision, || {
            let loss = nt_xent(&left, &right, self.temperature)?;
            let mut gradients = autograd::backward(&loss)?;
            Ok::<_, Error>((loss.detach(), [&left, &right].map(|side| gradients.remove(side))))
        })?;
        let [Some(left_gradient), Some(right_gradient)] = gradients else { bail!("the loss has no gradient") };
        let first = self.shards.first_of_process() * size;
        let shards: Vec<_> = shards.into_iter().map(|shard| Mutex::new(Some(shard))).collect();
        let compute = |part: usize, give: &Give| {
            let shard = shards[part].lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some((embeddings, statistics, recording)) = shard else { bail!("shard {part} was taken") };
            recording.backward(|| {
                let rows = |x: &Tensor| x.narrow(0, first + part * size, size);
                let [left, right] = &embeddings;
                let of_side = |side: &Tensor, gradient| side.mul(&rows(gradient)?)?.sum_all();
                let sum = (of_side(left, &left_gradient)? + of_side(right, &right_gradient)?)?;
                // The mean over the shards is to be the gradient of the whole.
                self.optimizer.give_gradients(&(sum * self.shards.count() as f64)?, give)
            })?;
            Ok(statistics)
        };
        let parameters = self.optimizer.parameters();
        let (gradients, statistics) =
            self.shards.sum_in_steps(self.precision, self.sync_batch_norm, &parameters, compute)?;
        buffers.set_averaged(&statistics)?;
        sharded_update::update(&self.optimizer, None, &self.shards, gradients, self.precision)?;
        let (left, right) = (left.as_detached_tensor(), right.as_detached_tensor());
        Ok(ContrastiveOutcome { loss, left, right })
    }

    /// Makes moments those of all processes, each of which has moved a part of them. To be called by all, before anything
    /// looks at them.
    pub fn complete(&self) -> Result<()> {
        sharded_update::complete(&self.optimizer, None, &self.shards)
    }

    /// z of views (2N, H, W, 3), one view of each image and then the other of each: (N, E) each.
    fn embed_both(&self, views: &Tensor) -> Result<[Tensor; 2]> {
        let count = views.dim(0)? / 2;
        let halves =
            |x: &Tensor| Ok::<_, Error>([autograd::narrow_rows(x, 0, count)?, autograd::narrow_rows(x, count, count)?]);
        match self.views {
            ViewBatches::Joint => halves(&self.embed(views)?),
            ViewBatches::Separate => {
                let [left, right] = halves(views)?;
                Ok([self.embed(&left)?, self.embed(&right)?])
            }
        }
    }

    /// z of views (N, H, W, 3): (N, E).
    fn embed(&self, views: &Tensor) -> Result<Tensor> {
        let features = self.encoder.forward_t(views, true)?; // (N, D)
        self.projection_head.forward_t(&features, true) // (N, E)
    }

    /// The encoder as it is now, for use in evaluation mode.
    pub fn frozen_encoder(&self) -> &Encoder {
        &self.frozen_encoder
    }

    pub fn encoder_parameters(&self) -> &Parameters {
        &self.encoder_parameters
    }

    /// The sizes of the projection head.
    pub fn head_config(&self) -> ProjectionHeadConfig {
        self.head_config
    }

    pub fn head_parameters(&self) -> &Parameters {
        &self.head_parameters
    }

    /// Everything that a step changes, by the names of the checkpoint file.
    pub fn state(&self) -> Tensors {
        joined([
            ("", self.encoder_parameters.tensors()),
            ("", self.head_parameters.tensors()),
            ("optimizer.", self.optimizer.state()),
        ])
    }

    /// Goes on from a saved [`state`](Self::state) after `steps` steps. Names, shapes and dtypes must be exact.
    pub fn restore(&mut self, state: &Tensors, steps: u64) -> anyhow::Result<()> {
        let mut parts = Parts::of(state);
        self.optimizer.load(&parts.take("optimizer."), steps).with_context(wrong_config)?;
        for (parameters, prefix) in [(&self.encoder_parameters, "f."), (&self.head_parameters, "g.")] {
            let part = parts.take(prefix).into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor));
            parameters.load(&part.collect()).with_context(wrong_config)?;
        }
        parts.finish()
    }
}
