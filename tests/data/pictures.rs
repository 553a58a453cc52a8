//! Pictures: formats, sizes, colours, and damage.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use gan::data::{ImageShape, picture};
use image::{
    DynamicImage, ExtendedColorType, GrayImage, ImageBuffer, ImageEncoder, ImageFormat, Luma, LumaA, Rgb, RgbImage,
    Rgba, RgbaImage,
};

use super::{GREY, in_memory, open_directory, refused};

const TINY: ImageShape = ImageShape { height: 2, width: 2, channels: 1 };
pub fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn grey(value: u8, width: u32, height: u32) -> Vec<u8> {
    encode(GrayImage::from_pixel(width, height, Luma([value])), ImageFormat::Png)
}

pub fn write(directory: &Path, name: &str, bytes: &[u8]) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
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
    let firsts: Vec<u8> = in_memory(&set.train).pixels.chunks(4).map(|image| image[0]).collect();
    // 40 = 200 * 51 / 255; 76, 150 and 29 are Pillow's greys of pure red, green and blue.
    assert_eq!(firsts, [200, 40, 76, 128, 150, 29]);
    assert_eq!(in_memory(&set.train).pixels[20..], [29, 255, 255, 29]);
    let colour = open_directory(folder.path(), ImageShape { channels: 3, ..TINY }).unwrap();
    let colour = in_memory(&colour.train);
    let firsts: Vec<&[u8]> = colour.pixels.chunks(12).map(|image| &image[..3]).collect();
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
    let pixels = in_memory(&set.train).pixels;
    assert!(pixels.iter().all(|pixel| (80..=120).contains(pixel)), "{pixels:?}");
}

/// Found by fuzzing: formats that may say so, and a decoder that takes it. Resizing panicked.
#[test]
fn pictures_without_pixels_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for file in [&b"P4\n0 7\n"[..], b"P5\n7 0\n255\n", b"P3 0 0 255 "] {
        write(folder.path(), "a.ppm", file);
        assert!(refused(open_directory(folder.path(), GREY)).contains("a.ppm: cannot be decoded: "));
    }
}

/// Found by fuzzing: the decoder took memory for EXIF data as long as they claim to be, before it looked whether they are
/// there.
#[test]
fn a_webp_that_claims_exif_data_beyond_its_end_is_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let webp = encode(RgbImage::new(5, 4), ImageFormat::WebP);
    let features = b"VP8X\x0a\0\0\0\x08\0\0\0\x04\0\0\x03\0\0"; // with EXIF data; 5x4
    let with_exif = |claimed: u32| {
        let body = [&features[..], &webp[12..], b"EXIF", &claimed.to_le_bytes(), &[0; 8]].concat();
        [b"RIFF", &(body.len() as u32 + 4).to_le_bytes()[..], b"WEBP", &body].concat()
    };
    write(folder.path(), "a.webp", &with_exif(8));
    assert_eq!(open_directory(folder.path(), GREY).unwrap().train.len(), 1);
    write(folder.path(), "a.webp", &with_exif(u32::MAX));
    assert!(refused(open_directory(folder.path(), GREY)).contains("a WebP that is cut short"));
}

/// A TIFF file with offsets of 64 bits, of 4x2 pixels.
fn big_tiff(pixels: &[u8; 8]) -> Vec<u8> {
    let [width, length, bits, compression, photometric] = [(256u16, 4u64), (257, 2), (258, 8), (259, 1), (262, 1)];
    let entries = [width, length, bits, compression, photometric, (273, 16), (277, 1), (278, 2), (279, 8)];
    let mut tiff = [&b"II\x2b\0\x08\0\0\0"[..], &24u64.to_le_bytes(), pixels, &9u64.to_le_bytes()].concat();
    for (tag, value) in entries {
        tiff.extend([&tag.to_le_bytes()[..], &[16, 0], &1u64.to_le_bytes(), &value.to_le_bytes()].concat());
    }
    tiff.extend([0; 8]);
    tiff
}

