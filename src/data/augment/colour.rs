//! Brightness, contrast, saturation and grey, as torchvision's functions of float images. Planes are red, green and
//! blue, in any order of pixels; colours stay in [0, 1].

/// The planes of an image, equally long.
pub type Planes<'a> = [&'a mut [f32]; 3];

/// Partial sums of a mean, in a fixed order on every machine.
const LANES: usize = 16;

/// torchvision's `rgb_to_grayscale`: 0.2989, 0.587, 0.114, which add up to 0.9999.
#[inline(always)]
fn grey_of(red: f32, green: f32, blue: f32) -> f32 {
    0.2989 * red + 0.587 * green + 0.114 * blue
}

/// `value` at 1, `other` at 0, and beyond, within the range of colours.
#[inline(always)]
fn blend(value: f32, other: f32, ratio: f32) -> f32 {
    (value * ratio + other * (1.0 - ratio)).clamp(0.0, 1.0)
}

#[inline(always)]
pub fn brightness(planes: &mut Planes, factor: f32) {
    for plane in planes {
        plane.iter_mut().for_each(|value| *value = (*value * factor).clamp(0.0, 1.0));
    }
}

/// Moves every value from the mean grey of the image, or towards it.
#[inline(always)]
pub fn contrast(planes: &mut Planes, factor: f32) {
    let mean = mean_grey(planes);
    for plane in planes {
        plane.iter_mut().for_each(|value| *value = blend(*value, mean, factor));
    }
}

#[inline(always)]
fn mean_grey([red, green, blue]: &Planes) -> f32 {
    let mut sums = [0.0; LANES];
    let blocks = red.chunks(LANES).zip(green.chunks(LANES)).zip(blue.chunks(LANES));
    for ((red, green), blue) in blocks {
        for (((sum, red), green), blue) in sums.iter_mut().zip(red).zip(green).zip(blue) {
            *sum += grey_of(*red, *green, *blue);
        }
    }
    sums.iter().sum::<f32>() / red.len() as f32
}

/// Moves every pixel from its own grey, or towards it.
#[inline(always)]
pub fn saturation([red, green, blue]: &mut Planes, factor: f32) {
    for ((red, green), blue) in red.iter_mut().zip(&mut **green).zip(&mut **blue) {
        let grey = grey_of(*red, *green, *blue);
        *red = blend(*red, grey, factor);
        *green = blend(*green, grey, factor);
        *blue = blend(*blue, grey, factor);
    }
}

/// The grey of each pixel in all three planes.
#[inline(always)]
pub fn grey([red, green, blue]: &mut Planes) {
    for ((red, green), blue) in red.iter_mut().zip(&mut **green).zip(&mut **blue) {
        let grey = grey_of(*red, *green, *blue);
        (*red, *green, *blue) = (grey, grey, grey);
    }
}
