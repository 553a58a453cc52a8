//! The transformations of adaptive augmentation (Karras et al., "Training generative adversarial networks with limited
//! data", 2006.06676, appendix B): pixel blitting, geometric transformations and colour, which the paper calls "bgc".
//!
//! What is drawn for an image does not depend on the probability p: each transformation has a number in [0, 1), below p it
//! is applied. So draws are made ahead of training, and p is told when the step is taken. All transformations of an image
//! come to one affine transform and one change of colour, composed here in f64.
//!
//! One thing differs from the paper: images are sampled bilinearly, without its wavelet filter.

use std::f64::consts::PI;

use crate::image_shape::ImageShape;
use crate::ops::TRANSFORM;
use crate::rng::Generator;

/// How far a translation goes at most, as a share of the side; also the standard deviation of fractional ones.
const TRANSLATION: f64 = 0.125;
/// Standard deviations of log2 of the scales of lengths, of contrast and of saturation, and of brightness.
const SCALE: f64 = 0.2;
const CONTRAST: f64 = 0.5;
const SATURATION: f64 = 1.0;
const BRIGHTNESS: f64 = 0.2;

/// The transformations of an image, in the order in which they are applied; `None` is not applied.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Transformations {
    /// From left to right, or not.
    pub flip: Option<bool>,
    /// Clockwise as seen, rows going down.
    pub quarter_turns: Option<u32>,
    /// To the right and down, in shares of the sides; whole pixels.
    pub shift: Option<[f64; 2]>,
    /// Of both sides.
    pub scale: Option<f64>,
    /// An angle.
    pub turn_before: Option<f64>,
    /// Of the width; the height by as much the other way.
    pub stretch: Option<f64>,
    /// An angle.
    pub turn_after: Option<f64>,
    /// As `shift`, by fractions of pixels too.
    pub drift: Option<[f64; 2]>,
    /// What is added; black is -1 and white is 1.
    pub brightness: Option<f64>,
    /// A factor.
    pub contrast: Option<f64>,
    /// Light becomes dark, or not.
    pub inversion: Option<bool>,
    /// An angle.
    pub hue: Option<f64>,
    /// A factor.
    pub saturation: Option<f64>,
}

impl Transformations {
    /// The transform of [`crate::ops::affine_sample`].
    pub fn transform(&self, shape: ImageShape) -> [f32; TRANSFORM] {
        let sides = [shape.width as f64, shape.height as f64];
        // From a place in the distorted image to that in the image, from its middle: each is composed with the inverse of
        // the next.
        let mut from = Affine::IDENTITY;
        if self.flip == Some(true) {
            from = from.after([[-1.0, 0.0], [0.0, 1.0]]);
        }
        if let Some(turns) = self.quarter_turns {
            // Exact, so that pixels stay pixels.
            let (cosine, sine) = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)][turns as usize % 4];
            from = from.after([[cosine, -sine], [sine, cosine]]);
        }
        if let Some(shift) = self.shift {
            from = from.after_moves([0, 1].map(|axis| -(shift[axis] * sides[axis]).round()));
        }
        if let Some(scale) = self.scale {
            from = from.after([[1.0 / scale, 0.0], [0.0, 1.0 / scale]]);
        }
        from = from.after_turn(self.turn_before);
        if let Some(stretch) = self.stretch {
            from = from.after([[1.0 / stretch, 0.0], [0.0, stretch]]);
        }
        from = from.after_turn(self.turn_after);
        if let Some(drift) = self.drift {
            from = from.after_moves([0, 1].map(|axis| -drift[axis] * sides[axis]));
        }
        from.around(sides.map(|side| (side - 1.0) / 2.0)).map(|value| value as f32)
    }

    /// The matrix of [`crate::ops::recolour`] for images of `channels`, 1 or 3, row by row. Hue and saturation are of
    /// colours alone.
    pub fn colour(&self, channels: usize) -> Vec<f32> {
        let mut matrix = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        if let Some(brightness) = self.brightness {
            matrix.iter_mut().for_each(|row| row[3] += brightness);
        }
        if let Some(contrast) = self.contrast {
            matrix.as_flattened_mut().iter_mut().for_each(|value| *value *= contrast);
        }
        if self.inversion == Some(true) {
            // Colours stay: a reflection along the axis of greys.
            matrix = mixed(&along_greys(1.0, -1.0, 0.0), &matrix);
        }
        if channels == 1 {
            // Of a grey image, three equal channels, which stay equal.
            let [[red, green, blue, added], ..] = matrix;
            return vec![(red + green + blue) as f32, added as f32, 0.0];
        }
        if let Some(hue) = self.hue {
            matrix = mixed(&along_greys(libm::cos(hue), 1.0, libm::sin(hue)), &matrix);
        }
        if let Some(saturation) = self.saturation {
            matrix = mixed(&along_greys(saturation, 1.0, 0.0), &matrix);
        }
        matrix.iter().flat_map(|row| row.map(|value| value as f32).into_iter().chain([0.0])).collect()
    }
}

