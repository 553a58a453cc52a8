//! Convolutions, transposed convolutions and the gradients of both: by Winograd's method where it serves the window, else
//! by patches.

use crate::kernels::cpu::epilogue::Epilogue;
use crate::kernels::cpu::winograd;
use crate::kernels::window::Window;

/// The convolution of images (N, H, W, C) with `weight` (O, C, K, K): (N, down, across, O), finished by `epilogue`.
pub fn conv(window: &Window, images: &[f32], weight: &[f32], features: usize, epilogue: Epilogue) -> Vec<f32> {
    match winograd::of(window, features) {
        Some(winograd) => winograd.conv(images, weight, epilogue),
        None => window.conv(images, weight, features, epilogue),
    }
}

/// Its adjoint in the images: `values` (N, down, across, O) to (N, H, W, C).
pub fn conv_transpose(
    window: &Window,
    values: &[f32],
    weight: &[f32],
    features: usize,
    epilogue: Epilogue,
) -> Vec<f32> {
    match winograd::of(window, features) {
        Some(winograd) => winograd.conv_transpose(values, weight, epilogue),
        None => window.conv_transpose(values, weight, features, epilogue),
    }
}

/// The gradient of the weight (O, C, K, K), from images (N, H, W, C) and values (N, down, across, O), one of which is a
/// gradient.
pub fn weight_gradient(window: &Window, images: &[f32], values: &[f32], features: usize) -> Vec<f32> {
    match winograd::of(window, features) {
        Some(winograd) => winograd.weight_gradient(images, values),
        None => window.weight_gradient(images, values, features),
    }
}
