use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use gan::error::{Failure, exit_code};
use gan::report::*;

fn grid(columns: Option<usize>, scale: usize, gap: usize) -> Grid {
    Grid { columns, scale, gap }
}

#[test]
fn a_grid_maps_values_and_never_stretches_them() {
    let shades = |images: &[f32]| grid(Some(1), 1, 0).draw(images, 1, 1, images.len(), 1).pixels;
    assert_eq!(shades(&[-1.0, 0.0, 1.0, -7.0, 7.0, f32::INFINITY]), [0, 128, 255, 0, 255, 255]);
    assert_eq!(shades(&[0.1, 0.11]), [140, 142], "a nearly flat image stays nearly flat");
    assert_eq!(shades(&[f32::NAN; 4]), [0, 255, 0, 255], "NaN is a checkerboard");
}

#[test]
fn a_grid_lays_images_row_by_row() {
    // Five images of 2x3, each of one shade.
    let images: Vec<f32> = (0..5).flat_map(|index| [index as f32 / 2.0 - 1.0; 6]).collect();
    let picture = grid(Some(3), 2, 1).draw(&images, 5, 2, 3, 1);
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
    let one = Grid::SINGLE.draw(&[0.0; 4], 1, 2, 2, 1);
    assert_eq!((one.width, one.height, one.pixels), (2, 2, vec![128; 4]));
}

#[test]
fn a_grid_keeps_colours_together() {
    let picture = grid(None, 2, 0).draw(&[-1.0, 0.0, 1.0], 1, 1, 1, 3);
    assert_eq!(picture.pixels, [0, 128, 255].repeat(4));
}

