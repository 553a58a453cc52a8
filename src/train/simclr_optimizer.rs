//! What a SimCLR configuration says of how weights are moved.

use std::sync::Arc;

use anyhow::bail;
use candle_core::Var;

use crate::error::Error;
use crate::optim::{AdamConfig, ClipGlobalNorm, Optimizer, Schedule, SgdConfig};
use crate::train::idle::{Reliant, refuse_idle};
use crate::train::simclr_config::{OptimizerKind, SimclrConfig};

impl SimclrConfig {
    /// `--lr`, or the optimizer's usual one: for LARS that of the SimCLR paper, for SGD what is customary on CIFAR-10.
    pub fn lr(&self) -> f64 {
        self.lr.unwrap_or(match self.optimizer_kind() {
            OptimizerKind::Adam => 1e-3,
            OptimizerKind::Adamw => 5e-4,
            OptimizerKind::Sgd => 0.06 * self.batch_size as f64 / 128.0,
            OptimizerKind::Lars => 0.3 * self.batch_size as f64 / 256.0,
        })
    }

    /// `--optimizer`, or the usual one of the encoder.
    pub fn optimizer_kind(&self) -> OptimizerKind {
        let usual = if self.encoder.is_transformer() { OptimizerKind::Adamw } else { OptimizerKind::Adam };
        self.optimizer.unwrap_or(usual)
    }

    /// `--weight-decay`, or the usual one of the optimizer.
    pub fn weight_decay(&self) -> f64 {
        self.weight_decay.unwrap_or(if self.optimizer_kind() == OptimizerKind::Adamw { 0.05 } else { 1e-6 })
    }

    /// The learning rates of a run of `steps` steps.
    pub fn schedule(&self, steps: u64) -> Schedule {
        Schedule { peak: self.lr(), warmup_steps: self.warmup_steps, steps, decay: self.schedule }
    }

    /// [`Error::Setting`] where one of the `typed` fields, those that the user set, is not of this configuration's optimizer.
    pub fn refuse_idle(&self, typed: &[String]) -> anyhow::Result<()> {
        let kind = self.optimizer_kind();
        let is_adam = matches!(kind, OptimizerKind::Adam | OptimizerKind::Adamw);
        let is_lars = kind == OptimizerKind::Lars;
        let settings = [
            ("momentum", self.momentum, !is_adam, "the optimizer has none; sgd and lars have"),
            ("trust", self.trust, is_lars, "the optimizer has none; lars has"),
            ("beta1", self.beta1, is_adam, "the optimizer has none; adam and adamw have"),
            ("beta2", self.beta2, is_adam, "the optimizer has none; adam and adamw have"),
            ("eps", self.eps, is_adam, "the optimizer has none; adam and adamw have"),
        ];
        let reliant = |(name, value, is_read, problem): (_, f64, _, _)| {
            let value = value.to_string();
            Reliant { name, value, is_read, problem }
        };
        refuse_idle(settings.map(reliant), typed)
    }

    pub fn optimizer(&self, parameters: Vec<(String, Var)>) -> candle_core::Result<Optimizer> {
        let Self { beta1, beta2, eps, momentum, .. } = *self;
        let (kind, weight_decay) = (self.optimizer_kind(), self.weight_decay());
        let trust = (kind == OptimizerKind::Lars).then_some(self.trust);
        let adam = AdamConfig { lr: self.lr(), beta1, beta2, eps, weight_decay };
        let mut optimizer = match kind {
            OptimizerKind::Adam => Optimizer::adam(parameters, adam)?,
            OptimizerKind::Adamw => Optimizer::adamw(parameters, adam)?,
            OptimizerKind::Sgd | OptimizerKind::Lars => {
                Optimizer::sgd(parameters, SgdConfig { momentum, weight_decay, trust })?
            }
        };
        if let Some(max_norm) = self.clip_norm {
            optimizer.set_transform(Arc::new(ClipGlobalNorm { max_norm }));
        }
        Ok(optimizer)
    }
}

/// [`Error::Setting`] where no norm can be clipped to this.
pub(super) fn check_clip_norm(clip_norm: Option<f64>) -> anyhow::Result<()> {
    match clip_norm.filter(|norm| !(norm.is_finite() && *norm > 0.0)) {
        Some(norm) => bail!(Error::setting("clip_norm", norm, "expected a number above 0")),
        None => Ok(()),
    }
}
