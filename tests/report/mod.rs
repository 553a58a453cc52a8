mod console;
mod log;
mod look;
mod pictures;

use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use gan::commands::exit_code::exit_code;
use gan::error::Error;
use gan::image_shape::ImageShape;
use gan::report::*;

fn grid(columns: Option<usize>, scale: usize, gap: usize) -> Grid {
    Grid { columns, scale, gap }
}

/// A picture without symmetry.
fn picture(width: u32, height: u32, channels: usize) -> Picture {
    let pixels = (0..width as usize * height as usize * channels).map(|i| (i * 37 % 256) as u8).collect();
    Picture { width, height, channels, pixels }
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

const BLUE: [u8; 3] = [0, 114, 178];
const VERMILION: [u8; 3] = [213, 94, 0];

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
        augment_p: None,
        scores: None,
        class_scores: None,
        evaluation: None,
        communication: None,
    }
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

fn status(step: u64) -> TrainingStatus {
    TrainingStatus {
        step,
        epoch: 1 + step / 390,
        epochs: Some(10),
        figures: vec![Figure::Plain("D", 1.3104), Figure::Plain("G", 0.7812)],
        images_per_second: Some(7100.2),
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