/// A picture without symmetry.
fn picture(width: u32, height: u32, channels: usize) -> Picture {
    let pixels = (0..width as usize * height as usize * channels).map(|i| (i * 37 % 256) as u8).collect();
    Picture { width, height, channels, pixels }
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

fn chart(curves: [&[(f64, f64)]; 2]) -> Chart {
    let [discriminator, generator] = curves;
    Chart {
        title: "Losses of dcgan".into(),
        x_label: "step".into(),
        y_label: "loss".into(),
        curves: vec![
            Curve { name: "discriminator".into(), points: discriminator.to_vec() },
            Curve { name: "generator".into(), points: generator.to_vec() },
        ],
    }
}

fn count(picture: &Picture, colour: [u8; 3]) -> usize {
    picture.pixels.chunks(3).filter(|pixel| **pixel == colour).count()
}

const BLUE: [u8; 3] = [0, 114, 178];
const VERMILION: [u8; 3] = [213, 94, 0];

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

fn record(step: u64) -> GanRecord {
    GanRecord {
        step,
        epoch: 1,
        seconds: 1.25,
        images_per_second: 7214.5,
        d_loss: 1.386_294_4,
        g_loss: std::f32::consts::LN_2,
        real_score: 0.5,
        fake_score: 0.5,
        scores: None,
    }
}

#[test]
fn a_log_line_is_as_the_contract_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.jsonl");
    let mut log = RunLog::open(&path, |_| true).unwrap();
    let rough = GanRecord { seconds: 1.250_012_345, images_per_second: 7_214.499_9, ..record(250) };
    let line = log.append(&rough).unwrap();
    assert_eq!(
        line,
        r#"{"step":250,"epoch":1,"seconds":1.25,"images_per_second":7214.5,"d_loss":1.3862944,"g_loss":0.6931472,"real_score":0.5,"fake_score":0.5}"#
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{line}\n"), "on the disk at once");
    assert_eq!(RunLog::<GanRecord>::records(&path).unwrap(), [record(250)]);
}

#[test]
fn a_simclr_line_has_its_knn_only_where_it_was_measured() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.jsonl");
    let mut log = RunLog::open(&path, |_| true).unwrap();
    let record = SimclrRecord {
        step: 50,
        epoch: 2,
        seconds: 1.25,
        images_per_second: 212.5,
        loss: 4.2714,
        lr: 0.001,
        alignment: 0.31,
        uniformity: f32::NAN,
        knn_top1: None,
    };
    let start = r#"{"step":50,"epoch":2,"seconds":1.25,"images_per_second":212.5,"loss":4.2714,"lr":0.001,"alignment":0.31,"uniformity":null"#;
    assert_eq!(log.append(&record).unwrap(), format!("{start}}}"));
    let measured = SimclrRecord { knn_top1: Some(0.453), ..record };
    assert_eq!(log.append(&measured).unwrap(), format!(r#"{start},"knn_top1":0.453}}"#));
    let read: Vec<SimclrRecord> = RunLog::records(&path).unwrap();
    assert_eq!(read.iter().map(|record| record.knn_top1).collect::<Vec<_>>(), [None, Some(0.453)]);
    assert!(read[0].uniformity.is_nan());
}

fn row(encoder: &str, mode: &str) -> ProbeRow {
    ProbeRow {
        encoder: encoder.into(),
        mode: mode.into(),
        labels: 5000,
        top1: 0.6431,
        top5: 0.9517,
        knn: 0.6,
        seconds: 12.345_678,
    }
}

#[test]
fn a_probe_is_a_line_of_json_and_a_row_of_the_table() {
    assert_eq!(
        serde_json::to_string(&row("pretrained", "linear")).unwrap(),
        r#"{"encoder":"pretrained","mode":"linear","labels":5000,"top1":0.6431,"top5":0.9517,"knn":0.6,"seconds":12.346}"#
    );
    let untrained = row("untrained", "full");
    let other = ProbeRow { labels: 64, top1: 0.1, top5: 1.0, knn: 0.05, seconds: 1234.5, ..untrained };
    assert_eq!(
        probe_table(&[row("pretrained", "linear"), other]),
        "encoder     mode    labels   top-1    top-5     kNN  seconds\n\
         pretrained  linear   5,000  64.3 %   95.2 %  60.0 %     12.3\n\
         untrained   full        64  10.0 %  100.0 %   5.0 %   1234.5"
    );
    assert_eq!(probe_table(&[]), "encoder  mode  labels  top-1  top-5  kNN  seconds");
}

#[test]
fn a_log_takes_losses_that_are_no_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.jsonl");
    let mut log = RunLog::open(&path, |_: &GanRecord| true).unwrap();
    let line = log.append(&GanRecord { d_loss: f32::NAN, g_loss: f32::INFINITY, ..record(1) }).unwrap();
    assert!(line.contains(r#""d_loss":null,"g_loss":null"#), "{line}");
    let records = RunLog::<GanRecord>::records(&path).unwrap();
    assert!(records[0].d_loss.is_nan() && records[0].g_loss.is_nan());
}

#[test]
fn a_resumed_log_drops_a_torn_line_and_what_comes_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.jsonl");
    let mut log = RunLog::open(&path, |_| true).unwrap();
    for step in [0, 250, 500, 750] {
        log.append(&record(step)).unwrap();
    }
    drop(log);
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}{}", r#"{"step":1000,"epo"#)).unwrap();
    assert_eq!(RunLog::<GanRecord>::records(&path).unwrap().len(), 4, "a torn line is no record");

    let mut log = RunLog::open(&path, |record: &GanRecord| record.step < 500).unwrap();
    log.append(&record(500)).unwrap();
    log.append(&record(750)).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left behind");
}

#[test]
fn a_log_keeps_its_lines_to_the_byte() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.jsonl");
    let line = r#"{ "step":1,"epoch":1,"seconds":0,"images_per_second":1e2,"d_loss":1,"g_loss":1,"real_score":0,"fake_score":0,"later":"field" }"#;
    for (found, left) in
        [(format!("{line}\n{line}"), format!("{line}\n{line}\n")), (format!("{line}\n\0\0"), format!("{line}\n"))]
    {
        fs::write(&path, found).unwrap();
        RunLog::<GanRecord>::open(&path, |_| true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), left);
    }
}

#[test]
fn a_damaged_log_is_named_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.jsonl");
    let line = serde_json::to_string(&record(0)).unwrap();
    fs::write(&path, format!("{line}\nnonsense\n{line}\n")).unwrap();
    let error = RunLog::<GanRecord>::open(&path, |_| true).unwrap_err();
    assert_eq!(exit_code(&error), 3);
    assert!(error.to_string().contains("metrics.jsonl: line 2 "), "{error}");
    let nowhere = directory.path().join("missing").join("metrics.jsonl");
    assert_eq!(exit_code(&RunLog::<GanRecord>::open(&nowhere, |_| true).unwrap_err()), 5);
    assert_eq!(exit_code(&RunLog::<GanRecord>::records(&nowhere).unwrap_err()), 3);
}

