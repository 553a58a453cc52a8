//! Parquet files as the Hub writes them.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use gan::data::augment::Augmentation;
use gan::data::holding::DataCache;
use gan::data::identity::Identity;
use gan::data::memory::MemorySize;
use gan::data::{self, DataOptions, Dataset, ImageSet, ImageShape, StepPlan, TargetShape, ViewPlan, open};
use gan::normalisation::Normalisation;
use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::pictures::{encode, grey};
use super::{GREY, in_memory, open_directory, refused};

const TINY: ImageShape = ImageShape { height: 3, width: 3, channels: 1 };

fn picture(value: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    GrayImage::from_pixel(3, 3, Luma([value])).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Two row groups of `rows` each: pictures and labels.
pub fn write(path: &Path, rows: &[(Vec<u8>, i64)], names: &str) {
    write_groups(path, &[rows, rows], names);
}

/// Row groups of pictures and labels.
pub fn write_groups(path: &Path, groups: &[&[(Vec<u8>, i64)]], names: &str) {
    write_labelled::<Int64Type>(path, "int64 label", groups, names);
}

/// The same with labels in a column of that type and name, which the Hub's metadata says the names of.
fn write_labelled<T: DataType>(path: &Path, column: &str, groups: &[&[(Vec<u8>, T::T)]], names: &str) {
    let schema = format!(
        "message schema {{
            optional group image {{ optional binary bytes; optional binary path (UTF8); }}
            optional {column};
        }}"
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let label = column.split(' ').nth(1).unwrap();
    let metadata = format!(r#"{{"info": {{"features": {{"{label}": {{"names": {names}, "_type": "ClassLabel"}}}}}}}}"#);
    let metadata = KeyValue { key: "huggingface".to_string(), value: Some(metadata) };
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![metadata])).build();
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    for rows in groups {
        let mut group = writer.next_row_group().unwrap();
        let pictures: Vec<ByteArray> = rows.iter().map(|(bytes, _)| bytes.clone().into()).collect();
        let labels: Vec<T::T> = rows.iter().map(|(_, label)| label.clone()).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&pictures, Some(&vec![2; rows.len()]), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[], Some(&vec![1; rows.len()]), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<T>().write_batch(&labels, Some(&vec![1; rows.len()]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn parquet_files_give_pictures_labels_and_class_names() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [(picture(9), 1), (picture(7), 0), (picture(5), 1)];
    write(&folder.path().join("train-00001-of-00002.parquet"), &rows[2..], r#"["shoe", "shirt"]"#);
    write(&folder.path().join("train-00000-of-00002.parquet"), &rows[..2], r#"["shoe", "shirt"]"#);
    let set = open_directory(folder.path(), TINY).unwrap();
    assert_eq!(set.classes, ["shoe", "shirt"]);
    assert_eq!(in_memory(&set.train).labels, [1, 0, 1, 0, 1, 1]);
    let firsts: Vec<u8> = in_memory(&set.train).pixels.chunks(9).map(|image| image[0]).collect();
    assert_eq!(firsts, [9, 7, 9, 7, 5, 5]);
    assert!(set.test.is_empty());

    fs::create_dir(folder.path().join("test")).unwrap();
    write(&folder.path().join("test/0000.parquet"), &[(picture(1), 1)], "7");
    let set = open_directory(folder.path(), GREY).unwrap();
    assert_eq!((in_memory(&set.test).labels, in_memory(&set.test).pixels.len()), (vec![1, 1], 2 * 784));
    assert_eq!(set.classes, ["shoe", "shirt"]);
    write(&folder.path().join("test/0000.parquet"), &[(picture(1), 2)], "7");
    assert!(refused(open_directory(folder.path(), GREY)).contains("label 2, where its parquet files name 2 classes"));
}

/// As `to_parquet` writes them: one file, or some in a directory, called anything.
#[test]
fn files_that_name_no_part_are_to_train_on() {
    let folder = tempfile::tempdir().unwrap();
    let [shoes, hats] = ["shoes.parquet", "hats.parquet"].map(|name| folder.path().join(name));
    write(&shoes, &[(picture(9), 1), (picture(7), 0)], "7");
    write(&hats, &[(picture(5), 1)], "7");
    let firsts = |set: &Dataset| in_memory(&set.train).pixels.chunks(9).map(|image| image[0]).collect::<Vec<u8>>();
    assert_eq!(
        firsts(&open_directory(folder.path(), TINY).unwrap()),
        [5, 5, 9, 7, 9, 7],
        "each file has its rows twice"
    );
    let of_file = open_directory(&shoes, TINY).unwrap();
    assert_eq!((firsts(&of_file), of_file.name.as_str()), (vec![9, 7, 9, 7], "shoes.parquet"));
    let named = |spec: &Path| {
        data::Gallery::open(spec.to_str().unwrap(), data::Reach::Everything, &DataOptions::default(), &|_, _, _| ())
    };
    assert_eq!([folder.path(), &*shoes].map(|spec| named(spec).unwrap().entries.len()), [6, 4]);
    write(&folder.path().join("test.parquet"), &[(picture(1), 1)], "7");
    let set = open_directory(folder.path(), TINY);
    assert!(refused(set).contains("none to train on"), "where one names a part the others do not mean another");
}

/// Their classes are all of them, sorted, whatever part they are in and whichever comes first.
#[test]
fn labels_may_be_texts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let rows = |labels: &[&str]| -> Vec<(Vec<u8>, ByteArray)> {
        labels.iter().enumerate().map(|(place, label)| (picture(place as u8), ByteArray::from(*label))).collect()
    };
    let write = |name: &str, labels: &[&str]| {
        write_labelled::<ByteArrayType>(&path(name), "binary label (UTF8)", &[&rows(labels)], "[]");
    };
    write("train-0.parquet", &["shoe", "bag", "shoe"]);
    write("train-1.parquet", &["hat"]);
    write("test.parquet", &["hat", "bag"]);
    let set = open_directory(folder.path(), TINY).unwrap();
    assert_eq!(set.classes, ["bag", "hat", "shoe"]);
    assert_eq!((in_memory(&set.train).labels, in_memory(&set.test).labels), (vec![2, 0, 2, 1], vec![1, 0]));
    write("test.parquet", &["hat", ""]);
    assert!(refused(open_directory(folder.path(), TINY)).contains("a row without a label"));
    self::write(&path("test.parquet"), &[(picture(1), 1)], "[]");
    assert!(refused(open_directory(folder.path(), TINY)).contains("some files have texts as labels, some numbers"));
}

#[test]
fn names_of_classes_are_those_of_the_column_and_the_same_in_all_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let rows = [(picture(9), 1), (picture(7), 0)];
    write_labelled::<Int64Type>(&path("train.parquet"), "int64 labels", &[&rows], r#"["shoe", "shirt"]"#);
    assert_eq!(open_directory(folder.path(), TINY).unwrap().classes, ["shoe", "shirt"]);
    write(&path("test.parquet"), &rows, r#"["shirt", "shoe"]"#);
    assert!(refused(open_directory(folder.path(), TINY)).contains("its classes have other names"));
}

/// The values of the first views of a set.
fn views(images: &ImageSet) -> Vec<f32> {
    let plan = StepPlan::new(images.len(), 4, true, 3).unwrap();
    let (augmentation, normalisation) = (Augmentation::default(), Normalisation::imagenet());
    let views = ViewPlan { views_per_image: 2, size: 24, augmentation, normalisation };
    let mut views = data::views(images.source(), &plan, views, 0, &Device::Cpu).unwrap();
    (0..3).flat_map(|_| views.next().unwrap().views.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
}

/// Also of one size, which lie in memory in one piece.
#[test]
fn crops_are_of_the_pictures_in_their_own_size_as_those_of_a_folder_are() {
    for sizes in [[50, 40], [45, 45]] {
        let place = tempfile::tempdir().unwrap();
        let [folder, rows] = ["folder", "rows"].map(|name| place.path().join(name));
        fs::create_dir(&rows).unwrap();
        for (part, count) in [("train", 6), ("test", 2)] {
            let mut of_part = Vec::new();
            for (label, class) in ["a", "b"].into_iter().enumerate() {
                fs::create_dir_all(folder.join(part).join(class)).unwrap();
                for index in 0..count {
                    let pixel = |x, y| Rgb([(x * 5) as u8, (y * 6) as u8, (index * 40) as u8]);
                    let picture = match index {
                        0 => grey(label as u8 * 99, sizes[1], sizes[0]),
                        _ => encode(RgbImage::from_fn(sizes[index % 2], sizes[1], pixel), ImageFormat::Png),
                    };
                    fs::write(folder.join(part).join(class).join(format!("{index}.png")), &picture).unwrap();
                    of_part.push((picture, label as i64));
                }
            }
            // Over several files and row groups.
            for (file, of_file) in of_part.chunks(count + 1).enumerate() {
                let groups: Vec<&[(Vec<u8>, i64)]> = of_file.chunks(3).collect();
                write_groups(&rows.join(format!("{part}-{file:05}.parquet")), &groups, r#"["a", "b"]"#);
            }
        }
        let opened = |directory: &Path, memory: Option<u64>, data_cache: Option<DataCache>| -> Dataset {
            let options = DataOptions { data_memory: memory.map(MemorySize), data_cache, ..DataOptions::default() };
            let target = TargetShape::originals(ImageShape::new(24, 24, 3));
            open(directory.to_str().unwrap(), &options, target, &|_, _, _| ()).unwrap()
        };
        let expected = opened(&folder, None, None);
        let expected_views = views(&expected.train);
        let cache = DataCache::In(place.path().into());
        for (memory, cache) in [(None, None), (Some(0), Some(cache)), (Some(0), Some(DataCache::None))] {
            let found = opened(&rows, memory, cache.clone());
            assert_eq!(found.train.is_in_memory(), memory.is_none());
            assert_eq!(found.train.contiguous().is_some(), memory.is_none() && sizes[0] == sizes[1]);
            let notes = |text: &str| found.notes.iter().any(|note| note.contains(text));
            assert!(notes(", as crops of the originals"), "{:?}", found.notes);
            for (part, of_folder) in [(&found.train, &expected.train), (&found.test, &expected.test)] {
                assert_eq!((part.len(), part.labels()), (of_folder.len(), of_folder.labels()));
                for index in 0..part.len() {
                    assert_eq!(part.shape_of(index), of_folder.shape_of(index));
                    assert_eq!(part.bytes_of(index).unwrap(), of_folder.bytes_of(index).unwrap());
                }
            }
            assert!(found.validation.is_empty());
            let [known, of_folder] = [&found, &expected].map(|set| Identity::of(set).unwrap());
            assert!(known.is_same(&of_folder), "{}", known.difference(&of_folder));
            // The second time they come from the cache.
            for _ in 0..2 {
                assert!(views(&found.train) == expected_views, "{cache:?}");
            }
        }
    }
}

#[test]
fn parquet_files_that_are_no_image_sets_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    let outcome = |rows: &[(Vec<u8>, i64)]| {
        write(&path, rows, "[]");
        refused(open_directory(folder.path(), TINY))
    };
    assert!(
        outcome(&[(picture(1), 0), (b"no picture".to_vec(), 0)]).contains("train.parquet/image 1: cannot be decoded")
    );
    assert!(outcome(&[(picture(1), 65_536)]).contains("label 65536"));
    assert!(outcome(&[(picture(1), -1)]).contains("label -1"));
    assert!(outcome(&[]).contains("no rows"));
    let rows = [(picture(1), 1.0)];
    write_labelled::<DoubleType>(&path, "double label", &[&rows], "[]");
    let said = refused(open_directory(folder.path(), TINY));
    assert!(said.contains("label (DOUBLE); expected image.bytes"), "{said}");
    fs::rename(&path, folder.path().join("test.parquet")).unwrap();
    assert!(refused(open_directory(folder.path(), TINY)).contains("train*.parquet"));
}

#[test]
fn no_damage_to_a_parquet_file_brings_the_reader_down() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    write(&path, &[(picture(1), 0), (picture(2), 1)], "[]");
    let good = fs::read(&path).unwrap();
    let mut refusals = 0;
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).unwrap();
        refusals += usize::from(open_directory(folder.path(), TINY).is_err());
    }
    assert!(refusals > good.len() / 4, "{refusals} of {}", good.len());
    for length in (0..good.len()).step_by(7) {
        fs::write(&path, &good[..length]).unwrap();
        refused(open_directory(folder.path(), TINY));
    }
}

/// Found by fuzzing: lists of booleans, of which each of many values is stepped over.
#[test]
fn a_footer_that_claims_thousands_of_millions_of_values_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let list = [0x19, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07]; // 2^31 - 1 of them, in the next field
    let footer = [&[0x09, 0xc8, 0x01][..], &list[1..], &list.repeat(100), &[0]].concat();
    let length = (footer.len() as u32).to_le_bytes();
    fs::write(folder.path().join("train.parquet"), [b"PAR1", &footer[..], &length, b"PAR1"].concat()).unwrap();
    assert!(refused(open_directory(folder.path(), TINY)).contains("claims more values than it has bytes"));
}

/// A header of twenty bytes that claims two gigabytes.
#[test]
fn a_page_that_claims_gigabytes_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    write(&path, &[(picture(1), 0), (picture(2), 1)], "[]");
    let good = fs::read(&path).unwrap();
    // The type of the page, then its size unpacked: field 2, a number of two bytes.
    assert!(good[4] == 0x15 && good[6] == 0x15 && good[7] & 0x80 != 0 && good[8] & 0x80 == 0, "{:?}", &good[4..12]);
    let rest = &good[9..];
    let huge = [&good[..7], &[0xfe, 0xff, 0xff, 0xff, 0x0f], &rest[..20], &rest[23..]].concat();
    assert_eq!(huge.len(), good.len());
    fs::write(&path, huge).unwrap();
    let said = refused(open_directory(folder.path(), TINY));
    assert!(said.contains("train.parquet: damaged: a page of") && said.contains("claims to hold 2047 MiB"), "{said}");
}

