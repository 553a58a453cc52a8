//! Films: GIF animations that loop forever, written frame by frame, the same bytes for the same frames.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use gif::{Encoder, EncodingError, Frame, Repeat};

use crate::error::Error;
use crate::report::grid::Picture;
use crate::report::png::read_png;

/// More frames than this make a file that nobody waits for.
const MOST_FRAMES: usize = 120;
/// How long a film of a run lasts, before its last frame, in hundredths of a second; short ones go slower, ...
const FILM_LENGTH: usize = 1000;
/// ... but no frame stays longer or shorter than this, except
const FRAME_DELAY: std::ops::RangeInclusive<u16> = 6..=50;
/// the last one, which shows what has become of it all.
const LAST_DELAY: u16 = 250;
/// Greys a grey frame is rounded to, evenly spaced: too many to see the steps, few enough to halve the file.
const GREYS: usize = 64;
/// NeuQuant's trade of time (30) for quality (1) when a colour frame has more than 256 colours.
const QUANTISER_SPEED: i32 = 10;

/// A GIF under construction. It holds one frame at a time, so that a walk of any length takes the same memory.
pub struct Animation<W: Write> {
    encoder: Encoder<W>,
    width: u16,
    height: u16,
}

impl<W: Write> Animation<W> {
    /// Starts an animation of the size of `first`, which is not written yet.
    ///
    /// # Errors
    /// Of kind `InvalidInput` when the picture is wider or higher than the 65,535 pixels that a GIF can have.
    pub fn new(out: W, first: &Picture) -> io::Result<Self> {
        let side = |length: u32| {
            u16::try_from(length).map_err(|_| {
                let message =
                    format!("a GIF is at most 65535 pixels wide and high, not {}x{}", first.width, first.height);
                io::Error::new(io::ErrorKind::InvalidInput, message)
            })
        };
        let (width, height) = (side(first.width)?, side(first.height)?);
        let mut encoder = Encoder::new(out, width, height, &grey_palette()).map_err(into_io)?;
        encoder.set_repeat(Repeat::Infinite).map_err(into_io)?;
        Ok(Self { encoder, width, height })
    }

    /// Adds a frame that stays for `delay` hundredths of a second.
    ///
    /// # Errors
    /// Of kind `InvalidInput` when the picture's size is not that of the first.
    pub fn push(&mut self, picture: &Picture, delay: u16) -> io::Result<()> {
        if (picture.width, picture.height) != (self.width.into(), self.height.into()) {
            let message = format!(
                "a frame of {}x{} pixels in an animation of {}x{}",
                picture.width, picture.height, self.width, self.height
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut frame = if picture.channels == 1 {
            let indices: Vec<u8> = picture.pixels.iter().map(|&grey| nearest_grey(grey)).collect();
            Frame { width: self.width, height: self.height, buffer: indices.into(), ..Frame::default() }
        } else {
            Frame::from_rgb_speed(self.width, self.height, &picture.pixels, QUANTISER_SPEED)
        };
        frame.delay = delay;
        self.encoder.write_frame(&frame).map_err(into_io)
    }

    /// Writes the end of the file and hands `out` back.
    pub fn finish(self) -> io::Result<W> {
        self.encoder.into_inner().map_err(into_io)
    }
}

fn grey_palette() -> Vec<u8> {
    (0..GREYS).flat_map(|index| [(index * 255 / (GREYS - 1)) as u8; 3]).collect()
}

fn nearest_grey(grey: u8) -> u8 {
    ((usize::from(grey) * (GREYS - 1) + 127) / 255) as u8
}

fn into_io(error: EncodingError) -> io::Error {
    match error {
        EncodingError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidInput, other.to_string()),
    }
}

/// Writes `frames`, all of one size, as a GIF in which each stays for `delay_centiseconds`. No frames: nothing written.
pub fn encode_gif(
    frames: impl IntoIterator<Item = Picture>,
    delay_centiseconds: u16,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut frames = frames.into_iter().peekable();
    let Some(first) = frames.peek() else { return Ok(()) };
    let mut animation = Animation::new(out, first)?;
    for frame in frames {
        animation.push(&frame, delay_centiseconds)?;
    }
    animation.finish()?.flush()
}

/// Writes the film of a run from its grids, oldest first: about ten seconds, at most 120 frames, evenly thinned with
/// the first and the last kept, the last one held.
///
/// # Errors
/// [`Error::Input`] when a grid cannot be read or differs in size from the first; an [`io::Error`] of `out`.
pub fn film(pngs: &[PathBuf], out: &mut dyn Write) -> anyhow::Result<()> {
    let chosen = thinned(pngs.len(), MOST_FRAMES);
    let first = pngs.first().context("a film needs at least one grid")?;
    let start = read_png(first)?;
    let mut animation = Animation::new(out, &start)?;
    let delay = (FILM_LENGTH / chosen.len()) as u16;
    let delay = delay.clamp(*FRAME_DELAY.start(), *FRAME_DELAY.end());
    for &index in &chosen {
        let path = &pngs[index];
        let frame = read_png(path)?;
        ensure!(
            (frame.width, frame.height) == (start.width, start.height),
            Error::reading(
                path,
                format!(
                    "a grid of {}x{} pixels, but {} has {}x{}",
                    frame.width,
                    frame.height,
                    first.display(),
                    start.width,
                    start.height
                )
            )
        );
        animation.push(&frame, if index + 1 == pngs.len() { LAST_DELAY } else { delay })?;
    }
    animation.finish()?.flush()?;
    Ok(())
}

/// At most `most` of the indices below `count`, evenly spaced, with the first and the last.
fn thinned(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    (0..most).map(|place| (place * (count - 1) + (most - 1) / 2) / (most - 1)).collect()
}
