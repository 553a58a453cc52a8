use gan::image_shape::ImageShape;
use gan::report::*;

const BLUE: [u8; 3] = [0, 114, 178];
const VERMILION: [u8; 3] = [213, 94, 0];
const WHITE: [u8; 3] = [255; 3];

fn pixel(picture: &Picture, x: usize, y: usize) -> [u8; 3] {
    let start = 3 * (y * picture.width as usize + x);
    picture.pixels[start..start + 3].try_into().unwrap()
}

/// How often a colour occurs in the part of a picture from (left, top) up to (right, bottom).
fn count_in(picture: &Picture, [left, top, right, bottom]: [usize; 4], colour: [u8; 3]) -> usize {
    let inside = (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y)));
    inside.filter(|&(x, y)| pixel(picture, x, y) == colour).count()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class {class}")).collect()
}

fn record(step: u64, knn_top1: Option<f64>) -> SimclrRecord {
    let fall = 1.0 / (1.0 + step as f32 / 100.0);
    SimclrRecord {
        step,
        epoch: 0,
        seconds: 1.0,
        images_per_second: 200.0,
        loss: 3.0 + 2.0 * fall,
        lr: 1e-3,
        alignment: 0.4 + fall,
        uniformity: -3.0 + fall,
        knn_top1,
        evaluation: None,
        communication: None,
    }
}

#[test]
fn simclr_curves_have_a_panel_of_knn_where_it_was_measured() {
    let records = |knn: Option<f64>| (0..20).map(|index| record(index * 50, knn)).collect::<Vec<_>>();
    let measured = simclr_curves(&records(Some(0.5)), "resnet9").unwrap();
    let plain = simclr_curves(&records(None), "resnet9").unwrap();
    assert_eq!((measured.width, measured.height, plain.height), (1000, 900, 650));
    for (picture, last_panel) in [(&measured, 650), (&plain, 400)] {
        let height = picture.height as usize;
        assert!(count_in(picture, [0, 0, 1000, 400], BLUE) > 1000, "the loss");
        assert_eq!(count_in(picture, [0, 0, 1000, last_panel], VERMILION), 0);
        assert!(count_in(picture, [0, last_panel, 1000, height], VERMILION) > 1000, "the uniformity");
    }
    // A constant accuracy is a level line in the middle of its frame.
    let accuracy_panel = [86, 400, 926, 650];
    let rows: Vec<usize> = (400..650).filter(|&y| pixel(&measured, 500, y) == BLUE).collect();
    assert!(rows.len() <= 3 && rows.iter().all(|row| row.abs_diff((432 + 604) / 2) <= 2), "{rows:?}");
    assert!(count_in(&measured, accuracy_panel, BLUE) > 1000);
}

#[test]
fn simclr_curves_share_their_steps_and_show_every_accuracy() {
    // Measured only at step 0 and 500 of 950: the curve ends where the other panels have 500.
    let records: Vec<SimclrRecord> = (0..20)
        .map(|index| {
            let step = index * 50;
            record(step, [0, 500].contains(&step).then_some(if step == 0 { 0.1 } else { 0.6 }))
        })
        .collect();
    let picture = simclr_curves(&records, "resnet9").unwrap();
    let columns: Vec<usize> = (86..926).filter(|&x| (432..604).any(|y| pixel(&picture, x, y) == BLUE)).collect();
    let expected = 86 + (926 - 86) * 500 / 950;
    assert!(
        columns[columns.len() - 1].abs_diff(expected) <= 4,
        "ends at {}, not {expected}",
        columns[columns.len() - 1]
    );
    assert!(columns[0] <= 90, "and starts at the first step");
}

#[test]
fn simclr_curves_bear_no_records_and_no_numbers() {
    simclr_curves(&[], "").unwrap();
    let lost =
        SimclrRecord { loss: f32::NAN, alignment: f32::NAN, uniformity: f32::INFINITY, ..record(3, Some(f64::NAN)) };
    simclr_curves(&[lost], "lost").unwrap();
}

fn confusion(classes: &[String], counts: &[u64]) -> anyhow::Result<Picture> {
    ConfusionMatrix { title: "linear probe".into(), classes, counts }.draw()
}

