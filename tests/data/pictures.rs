//! Directories of PNG and JPEG files.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use gan::data::ImageShape;
use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};

use super::{GREY, open_directory, refused};

const TINY: ImageShape = ImageShape { height: 2, width: 2, channels: 1 };

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn grey(value: u8, width: u32, height: u32) -> Vec<u8> {
    encode(GrayImage::from_pixel(width, height, Luma([value])), ImageFormat::Png)
}

fn write(directory: &Path, name: &str, bytes: &[u8]) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn one_folder_a_class_in_the_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "dog/b.PNG", &grey(30, 5, 9));
    write(folder.path(), "dog/a.jpeg", &encode(GrayImage::from_pixel(8, 8, Luma([20])), ImageFormat::Jpeg));
    write(folder.path(), "cat/z.png", &grey(10, 40, 3));
    write(folder.path(), "cat/.hidden.png", b"not looked at");
    write(folder.path(), "cat/notes.txt", b"not looked at");
    write(folder.path(), ".git/x.png", b"not looked at");
    let set = open_directory(folder.path(), TINY).unwrap();
    assert_eq!(set.classes, ["cat", "dog"]);
    assert_eq!(set.train.labels, [0, 1, 1]);
    assert_eq!(set.train.pixels, [[10; 4], [20; 4], [30; 4]].concat());
    assert!(set.test.is_empty());
    assert_eq!(set.name, folder.path().file_name().unwrap().to_str().unwrap());
}

#[test]
fn train_and_test_folders_and_flat_ones() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "flat/2.png", &grey(2, 2, 2));
    write(folder.path(), "flat/1.png", &grey(1, 2, 2));
    let flat = open_directory(&folder.path().join("flat"), TINY).unwrap();
    assert_eq!((flat.train.pixels[0], flat.train.len()), (1, 2));
    assert!(flat.train.labels.is_empty() && flat.classes.is_empty());

    let split = folder.path().join("split");
    write(&split, "train/a/1.png", &grey(1, 2, 2));
    write(&split, "train/b/1.png", &grey(2, 2, 2));
    write(&split, "test/b/1.png", &grey(3, 2, 2));
    let set = open_directory(&split, TINY).unwrap();
    assert_eq!((set.train.labels, set.test.labels, set.test.pixels), (vec![0, 1], vec![1], vec![3; 4]));
    write(&split, "test/c/1.png", &grey(3, 2, 2));
    assert!(refused(open_directory(&split, TINY)).contains("training part does not have"));
}

#[test]
fn every_kind_of_png_becomes_what_the_model_takes() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, image: DynamicImage| write(folder.path(), name, &encode(image, ImageFormat::Png));
    put("1-grey16.png", ImageBuffer::from_pixel(2, 2, Luma([200u16 * 257])).into());
    put("2-grey-alpha.png", DynamicImage::ImageLumaA8(ImageBuffer::from_pixel(2, 2, LumaA([200, 51]))));
    put("3-rgb.png", RgbImage::from_pixel(2, 2, Rgb([255, 0, 0])).into());
    put("4-rgba.png", RgbaImage::from_pixel(2, 2, Rgba([255, 255, 255, 128])).into());
    put("5-rgb16.png", DynamicImage::ImageRgb16(ImageBuffer::from_pixel(2, 2, Rgb([0, 65_535, 0]))));
    // A palette of two colours, one bit a pixel.
    let mut palette = Vec::new();
    let mut encoder = png::Encoder::new(&mut palette, 2, 2);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_palette(vec![0, 0, 255, 255, 255, 255]);
    encoder.write_header().unwrap().write_image_data(&[0b0100_0000, 0b1000_0000]).unwrap();
    write(folder.path(), "6-palette.png", &palette);

    let set = open_directory(folder.path(), TINY).unwrap();
    let firsts: Vec<u8> = set.train.pixels.chunks(4).map(|image| image[0]).collect();
    // 40 = 200 * 51 / 255; 76, 150 and 29 are Pillow's greys of pure red, green and blue.
    assert_eq!(firsts, [200, 40, 76, 128, 150, 29]);
    assert_eq!(set.train.pixels[20..], [29, 255, 255, 29]);
    let colour = open_directory(folder.path(), ImageShape { channels: 3, ..TINY }).unwrap();
    let firsts: Vec<&[u8]> = colour.train.pixels.chunks(12).map(|image| &image[..3]).collect();
    assert_eq!(firsts, [[200; 3], [40; 3], [255, 0, 0], [128; 3], [0, 255, 0], [0, 0, 255]]);
}

