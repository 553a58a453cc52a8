//! An op on the tape: what its backward pass needs, and where the gradients of its arguments go.

use crate::autograd::grad_slot::{GradSlot, added};
use crate::autograd::saved::{Grads, Saved, Taped, shape_only};
use crate::autograd::variable_grads::VariableGrads;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Layout, Result, Shape, Storage, Tensor,
    Var, bail,
};
use std::sync::{Arc, Mutex};

/// An op of N arguments, whichever of candle's traits it has.
pub trait Op<const N: usize>: Send + Sync + 'static {
    fn forward(&self, arguments: [(&Storage, &Layout); N]) -> Result<(Storage, Shape)>;
    fn backward(&self, arguments: [&Tensor; N], output: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; N]>;
    fn saved(&self) -> Saved;

    /// The op itself, where it has more to say than candle's trait.
    fn taped(&self) -> Option<&dyn Taped> {
        None
    }

    /// Whether the output may be computed again rather than kept: see [`Taped::is_cheap`].
    fn is_cheap(&self) -> bool {
        self.taped().is_some_and(Taped::is_cheap)
    }
}

pub struct One<C>(pub C);
pub struct Two<C>(pub C);
pub struct Three<C>(pub C);

fn on_cpu((storage, shape): (CpuStorage, Shape)) -> (Storage, Shape) {
    (Storage::Cpu(storage), shape)
}

fn on_cuda((storage, shape): (CudaStorage, Shape)) -> (Storage, Shape) {
    (Storage::Cuda(storage), shape)
}

impl<C: CustomOp1 + Taped + Send + Sync + 'static> Op<1> for One<C> {
    fn forward(&self, [(x, lx)]: [(&Storage, &Layout); 1]) -> Result<(Storage, Shape)> {
        match x {
            Storage::Cpu(x) => self.0.cpu_fwd(x, lx).map(on_cpu),
            Storage::Cuda(x) => self.0.cuda_fwd(x, lx).map(on_cuda),
            Storage::Metal(_) => bail!("{}: not on the tape on Metal", self.0.name()),
        }
    }

    fn backward(&self, [x]: [&Tensor; 1], output: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([self.0.bwd(x, output, gradient)?])
    }

    fn saved(&self) -> Saved {
        self.0.saved()
    }
}

impl<C: CustomOp2 + Taped + Send + Sync + 'static> Op<2> for Two<C> {
    fn forward(&self, [(x, lx), (y, ly)]: [(&Storage, &Layout); 2]) -> Result<(Storage, Shape)> {
        match (x, y) {
            (Storage::Cpu(x), Storage::Cpu(y)) => self.0.cpu_fwd(x, lx, y, ly).map(on_cpu),
            (Storage::Cuda(x), Storage::Cuda(y)) => self.0.cuda_fwd(x, lx, y, ly).map(on_cuda),
            _ => bail!("{}: expected tensors on one device, the CPU or CUDA", self.0.name()),
        }
    }

    fn backward(&self, [x, y]: [&Tensor; 2], output: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 2]> {
        Ok(self.0.bwd(x, y, output, gradient)?.into())
    }

    fn saved(&self) -> Saved {
        self.0.saved()
    }

    fn taped(&self) -> Option<&dyn Taped> {
        Some(&self.0)
    }
}

impl<C: CustomOp3 + Taped + Send + Sync + 'static> Op<3> for Three<C> {
    fn forward(&self, [(x, lx), (y, ly), (z, lz)]: [(&Storage, &Layout); 3]) -> Result<(Storage, Shape)> {
        match (x, y, z) {
            (Storage::Cpu(x), Storage::Cpu(y), Storage::Cpu(z)) => self.0.cpu_fwd(x, lx, y, ly, z, lz).map(on_cpu),
            (Storage::Cuda(x), Storage::Cuda(y), Storage::Cuda(z)) => self.0.cuda_fwd(x, lx, y, ly, z, lz).map(on_cuda),
            _ => bail!("{}: expected tensors on one device, the CPU or CUDA", self.0.name()),
        }
    }

    fn backward(&self, [x, y, z]: [&Tensor; 3], output: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 3]> {
        Ok(self.0.bwd(x, y, z, output, gradient)?.into())
    }

    fn saved(&self) -> Saved {
        self.0.saved()
    }

    fn taped(&self) -> Option<&dyn Taped> {
        Some(&self.0)
    }
}

/// Another shape of the same values. Its output is made by candle.
pub struct Reshape;

impl Op<1> for Reshape {
    fn forward(&self, _: [(&Storage, &Layout); 1]) -> Result<(Storage, Shape)> {
        bail!("a reshape has nothing to compute")
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(gradient.reshape(x.dims())?)])
    }

    fn saved(&self) -> Saved {
        Saved::Nothing
    }
}

/// Some of the rows. Its output is made by candle, a view.
pub struct NarrowRows {
    pub start: usize,
    pub len: usize,
}