/// Where the cells of a matrix begin: the first column in which its frame is drawn.
fn left_of_matrix(picture: &Picture) -> usize {
    (0..picture.width as usize).find(|&x| count_in(picture, [x, 84, x + 1, 200], [150; 3]) > 100).unwrap()
}

#[test]
fn a_confusion_matrix_has_truth_in_rows_and_is_darker_where_more_are() {
    // All of class 0 are taken for class 1; of class 1 half are right.
    let picture = confusion(&names(2), &[0, 10, 50, 50]).unwrap();
    let left = left_of_matrix(&picture);
    let cell = |row: usize, column: usize| pixel(&picture, left + column * 110 + 12, 84 + row * 110 + 12);
    assert_eq!(cell(0, 0), WHITE);
    assert_eq!(cell(0, 1), [8, 40, 95], "the whole row");
    assert_eq!(cell(1, 0), cell(1, 1));
    let light = |[red, green, blue]: [u8; 3]| u32::from(red) + u32::from(green) + u32::from(blue);
    assert!(light(cell(0, 1)) + 100 < light(cell(1, 1)) && light(cell(1, 1)) + 100 < light(WHITE));
    assert_eq!(
        count_in(&picture, [left + 2, 86, left + 108, 192], WHITE),
        106 * 106,
        "nothing stands in an empty cell"
    );
    assert!(count_in(&picture, [left + 112, 86, left + 218, 192], WHITE) > 50, "white figures on dark");
}

#[test]
fn a_confusion_matrix_of_any_size_keeps_its_cells_apart() {
    for count in [1, 2, 3, 10, 30, 100, 256] {
        let counts: Vec<u64> = (0..count * count).map(|place| u64::from(place % (count + 1) == 0) * 7).collect();
        let picture = confusion(&names(count), &counts).unwrap();
        let (left, cell) = (left_of_matrix(&picture), (660 / count).clamp(9, 110));
        assert!(left + count * cell < picture.width as usize && picture.height < 3000);
        let last = 84 + (count - 1) * cell;
        assert_eq!(pixel(&picture, left + (count - 1) * cell + 2, last + 2), [8, 40, 95], "{count} classes");
        if count > 1 {
            assert_eq!(pixel(&picture, left + 3, last + 3), WHITE, "{count} classes");
        }
    }
}

#[test]
fn a_confusion_matrix_bears_what_it_is_given() {
    let long = vec!["an exceedingly long name of a class that nobody can read".repeat(3), String::new()];
    let picture = confusion(&long, &[1, 2, 3, 4]).unwrap();
    assert!(picture.width < 800 && picture.height < 800, "{}x{}", picture.width, picture.height);
    confusion(&names(3), &[0; 9]).unwrap();
    confusion(&names(2), &[u64::MAX / 8; 4]).unwrap();
    assert!(confusion(&[], &[]).is_err() && confusion(&names(2), &[0; 3]).is_err());
}

fn map(points: &[[f64; 2]], labels: &[u32], classes: &[String]) -> anyhow::Result<Picture> {
    EmbeddingMap { title: "features".into(), caption: "principal components".into(), points, labels, classes }.draw()
}

/// Pixels whose most intense channel stands out in this way: rows of red, green, blue compared.
fn extent(picture: &Picture, is: impl Fn([u8; 3]) -> bool) -> [usize; 4] {
    let found: Vec<(usize, usize)> =
        (82..778).flat_map(|y| (28..724).map(move |x| (x, y))).filter(|&(x, y)| is(pixel(picture, x, y))).collect();
    let (xs, ys) = (found.iter().map(|place| place.0), found.iter().map(|place| place.1));
    [xs.clone().min().unwrap(), ys.clone().min().unwrap(), xs.max().unwrap(), ys.max().unwrap()]
}

#[test]
fn a_map_has_one_scale_for_both_directions_and_y_upwards() {
    // A rectangle of 4 by 1; its upper right corner alone is of class 3, which is red.
    let picture = map(&[[0.0, 0.0], [4.0, 0.0], [0.0, 1.0], [4.0, 1.0]], &[0, 0, 0, 3], &names(4)).unwrap();
    let [left, top, right, bottom] = extent(&picture, |colour| colour != WHITE);
    let (wide, high) = ((right - left) as f64 - 9.0, (bottom - top) as f64 - 9.0);
    assert!((wide / high - 4.0).abs() < 0.1, "{wide} by {high}");
    let red = extent(&picture, |[red, _, blue]| red > blue.saturating_add(60));
    assert!(red[0] + 12 > right && red[3] < top + 12, "{red:?} in {:?}", [left, top, right, bottom]);
}

