//! Pictures that one core decodes in a second of processor time, and decodes and makes 64x64: `cargo bench --bench pictures
//! -- DIR...` prints a line of JSON for each directory of picture files. `pictures.py` compares them with Pillow's.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gan::data::{ImageShape, picture};

#[global_allocator]
static ALLOCATOR: gan::startup::Allocator = gan::startup::Allocator;

const SHAPE: ImageShape = ImageShape::new(64, 64, 3);

/// Processor seconds over which a figure is measured, at least.
const SECONDS: f64 = 1.0;

fn main() -> Result<()> {
    gan::startup::prepare();
    let directories = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    for directory in directories.map(PathBuf::from) {
        let files = files(&directory)?;
        let mut pixels = vec![0; SHAPE.stride()];
        let decoded = per_second(&files, |file| picture::decode(file).map(drop))?;
        let resized = per_second(&files, |file| picture::fit_into(picture::decode(file)?, SHAPE, &mut pixels))?;
        let line = serde_json::json!({ "directory": directory, "decoded": decoded, "resized": resized });
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(())
}

fn files(directory: &Path) -> Result<Vec<Vec<u8>>> {
    let entries = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    entries.map(|entry| Ok(std::fs::read(entry?.path())?)).collect()
}

fn per_second(files: &[Vec<u8>], mut work: impl FnMut(&[u8]) -> Result<()>) -> Result<f64> {
    let (began, mut count) = (processor(), 0);
    loop {
        files.iter().try_for_each(|file| work(file))?;
        count += files.len();
        let seconds = processor() - began;
        if seconds >= SECONDS {
            return Ok(count as f64 / seconds);
        }
    }
}

/// Processor time of this thread in seconds, which a busy machine does not stretch.
fn processor() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the struct is there to be written to.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