/// A transformation as it was drawn: how, and for which p.
#[derive(Clone, Copy, Debug)]
struct Drawn<T> {
    threshold: f64,
    how: T,
}

impl<T: Copy> Drawn<T> {
    fn new(generator: &mut Generator, how: impl FnOnce(&mut Generator) -> T) -> Self {
        let threshold = generator.unit().into();
        Self { threshold, how: how(generator) }
    }

    fn at(self, p: f64) -> Option<T> {
        (self.threshold < p).then_some(self.how)
    }
}

/// What is drawn for an image, whatever p is.
#[derive(Clone, Copy, Debug)]
pub struct ImageDraw {
    flip: Drawn<bool>,
    quarter_turns: Drawn<u32>,
    shift: Drawn<[f64; 2]>,
    scale: Drawn<f64>,
    turn_before: Drawn<f64>,
    stretch: Drawn<f64>,
    turn_after: Drawn<f64>,
    drift: Drawn<[f64; 2]>,
    brightness: Drawn<f64>,
    contrast: Drawn<f64>,
    inversion: Drawn<bool>,
    hue: Drawn<f64>,
    saturation: Drawn<f64>,
}

impl ImageDraw {
    /// The draw for one image, of any shape.
    pub fn new(generator: &mut Generator) -> Self {
        let coin = |generator: &mut Generator| generator.below(2) == 1;
        let angle = |generator: &mut Generator| PI * f64::from(generator.symmetric());
        let normal = |deviation: f64| move |generator: &mut Generator| deviation * f64::from(generator.normal());
        let power = |deviation: f64| move |generator: &mut Generator| libm::exp2(normal(deviation)(generator));
        let uniform = |generator: &mut Generator| TRANSLATION * f64::from(generator.symmetric());
        Self {
            flip: Drawn::new(generator, coin),
            quarter_turns: Drawn::new(generator, |generator| generator.below(4)),
            shift: Drawn::new(generator, |generator| [(); 2].map(|()| uniform(generator))),
            scale: Drawn::new(generator, power(SCALE)),
            turn_before: Drawn::new(generator, angle),
            stretch: Drawn::new(generator, power(SCALE)),
            turn_after: Drawn::new(generator, angle),
            drift: Drawn::new(generator, |generator| [(); 2].map(|()| normal(TRANSLATION)(generator))),
            brightness: Drawn::new(generator, normal(BRIGHTNESS)),
            contrast: Drawn::new(generator, power(CONTRAST)),
            inversion: Drawn::new(generator, coin),
            hue: Drawn::new(generator, angle),
            saturation: Drawn::new(generator, power(SATURATION)),
        }
    }

    /// What is applied if each transformation is with probability `p`.
    pub fn at(&self, p: f64) -> Transformations {
        // Rotations come twice, before and after the stretch; together they are applied with probability p.
        let p_turn = 1.0 - (1.0 - p).max(0.0).sqrt();
        Transformations {
            flip: self.flip.at(p),
            quarter_turns: self.quarter_turns.at(p),
            shift: self.shift.at(p),
            scale: self.scale.at(p),
            turn_before: self.turn_before.at(p_turn),
            stretch: self.stretch.at(p),
            turn_after: self.turn_after.at(p_turn),
            drift: self.drift.at(p),
            brightness: self.brightness.at(p),
            contrast: self.contrast.at(p),
            inversion: self.inversion.at(p),
            hue: self.hue.at(p),
            saturation: self.saturation.at(p),
        }
    }
}

