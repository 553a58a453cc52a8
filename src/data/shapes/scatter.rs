//! One image: a patchy ground and copies of one form, each with a place, a size, a turn and a colour of its own.

use crate::data::shapes::canvas::{Canvas, Colour, Point, SIDE};
use crate::data::shapes::outline::Outline;
use crate::rng::Generator;

/// Copies that are tried to be placed: the fewest, and how many more there may be.
const COPIES: (u32, u32) = (5, 3);
/// Half a copy's width, about, in pixels.
const SIZES: (f32, f32) = (4.2, 6.5);
/// The nearest that two copies come, in units of the sum of their sizes.
const SPACING: f32 = 0.95;
/// Places that are tried for a copy before it is left out.
const TRIES: usize = 20;
/// The largest turn to either side, as a tangent.
const TURN: f32 = 0.15;
/// Patches of the ground along each side; between their centres the colour changes evenly.
const PATCHES: usize = 3;
/// The brightness of an image's ground, and how far a patch may stray from it.
const GROUND: (f32, f32) = (0.2, 0.8);
const STRAY: f32 = 0.15;
/// How much brighter or darker than the ground a copy is.
const CONTRAST: (f32, f32) = (0.45, 0.6);
/// How colourful all is; 0 would be grey.
const TINT: f32 = 0.3;

/// Draws one image of the form, of `side` pixels a side: the same image in each size.
pub(super) fn draw(outline: &Outline, side: usize, generator: &mut Generator) -> Canvas {
    let ground = Ground::draw(generator);
    let mut canvas = Canvas::new(side, |at| ground.colour(at));
    let copies = COPIES.0 + generator.below(COPIES.1 + 1);
    let mut placed: Vec<(Point, f32)> = Vec::with_capacity(copies as usize);
    for _ in 0..copies {
        let Some((at, size)) = place(&placed, generator) else { continue };
        placed.push((at, size));
        let colour = contrasting(brightness(ground.colour(at)), generator);
        canvas.fill(&moved(outline, at, size, generator), colour);
    }
    canvas
}

/// A centre within the image and a size, clear of the copies so far. The first copy lies within the image, but for a corner.
fn place(placed: &[(Point, f32)], generator: &mut Generator) -> Option<(Point, f32)> {
    (0..TRIES).find_map(|_| {
        let size = generator.between(SIZES.0, SIZES.1);
        let margin = if placed.is_empty() { size } else { 1.0 };
        let at = [(); 2].map(|()| generator.between(margin, SIDE as f32 - margin));
        let is_clear = placed.iter().all(|(other, other_size)| {
            let (right, down) = (at[0] - other[0], at[1] - other[1]);
            let apart = SPACING * (size + other_size);
            right * right + down * down > apart * apart
        });
        is_clear.then_some((at, size))
    })
}

/// The form at its place: mirrored or not, turned a little, `size` times as large.
fn moved(outline: &Outline, at: Point, size: f32, generator: &mut Generator) -> Outline {
    let mirror = if generator.below(2) == 0 { 1.0 } else { -1.0 };
    let tangent = TURN * generator.symmetric();
    let cosine = size / (1.0 + tangent * tangent).sqrt();
    let sine = tangent * cosine;
    let point = |[x, y]: Point| [at[0] + cosine * mirror * x - sine * y, at[1] + sine * mirror * x + cosine * y];
    outline.iter().map(|contour| contour.iter().map(|corner| point(*corner)).collect()).collect()
}

/// A colour brighter or darker than `ground`: at random, but where only one has room.
fn contrasting(ground: f32, generator: &mut Generator) -> Colour {
    let contrast = generator.between(CONTRAST.0, CONTRAST.1);
    let brighter = match (ground + contrast <= 1.0, ground >= contrast) {
        (true, false) => true,
        (false, true) => false,
        _ => generator.below(2) == 0,
    };
    tinted(if brighter { ground + contrast } else { ground - contrast }, generator)
}

/// ITU-R 601-2, as in the conversion to grey.
fn brightness([red, green, blue]: Colour) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// A colour of this brightness.
fn tinted(level: f32, generator: &mut Generator) -> Colour {
    let tint = [(); 3].map(|()| TINT * generator.symmetric());
    let level = level.clamp(0.0, 1.0) - brightness(tint);
    tint.map(|channel| (level + channel).clamp(0.0, 1.0))
}

/// What lies behind the copies.
struct Ground {
    patches: [[Colour; PATCHES]; PATCHES],
}

impl Ground {
    fn draw(generator: &mut Generator) -> Self {
        let level = generator.between(GROUND.0, GROUND.1);
        let patches =
            [(); PATCHES].map(|()| [(); PATCHES].map(|()| tinted(level + STRAY * generator.symmetric(), generator)));
        Self { patches }
    }

    /// The colour at a place: between those of the four nearest patches.
    #[inline] // else it may be compiled apart from its loop, which then takes twice as long
    fn colour(&self, at: Point) -> Colour {
        let [(column, right), (row, down)] = at.map(|axis| {
            let place = axis * ((PATCHES - 1) as f32 / SIDE as f32);
            let patch = (place as usize).min(PATCHES - 2);
            (patch, place - patch as f32)
        });
        std::array::from_fn(|channel| {
            let [above, below] = [row, row + 1].map(|row| {
                let pair = [column, column + 1].map(|column| self.patches[row][column][channel]);
                pair[0] + (pair[1] - pair[0]) * right
            });
            above + (below - above) * down
        })
    }
}