#[test]
fn a_map_has_a_legend_of_its_classes() {
    let legend = |classes: usize| {
        let picture = map(&[[0.0, 0.0]], &[0], &names(classes)).unwrap();
        (0..classes.min(28)).map(|line| pixel(&picture, 756, 92 + 24 * line)).collect::<Vec<_>>()
    };
    assert_eq!(legend(3), [[31, 119, 180], [255, 127, 14], [44, 160, 44]]);
    let mut many = legend(28);
    many.sort_unstable();
    many.dedup();
    assert_eq!(many.len(), 28, "no colour twice");
    legend(200);
}

#[test]
fn a_map_bears_any_points() {
    let points: [&[[f64; 2]]; 5] = [
        &[],
        &[[1.0, 1.0]],
        &[[2.0, 2.0]; 3],
        &[[f64::NAN, 0.0], [0.0, f64::INFINITY]],
        &[[-1e300, 0.0], [1e300, 1.0]],
    ];
    for points in points {
        map(points, &vec![0; points.len()], &names(1)).unwrap();
    }
    map(&[[0.0, 0.0]], &[255], &["a name far too long for any legend to show".repeat(2)]).unwrap();
    assert!(map(&[[0.0, 0.0]], &[], &names(1)).is_err());
}

#[test]
fn a_map_does_not_depend_on_which_class_comes_last() {
    // Two classes on the same spots: neither covers the other everywhere.
    let points: Vec<[f64; 2]> = (0..400).map(|index| [(index % 200) as f64, 0.0]).collect();
    let labels: Vec<u32> = (0..400).map(|index| index / 200).collect();
    let picture = map(&points, &labels, &names(2)).unwrap();
    let orange = (30..720)
        .filter(|&x| {
            let [red, _, blue] = pixel(&picture, x, 430);
            red > blue
        })
        .count();
    assert!((150..540).contains(&orange), "{orange} of 690 pixels");
}

#[test]
fn a_sheet_of_views_shows_the_bytes_it_is_given() {
    // 18 images of 4x6: a full block of 16 and one of 2. Channels of their own, so that a swap would show.
    let image = |shade: u8| [shade, 100, 200].repeat(24);
    let views = |offset: u8| (0..18).flat_map(|index| image(offset + index)).collect::<Vec<u8>>();
    let picture = views_sheet(&views(0), &views(50), &views(150), ImageShape::new(4, 6, 3)).unwrap();
    let (block, gap) = (3 * 8 + 2 * 2, 20);
    assert_eq!((picture.width, picture.height), (64 + 16 * 12 + 15 * 2 + 14, 14 + block + gap + block + 14));
    let at = |index: usize, row: usize| {
        let top = 14 + (index / 16) * (block as usize + gap as usize) + row * 10;
        pixel(&picture, 64 + (index % 16) * 14 + 5, top + 3)
    };
    for index in [0, 1, 15, 16, 17] {
        let found = [0, 1, 2].map(|row| at(index, row));
        let shade = index as u8;
        assert_eq!(found, [[shade, 100, 200], [50 + shade, 100, 200], [150 + shade, 100, 200]], "image {index}");
    }
    assert_eq!(pixel(&picture, 64 + 2 * 14 + 5, 14 + block as usize + gap as usize + 3), WHITE, "no empty cells");
    assert!(count_in(&picture, [0, 14, 60, 42], WHITE) < 60 * 28, "names of the rows");
}

#[test]
fn a_sheet_of_views_needs_two_of_each() {
    let bytes = vec![0; 3 * 4 * 2];
    assert!(views_sheet(&bytes, &bytes, &bytes[..12], ImageShape::new(2, 2, 3)).is_err());
    assert!(views_sheet(&bytes[..13], &bytes[..13], &bytes[..13], ImageShape::new(2, 2, 3)).is_err());
    assert!(views_sheet(&[], &[], &[], ImageShape::new(2, 2, 3)).is_err());
}