impl Op<1> for NarrowRows {
    fn forward(&self, _: [(&Storage, &Layout); 1]) -> Result<(Storage, Shape)> {
        bail!("some of the rows are there already")
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let after = x.dim(0)? - self.start - self.len;
        Ok([Some(gradient.pad_with_zeros(0, self.start, after)?)])
    }

    fn saved(&self) -> Saved {
        Saved::Nothing
    }
}

/// The sum of two tensors of one shape, made by candle.
pub struct Add;

impl Op<2> for Add {
    fn forward(&self, _: [(&Storage, &Layout); 2]) -> Result<(Storage, Shape)> {
        bail!("a sum is made by candle")
    }

    fn backward(&self, _: [&Tensor; 2], _: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 2]> {
        Ok([Some(gradient.clone()), Some(gradient.clone())])
    }

    fn saved(&self) -> Saved {
        Saved::Nothing
    }
}

/// Computes an op on tensors that are all on the CPU or all on CUDA.
pub fn compute<const N: usize>(arguments: [&Tensor; N], op: &dyn Op<N>) -> Result<(Storage, Shape)> {
    let guards = arguments.map(|argument| argument.storage_and_layout());
    let storages = std::array::from_fn(|index| (&*guards[index].0, guards[index].1));
    op.forward(storages)
}

/// An op and what it was given: enough to compute its output again.
pub struct Call<const N: usize> {
    op: Box<dyn Op<N>>,
    arguments: [SavedTensor; N],
}

/// An argument as an op on the tape holds it.
pub enum SavedTensor {
    /// The tensor itself, or a stand-in where its values are not read.
    Tensor(Tensor),
    /// An output that is computed again where it is read, and a stand-in for it until then.
    Again { recompute: Arc<dyn Recompute>, shape_only: Tensor },
}

impl SavedTensor {
    /// What has the shape and the place in candle's graph, if not the values.
    fn shape_only(&self) -> &Tensor {
        match self {
            SavedTensor::Tensor(tensor) | SavedTensor::Again { shape_only: tensor, .. } => tensor,
        }
    }

    /// The tensor with its values.
    fn tensor(&self) -> Result<Tensor> {
        match self {
            SavedTensor::Tensor(tensor) => Ok(tensor.clone()),
            SavedTensor::Again { recompute, .. } => recompute.output(),
        }
    }
}

/// An op whose output is computed again rather than kept.
pub trait Recompute: Send + Sync {
    /// The values that the output had, bit by bit. VariableGrads go through the tensor, but to nowhere.
    fn output(&self) -> Result<Tensor>;
}

impl<const N: usize> Call<N> {
    /// The arguments with their values.
    fn arguments(&self) -> Result<[Tensor; N]> {
        let tensors = self.arguments.iter().map(SavedTensor::tensor).collect::<Result<Vec<_>>>()?;
        tensors.try_into().or_else(|_| bail!("an op has as many arguments as it has"))
    }
}

impl<const N: usize> Recompute for Call<N> {
    fn output(&self) -> Result<Tensor> {
        let arguments = self.arguments()?;
        let computed = compute(arguments.each_ref(), &*self.op)?;
        leaf_output(&Var::zeros((), DType::F32, &Device::Cpu)?, computed, GradSlot::default())
    }
}

/// An op that waits for its backward pass.
pub struct Node<const N: usize> {
    call: Arc<Call<N>>,
    /// Where the gradients of those arguments go that are outputs of ops on the tape.
    slots: [Option<GradSlot>; N],
    output: Tensor,
    /// Where the gradient of the output is collected.
    slot: GradSlot,
}

impl<const N: usize> Node<N> {
    /// `slots` are those of the arguments that are on the tape, `recomputes` of these the ops that compute them again, `slot`
    /// is the output's.
    pub fn new(
        op: impl Op<N>,
        arguments: [&Tensor; N],
        slots: [Option<GradSlot>; N],
        recomputes: [Option<Arc<dyn Recompute>>; N],
        output: &Tensor,
        slot: GradSlot,
    ) -> Result<Self> {
        let saved = op.saved();
        let mut held = Vec::with_capacity(N);
        for ((argument, slot), recompute) in arguments.into_iter().zip(&slots).zip(recomputes) {
            held.push(match (slot, saved.arguments(), recompute) {
                // A variable, or in candle's graph.
                (None, ..) | (_, true, None) => SavedTensor::Tensor(argument.clone()),
                (_, false, _) => SavedTensor::Tensor(shape_only(argument)?),
                (_, true, Some(recompute)) => SavedTensor::Again { recompute, shape_only: shape_only(argument)? },
            });
        }
        let Ok(arguments) = held.try_into() else { bail!("an op holds as many arguments as it has") };
        // Without its place in the graph: the op must not keep itself alive.
        let output = if saved.output() { output.detach() } else { shape_only(&output.detach())? };
        Ok(Self { call: Arc::new(Call { op: Box::new(op), arguments }), slots, output, slot })
    }

