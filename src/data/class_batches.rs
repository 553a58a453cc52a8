//! The classes that a conditional GAN's step takes beside its images and latents, one-hot: made ahead of training.

use anyhow::Result;
use candle_core::{Device, Tensor};

use super::Prefetcher;
use super::plan::{CLASSES, Order, StepPlan};

/// One-hot rows of classes below `classes`: (N, `classes`).
pub fn one_hot(of: &[u32], classes: usize) -> Vec<f32> {
    let mut rows = vec![0.0; of.len() * classes];
    for (row, class) in rows.chunks_exact_mut(classes).zip(of) {
        row[*class as usize] = 1.0;
    }
    rows
}

/// The classes of a plan's steps from `first_step` on, (N, `classes`) each on `device`: of the real images, whose `labels`
/// must be below `classes`, of D's fakes and of G's.
pub fn class_batches(
    labels: Vec<u32>,
    classes: usize,
    plan: &StepPlan,
    first_step: u64,
    device: &Device,
) -> Result<Prefetcher<[Tensor; 3]>> {
    let (plan, device, mut order) = (*plan, device.clone(), Order::new(*plan));
    let make = move |step| {
        let real: Vec<u32> = order.indices(step).iter().map(|index| labels[*index as usize]).collect();
        let [of_discriminator, of_generator] = plan.classes(step, classes);
        Ok([real, of_discriminator, of_generator].map(|of| one_hot(&of, classes)))
    };
    let place = move |[real, of_discriminator, of_generator]: [Vec<f32>; 3]| {
        let place = |rows| Tensor::from_vec(rows, (plan.places().len(), classes), &device);
        Ok([place(real)?, place(of_discriminator)?, place(of_generator)?])
    };
    Prefetcher::start(CLASSES, first_step, make, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_images_have_their_labels_and_fakes_those_of_the_plan() {
        let plan = StepPlan::new(11, 4, true, 5).unwrap();
        let labels: Vec<u32> = (0..11).map(|index| index % 3).collect();
        let mut batches = class_batches(labels.clone(), 3, &plan, 1, &Device::Cpu).unwrap();
        for step in 1..6 {
            let found = batches.next().unwrap().map(|rows| rows.to_vec2::<f32>().unwrap());
            let [of_discriminator, of_generator] = plan.classes(step, 3);
            let real = plan.indices(step).iter().map(|index| labels[*index as usize]).collect();
            for (found, expected) in found.iter().zip([real, of_discriminator, of_generator]) {
                for (row, class) in found.iter().zip(expected) {
                    assert_eq!(*row, [0, 1, 2].map(|other| f32::from(other == class)));
                }
            }
        }
    }
}
