//! Ops of one to three arguments as one trait.

use crate::autograd::saved::Saved;
use crate::autograd::taped::Taped;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Storage, Tensor, bail,
};

/// An op of N arguments, whichever of candle's traits it has.
pub trait Op<const N: usize>: Send + Sync + 'static {
    fn forward(&self, arguments: [(&Storage, &Layout); N]) -> Result<(Storage, Shape)>;
    fn backward(&self, arguments: [&Tensor; N], output: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; N]>;
    fn saved(&self) -> Saved;

    /// The op itself, where it has more to say than candle's trait.
    fn taped(&self) -> Option<&dyn Taped> {
        None
    }

    /// See [`Taped::tangent`].
    fn tangent(&self, arguments: [&Tensor; N], output: &Tensor, tangents: [Option<&Tensor>; N]) -> Result<Tensor> {
        match self.taped() {
            Some(op) => op.tangent(&arguments, output, &tangents),
            None => bail!("an op without a derivative along a direction"),
        }
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

    fn taped(&self) -> Option<&dyn Taped> {
        Some(&self.0)
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

/// Computes an op on tensors that are all on the CPU or all on CUDA.
pub fn compute<const N: usize>(arguments: [&Tensor; N], op: &dyn Op<N>) -> Result<(Storage, Shape)> {
    let guards = arguments.map(|argument| argument.storage_and_layout());
    let storages = std::array::from_fn(|index| (&*guards[index].0, guards[index].1));
    op.forward(storages)
}