    /// What computes the output again.
    pub fn recompute(&self) -> Arc<dyn Recompute> {
        self.call.clone()
    }

    /// The gradients of the arguments, from those whose sum is the output's. One may be used for an update instead.
    fn grads(&self, arguments: [&Tensor; N], gradients: Vec<Tensor>, all: &mut VariableGrads) -> Result<Grads> {
        let (op, output) = (&self.call.op, &self.output);
        let sum = match &gradients[..] {
            [first, second] => {
                let of_sum = op.taped().map(|op| op.bwd_of_sum(&arguments, output, [first, second]));
                match of_sum.transpose()?.flatten() {
                    Some(given) => return Ok(given),
                    None => added(first, second)?,
                }
            }
            [gradient] => gradient.clone(),
            _ => bail!("a slot holds one gradient or two"),
        };
        drop(gradients); // of two, only the sum is read from here on
        let updating = op.taped().and_then(|op| {
            let variable = arguments[op.updates()?];
            Some((op, variable, all.direct_update(variable)?))
        });
        match updating {
            Some((op, variable, update)) => {
                all.was_updated(variable);
                op.bwd_updating(&arguments, output, &sum, &*update)
            }
            None => Ok(op.backward(arguments, output, &sum)?.into()),
        }
    }

    /// Gives every argument its gradient, or updates it.
    fn pass_on(&self, given: Vec<Tensor>, gradients: &mut VariableGrads) -> Result<()> {
        let arguments = self.call.arguments()?;
        let arguments = arguments.each_ref();
        let given = self.grads(arguments, given, gradients)?;
        for ((argument, slot), given) in arguments.into_iter().zip(&self.slots).zip(given) {
            let Some(given) = given else { continue };
            match slot {
                Some(slot) => slot.accumulate(given)?,
                None if argument.is_variable() => gradients.accumulate(argument, given)?,
                None if argument.track_op() => {
                    // candle's part of the graph: the sum has the given gradient in this argument. Where that part
                    // begins in outputs on the tape, their slots take the gradients on.
                    gradients.store.extend((argument * given)?.sum_all()?.backward()?)?;
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// A node of any number of arguments.
pub trait Step: Send {
    /// The backward pass: gradients go to the slots of the arguments, or, those of variables, to `gradients`.
    fn backward(&self, gradients: &mut VariableGrads) -> Result<()>;
    /// Whatever comes for the output from now on is an error.
    fn close(&self);
    /// Shows the arguments that no op on the tape has made.
    fn visit(&self, see: &mut dyn FnMut(&Tensor) -> Result<()>) -> Result<()>;
}

impl<const N: usize> Step for Node<N> {
    fn backward(&self, gradients: &mut VariableGrads) -> Result<()> {
        // Without a gradient the output has no effect on the loss.
        let given = self.slot.close();
        if !given.is_empty() {
            self.pass_on(given, gradients)?;
        }
        for (argument, slot) in self.call.arguments.iter().zip(&self.slots) {
            let argument = argument.shape_only();
            if slot.is_none() && argument.is_variable() {
                gradients.release(argument)?;
            }
        }
        Ok(())
    }

    fn close(&self) {
        self.slot.close();
    }

    fn visit(&self, see: &mut dyn FnMut(&Tensor) -> Result<()>) -> Result<()> {
        let arguments = self.call.arguments.iter().zip(&self.slots);
        arguments.filter(|(_, slot)| slot.is_none()).try_for_each(|(argument, _)| see(argument.shape_only()))
    }
}

/// An op's output, in candle's graph by way of `root`, a variable without meaning: what candle's backward pass brings to
/// it goes to `slot`.
pub fn leaf_output(root: &Var, computed: (Storage, Shape), slot: GradSlot) -> Result<Tensor> {
    root.apply_op1(LeafOutput { computed: Mutex::new(Some(computed)), slot })
}

/// From nothing to the values of an op's output, which are moved out of here.
struct LeafOutput {
    computed: Mutex<Option<(Storage, Shape)>>,
    slot: GradSlot,
}

impl LeafOutput {
    fn take(&self) -> Result<(Storage, Shape)> {
        match self.computed.lock().ok().and_then(|mut computed| computed.take()) {
            Some(computed) => Ok(computed),
            None => bail!("an op's output is computed once"),
        }
    }
}

impl CustomOp1 for LeafOutput {
    fn name(&self) -> &'static str {
        "output"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match self.take()? {
            (Storage::Cpu(storage), shape) => Ok((storage, shape)),
            _ => bail!("an output has the device of its arguments"),
        }
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        match self.take()? {
            (Storage::Cuda(storage), shape) => Ok((storage, shape)),
            _ => bail!("an output has the device of its arguments"),
        }
    }

    /// Only candle's own ops ask for this: ours go by the slots.
    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        self.slot.accumulate(gradient.clone())?;
        Ok(None)
    }
}