#[test]
fn tiff_files_may_have_offsets_of_64_bits() {
    let folder = tempfile::tempdir().unwrap();
    let tiff = big_tiff(&[1, 2, 3, 4, 5, 6, 7, 8]);
    write(folder.path(), "a.tif", &tiff);
    let shape = ImageShape { height: 2, width: 4, channels: 1 };
    assert_eq!(in_memory(&open_directory(folder.path(), shape).unwrap().train).pixels, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(picture::format_name(&tiff), "tiff");
    // A million million values in one entry of the directory.
    let mut claiming = tiff.clone();
    claiming[32 + 4..][..8].copy_from_slice(&(1u64 << 40).to_le_bytes());
    write(folder.path(), "a.tif", &claiming);
    assert!(refused(open_directory(folder.path(), shape)).contains("claims more than its"));
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
    assert!(outcome(b"").contains("an empty file"));
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
fn every_format_is_decoded_and_the_rest_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let colour = RgbImage::from_fn(24, 16, |x, y| Rgb([(x * 10) as u8, (y * 15) as u8, 90]));
    let formats = [
        ("a.png", ImageFormat::Png),
        ("b.webp", ImageFormat::WebP),
        ("c.TIF", ImageFormat::Tiff),
        ("d.tiff", ImageFormat::Tiff),
        ("e.bmp", ImageFormat::Bmp),
        ("f.gif", ImageFormat::Gif),
        ("g.ppm", ImageFormat::Pnm),
        ("h.jfif", ImageFormat::Jpeg),
        ("i.JPE", ImageFormat::Jpeg),
    ];
    for (name, format) in formats {
        write(folder.path(), name, &encode(colour.clone(), format));
    }
    for name in ["x.txt", "y.txt", "z.json", "README", "w.heic"] {
        write(folder.path(), name, b"no picture");
    }
    let shape = ImageShape { height: 16, width: 24, channels: 3 };
    let set = open_directory(folder.path(), shape).unwrap();
    assert_eq!(set.train.len(), 9);
    for (image, (name, format)) in in_memory(&set.train).pixels.chunks(shape.stride()).zip(formats) {
        // GIF has 256 colours, JPEG waves.
        let off = if matches!(format, ImageFormat::Gif | ImageFormat::Jpeg) { 60 } else { 0 };
        let most = image.iter().zip(colour.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(most <= off, "{name}: {most}");
    }
    let notes = set.notes.join("\n");
    assert!(notes.contains("5 files passed over (.txt, ") && notes.contains("without an extension"), "{notes}");
    assert!(notes.contains(".heic") && notes.contains(".json"), "{notes}");
}

/// Every way to cut a file short: refused, but for what follows the pixels.
#[test]
fn a_picture_that_is_cut_short_is_refused() {
    let colour = RgbImage::from_fn(24, 16, |x, y| Rgb([(x * 10) as u8, (y * 15) as u8, (x * y) as u8]));
    for format in [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::WebP,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
        ImageFormat::Gif,
        ImageFormat::Pnm,
    ] {
        let whole = encode(colour.clone(), format);
        let pixels = picture::decode(&whole).unwrap().to_rgb8();
        let mut taken = Vec::new();
        for length in 0..whole.len() {
            if let Ok(image) = picture::decode(&whole[..length]) {
                taken.push(length);
                assert_eq!(image.to_rgb8(), pixels, "{format:?}: {length} of {} bytes", whole.len());
            }
        }
        // The end markers of a PNG and a GIF.
        assert!(taken.iter().all(|length| length + 16 >= whole.len()), "{format:?}: {taken:?} of {}", whole.len());
    }
}

#[test]
fn the_first_picture_of_an_animation_or_of_pages() {
    use image::codecs::gif::GifEncoder;
    use image::{Delay, Frame};
    let folder = tempfile::tempdir().unwrap();
    let mut gif = Vec::new();
    let mut encoder = GifEncoder::new(&mut gif);
    for value in [200, 100] {
        let frame = RgbaImage::from_pixel(2, 2, Rgba([value, value, value, 255]));
        encoder.encode_frame(Frame::from_parts(frame, 0, 0, Delay::from_numer_denom_ms(100, 1))).unwrap();
    }
    drop(encoder);
    write(folder.path(), "1.gif", &gif);
    let mut apng = Vec::new();
    let mut encoder = png::Encoder::new(&mut apng, 2, 2);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[50; 4]).unwrap();
    writer.write_image_data(&[60; 4]).unwrap();
    writer.finish().unwrap();
    write(folder.path(), "2.png", &apng);
    let set = open_directory(folder.path(), TINY).unwrap();
    assert_eq!(in_memory(&set.train).pixels, [[200; 4], [50; 4]].concat());
}

/// EXIF data that say "turned by a quarter", as phones write them, in the formats that carry them.
#[test]
fn pictures_are_turned_upright() {
    let folder = tempfile::tempdir().unwrap();
    let exif = |kind: u16| {
        let mut bytes = b"II*\0\x08\0\0\0\x01\0".to_vec();
        bytes.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0]); // Orientation, a short, one of them
        bytes.extend(kind.to_le_bytes());
        bytes.extend([0; 6]);
        bytes
    };
    let lying = GrayImage::from_fn(16, 8, |x, _| Luma([if x < 8 { 250 } else { 5 }]));
    let save = |encoder: &mut dyn FnMut(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        encoder(&mut bytes);
        bytes
    };
    let rgb = DynamicImage::from(lying.clone()).to_rgb8();
    let webp = save(&mut |bytes| {
        let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(bytes);
        encoder.set_exif_metadata(exif(6)).unwrap();
        encoder.write_image(&rgb, 16, 8, ExtendedColorType::Rgb8).unwrap();
    });
    let jpeg = save(&mut |bytes| {
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(bytes, 95);
        encoder.set_exif_metadata(exif(6)).unwrap();
        encoder.write_image(&lying, 16, 8, ExtendedColorType::L8).unwrap();
    });
    let mut tiff = encode(lying.clone(), ImageFormat::Tiff);
    let count = usize::from(u16::from_le_bytes([tiff[tiff_entries(&tiff)], tiff[tiff_entries(&tiff) + 1]]));
    // Any tag between its neighbours in number would do; the encoder writes none, so the directory is copied to the end.
    let begin = tiff_entries(&tiff);
    let mut entries: Vec<Vec<u8>> = tiff[begin + 2..][..12 * count].chunks(12).map(<[u8]>::to_vec).collect();
    entries.push([&[0x12, 0x01, 3, 0, 1, 0, 0, 0][..], &6u16.to_le_bytes(), &[0, 0]].concat());
    entries.sort_by_key(|entry| u16::from_le_bytes([entry[0], entry[1]]));
    let place = (tiff.len() as u32).to_le_bytes();
    tiff[4..8].copy_from_slice(&place);
    tiff.extend((entries.len() as u16).to_le_bytes());
    tiff.extend(entries.concat());
    tiff.extend([0; 4]);
    for (name, bytes) in [("1.webp", webp), ("2.jpg", jpeg), ("3.tif", tiff)] {
        write(folder.path(), name, &bytes);
    }
    let shape = ImageShape { height: 16, width: 8, channels: 1 };
    let set = open_directory(folder.path(), shape).unwrap();
    for image in in_memory(&set.train).pixels.chunks(128) {
        assert!(
            image[..48].iter().all(|pixel| *pixel > 240) && image[80..].iter().all(|pixel| *pixel < 15),
            "{image:?}"
        );
    }
}

