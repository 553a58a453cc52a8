//! A source of one's own, and directories that hold more than one set.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use candle_core::Device;
use gan::data::augment::{Augmentation, ColourScale};
use gan::data::{self, ImageShape, ImageSource, StepPlan, ViewPlan};
use gan::normalisation::Normalisation;

use super::{GREY, open_directory, refused, write_set};
use crate::support::write_pictures;

/// Image i is (10 + i, 20, 3), drawn when it is asked for. Image `broken` cannot be.
struct Drawn {
    broken: usize,
}

impl ImageSource for Drawn {
    fn len(&self) -> usize {
        9
    }

    fn shape_of(&self, index: usize) -> ImageShape {
        ImageShape { height: 10 + index, width: 20, channels: 3 }
    }

    fn label_of(&self, _: usize) -> Option<u32> {
        None
    }

    fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        if index == self.broken {
            bail!("image {index} has gone");
        }
        Ok((0..self.shape_of(index).stride()).map(|at| (at * 7 + index * 31) as u8).collect())
    }
}

#[test]
fn views_are_taken_of_images_that_are_decoded_on_demand() {
    let plan = StepPlan::new(9, 4, true, 3).unwrap();
    let (augmentation, normalisation) = (Augmentation::default(), Normalisation::cifar10());
    let scale = ColourScale::new(&normalisation).unwrap();
    let views = ViewPlan { views_per_image: 2, size: 16, augmentation, normalisation };
    let source = Arc::new(Drawn { broken: usize::MAX });
    let mut prefetcher = data::views(source.clone(), &plan, views.clone(), 5, &Device::Cpu).unwrap();
    for step in 5..9 {
        let batch = prefetcher.next().unwrap();
        assert_eq!((batch.views.dims(), &batch.indices), (&[8, 16, 16, 3][..], &plan.indices(step)));
        let found: Vec<f32> = batch.views.flatten_all().unwrap().to_vec1().unwrap();
        let images: Vec<_> = batch.indices.iter().map(|index| (*index, source.shape_of(*index as usize))).collect();
        let drawn = plan.view_parameters(step, &views, &images);
        for (found, (image, parameters)) in found.chunks_exact(16 * 16 * 3).zip(drawn) {
            let mut view = vec![0.0; found.len()];
            let bytes = source.bytes_of(image as usize).unwrap();
            parameters.apply((&bytes, source.shape_of(image as usize)), 16, scale, &mut view);
            assert_eq!(found, view);
        }
    }
    // Batches are tensors, which have one shape.
    assert!(refused(data::batches(source, &plan, 0, &Device::Cpu)).contains("of one shape"));
}

#[test]
fn an_image_that_cannot_be_read_any_more_ends_the_step_that_takes_it() {
    let plan = StepPlan::new(9, 4, false, 3).unwrap();
    let (augmentation, normalisation) = (Augmentation::default(), Normalisation::cifar10());
    let views = ViewPlan { views_per_image: 1, size: 8, augmentation, normalisation };
    let mut views = data::views(Arc::new(Drawn { broken: 6 }), &plan, views, 0, &Device::Cpu).unwrap();
    assert_eq!(views.next().unwrap().indices, [0, 1, 2, 3]);
    assert_eq!(views.next().unwrap_err().to_string(), "image 6 has gone");
}

#[test]
fn a_directory_that_holds_several_sets_says_which_one_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    write_set(folder.path());
    assert_eq!(open_directory(folder.path(), GREY).unwrap().notes, [""; 0]);
    fs::write(folder.path().join("preview.png"), "not looked at").unwrap();
    assert_eq!(open_directory(folder.path(), GREY).unwrap().notes, [""; 0], "one picture is no set");
    write_pictures(folder.path(), 3, 1);
    let notes = open_directory(folder.path(), GREY).unwrap().notes;
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0]
            .contains("read as IDX files (MNIST's names); it also holds pictures in one folder a class: to use those")
            && notes[0].ends_with("move them to a directory of their own"),
        "{notes:?}"
    );
    // Sets that lie in folders of their own can be named.
    let both = tempfile::tempdir().unwrap();
    fs::create_dir_all(both.path().join("raw")).unwrap();
    write_set(&both.path().join("raw"));
    write_set(both.path());
    assert_eq!(open_directory(both.path(), GREY).unwrap().notes, [""; 0], "the same kind, one within the other");
    let parquet = both.path().join("data");
    fs::create_dir_all(&parquet).unwrap();
    fs::write(parquet.join("train-0.parquet"), "not looked at").unwrap();
    let notes = open_directory(both.path(), GREY).unwrap().notes;
    assert!(notes[0].ends_with(&format!("name {}", parquet.display())), "{notes:?}");
}

#[test]
fn data_that_have_moved_are_asked_for() {
    for gone in ["/nowhere/pets", "pets/of/mine", "pets"] {
        let text = refused(open_directory(Path::new(gone), GREY));
        assert!(text.contains(&format!("--data {gone}: no ")) && text.contains("give their new place"), "{text}");
    }
    let here = std::env::current_dir().unwrap().display().to_string();
    assert!(refused(open_directory(Path::new("pets/of/mine"), GREY)).contains(&here));
    // Of a name, which may be that of a set, the sets are told.
    assert!(
        refused(open_directory(Path::new("pets"), GREY)).ends_with("mnist, fashion-mnist, cifar10, stacked-mnist.")
    );
    let folder = tempfile::tempdir().unwrap();
    for name in ["pets.tar.xz", "pets.tar.zst"] {
        let path = folder.path().join(name);
        fs::write(&path, "not looked at").unwrap();
        let text = refused(open_directory(&path, GREY));
        assert!(text.contains(name) && text.contains("unpack it, and name the .tar or the folder"), "{text}");
    }
}