/// A rotation and scaling of colours around the axis of greys (Rodrigues' formula): what is at right angles to the axis is
/// multiplied by `beside` and, turned by a quarter, by `turned`; what lies on it by `on_axis`.
fn along_greys(beside: f64, on_axis: f64, turned: f64) -> [[f64; 3]; 3] {
    let third = (on_axis - beside) / 3.0;
    let turned = turned / 3f64.sqrt();
    [
        [beside + third, third - turned, third + turned],
        [third + turned, beside + third, third - turned],
        [third - turned, third + turned, beside + third],
    ]
}

/// The colours of `matrix`, mixed by `mixer`.
fn mixed(mixer: &[[f64; 3]; 3], matrix: &[[f64; 4]; 3]) -> [[f64; 4]; 3] {
    mixer.map(|row| [0, 1, 2, 3].map(|column| (0..3).map(|inner| row[inner] * matrix[inner][column]).sum()))
}

/// A map of places (column, row).
#[derive(Clone, Copy)]
struct Affine {
    linear: [[f64; 2]; 2],
    moved: [f64; 2],
}

impl Affine {
    const IDENTITY: Self = Self { linear: [[1.0, 0.0], [0.0, 1.0]], moved: [0.0, 0.0] };

    /// `map`, then this.
    fn after(self, map: [[f64; 2]; 2]) -> Self {
        let linear = self.linear.map(|row| [0, 1].map(|column| row[0] * map[0][column] + row[1] * map[1][column]));
        Self { linear, ..self }
    }

    /// Moves by `distance`, then this.
    fn after_moves(self, distance: [f64; 2]) -> Self {
        let moved = [0, 1]
            .map(|axis| self.moved[axis] + self.linear[axis][0] * distance[0] + self.linear[axis][1] * distance[1]);
        Self { moved, ..self }
    }

    /// A turn by an angle, if there is one.
    fn after_turn(self, angle: Option<f64>) -> Self {
        let Some(angle) = angle else { return self };
        let (sine, cosine) = (libm::sin(angle), libm::cos(angle));
        self.after([[cosine, -sine], [sine, cosine]])
    }

    /// This around another middle than the origin, row by row.
    fn around(self, middle: [f64; 2]) -> [f64; TRANSFORM] {
        let moved = self.after_moves(middle.map(|value| -value)).moved;
        let [[a, b], [c, d]] = self.linear;
        [a, b, moved[0] + middle[0], c, d, moved[1] + middle[1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn each_transformation_is_applied_with_its_probability() {
        let mut generator = Stream::new(3, "augment").at(0);
        let draws: Vec<ImageDraw> = (0..20_000).map(|_| ImageDraw::new(&mut generator)).collect();
        let share = |p: f64, is_applied: fn(&Transformations) -> bool| {
            draws.iter().filter(|draw| is_applied(&draw.at(p))).count() as f64 / draws.len() as f64
        };
        for p in [0.0, 0.3, 0.9, 1.0] {
            let applied: [fn(&Transformations) -> bool; 5] = [
                |found| found.flip.is_some(),
                |found| found.shift.is_some(),
                |found| found.stretch.is_some(),
                |found| found.turn_before.is_some() || found.turn_after.is_some(),
                |found| found.hue.is_some(),
            ];
            for (index, is_applied) in applied.into_iter().enumerate() {
                let found = share(p, is_applied);
                assert!((found - p).abs() < 0.015, "transformation {index} at {p}: {found}");
            }
        }
        assert!(draws.iter().all(|draw| draw.at(0.0) == Transformations::default()));
        assert!(share(1.0, |found| found.flip == Some(true)) > 0.48, "half of them are flips that change nothing");
    }

    #[test]
    fn pixels_stay_pixels_under_flips_quarter_turns_and_shifts() {
        let shape = ImageShape::new(28, 28, 1);
        for turns in 0..4 {
            let (flip, quarter_turns, shift) = (Some(true), Some(turns), Some([0.1, -0.03]));
            let transform = Transformations { flip, quarter_turns, shift, ..Default::default() }.transform(shape);
            assert!(transform.iter().all(|value| value.fract() == 0.0), "{transform:?}");
        }
        assert_eq!(Transformations::default().transform(shape), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(Transformations::default().colour(1), [1.0, 0.0, 0.0]);
    }
}