/// Where the directory of a little-endian TIFF begins.
fn tiff_entries(tiff: &[u8]) -> usize {
    u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize
}

/// One block of 8x8 of each of the four inks, whose values are those of a flat patch; Adobe stores them inverted.
#[test]
fn jpegs_in_four_inks_are_in_the_right_colours() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "ink.jpg", &cmyk_jpeg([255, 0, 0, 255])); // no cyan, all magenta, all yellow, no black: red
    let shape = ImageShape { height: 8, width: 8, channels: 3 };
    let set = open_directory(folder.path(), shape).unwrap();
    let pixel = &in_memory(&set.train).pixels[..3];
    assert!(pixel[0] > 240 && pixel[1] < 15 && pixel[2] < 15, "{pixel:?}");
}

/// A baseline JPEG of 8x8 pixels of one value of cyan, magenta, yellow and black, with Adobe's marker.
fn cmyk_jpeg(inks: [u8; 4]) -> Vec<u8> {
    let segment =
        |marker: u8, data: &[u8]| [&[0xff, marker][..], &(data.len() as u16 + 2).to_be_bytes(), data].concat();
    let mut bytes = vec![0xff, 0xd8];
    bytes.extend(segment(0xee, b"Adobe\0\x64\0\0\0\0\0"));
    bytes.extend(segment(0xdb, &[&[0][..], &[1; 64]].concat())); // quantised by 1
    let components: Vec<u8> = (1..=4).flat_map(|id| [id, 0x11, 0]).collect();
    bytes.extend(segment(0xc0, &[&[8, 0, 8, 0, 8, 4][..], &components].concat()));
    // DC: one code of one bit, category 11 (0), and one of two, category 0 (10). AC: one code of one bit, end of block.
    let table = |kind: u8, lengths: [u8; 2], values: &[u8]| [&[kind][..], &lengths, &[0; 14], values].concat();
    bytes.extend(segment(0xc4, &table(0x00, [1, 1], &[11, 0])));
    bytes.extend(segment(0xc4, &table(0x10, [1, 0], &[0])));
    let components: Vec<u8> = (1..=4).flat_map(|id| [id, 0]).collect();
    bytes.extend(segment(0xda, &[&[4][..], &components, &[0, 63, 0]].concat()));
    let mut bits = String::new();
    for ink in inks {
        // Eight times the mean is the DC coefficient; category 11 holds 1024 to 2047, or its complement for -1024 down.
        let coefficient = if ink > 127 { 8 * 127 + 8 } else { -1024 };
        let code: i32 = if coefficient > 0 { coefficient } else { coefficient + 2047 };
        bits += &format!("0{code:011b}0");
    }
    bits += &"1".repeat((8 - bits.len() % 8) % 8);
    for byte in bits.as_bytes().chunks(8) {
        let byte = u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap();
        bytes.push(byte);
        if byte == 0xff {
            bytes.push(0);
        }
    }
    bytes.extend([0xff, 0xd9]);
    bytes
}

