//! Sums over shards that are formed on the cards, and what goes from card to card without the host.

use candle_core::{Device, Result, Shape, Tensor, bail};

use super::Shards;
use super::tree::{Node, Sums, nodes_of};

/// The cards of the processes that train together, one each, as one of them sees them. Every call is made by all of them, in
/// the same order. Tensors are flat, contiguous, in f32 and on the card.
pub trait Cards: Send + Sync {
    /// The card of this process.
    fn device(&self) -> &Device;

    /// Hands each other process its part of some tensors, all of one length, which are cut into as many even parts as there are
    /// processes; returns the parts for this process that each process handed to it, in the order of the ranks; none from
    /// itself. Process r gives `counts[r]` tensors.
    fn scatter(&self, tensors: &[Tensor], counts: &[usize]) -> Result<Vec<Vec<Tensor>>>;

    /// What every process gives, as many values as any other, in the order of the ranks, at each of them.
    fn gather(&self, own: &Tensor) -> Result<Tensor>;
}

/// The card of one process without any other.
#[derive(Clone, Debug)]
pub struct OneCard(pub Device);

impl Cards for OneCard {
    fn device(&self) -> &Device {
        &self.0
    }

    fn scatter(&self, _: &[Tensor], _: &[usize]) -> Result<Vec<Vec<Tensor>>> {
        Ok(vec![Vec::new()])
    }

    fn gather(&self, own: &Tensor) -> Result<Tensor> {
        Ok(own.clone())
    }
}

/// The means over all shards of lists of tensors, of which `nodes` are the sums that this process has formed. Each process
/// adds up a part of the values, along the tree, and gives its means to the others.
pub(super) fn mean(cards: &dyn Cards, shards: &Shards, nodes: &[(Node, Vec<Tensor>)]) -> Result<Vec<Tensor>> {
    let shapes: Vec<&Shape> = nodes.iter().take(1).flat_map(|(_, tensors)| tensors).map(Tensor::shape).collect();
    if shapes.is_empty() {
        return Ok(Vec::new());
    }
    let (rank, size) = (shards.communicator().rank(), shards.communicator().size());
    let of = |rank: usize| nodes_of(shards.range_of(rank), shards.count());
    let own = nodes.iter().map(|(_, tensors)| flat(tensors, size)).collect::<Result<Vec<_>>>()?;
    let counts: Vec<usize> = (0..size).map(|rank| of(rank).len()).collect();
    let mut parts = cards.scatter(&own, &counts)?;
    parts[rank] = own.iter().map(|tensor| part(tensor, rank, size)).collect::<Result<_>>()?;
    let mut sums = Sums::new(shards.count());
    for (node, part) in parts.into_iter().enumerate().flat_map(|(rank, parts)| of(rank).into_iter().zip(parts)) {
        sums.insert(node, part, |left, right| left + right)?;
    }
    let Some((_, sum)) = sums.into_nodes().pop() else { bail!("no shard gave anything") };
    // No `affine`, which adds 0: -0 would become 0.
    let share = Tensor::full(1.0 / shards.count() as f32, (), sum.device())?;
    cut(&cards.gather(&sum.broadcast_mul(&share)?)?, &shapes)
}

/// The values of tensors, one tensor after another, and zeros after them to a multiple of `multiple`.
fn flat(tensors: &[Tensor], multiple: usize) -> Result<Tensor> {
    let mut all = tensors.iter().map(Tensor::flatten_all).collect::<Result<Vec<_>>>()?;
    let length: usize = all.iter().map(Tensor::elem_count).sum();
    if let (missing @ 1.., Some(first)) = (length.next_multiple_of(multiple) - length, all.first()) {
        all.push(Tensor::zeros(missing, first.dtype(), first.device())?);
    }
    Tensor::cat(&all, 0)
}

/// One of `count` even parts of a flat tensor.
pub(super) fn part(tensor: &Tensor, number: usize, count: usize) -> Result<Tensor> {
    let length = tensor.elem_count() / count;
    tensor.narrow(0, number * length, length)
}

/// Tensors of these shapes, of the first values of a flat one.
fn cut(values: &Tensor, shapes: &[&Shape]) -> Result<Vec<Tensor>> {
    let mut begin = 0;
    let next = |shape: &&Shape| {
        let tensor = values.narrow(0, begin, shape.elem_count())?.reshape((*shape).clone());
        begin += shape.elem_count();
        tensor
    };
    shapes.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_flat_and_padded_is_cut_into_the_same_tensors() {
        let tensor = |from: f32, dims: &[usize]| {
            let values: Vec<f32> = (0..dims.iter().product()).map(|index| from + index as f32).collect();
            Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
        };
        let tensors = [tensor(1.0, &[3, 2]), tensor(7.0, &[]), tensor(8.0, &[4])];
        let shapes: Vec<&Shape> = tensors.iter().map(Tensor::shape).collect();
        for (multiple, length) in [(1, 11), (2, 12), (3, 12), (4, 12), (11, 11), (16, 16)] {
            let values = flat(&tensors, multiple).unwrap();
            assert_eq!(values.dims(), [length]);
            let mut expected: Vec<f32> = (1..=11).map(|value| value as f32).collect();
            expected.resize(length, 0.0);
            assert_eq!(values.to_vec1::<f32>().unwrap(), expected);
            let parts: Vec<Tensor> = (0..multiple).map(|number| part(&values, number, multiple).unwrap()).collect();
            assert!(parts.iter().all(|part| part.dims() == [length / multiple]));
            let again = cut(&Tensor::cat(&parts, 0).unwrap(), &shapes).unwrap();
            for (again, tensor) in again.iter().zip(&tensors) {
                assert_eq!(again.dims(), tensor.dims());
                assert_eq!(
                    (again - tensor).unwrap().abs().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap(),
                    0.0
                );
            }
            assert_eq!(again.len(), tensors.len());
        }
    }
}
