use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::bail;

use super::PIXELS;
use crate::error::Failure;

/// Reads images from a .npy as `-o FILE.npy` writes it: (N, 1, 28, 28) f32 in [-1, 1]. (N, 28, 28), (N, 28, 28, 1) and
/// (N, 784) are taken too. Anything else is [`Failure::Input`].
pub fn read_images(path: &Path) -> anyhow::Result<Vec<f32>> {
    let damaged = |what: String| Failure::reading(path, what);
    let file = File::open(path).map_err(|error| damaged(error.to_string()))?;
    let bytes = file.metadata().map_err(|error| damaged(error.to_string()))?.len();
    let npy = npyz::NpyFile::new(BufReader::new(file)).map_err(|error| damaged(format!("not a .npy file: {error}")))?;
    let shape = npy.shape().to_vec();
    if !matches!(shape[..], [_, 1, 28, 28] | [_, 28, 28] | [_, 28, 28, 1] | [_, 784]) {
        bail!(damaged(format!("images of shape {shape:?}; expected (N, 1, 28, 28)")));
    }
    // A header may claim any shape: nothing is allocated for images that the file has no bytes for.
    if shape[0].checked_mul(4 * PIXELS as u64).is_none_or(|need| need > bytes) {
        bail!(damaged(format!("its header claims {shape:?}, more than its {bytes} bytes hold")));
    }
    if npy.order() == npyz::Order::Fortran {
        bail!(damaged("stored column by column; save it with numpy.ascontiguousarray".into()));
    }
    let values = match npy.try_data::<f32>() {
        Ok(values) => values.collect::<Result<Vec<f32>, _>>(),
        Err(npy) => bail!(damaged(format!("holds {}; expected f32", npy.dtype().descr()))),
    };
    let values = values.map_err(|error| damaged(format!("its data is damaged: {error}")))?;
    match values.iter().find(|value| !(-1.0..=1.0).contains(*value)) {
        Some(value) => bail!(damaged(format!("holds {value}; expected values from -1 (black) to 1 (white)"))),
        None => Ok(values),
    }
}
