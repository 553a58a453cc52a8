//! A list of tensors cut into as many parts as there are processes.

use std::ops::Range;

/// The values of a list of tensors, taken one tensor after another, cut into parts that are as even as can be. Part r is
/// that of process r.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where each tensor begins, and where the last ends.
    begins: Vec<usize>,
    count: usize,
}

/// Some values of one tensor of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    pub tensor: usize,
    pub range: Range<usize>,
}

impl Parts {
    /// `count` parts of tensors of these lengths.
    pub fn new(lengths: impl IntoIterator<Item = usize>, count: usize) -> Self {
        let mut begins = vec![0];
        let mut end = 0;
        for length in lengths {
            end += length;
            begins.push(end);
        }
        Self { begins, count }
    }

    /// How many parts there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The values of a part, counted through all tensors.
    pub fn range(&self, part: usize) -> Range<usize> {
        let length = self.begins.last().copied().unwrap_or(0);
        part * length / self.count..(part + 1) * length / self.count
    }

    /// How many tensors there are.
    pub fn tensors(&self) -> usize {
        self.begins.len() - 1
    }

    /// What of a tensor is in each part that has something of it, with the number of the part.
    pub fn of_tensor(&self, tensor: usize) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        let (begin, end) = (self.begins[tensor], self.begins[tensor + 1]);
        let common = move |part: usize| {
            let range = self.range(part);
            (part, range.start.max(begin)..range.end.min(end))
        };
        let parts = (0..self.count).map(common).filter(|(_, range)| range.start < range.end);
        parts.map(move |(part, range)| (part, range.start - begin..range.end - begin))
    }

    /// What of each tensor is in a part.
    pub fn slices(&self, part: usize) -> impl Iterator<Item = Slice> + '_ {
        self.slices_of(self.range(part))
    }

    /// What of each tensor is in some values, counted through all tensors.
    pub fn slices_of(&self, values: Range<usize>) -> impl Iterator<Item = Slice> + '_ {
        let first = self.begins.partition_point(|begin| *begin <= values.start).saturating_sub(1);
        let tensors = self.begins.windows(2).enumerate().skip(first);
        tensors
            .map_while(move |(tensor, ends)| {
                let (begin, end) = (values.start.max(ends[0]), values.end.min(ends[1]));
                (ends[0] < values.end).then(|| Slice { tensor, range: begin - ends[0]..end.max(begin) - ends[0] })
            })
            .filter(|slice| !slice.range.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_tensor_once_and_in_order() {
        let lengths = [3, 0, 7, 1, 12, 0];
        for count in 1..=25 {
            let parts = Parts::new(lengths, count);
            let mut covered: Vec<Vec<usize>> = lengths.iter().map(|_| Vec::new()).collect();
            for part in 0..count {
                let slices: Vec<Slice> = parts.slices(part).collect();
                assert_eq!(slices.iter().map(|slice| slice.range.len()).sum::<usize>(), parts.range(part).len());
                for Slice { tensor, range } in slices {
                    assert!(parts.of_tensor(tensor).any(|of_tensor| of_tensor == (part, range.clone())));
                    covered[tensor].extend(range);
                }
            }
            let found = (0..parts.tensors()).flat_map(|tensor| parts.of_tensor(tensor)).count();
            assert_eq!(found, (0..count).flat_map(|part| parts.slices(part)).count());
            for (covered, length) in covered.iter().zip(lengths) {
                assert!(covered.iter().copied().eq(0..length), "{count} parts");
            }
        }
    }

    #[test]
    fn some_values_are_found_in_their_tensors() {
        let parts = Parts::new([3, 0, 7], 1);
        let found: Vec<Slice> = parts.slices_of(2..5).collect();
        assert_eq!(found, [Slice { tensor: 0, range: 2..3 }, Slice { tensor: 2, range: 0..2 }]);
        assert_eq!(parts.slices_of(3..3).count(), 0);
        assert_eq!(Parts::new([], 2).slices(0).count(), 0);
    }
}
