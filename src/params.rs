//! Parameters and buffers of a network by name: sorted, strict, and initialised from named random streams.
//!
//! candle's `VarMap` keeps its variables in the order of a hash map, ignores names that a file has too many, and
//! mixes batch-norm buffers with what is trained. This store does none of the three. Networks are built against it
//! through candle-nn's own [`VarBuilder`], so that a layer asks for `vb.get_with_hints(shape, "weight", init)` as
//! any candle layer does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, Var, bail};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::rng::Stream;

/// Names of batch-norm state: saved and restored, never trained.
const STATISTICS: [&str; 3] = ["running_mean", "running_var", "num_batches_tracked"];

/// The same of spectral normalisation: estimates of singular vectors.
const SINGULAR_VECTORS: [&str; 2] = ["_u", "_v"];

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Whether `name` is of the statistics of a batch norm.
fn is_statistic(name: &str) -> bool {
    STATISTICS.contains(&last_part(name))
}

/// Whether `name` is a buffer rather than a parameter.
pub fn is_buffer(name: &str) -> bool {
    is_statistic(name) || SINGULAR_VECTORS.contains(&last_part(name))
}

/// The variables of one network. Clones share them.
#[derive(Clone)]
pub struct Parameters {
    variables: Arc<Mutex<BTreeMap<String, Var>>>,
    /// None where nothing is drawn.
    seed: Option<u64>,
    scope: &'static str,
    device: Device,
}

impl Parameters {
    /// An empty store. `scope` (such as `"generator"`) keeps the initial weights of two networks with the same layer
    /// names apart: tensor `name` is drawn from the stream `init.SCOPE.NAME` of `seed`, whatever was drawn before it.
    pub fn new(seed: u64, scope: &'static str, device: &Device) -> Self {
        Self { variables: Arc::default(), seed: Some(seed), scope, device: device.clone() }
    }

    /// An empty store for a network whose tensors will all be [`load`](Self::load)ed: instead of being drawn, which for
    /// a generator takes longer than a grid of its samples, weights begin as zeros.
    pub fn undrawn(scope: &'static str, device: &Device) -> Self {
        Self { variables: Arc::default(), seed: None, scope, device: device.clone() }
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Var>> {
        // A map of handles is whole whenever the lock is free, so a panic elsewhere cannot have spoilt it.
        self.variables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A builder that makes the variables that a network asks for.
    pub fn builder(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(Maker(self.clone())), DType::F32, self.device.clone())
    }

    /// A builder over the variables that exist, cut off from the graph: a network built on it sees every update, and
    /// no gradient is computed for its weights. Its batch norms track statistics in training, as PyTorch's do whatever
    /// `requires_grad` says.
    pub fn frozen(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(Frozen(self.clone())), DType::F32, self.device.clone())
    }