/// A stream that nobody reads.
struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A console that writes into two buffers: stdout, stderr.
fn buffered(options: ConsoleOptions) -> (Console, impl Fn() -> (String, String)) {
    let buffers = [(); 2].map(|()| Arc::new(Mutex::new(Vec::new())));
    let console = Console::writing_to(options, buffers[0].clone(), buffers[1].clone());
    let read = move || {
        let text = |buffer: &Arc<Mutex<Vec<u8>>>| String::from_utf8(buffer.lock().unwrap().clone()).unwrap();
        (text(&buffers[0]), text(&buffers[1]))
    };
    (console, read)
}

#[test]
fn stdout_carries_data_and_stderr_the_rest() {
    let say_all = |options| {
        let (console, read) = buffered(options);
        console.note("note");
        console.detail("detail");
        console.warning("careful");
        console.error("bad");
        console.data_line("weights/run").unwrap();
        console.data_bytes(b"raw").unwrap();
        read()
    };
    let data = "weights/run\nraw".to_owned();
    let plain = ConsoleOptions::default();
    assert_eq!(say_all(plain), (data.clone(), "note\nwarning: careful\nerror: bad\n".into()));
    let verbose = ConsoleOptions { verbose: 1, ..plain };
    assert_eq!(say_all(verbose), (data.clone(), "note\ndetail\nwarning: careful\nerror: bad\n".into()));
    let quiet = ConsoleOptions { quiet: true, ..verbose };
    assert_eq!(say_all(quiet), (data, "warning: careful\nerror: bad\n".into()));
}

fn status(step: u64) -> TrainingStatus {
    TrainingStatus {
        step,
        epoch: 1 + step / 390,
        epochs: Some(10),
        figures: vec![Figure::Plain("D", 1.3104), Figure::Plain("G", 0.7812)],
        images_per_second: 7100.2,
    }
}

fn train(console: &Console, steps: std::ops::RangeInclusive<u64>, last: u64) {
    let progress = console.training(*steps.start(), last);
    for step in steps {
        progress.tick(step);
        if step.is_multiple_of(10) {
            progress.report(&status(step));
        }
    }
    progress.finish();
}