#[test]
fn the_centre_is_cut_out_and_averaged() {
    let folder = tempfile::tempdir().unwrap();
    // 16 wide, 8 high: the left and right four columns are cut away; fine stripes average to grey.
    let stripes =
        GrayImage::from_fn(16, 8, |x, _| Luma([if !(4..12).contains(&x) { 255 } else { (x % 2) as u8 * 200 }]));
    write(folder.path(), "stripes.png", &encode(stripes, ImageFormat::Png));
    let set = open_directory(folder.path(), TINY).unwrap();
    assert!(set.train.pixels.iter().all(|pixel| (80..=120).contains(pixel)), "{:?}", set.train.pixels);
}

#[test]
fn damaged_and_hostile_pictures_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = |bytes: &[u8]| {
        write(folder.path(), "b.png", bytes);
        let text = refused(open_directory(folder.path(), GREY));
        assert!(text.contains("b.png"), "{text}");
        text
    };
    write(folder.path(), "a.png", &grey(1, 2, 2));
    assert!(outcome(b"GIF89a, says its first word").contains("decoded"));
    assert!(outcome(b"").contains("neither PNG nor JPEG"));
    let good = grey(1, 64, 64);
    outcome(&good[..good.len() / 2]);
    let mut damaged = good.clone();
    damaged[45] ^= 0xff;
    outcome(&damaged);
    let jpeg = encode(RgbImage::from_fn(64, 64, |x, y| Rgb([(x * y) as u8, x as u8, y as u8])), ImageFormat::Jpeg);
    outcome(&jpeg[..20]);
    // The decoder would fill what is missing with grey.
    for cut in [jpeg.len() / 2, jpeg.len() - 1] {
        assert!(outcome(&jpeg[..cut]).contains("cut short"));
    }
    write(folder.path(), "b.png", &[&jpeg[..], b"what cameras append"].concat());
    open_directory(folder.path(), GREY).unwrap();
    // Sizes that only the header has: 20,000 x 10, then 16,000 x 16,000 x 8 bytes.
    for (width, height, depth, colour) in [(20_000, 10, 8, 0), (16_000, 16_000, 16, 6)] {
        outcome(&png_header(width, height, depth, colour));
    }
    // The first in order is named, whatever thread finds it.
    write(folder.path(), "a.png", b"no");
    assert!(refused(open_directory(folder.path(), GREY)).contains("a.png"));
}

/// A PNG with a valid header and hardly any data.
fn png_header(width: u32, height: u32, depth: u8, colour: u8) -> Vec<u8> {
    let chunk = |kind: &[u8], data: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(data);
        [&(data.len() as u32).to_be_bytes()[..], kind, data, &crc.sum().to_be_bytes()[..]].concat()
    };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes()[..], &[depth, colour, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &[0x78, 0x9c]), &chunk(b"IEND", b"")].concat()
}

#[test]
fn folders_that_make_no_set_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refused(open_directory(folder.path(), GREY)).contains("holds no data"));
    fs::create_dir(folder.path().join("class")).unwrap();
    assert!(refused(open_directory(folder.path(), GREY)).contains("class: a folder without"));
    write(folder.path(), "class/a.png", &grey(1, 2, 2));
    assert!(open_directory(folder.path(), GREY).is_ok());
    write(folder.path(), "a.png", &grey(1, 2, 2));
    assert!(refused(open_directory(folder.path(), GREY)).contains("both here and in class/"));
    fs::remove_file(folder.path().join("a.png")).unwrap();
    for class in 0..256 {
        fs::create_dir(folder.path().join(class.to_string())).unwrap();
    }
    assert!(refused(open_directory(folder.path(), GREY)).contains("257 folders"));
}
