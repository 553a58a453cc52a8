//! Grids, films and charts.

use super::*;

#[test]
fn a_grid_maps_values_and_never_stretches_them() {
    let shades = |images: &[f32]| grid(Some(1), 1, 0).draw(images, 1, ImageShape::new(1, images.len(), 1)).pixels;
    assert_eq!(shades(&[-1.0, 0.0, 1.0, -7.0, 7.0, f32::INFINITY]), [0, 128, 255, 0, 255, 255]);
    assert_eq!(shades(&[0.1, 0.11]), [140, 142], "a nearly flat image stays nearly flat");
    assert_eq!(shades(&[f32::NAN; 4]), [0, 255, 0, 255], "NaN is a checkerboard");
}

#[test]
fn a_grid_lays_images_row_by_row() {
    // Five images of 2x3, each of one shade.
    let images: Vec<f32> = (0..5).flat_map(|index| [index as f32 / 2.0 - 1.0; 6]).collect();
    let picture = grid(Some(3), 2, 1).draw(&images, 5, ImageShape::new(2, 3, 1));
    assert_eq!((picture.width, picture.height, picture.channels), (3 * 6 + 2, 2 * 4 + 1, 1));
    let at = |x: usize, y: usize| picture.pixels[y * 20 + x];
    assert_eq!([at(0, 0), at(7, 0), at(14, 0), at(0, 5), at(7, 8)], [0, 64, 128, 191, 255]);
    assert_eq!(at(5, 3), 0, "the last pixel of the first image");
    let empty = at(14, 5);
    assert!([at(6, 0), at(13, 8), at(0, 4), at(19, 8)].iter().all(|&gap| gap == empty), "gap and empty cells");
}

#[test]
fn a_grid_is_near_square_unless_told() {
    let shape = |columns, count| grid(columns, 1, 0).shape(count);
    assert_eq!(
        [1, 2, 5, 16, 17, 64, 100].map(|n| shape(None, n)),
        [(1, 1), (1, 2), (2, 3), (4, 4), (4, 5), (8, 8), (10, 10)]
    );
    assert_eq!(shape(Some(10), 25), (3, 10));
    assert_eq!(shape(Some(10), 3), (1, 3), "no empty columns");
    assert_eq!(shape(Some(0), 3), (3, 1));
    let one = Grid::SINGLE.draw(&[0.0; 4], 1, ImageShape::new(2, 2, 1));
    assert_eq!((one.width, one.height, one.pixels), (2, 2, vec![128; 4]));
}

#[test]
fn grids_are_of_any_shape_and_of_one_channel_or_three() {
    for channels in [1, 3] {
        let shape = ImageShape::new(20, 12, channels);
        // The value of a pixel says where it is and in which image.
        let values: Vec<f32> = (0..2 * shape.stride()).map(|at| (at % 251) as f32 / 127.5 - 1.0).collect();
        let picture = grid(Some(2), 2, 1).draw(&values, 2, shape);
        assert_eq!((picture.width, picture.height, picture.channels), (2 * 24 + 1, 40, channels));
        for (image, y, x, channel) in [(0, 0, 0, 0), (0, 19, 11, channels - 1), (1, 7, 3, 0), (1, 19, 0, channels - 1)]
        {
            let at = ((image * 20 + y) * 12 + x) * channels + channel;
            let (row, column) = (2 * y + 1, image * 25 + 2 * x + 1);
            assert_eq!(usize::from(picture.pixels[(row * 49 + column) * channels + channel]), at % 251);
        }
        let mut film = Vec::new();
        encode_gif([picture.clone(), picture.clone()], 8, &mut film).unwrap();
        assert!(film.starts_with(b"GIF89a"));
        let mut png = Vec::new();
        encode_png(&picture, &mut png).unwrap();
        assert!(png.starts_with(b"\x89PNG"));
    }
}

#[test]
fn a_grid_keeps_colours_together() {
    let picture = grid(None, 2, 0).draw(&[-1.0, 0.0, 1.0], 1, ImageShape::new(1, 1, 3));
    assert_eq!(picture.pixels, [0, 128, 255].repeat(4));
}

#[test]
fn a_png_reads_back_and_is_the_same_bytes_each_time() {
    let directory = tempfile::tempdir().unwrap();
    for channels in [1, 3] {
        let path = directory.path().join("picture.png");
        let mut bytes = [Vec::new(), Vec::new()];
        for copy in &mut bytes {
            encode_png(&picture(13, 7, channels), copy).unwrap();
        }
        assert_eq!(bytes[0], bytes[1]);
        fs::write(&path, &bytes[0]).unwrap();
        assert_eq!(read_png(&path).unwrap(), picture(13, 7, channels));
    }
}

#[test]
fn a_png_that_is_none_is_bad_input() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("no.png");
    assert_eq!(exit_code(&read_png(&path).unwrap_err()), 3);
    let mut bytes = Vec::new();
    encode_png(&picture(40, 40, 1), &mut bytes).unwrap();
    for damaged in [b"plain text".to_vec(), vec![], bytes[..bytes.len() / 2].to_vec()] {
        fs::write(&path, damaged).unwrap();
        let error = read_png(&path).unwrap_err();
        assert_eq!(exit_code(&error), 3);
        assert!(error.to_string().contains("no.png: "), "{error}");
    }
}

/// What a GIF holds: the loop, and each frame's delay and pixels as red, green, blue.
fn decode_gif(bytes: &[u8]) -> (gif::Repeat, Vec<(u16, Vec<u8>)>) {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(bytes).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        let rgb = frame.buffer.chunks(4).flat_map(|pixel| pixel[..3].to_vec()).collect();
        frames.push((frame.delay, rgb));
    }
    (decoder.repeat(), frames)
}