#[test]
fn what_becomes_of_pictures_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let colour = |width, height| {
        encode(RgbImage::from_fn(width, height, |x, y| Rgb([x as u8 * 3, y as u8, 9])), ImageFormat::Png)
    };
    write(folder.path(), "1.png", &colour(64, 64));
    write(folder.path(), "2.png", &colour(64, 64));
    let notes = |folder: &Path, shape| open_directory(folder, shape).unwrap().notes.join("\n");
    assert!(notes(folder.path(), GREY).contains("pictures of 64x64 in colour become 28x28 in grey"));
    write(folder.path(), "3.png", &colour(30, 40));
    write(folder.path(), "4.png", &encode(GrayImage::from_fn(90, 90, |x, _| Luma([x as u8])), ImageFormat::Png));
    let text = notes(folder.path(), GREY);
    assert!(
        text.contains("pictures of 30x40 to 90x90 (most often 64x64) in colour and in grey become 28x28"),
        "{text}"
    );
    // Stored in colour without having any, and of the right size: nothing to say.
    let plain = tempfile::tempdir().unwrap();
    write(plain.path(), "1.png", &encode(RgbImage::from_fn(28, 28, |x, _| Rgb([x as u8; 3])), ImageFormat::Png));
    assert!(!notes(plain.path(), GREY).contains("become"));
}

#[test]
fn pictures_that_show_nothing_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let ink = |seed: u32| {
        RgbaImage::from_fn(28, 28, |x, y| Rgba([0, 0, 0, if (x * seed + y).is_multiple_of(3) { 255 } else { 0 }]))
    };
    for seed in 1..5 {
        write(folder.path(), &format!("{seed}.png"), &encode(ink(seed), ImageFormat::Png));
    }
    let warnings = |folder: &Path| open_directory(folder, GREY).unwrap().warnings.join("\n");
    let text = warnings(folder.path());
    assert!(text.contains("all 4 training images show nothing") && text.contains("on white first"), "{text}");
    write(folder.path(), "5.png", &encode(GrayImage::from_fn(28, 28, |x, _| Luma([x as u8])), ImageFormat::Png));
    assert!(warnings(folder.path()).contains("4 of 5 training images"));
    for name in ["6.png", "7.png", "8.png"] {
        fs::copy(folder.path().join("5.png"), folder.path().join(name)).unwrap();
    }
    assert_eq!(warnings(folder.path()), "");
}
