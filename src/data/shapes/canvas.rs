//! The renderer: polygons filled with soft edges over a coloured ground.

/// Pixels along each side of an image in the set's own size. Places are in these pixels, however many an image has.
pub(super) const SIDE: usize = 32;

/// Rows in which each row of pixels is sampled; along a row, coverage is exact.
const SUBROWS: usize = 4;

/// Red, green and blue, 0 to 1.
pub(super) type Colour = [f32; 3];

/// A place in pixels of the set's own size, (right, down); pixel (0, 0) reaches from (0, 0) to (1, 1).
pub(super) type Point = [f32; 2];

/// An image in the making.
pub(super) struct Canvas {
    side: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    /// An image of `side` pixels a side: each from its centre's place.
    #[inline] // else it may be compiled apart from its loop, which then takes twice as long
    pub fn new(side: usize, ground: impl Fn(Point) -> Colour) -> Self {
        let mut pixels = vec![[0.0; 3]; side * side];
        let width = SIDE as f32 / side as f32; // of a pixel; 1 in the set's own size, which changes no bit
        for (row, pixels) in pixels.chunks_exact_mut(side).enumerate() {
            for (column, pixel) in pixels.iter_mut().enumerate() {
                *pixel = ground([(column as f32 + 0.5) * width, (row as f32 + 0.5) * width]);
            }
        }
        Self { side, pixels }
    }

    /// Fills what lies within an odd number of `contours` (closed polygons; parts outside the image are cut off).
    ///
    /// Only operations that IEEE 754 rounds exactly, so the bytes are the same on every machine.
    #[inline] // else it may be compiled apart from its loop, which then takes twice as long
    pub fn fill(&mut self, contours: &[Vec<Point>], colour: Colour) {
        let side = self.side;
        let (scale, width) = (side as f32 / SIDE as f32, SIDE as f32 / side as f32);
        let (mut top, mut bottom) = (f32::MAX, f32::MIN);
        for point in contours.iter().flatten() {
            (top, bottom) = (top.min(point[1]), bottom.max(point[1]));
        }
        let (first, past) = ((top * scale).max(0.0) as usize, ((bottom * scale).max(0.0) as usize + 1).min(side));
        let mut crossings = Vec::with_capacity(8);
        let mut coverage = vec![0.0; side];
        for row in first..past {
            coverage.fill(0.0);
            for subrow in 0..SUBROWS {
                let level = (row as f32 + (subrow as f32 + 0.5) / SUBROWS as f32) * width;
                cross(contours, level, &mut crossings);
                for span in crossings.chunks_exact(2) {
                    cover(span[0] * scale, span[1] * scale, &mut coverage);
                }
            }
            let pixels = &mut self.pixels[row * side..][..side];
            for (pixel, &covered) in pixels.iter_mut().zip(&coverage) {
                for (value, new) in pixel.iter_mut().zip(colour) {
                    *value += (new - *value) * covered;
                }
            }
        }
    }

    /// The bytes, (side, side, 3).
    pub fn write(&self, bytes: &mut [u8]) {
        for (byte, value) in bytes.iter_mut().zip(self.pixels.iter().flatten()) {
            *byte = (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        }
    }
}

/// Where the contours' edges cross the line at `level`, from left to right.
fn cross(contours: &[Vec<Point>], level: f32, crossings: &mut Vec<f32>) {
    crossings.clear();
    for contour in contours {
        let mut from = contour[contour.len() - 1];
        for &to in contour {
            if (from[1] > level) != (to[1] > level) {
                crossings.push(from[0] + (to[0] - from[0]) * ((level - from[1]) / (to[1] - from[1])));
            }
            from = to;
        }
    }
    crossings.sort_unstable_by(f32::total_cmp);
}

/// Adds the part of each pixel of a row that lies between `left` and `right`, in pixels of the image.
fn cover(left: f32, right: f32, coverage: &mut [f32]) {
    let side = coverage.len() as f32;
    let (left, right) = (left.clamp(0.0, side), right.clamp(0.0, side));
    let first = left as usize;
    for (column, covered) in coverage.iter_mut().enumerate().take(right as usize + 1).skip(first) {
        let part = right.min(column as f32 + 1.0) - left.max(column as f32);
        *covered += part.max(0.0) / SUBROWS as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_covers_its_pixels_by_area_and_its_hole_is_left_open() {
        let mut canvas = Canvas::new(SIDE, |_| [0.0; 3]);
        let square = |low: f32, high: f32| vec![[low, low], [high, low], [high, high], [low, high]];
        canvas.fill(&[square(2.5, 10.0), square(5.0, 7.0)], [1.0, 0.5, 0.0]);
        let mut bytes = [0; SIDE * SIDE * 3];
        canvas.write(&mut bytes);
        let red: Vec<u8> = (1..11).map(|column| bytes[(3 * SIDE + column) * 3]).collect();
        assert_eq!(red, [0, 128, 255, 255, 255, 255, 255, 255, 255, 0]);
        let through_the_hole: Vec<u8> = (4..8).map(|column| bytes[(5 * SIDE + column) * 3 + 1]).collect();
        assert_eq!(through_the_hole, [128, 0, 0, 128]);
        assert_eq!(bytes[(2 * SIDE + 2) * 3], 64);
    }

    #[test]
    fn polygons_may_leave_the_image() {
        let mut canvas = Canvas::new(SIDE, |_| [0.0; 3]);
        canvas.fill(&[vec![[-9.0, -9.0], [50.0, -9.0], [50.0, 50.0], [-9.0, 50.0]]], [1.0; 3]);
        canvas.fill(&[vec![[40.0, 3.0], [60.0, 3.0], [50.0, 9.0]]], [0.0; 3]);
        canvas.fill(&[vec![[-9.0, -9.0], [3.0, -9.0], [3.0, -2.0]]], [0.0; 3]);
        let mut bytes = [0; SIDE * SIDE * 3];
        canvas.write(&mut bytes);
        assert!(bytes.iter().all(|&byte| byte == 255));
    }

    #[test]
    fn at_any_size_the_same_is_drawn() {
        let mut canvas = Canvas::new(2 * SIDE, |[right, _]| [right / SIDE as f32; 3]);
        canvas.fill(&[vec![[2.0, 3.0], [10.0, 3.0], [10.0, 4.5], [2.0, 4.5]]], [1.0; 3]);
        let mut bytes = vec![0; 4 * SIDE * SIDE * 3];
        canvas.write(&mut bytes);
        let red = |row: usize, column: usize| bytes[(row * 2 * SIDE + column) * 3];
        assert_eq!([red(5, 4), red(6, 3), red(6, 4), red(8, 19), red(8, 20), red(9, 4)], [18, 14, 255, 255, 82, 18]);
    }
}