#[test]
fn a_gif_loops_and_shows_each_frame() {
    for channels in [1, 3] {
        let frames: Vec<Picture> = (0..5).map(|shade| Picture::filled(9, 6, channels, shade * 60)).collect();
        let mut bytes = Vec::new();
        encode_gif(frames.clone(), 8, &mut bytes).unwrap();
        let (repeat, shown) = decode_gif(&bytes);
        assert_eq!(repeat, gif::Repeat::Infinite);
        assert_eq!(shown.len(), 5);
        for (frame, (delay, pixels)) in frames.iter().zip(&shown) {
            assert_eq!(*delay, 8);
            assert_eq!(pixels.len(), 9 * 6 * 3);
            assert!(pixels.iter().all(|pixel| pixel.abs_diff(frame.pixels[0]) <= 2));
        }
        let mut again = Vec::new();
        encode_gif(frames, 8, &mut again).unwrap();
        assert_eq!(bytes, again);
    }
}

#[test]
fn a_gif_of_many_colours_is_the_same_bytes_each_time() {
    let encoded = || {
        let mut bytes = Vec::new();
        encode_gif([picture(40, 40, 3)], 8, &mut bytes).unwrap();
        bytes
    };
    assert_eq!(encoded(), encoded());
}

#[test]
fn a_gif_refuses_what_it_cannot_hold() {
    let wide = Picture::filled(70_000, 1, 1, 0);
    assert_eq!(encode_gif([wide], 8, &mut Vec::new()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let sizes = [Picture::filled(4, 4, 1, 0), Picture::filled(5, 4, 1, 0)];
    assert_eq!(encode_gif(sizes, 8, &mut Vec::new()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(
        encode_gif([Picture::filled(4, 4, 1, 0)], 8, &mut Broken).unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
}

#[test]
fn a_film_is_thinned_and_holds_its_last_frame() {
    let directory = tempfile::tempdir().unwrap();
    let grids: Vec<_> = (0..251)
        .map(|step: usize| {
            let path = directory.path().join(format!("step-{step:08}.png"));
            encode_png(&Picture::filled(4, 4, 1, step as u8), &mut fs::File::create(&path).unwrap()).unwrap();
            path
        })
        .collect();
    let mut bytes = Vec::new();
    film(&grids, &mut bytes).unwrap();
    let (repeat, frames) = decode_gif(&bytes);
    assert_eq!(repeat, gif::Repeat::Infinite);
    assert_eq!(frames.len(), 120);
    assert!(frames[0].1[0] <= 2 && frames[119].1[0] >= 248, "the first and the last grid are there");
    assert!(frames.is_sorted_by_key(|frame| frame.1[0]));
    assert!(frames[119].0 >= 10 * frames[0].0);

    let mut short = Vec::new();
    film(&grids[..3], &mut short).unwrap();
    let delays: Vec<u16> = decode_gif(&short).1.iter().map(|frame| frame.0).collect();
    assert_eq!(delays, [50, 50, 250]);
}

#[test]
fn a_film_names_the_grid_that_does_not_fit() {
    let directory = tempfile::tempdir().unwrap();
    let paths = [4, 5].map(|side| {
        let path = directory.path().join(format!("{side}.png"));
        encode_png(&Picture::filled(side, side, 1, 0), &mut fs::File::create(&path).unwrap()).unwrap();
        path
    });
    let error = film(&paths, &mut Vec::new()).unwrap_err();
    assert_eq!(exit_code(&error), 3);
    assert!(error.to_string().contains("5.png: a grid of 5x5"), "{error}");
    assert!(film(&[], &mut Vec::new()).is_err());
}

fn count(picture: &Picture, colour: [u8; 3]) -> usize {
    picture.pixels.chunks(3).filter(|pixel| **pixel == colour).count()
}

#[test]
fn a_chart_shows_both_curves_and_is_the_same_bytes_each_time() {
    let falling: Vec<(f64, f64)> = (0..300).map(|step| (step as f64, 1.4 - step as f64 / 1000.0)).collect();
    let rising: Vec<(f64, f64)> = (0..300).map(|step| (step as f64, 0.7 + step as f64 / 1000.0)).collect();
    let picture = chart([&falling, &rising]).draw().unwrap();
    assert_eq!((picture.width, picture.height, picture.channels), (1000, 600, 3));
    assert!(count(&picture, BLUE) > 1000 && count(&picture, VERMILION) > 1000);
    assert!(count(&picture, [255; 3]) > 400_000, "the ground is white");
    assert_eq!(picture, chart([&falling, &rising]).draw().unwrap());
}

#[test]
fn a_chart_bears_any_values() {
    let points: [&[(f64, f64)]; 7] = [
        &[],
        &[(0.0, 1.0)],
        &[(0.0, f64::NAN), (1.0, f64::INFINITY)],
        &[(0.0, 0.0), (1.0, 0.0)],
        &[(5.0, 1.0), (5.0, 2.0)],
        &[(0.0, -1e300), (1.0, 1e300)],
        &[(0.0, 1e-300), (1e12, 2e-300)],
    ];
    for points in points {
        chart([points, points]).draw().unwrap();
    }
    let spiked: Vec<(f64, f64)> =
        (0..100_000).map(|x| (x as f64, if x == 777 { 1e30 } else { 1.0 + (x % 7) as f64 })).collect();
    let picture = chart([&spiked, &[]]).draw().unwrap();
    assert!(count(&picture, BLUE) > 1000);
}
