//! Ops whose outputs candle makes, or could make, with their backward passes on the tape.

use crate::autograd::grad_slot::GradSlot;
use crate::autograd::op::Op;
use crate::autograd::saved::Saved;
use crate::autograd::tape::{is_recorded, keep, record};
use crate::kernels::cpu::parallel::sum_of;
use crate::kernels::storage::{is_host, values};
use candle_core::{CpuStorage, Layout, Result, Shape, Storage, Tensor, bail};

/// `Tensor::reshape` of a contiguous tensor, on the tape if there is one.
pub fn reshape(x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    let reshaped = x.reshape(shape.into())?;
    if reshaped.id() != x.id() && is_recorded(&[x]) {
        keep(Reshape, [x], &reshaped, GradSlot::default())?;
    }
    Ok(reshaped)
}

/// Another shape of the same values. Its output is made by candle.
struct Reshape;

impl Op<1> for Reshape {
    fn forward(&self, _: [(&Storage, &Layout); 1]) -> Result<(Storage, Shape)> {
        bail!("a reshape has nothing to compute")
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(gradient.reshape(x.dims())?)])
    }

    fn tangent(&self, _: [&Tensor; 1], output: &Tensor, [x]: [Option<&Tensor>; 1]) -> Result<Tensor> {
        reshape(known(x)?, output.dims())
    }

    fn saved(&self) -> Saved {
        Saved::Nothing
    }
}

/// The rows from `start` on, `len` of them (`Tensor::narrow`), on the tape if there is one.
pub fn narrow_rows(x: &Tensor, start: usize, len: usize) -> Result<Tensor> {
    let rows = x.narrow(0, start, len)?;
    if rows.id() != x.id() && is_recorded(&[x]) {
        keep(NarrowRows { start, len }, [x], &rows, GradSlot::default())?;
    }
    Ok(rows)
}

/// Some of the rows. Its output is made by candle, a view.
struct NarrowRows {
    start: usize,
    len: usize,
}

impl Op<1> for NarrowRows {
    fn forward(&self, _: [(&Storage, &Layout); 1]) -> Result<(Storage, Shape)> {
        bail!("some of the rows are there already")
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let after = x.dim(0)? - self.start - self.len;
        Ok([Some(gradient.pad_with_zeros(0, self.start, after)?)])
    }

    fn tangent(&self, _: [&Tensor; 1], _: &Tensor, [x]: [Option<&Tensor>; 1]) -> Result<Tensor> {
        narrow_rows(known(x)?, self.start, self.len)
    }

    fn saved(&self) -> Saved {
        Saved::Nothing
    }
}

/// The sum of two tensors of one shape, on the tape if there is one.
pub fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if !is_recorded(&[x, y]) {
        return x + y;
    }
    if is_host(&[x, y]) && x.dims() == y.dims() && x.is_contiguous() && y.is_contiguous() {
        return record([x, y], Add);
    }
    let sum = (x + y)?;
    keep(Add, [x, y], &sum, GradSlot::default())?;
    Ok(sum)
}

/// The sum of two tensors of one shape, on a device made by candle.
struct Add;

impl Op<2> for Add {
    /// By all threads: candle's is of one.
    fn forward(&self, [(x, lx), (y, ly)]: [(&Storage, &Layout); 2]) -> Result<(Storage, Shape)> {
        match (x, y) {
            (Storage::Cpu(x), Storage::Cpu(y)) => {
                let sum = sum_of(values(x, lx)?, values(y, ly)?);
                Ok((Storage::Cpu(CpuStorage::F32(sum)), lx.shape().clone()))
            }
            _ => bail!("on a device a sum is made by candle"),
        }
    }

    fn backward(&self, _: [&Tensor; 2], _: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 2]> {
        Ok([Some(gradient.clone()), Some(gradient.clone())])
    }

    fn tangent(&self, _: [&Tensor; 2], _: &Tensor, tangents: [Option<&Tensor>; 2]) -> Result<Tensor> {
        sum_of_known(tangents.map(|tangent| tangent.cloned()))
    }

    fn saved(&self) -> Saved {
        Saved::Nothing
    }
}

/// The product of two tensors of one shape, value by value, on the tape if there is one.
pub fn mul(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let product = (x * y)?;
    if is_recorded(&[x, y]) {
        keep(Mul, [x, y], &product, GradSlot::default())?;
    }
    Ok(product)
}

/// The product of two tensors of one shape, made by candle.
struct Mul;

impl Op<2> for Mul {
    fn forward(&self, _: [(&Storage, &Layout); 2]) -> Result<(Storage, Shape)> {
        bail!("a product is made by candle")
    }

    fn backward(&self, [x, y]: [&Tensor; 2], _: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 2]> {
        // Of values alone: the arguments' places in candle's graph are not the gradient's.
        let given = |argument: &Tensor, other: &Tensor| match argument.track_op() {
            true => (gradient * other.detach()).map(Some),
            false => Ok(None),
        };
        Ok([given(x, y)?, given(y, x)?])
    }

    fn tangent(&self, [x, y]: [&Tensor; 2], _: &Tensor, tangents: [Option<&Tensor>; 2]) -> Result<Tensor> {
        let [of_x, of_y] = tangents;
        let of_x = of_x.map(|of_x| mul(of_x, y)).transpose()?;
        let of_y = of_y.map(|of_y| mul(x, of_y)).transpose()?;
        sum_of_known([of_x, of_y])
    }

    fn saved(&self) -> Saved {
        Saved::Arguments
    }
}

/// How the one argument of an op changes.
fn known(tangent: Option<&Tensor>) -> Result<&Tensor> {
    tangent.map_or_else(|| bail!("a tangent is asked for where nothing moves"), Ok)
}

/// The sum of what there is of two changes.
fn sum_of_known(tangents: [Option<Tensor>; 2]) -> Result<Tensor> {
    match tangents {
        [Some(x), Some(y)] => add(&x, &y),
        [Some(tangent), None] | [None, Some(tangent)] => Ok(tangent),
        [None, None] => bail!("a tangent is asked for where nothing moves"),
    }
}
