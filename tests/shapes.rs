use std::collections::HashSet;

use gan::data::shapes::{self, Part};
use gan::data::{ImageShape, Images};
use sha2::{Digest, Sha256};

const STRIDE: usize = 32 * 32 * 3;

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
fn both_parts_are_the_ones_we_know_to_the_byte() {
    assert_eq!(checksum(&shapes::train()), "02c4e57cc06e3163e0bd9aa42b0e5622350fcfabf2808bb3825ce76dd29a7900");
    assert_eq!(checksum(&shapes::test()), "71da7687d0cc9d137819b07d4d8e23a8ddf4d84412711c9545cf715780cda6bc");
}

#[test]
fn the_bytes_do_not_depend_on_the_threads_or_on_how_many_images_are_asked_for() {
    let alone = on_threads(1, shapes::test);
    assert_eq!(alone, on_threads(3, shapes::test));
    let few = shapes::first(Part::Test, 1234);
    assert_eq!((few.len(), &few.labels[..]), (1234, &alone.labels[..1234]));
    assert_eq!(few.pixels, alone.pixels[..1234 * STRIDE]);
}

#[test]
fn a_larger_image_shows_the_same() {
    let (small, large) = (shapes::first(Part::Test, 200), shapes::first_at(Part::Test, 200, 96));
    assert_eq!((large.height, large.width, large.channels), (96, 96, 3));
    assert_eq!(small.labels, large.labels);
    for index in 0..200 {
        // The mean of each nine pixels is nearly the pixel of the smaller image, whose edges are sampled in other rows.
        let mut apart = 0.0;
        for (place, pixel) in small.image(index).iter().enumerate() {
            let (row, column, channel) = (place / 96, place / 3 % 32, place % 3);
            let nine = (0..9).map(|at| {
                let (row, column) = (3 * row + at / 3, 3 * column + at % 3);
                f64::from(large.image(index)[(row * 96 + column) * 3 + channel])
            });
            apart += (nine.sum::<f64>() / 9.0 - f64::from(*pixel)).abs();
        }
        assert!(apart / (STRIDE as f64) < 3.0, "{index}: {}", apart / STRIDE as f64);
    }
    assert_eq!(shapes::for_shape(Part::Test, ImageShape::new(28, 28, 1)), shapes::test());
    assert_eq!(shapes::for_shape(Part::Test, ImageShape::new(64, 64, 3)).height, 64);
}

#[test]
fn both_parts_have_as_many_of_each_form_in_a_mixed_order_and_no_image_twice() {
    let (train, test) = (shapes::train(), shapes::test());
    for (images, each) in [(&train, 2000), (&test, 400)] {
        assert_eq!((images.height, images.width, images.channels), (32, 32, 3));
        assert_eq!((images.len(), images.labels.len()), (10 * each, 10 * each));
        for form in 0..10 {
            assert_eq!(images.labels.iter().filter(|&&label| label == form).count(), each, "of {form}");
        }
        let repeats = images.labels.windows(2).filter(|pair| pair[0] == pair[1]).count() as f64;
        assert!((repeats / (10 * each) as f64 - 0.09).abs() < 0.015, "{repeats} labels equal to the one before");
    }
    let distinct: HashSet<&[u8]> = train.pixels.chunks(STRIDE).chain(test.pixels.chunks(STRIDE)).collect();
    assert_eq!(distinct.len(), 24_000);
    assert_eq!(shapes::CLASSES.iter().collect::<HashSet<_>>().len(), 10);
}

/// Neither a mean colour nor a mean place of ink: what a class has on average, every class has.
#[test]
fn on_average_all_classes_look_alike() {
    let train = shapes::train();
    let mut means = vec![[0f64; STRIDE]; 10];
    for (image, &label) in train.pixels.chunks(STRIDE).zip(&train.labels) {
        for (mean, &pixel) in means[label as usize].iter_mut().zip(image) {
            *mean += f64::from(pixel) / 2000.0;
        }
    }
    for (form, mean) in means.iter().enumerate() {
        for channel in 0..3 {
            let level = mean.iter().skip(channel).step_by(3).sum::<f64>() / 1024.0;
            assert!((level - 127.5).abs() < 1.5, "{form}: channel {channel} is {level} on average");
        }
    }
    let test = shapes::test();
    let distance = |image: &[u8], mean: &[f64; STRIDE]| -> f64 {
        image.iter().zip(mean).map(|(&pixel, mean)| (f64::from(pixel) - mean) * (f64::from(pixel) - mean)).sum()
    };
    let right = test.pixels.chunks(STRIDE).zip(&test.labels).take(1000).filter(|(image, label)| {
        let nearest = (0..10).min_by(|&a, &b| distance(image, &means[a]).total_cmp(&distance(image, &means[b])));
        nearest == Some(**label as usize)
    });
    let accuracy = right.count() as f64 / 1000.0;
    assert!(accuracy < 0.2, "class means tell {accuracy} apart");
}

/// Of the pixels of an image, the copies take enough to be seen and leave enough of the ground to be seen against.
#[test]
fn every_image_has_contrast() {
    for (index, image) in shapes::test().pixels.chunks(STRIDE).enumerate() {
        let grey: Vec<f64> = image
            .chunks(3)
            .map(|pixel| 0.299 * f64::from(pixel[0]) + 0.587 * f64::from(pixel[1]) + 0.114 * f64::from(pixel[2]))
            .collect();
        let (low, high) = grey.iter().fold((255.0, 0.0), |(low, high): (f64, f64), &g| (low.min(g), high.max(g)));
        assert!(high - low > 80.0, "image {index} spans {low} to {high}");
    }
}
