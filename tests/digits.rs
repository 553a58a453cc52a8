use std::collections::HashSet;

use gan::data::Images;
use gan::data::digits::{self, Part};
use sha2::{Digest, Sha256};

fn checksum(images: &Images) -> String {
    let labels: Vec<u8> = images.labels.iter().map(|&label| u8::try_from(label).unwrap()).collect();
    let digest = Sha256::new().chain_update(&images.pixels).chain_update(&labels).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn on_threads(count: usize, draw: impl Fn() -> Images + Send + Sync) -> Images {
    rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap().install(draw)
}

/// A change here is a change of the data set: every figure reported on it becomes history.
#[test]
fn the_first_thousand_images_of_both_parts_are_the_ones_we_know() {
    assert_eq!(
        checksum(&digits::first(Part::Train, 1000)),
        "79646d9f35fd23101e0bdf415d15f623abc01b3f253ee9578328fc002d861db4"
    );
    assert_eq!(
        checksum(&digits::first(Part::Test, 1000)),
        "68918e7747a18196d9008036197275574e2f20f054d0cc4ec81a8dd33201835d"
    );
}

#[test]
fn the_bytes_do_not_depend_on_the_threads_or_on_how_many_images_are_asked_for() {
    let alone = on_threads(1, digits::test);
    let together = on_threads(3, digits::test);
    assert_eq!(alone, together);
    let few = digits::first(Part::Test, 1234);
    assert_eq!(few.len(), 1234);
    assert_eq!(few.pixels, alone.pixels[..1234 * 784]);
    assert_eq!(few.labels, alone.labels[..1234]);
}

#[test]
fn both_parts_have_mnists_sizes_and_as_many_of_each_digit_in_a_mixed_order() {
    for (images, each) in [(digits::train(), 6000), (digits::test(), 1000)] {
        assert_eq!((images.height, images.width, images.channels), (28, 28, 1));
        assert_eq!((images.len(), images.labels.len()), (10 * each, 10 * each));
        for digit in 0..10 {
            assert_eq!(images.labels.iter().filter(|&&label| label == digit).count(), each, "of {digit}");
        }
        let repeats = images.labels.windows(2).filter(|pair| pair[0] == pair[1]).count() as f64;
        assert!((repeats / (10 * each) as f64 - 0.09).abs() < 0.01, "{repeats} labels equal to the one before");
    }
}

#[test]
fn no_image_is_met_twice() {
    let (train, test) = (digits::train(), digits::test());
    let distinct: HashSet<&[u8]> = train.pixels.chunks(784).chain(test.pixels.chunks(784)).collect();
    assert_eq!(distinct.len(), 70_000);
}

/// MNIST: a mean of 33.3, ink in 19 % of the pixels, the centre of mass within half a pixel of (14, 14).
#[test]
fn the_ink_is_as_much_as_mnists_and_where_mnists_is() {
    let images = digits::test();
    let mean = images.pixels.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / images.pixels.len() as f64;
    let inked = images.pixels.iter().filter(|&&pixel| pixel > 0).count() as f64 / images.pixels.len() as f64;
    assert!((30.0..36.0).contains(&mean), "mean {mean}");
    assert!((0.17..0.21).contains(&inked), "share of inked pixels {inked}");
    for (index, image) in images.pixels.chunks(784).enumerate() {
        let mass: f64 = image.iter().map(|&pixel| f64::from(pixel)).sum();
        assert!(image.iter().max() >= Some(&200), "image {index} is faint");
        let row =
            image.iter().enumerate().map(|(place, &ink)| (place / 28) as f64 * f64::from(ink)).sum::<f64>() / mass;
        let column =
            image.iter().enumerate().map(|(place, &ink)| (place % 28) as f64 * f64::from(ink)).sum::<f64>() / mass;
        assert!((row - 14.0).abs() < 2.0 && (column - 14.0).abs() < 2.0, "image {index}: middle at {row}, {column}");
    }
}

/// The nearest of ten class means: 82 % on MNIST. Far more would be ten stencils, far less a scrawl.
#[test]
fn class_means_tell_the_digits_of_unknown_writers_apart_but_not_all() {
    let (train, test) = (digits::train(), digits::test());
    let mut means = vec![[0f32; 784]; 10];
    for (image, &label) in train.pixels.chunks(784).zip(&train.labels) {
        for (mean, &pixel) in means[label as usize].iter_mut().zip(image) {
            *mean += f32::from(pixel) / 6000.0;
        }
    }
    let distance = |image: &[u8], mean: &[f32; 784]| -> f32 {
        image.iter().zip(mean).map(|(&pixel, mean)| (f32::from(pixel) - mean) * (f32::from(pixel) - mean)).sum()
    };
    let right = test.pixels.chunks(784).zip(&test.labels).filter(|(image, label)| {
        let nearest = (0..10).min_by(|&a, &b| distance(image, &means[a]).total_cmp(&distance(image, &means[b])));
        nearest == Some(**label as usize)
    });
    let accuracy = right.count() as f64 / 10_000.0;
    assert!((0.72..0.87).contains(&accuracy), "accuracy {accuracy}");
}
