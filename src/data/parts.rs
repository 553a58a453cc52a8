//! Parts of a set that nobody chose by hand: which images are the first N, where the order in which a set lies says
//! nothing.
//!
//! Class folders, and files that somebody has sorted, begin with one class. So the first N images of such a set are
//! those of a fixed shuffle in which every beginning, and every stretch, holds each class in proportion.

use crate::rng::Stream;

/// Changing it changes which images are taken of every set that is not canonical.
const SEED: u64 = 0x70_6172_7473;

/// A fixed pseudo-random order of `len` images. Where they are labelled, every stretch of it holds each class in
/// proportion, to within one image: the j-th of the n images of a class stands at (j + 1/2) / n of the whole, which is
/// how Webster and Sainte-Laguë give out seats.
pub fn order(labels: &[u32], len: usize) -> Vec<u32> {
    let shuffled = Stream::new(SEED, "parts").at(0).permutation(len);
    if labels.len() != len {
        return shuffled;
    }
    let classes = labels.iter().max().map_or(0, |most| *most as usize + 1);
    let mut sizes = vec![0u32; classes];
    labels.iter().for_each(|label| sizes[*label as usize] += 1);
    let mut seen = vec![0u32; classes];
    let mut placed: Vec<(f64, u32)> = shuffled
        .into_iter()
        .map(|index| {
            let class = labels[index as usize] as usize;
            seen[class] += 1;
            (f64::from(2 * seen[class] - 1) / f64::from(2 * sizes[class]), index)
        })
        .collect();
    // Equal places are equal bits, for a division is rounded exactly; the lower class goes first there.
    placed.sort_unstable_by(|left, right| {
        let class = |index: u32| labels[index as usize];
        left.0.total_cmp(&right.0).then(class(left.1).cmp(&class(right.1)))
    });
    placed.into_iter().map(|(_, index)| index).collect()
}

/// The first `count` images of [`order`], or all where there are fewer; their indices in ascending order.
pub fn balanced(labels: &[u32], len: usize, count: usize) -> Vec<u32> {
    let mut chosen = order(labels, len);
    chosen.truncate(count);
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(labels: &[u32], chosen: &[u32]) -> Vec<usize> {
        let mut counts = vec![0; labels.iter().max().map_or(0, |most| *most as usize + 1)];
        chosen.iter().for_each(|index| counts[labels[*index as usize] as usize] += 1);
        counts
    }

    #[test]
    fn every_stretch_holds_each_class_in_proportion() {
        let labels: Vec<u32> = [(0, 600), (1, 300), (2, 0), (3, 100)]
            .into_iter()
            .flat_map(|(class, size)| std::iter::repeat_n(class, size))
            .collect();
        let order = order(&labels, labels.len());
        for (from, to) in [(0, 10), (0, 100), (37, 137), (500, 1000), (990, 1000)] {
            for (class, count) in counts(&labels, &order[from..to]).into_iter().enumerate() {
                let fair = (to - from) as f64 * [0.6, 0.3, 0.0, 0.1][class];
                assert!((count as f64 - fair).abs() <= 1.0, "{from}..{to}: {count} of class {class}, {fair} are fair");
            }
        }
        let mut all = order;
        all.sort_unstable();
        assert!(all.iter().enumerate().all(|(place, &index)| place == index as usize));
    }

    #[test]
    fn a_choice_is_fixed_ascending_and_mixed() {
        let labels: Vec<u32> = (0..1000).map(|index| index / 100).collect();
        let chosen = balanced(&labels, 1000, 50);
        assert_eq!((chosen.len(), counts(&labels, &chosen)), (50, vec![5; 10]));
        assert!(chosen.is_sorted() && chosen == balanced(&labels, 1000, 50));
        assert_ne!(chosen, (0..1000).step_by(20).collect::<Vec<u32>>());
        let unlabelled = balanced(&[], 1000, 100);
        assert!(unlabelled.is_sorted() && unlabelled.len() == 100);
        let mean = unlabelled.iter().sum::<u32>() as f64 / 100.0;
        assert!((mean - 500.0).abs() < 100.0, "of all places: {mean}");
        assert_eq!(balanced(&labels, 1000, 5000).len(), 1000);
        assert_eq!(balanced(&[], 0, 5), [] as [u32; 0]);
    }
}