    /// As [`frozen`](Self::frozen), with copies of the state of batch norms: a network built on it leaves that of others
    /// alone.
    pub fn observing(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(Observing(Frozen(self.clone()))), DType::F32, self.device.clone())
    }

    /// What an optimizer may change, in the order of the names.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        self.lock().iter().filter(|(name, _)| !is_buffer(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
    }

    /// The state of batch norms, in the order of the names.
    pub fn statistics(&self) -> Vec<Var> {
        self.lock().iter().filter(|(name, _)| is_statistic(name)).map(|(_, variable)| variable.clone()).collect()
    }

    /// Parameters and buffers, in the order of the names.
    pub fn all(&self) -> Vec<(String, Var)> {
        self.lock().iter().map(|(name, variable)| (name.clone(), variable.clone())).collect()
    }

    /// The number of trained scalars.
    pub fn count(&self) -> usize {
        self.trainable().iter().map(|(_, variable)| variable.elem_count()).sum()
    }

    /// Shape and dtype of every tensor, by name.
    pub fn signature(&self) -> Signature {
        self.lock().iter().map(|(name, var)| (name.clone(), (var.dims().to_vec(), var.dtype()))).collect()
    }

    /// The tensors as they are now, for writing; they share memory with the variables.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.lock().iter().map(|(name, variable)| (name.clone(), variable.as_detached_tensor())).collect()
    }

    /// Overwrites every variable. The names, shapes and dtypes must be exactly those of the network.
    pub fn load(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        let variables = self.lock();
        if let Some(unknown) = tensors.keys().find(|name| !variables.contains_key(*name)) {
            bail!("the {} has no tensor {unknown:?}", self.scope);
        }
        for (name, variable) in variables.iter() {
            let Some(tensor) = tensors.get(name) else { bail!("tensor {name:?} of the {} is missing", self.scope) };
            if tensor.shape() != variable.shape() || tensor.dtype() != variable.dtype() {
                bail!(
                    "tensor {name:?} is {:?} {:?}; the {} needs {:?} {:?}",
                    tensor.dims(),
                    tensor.dtype(),
                    self.scope,
                    variable.dims(),
                    variable.dtype()
                );
            }
            variable.set(&tensor.to_device(&self.device)?)?;
        }
        Ok(())
    }

    fn make(&self, shape: Shape, name: &str, init: Init, dtype: DType) -> Result<Tensor> {
        let mut variables = self.lock();
        if let Some(existing) = variables.get(name) {
            if existing.shape() != &shape {
                bail!("tensor {name:?} is asked for as {shape:?}, but is {:?}", existing.shape());
            }
            return Ok(existing.as_tensor().clone());
        }
        if self.seed.is_none() && !matches!(init, Init::Const(_)) {
            // Zeros that nobody has written cost nothing; a copy of them does.
            let variable = Var::zeros(shape, dtype, &self.device)?;
            let tensor = variable.as_tensor().clone();
            variables.insert(name.to_string(), variable);
            return Ok(tensor);
        }
        let stream = |seed| Stream::new(seed, &format!("init.{}.{name}", self.scope)).at(0);
        let tensor = match (init, self.seed) {
            (Init::Const(value), _) => Tensor::full(value, shape, &Device::Cpu)?.to_dtype(dtype)?,
            (Init::Uniform { lo, up }, Some(seed)) => {
                let mut generator = stream(seed);
                let values: Vec<f32> =
                    (0..shape.elem_count()).map(|_| generator.between(lo as f32, up as f32)).collect();
                Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?
            }
            (Init::Randn { mean, stdev }, Some(seed)) => {
                let mut generator = stream(seed);
                let values: Vec<f32> =
                    (0..shape.elem_count()).map(|_| mean as f32 + stdev as f32 * generator.normal()).collect();
                Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?
            }
            (other, _) => bail!("initialisation {other:?} of {name:?} is not known here"),
        };
        let variable = Var::from_tensor(&tensor.to_device(&self.device)?)?;
        let tensor = variable.as_tensor().clone();
        variables.insert(name.to_string(), variable);
        Ok(tensor)
    }

    fn find(&self, name: &str) -> Result<Tensor> {
        match self.lock().get(name) {
            Some(variable) => Ok(variable.as_tensor().clone()),
            None => bail!("the {} has no tensor {name:?}", self.scope),
        }
    }
}

/// Shape and dtype of tensors, by name.
pub type Signature = BTreeMap<String, (Vec<usize>, DType)>;

/// Shape and dtype of every tensor that `build` asks for. No memory is taken for them.
pub fn signature(build: impl FnOnce(VarBuilder<'static>) -> Result<()>) -> Result<Signature> {
    let recorder = Recorder::default();
    build(VarBuilder::from_backend(Box::new(recorder.clone()), DType::F32, Device::Cpu))?;
    Ok(std::mem::take(&mut *recorder.lock()))
}

/// Answers with tensors of one stored value, and writes down what was asked for.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Signature>>);

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Signature> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimpleBackend for Recorder {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        self.lock().insert(name.to_string(), (shape.dims().to_vec(), dtype));
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        bail!("tensor {name:?} is asked for without a shape")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }
}

struct Maker(Parameters);

impl SimpleBackend for Maker {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, _: &Device) -> Result<Tensor> {
        self.0.make(shape, name, init, dtype)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        self.0.find(name)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.lock().contains_key(name)
    }
}

struct Frozen(Parameters);

impl SimpleBackend for Frozen {
    fn get(&self, shape: Shape, name: &str, _: Init, _: DType, _: &Device) -> Result<Tensor> {
        let tensor = self.0.find(name)?;
        if tensor.shape() != &shape {
            bail!("tensor {name:?} is asked for as {shape:?}, but is {:?}", tensor.shape());
        }
        Ok(if is_buffer(name) { tensor } else { tensor.detach() })
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        Ok(self.0.find(name)?.detach())
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.lock().contains_key(name)
    }
}

struct Observing(Frozen);

impl SimpleBackend for Observing {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let tensor = self.0.get(shape, name, init, dtype, device)?;
        if is_statistic(name) { Ok(Var::from_tensor(&tensor.copy()?)?.into_inner()) } else { Ok(tensor) }
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        self.0.get_unchecked(name, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains_tensor(name)
    }
}