/// Of a set with broken pictures the others are as if these had never been there, however they are held.
#[test]
fn rows_with_broken_pictures_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let directory = folder.path().join(name);
        fs::create_dir_all(&directory).unwrap();
        directory
    };
    let (broken, whole) = (place("broken"), place("whole"));
    let cut = || picture(9)[..30].to_vec();
    let rows = [(picture(1), 0), (cut(), 1), (picture(3), 1), (b"none".to_vec(), 0), (picture(5), 0)];
    let kept = [rows[0].clone(), rows[2].clone(), rows[4].clone()];
    write(&broken.join("train.parquet"), &rows, "[]");
    write(&broken.join("test.parquet"), &rows[1..3], "[]");
    write(&whole.join("train.parquet"), &kept, "[]");
    write(&whole.join("test.parquet"), &rows[2..3], "[]");
    for (memory, keeps_sizes) in [(None, false), (None, true), (Some(MemorySize(0)), false)] {
        let open = |directory: &Path, skip_broken| {
            let cache = Some(DataCache::None);
            let options = DataOptions { skip_broken, data_memory: memory, data_cache: cache, ..DataOptions::default() };
            let target = TargetShape { shape: TINY, keeps_sizes };
            open(directory.to_str().unwrap(), &options, target, &|_, _, _| ())
        };
        let (found, expected) = (open(&broken, true).unwrap(), open(&whole, true).unwrap());
        assert_eq!(in_memory(&found.train), in_memory(&expected.train));
        assert_eq!(in_memory(&found.test), in_memory(&expected.test));
        let left_out = |dataset: &Dataset| dataset.warnings.iter().find(|line| line.contains("left out")).cloned();
        let warning = left_out(&found).unwrap();
        assert!(warning.contains("6 pictures cannot be decoded and are left out"), "{warning}");
        assert!(warning.contains("train.parquet/row 1, ") && warning.contains("train.parquet/row 8, "), "{warning}");
        assert!(left_out(&expected).is_none());
        let said = refused(open(&broken, false));
        assert!(said.contains("image 1: cannot be decoded") && said.contains("--skip-broken"), "{said}");
    }
    write(&broken.join("train.parquet"), &[(cut(), 0)], "[]");
    let options = DataOptions { skip_broken: true, ..DataOptions::default() };
    let outcome = open(broken.to_str().unwrap(), &options, TINY, &|_, _, _| ());
    assert!(refused(outcome).contains("row 0: cannot be decoded, nor can any other"));
}