#[test]
fn training_writes_few_plain_lines_where_there_is_no_terminal() {
    let (console, read) = buffered(ConsoleOptions::default());
    train(&console, 0..=3895, 3900);
    let (stdout, stderr) = read();
    assert_eq!(stdout, "");
    assert!(!stderr.contains(['\x1b', '\r']), "{stderr:?}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines[0], "step 0/3900  epoch 1/10  D 1.310  G 0.781  7,100 images/s");
    assert_eq!(lines[1], "step 390/3900  epoch 2/10  D 1.310  G 0.781  7,100 images/s");
    assert!(lines[lines.len() - 1].starts_with("step 3890/3900  epoch 10/10"), "{stderr}");
    assert_eq!(lines.len(), 11, "{stderr}");
}

#[test]
fn a_resumed_run_counts_its_lines_from_where_it_starts() {
    let (console, read) = buffered(ConsoleOptions::default());
    train(&console, 3800..=3900, 3900);
    let (_, stderr) = read();
    assert_eq!(stderr.lines().count(), 11, "{stderr}");
    assert!(stderr.starts_with("step 3800/3900"), "{stderr}");
}

#[test]
fn no_progress_means_none() {
    for options in [
        ConsoleOptions { quiet: true, ..ConsoleOptions::default() },
        ConsoleOptions { no_progress: true, ..ConsoleOptions::default() },
    ] {
        let (console, read) = buffered(options);
        train(&console, 0..=100, 100);
        console.items("images", 10).set(10);
        console.bytes().update("train-images", 10, Some(10));
        assert_eq!(read(), (String::new(), String::new()));
    }
}

#[test]
fn nobody_listening_is_a_failure_for_data_only() {
    let broken = Arc::new(Mutex::new(Broken));
    let console = Console::writing_to(ConsoleOptions::default(), broken.clone(), broken);
    console.note("lost");
    console.warning("lost");
    train(&console, 0..=100, 100);
    let error = console.data_line("lost").unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Failure::ClosedPipe)));
    assert_eq!(exit_code(&error), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_storage_failure() {
    let full = || Arc::new(Mutex::new(fs::OpenOptions::new().write(true).open("/dev/full").unwrap()));
    let console = Console::writing_to(ConsoleOptions::default(), full(), full());
    console.error("lost");
    let error = console.data_bytes(b"image").unwrap_err();
    assert_eq!(exit_code(&error), 5);
    assert!(error.to_string().starts_with("stdout: cannot write: "), "{error}");
}

/// Not a test but a look: `cargo test -- --ignored look_at_the_bar --nocapture` on a terminal.
#[test]
#[ignore = "for eyes"]
fn look_at_the_bar() {
    let console = Console::new(ConsoleOptions::default());
    let pause = |milliseconds| std::thread::sleep(std::time::Duration::from_millis(milliseconds));
    let bytes = console.bytes();
    for done in 0..=100 {
        bytes.update("train-images-idx3-ubyte.gz", done * 99_124, Some(9_912_422));
        pause(10);
    }
    drop(bytes);
    let items = console.items("images", 100_000);
    for done in 0..=100 {
        items.set(done * 1000);
        pause(10);
    }
    items.finish();
    let progress = console.training(0, 3900);
    for step in 0..=3900 {
        progress.tick(step);
        if step.is_multiple_of(50) {
            progress.report(&status(step));
        }
        if step == 1000 {
            console.warning("the discriminator wins outright: the generator's gradient is gone");
        }
        if step == 2000 {
            console.note("a note above the bar");
        }
        pause(3);
    }
    progress.finish();
    console.note("done");
}

/// Not a test but a look: writes what we draw to the folder named by `LOOK`, from `../shared/data/mnist` if that is there.
#[test]
#[ignore = "for eyes"]
fn look_at_the_pictures() {
    let folder = std::path::PathBuf::from(std::env::var("LOOK").unwrap());
    let save = |name: &str, picture: &Picture| {
        let mut bytes = Vec::new();
        encode_png(picture, &mut bytes).unwrap();
        println!("{name}: {} bytes", bytes.len());
        fs::write(folder.join(name), bytes).unwrap();
    };
    let mut noise = gan::rng::Stream::new(1, "look").at(0);
    for (name, every, count, spike) in [("few", 250, 16, false), ("some", 10, 390, false), ("many", 1, 39_000, true)] {
        let mut curve = |start: f64, end: f64, spread: f64| -> Vec<(f64, f64)> {
            (0..count)
                .map(|index| {
                    let ease = 1.0 / (1.0 + index as f64 * 12.0 / count as f64);
                    let noise = f64::from(noise.symmetric() + noise.symmetric()) * spread;
                    let spike = if spike && index % 9001 == 500 { 40.0 } else { 0.0 };
                    ((index * every) as f64, end + (start - end) * ease + noise + spike)
                })
                .collect()
        };
        let (discriminator, generator) = (curve(1.41, 1.03, 0.09), curve(1.36, 0.89, 0.16));
        let start = std::time::Instant::now();
        let drawn = chart([&discriminator, &generator]).draw().unwrap();
        println!("{count} points drawn in {:?}", start.elapsed());
        save(&format!("losses-{name}.png"), &drawn);
    }
    save("losses-none.png", &chart([&[], &[]]).draw().unwrap());

    let mnist = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/mnist/train-images-idx3-ubyte.gz");
    let mnist = std::env::var("MNIST").unwrap_or(mnist.into());
    let Ok(file) = fs::File::open(mnist) else { return };
    let mut images = vec![0; 16 + 784 * 8000];
    io::Read::read_exact(&mut flate2::read::GzDecoder::new(file), &mut images).unwrap();
    let images: Vec<f32> = images[16..].iter().map(|&pixel| f32::from(pixel) / 127.5 - 1.0).collect();
    save("grid-64.png", &Grid::default().draw(&images, 64, 28, 28, 1));
    save("grid-10.png", &Grid::default().draw(&images, 10, 28, 28, 1));
    let frames = images.chunks(784 * 64).map(|images| Grid::default().draw(images, 64, 28, 28, 1)).take(120);
    let mut bytes = Vec::new();
    let start = std::time::Instant::now();
    encode_gif(frames, 8, &mut bytes).unwrap();
    println!("film of 120 grids: {} bytes in {:?}", bytes.len(), start.elapsed());
    fs::write(folder.join("film.gif"), bytes).unwrap();
}
