//! From tensors to slices of f32 and back.

use crate::kernels::exclusion::shared;
#[cfg(feature = "mpi")]
use candle_core::Error;
use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Storage, Tensor, bail};
#[cfg(feature = "mpi")]
use parking_lot::{MappedRwLockReadGuard, RwLockReadGuard};
use std::cell::Cell;

/// Values in row-major order and their shape.
#[derive(Clone, Copy)]
pub struct Array<'a> {
    pub values: &'a [f32],
    pub dims: &'a [usize],
}

impl<'a> Array<'a> {
    pub fn new(storage: &'a CpuStorage, layout: &'a Layout) -> Result<Self> {
        Ok(Self { values: values(storage, layout)?, dims: layout.dims() })
    }
}

/// Whether the CPU's kernels serve these tensors: f32, on the CPU.
pub fn is_host(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|tensor| tensor.device().is_cpu() && tensor.dtype() == DType::F32)
}

/// Whether CUDA's kernels serve these tensors: the first f32 or bf16, the others that or f32, on CUDA.
fn is_on_cuda(tensors: &[&Tensor]) -> bool {
    let Some(first) = tensors.first() else { return false };
    let fits = |tensor: &&Tensor| {
        let dtype = tensor.dtype();
        tensor.device().is_cuda() && (dtype == DType::F32 || (dtype == DType::BF16 && dtype == first.dtype()))
    };
    cfg!(feature = "cuda") && tensors.iter().all(fits)
}

/// Whether the kernels serve these tensors: the CPU's or CUDA's.
pub fn is_fused(tensors: &[&Tensor]) -> bool {
    is_host(tensors) || is_on_cuda(tensors)
}

/// The values of a contiguous f32 storage.
pub fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("expected contiguous f32 values, found another dtype or {layout:?}"),
    }
}

/// Lends the values of an f32 tensor on the CPU, copied into row-major order if they are not.
pub fn read<R>(tensor: &Tensor, work: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?;
    shared(|| {
        let (storage, layout) = tensor.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => Ok(work(values(storage, layout)?)),
            _ => bail!("expected a tensor on the CPU, found one on {:?}", tensor.device()),
        }
    })
}

/// Lends the values of contiguous f32 tensors on the CPU, all at once.
pub fn read_all<R>(tensors: &[&Tensor], work: impl FnOnce(&[&[f32]]) -> R) -> Result<R> {
    shared(|| {
        let guards: Vec<_> = tensors.iter().map(|tensor| tensor.storage_and_layout()).collect();
        let lent = guards.iter().map(|(storage, layout)| match &**storage {
            Storage::Cpu(storage) => values(storage, layout),
            _ => bail!("expected tensors on the CPU"),
        });
        Ok(work(&lent.collect::<Result<Vec<_>>>()?))
    })
}

/// The values of a contiguous f32 tensor on the CPU, for as long as they are held: of one that nobody changes, as a gradient
/// that is complete. It takes no turn of `exclusion`, so that a thread which never waits for the pool may read beside a step.
#[cfg(feature = "mpi")]
pub fn hold(tensor: &Tensor) -> Result<MappedRwLockReadGuard<'_, [f32]>> {
    let (storage, layout) = tensor.storage_and_layout();
    let held = RwLockReadGuard::try_map(storage, |storage| match storage {
        Storage::Cpu(storage) => values(storage, layout).ok(),
        _ => None,
    });
    held.map_err(|_| Error::Msg("expected contiguous f32 values on the CPU".into()))
}

/// [`modify`] of several tensors at once, no two of which share their storage.
pub fn modify_all(tensors: &[Tensor], work: &mut dyn FnMut(Vec<&mut [f32]>) -> Result<()>) -> Result<()> {
    fn lend(rest: &[Tensor], lent: Vec<&mut [f32]>, work: &mut dyn FnMut(Vec<&mut [f32]>) -> Result<()>) -> Result<()> {
        let Some((first, rest)) = rest.split_first() else { return work(lent) };
        modify(first, |values| {
            let mut lent: Vec<&mut [f32]> = lent;
            lent.push(values);
            lend(rest, lent, work)
        })
    }
    lend(tensors, Vec::with_capacity(tensors.len()), work)
}

/// Lends the values of a contiguous f32 tensor on the CPU to be changed in place.
///
/// `work` may lend further tensors, as long as no two share their storage ([`are_apart`]): that would wait for itself. It
/// may wait for the pool: the caller is in an [`exclusive`](crate::kernels::exclusion::exclusive) turn.
pub fn modify(tensor: &Tensor, work: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<()> {
    struct Modify<F>(Cell<Option<F>>);
    impl<F: FnOnce(&mut [f32]) -> Result<()>> InplaceOp1 for Modify<F> {
        fn name(&self) -> &'static str {
            "modify"
        }
        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
            match (storage, layout.contiguous_offsets(), self.0.take()) {
                (CpuStorage::F32(values), Some((start, end)), Some(work)) => work(&mut values[start..end]),
                _ => bail!("in-place ops need contiguous f32 values, found {layout:?}"),
            }
        }
    }
    tensor.inplace_op1(&Modify(Cell::new(Some(work))))
}

/// Where a tensor's storage lies, for as long as the tensor lives: two tensors with the same are views of the same values.
pub fn place(tensor: &Tensor) -> *const () {
    std::ptr::from_ref(&*tensor.storage_and_layout().0).cast()
}

/// Whether no two tensors share their storage, so that each can be lent while the others are changed.
pub fn are_apart(tensors: &[&Tensor]) -> bool {
    let mut places: Vec<_> = tensors.iter().map(|tensor| place(tensor)).collect();
    places.sort_unstable();
    places.windows(2).all(|pair| pair[0] != pair[1])
}

/// A tensor on the CPU.
pub fn tensor(values: Vec<f32>, dims: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(values, dims, &Device::Cpu)
}
