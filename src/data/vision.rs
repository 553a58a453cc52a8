//! To and from candle's own data sets, for code that is written against `candle_datasets::vision::Dataset`.

use candle_core::{DType, Device, Error, Result, Tensor, bail};
use candle_datasets::vision;

use super::{Dataset, ImageSet, ImageShape, Images, pixels_of};

impl Dataset {
    /// A set in candle's form, on the CPU: f32 images in [0, 1], (N, H * W) where grey and (N, 3, H, W) where colour;
    /// u8 labels (N), as candle's own sets have them. A set without labels or a test part, or with more than 256
    /// classes, is an error: candle's form has no place for that.
    pub fn into_vision(self) -> Result<vision::Dataset> {
        let (train_images, train_labels) = tensors(self.train)?;
        let (test_images, test_labels) = tensors(self.test)?;
        Ok(vision::Dataset { train_images, train_labels, test_images, test_labels, labels: self.classes.len() })
    }

    /// A set from candle's form: f32 images in [0, 1], (N, side * side) grey, or (N, C, H, W) with C 1 or 3, rounded to
    /// the nearest of 256 levels. The classes are named by their numbers.
    pub fn from_vision(name: &str, dataset: &vision::Dataset) -> Result<Self> {
        let classes = (0..dataset.labels).map(|class| class.to_string()).collect();
        let train = images(&dataset.train_images, &dataset.train_labels)?;
        Ok(Self::new(name, classes, train, images(&dataset.test_images, &dataset.test_labels)?))
    }
}

fn tensors(images: ImageSet) -> Result<(Tensor, Tensor)> {
    let (len, labels) = (images.len(), images.labels());
    if !images.is_labelled() {
        bail!(
            "candle's data sets have a train and a test part with labels; found {len} images and {} labels",
            labels.len()
        );
    }
    let (shape, pixels) = (images.shape().map_err(wrapped)?, pixels_of(&*images, 0..len).map_err(wrapped)?);
    let pixels = Tensor::from_slice(&pixels, (len, shape.height, shape.width, shape.channels), &Device::Cpu)?;
    let pixels = match shape.channels {
        1 => pixels.reshape((len, shape.height * shape.width))?,
        _ => pixels.permute((0, 3, 1, 2))?.contiguous()?, // (N, C, H, W)
    };
    let pixels = (pixels.to_dtype(DType::F32)? / 255.)?;
    let label = |label: u32| u8::try_from(label).map_err(|_| Error::msg(format!("label {label} is above 255")));
    let labels = labels.iter().copied().map(label).collect::<Result<Vec<u8>>>()?;
    Ok((pixels, Tensor::from_vec(labels, len, &Device::Cpu)?))
}

fn wrapped(error: anyhow::Error) -> Error {
    Error::wrap(error)
}

fn images(pixels: &Tensor, labels: &Tensor) -> Result<Images> {
    let (pixels, shape) = match *pixels.dims() {
        [_, size] if size.isqrt().pow(2) == size => {
            (pixels.clone(), ImageShape { height: size.isqrt(), width: size.isqrt(), channels: 1 })
        }
        [_, channels @ (1 | 3), height, width] => {
            (pixels.permute((0, 2, 3, 1))?, ImageShape { height, width, channels }) // (N, H, W, C)
        }
        _ => bail!("images of {:?}, expected (N, side * side) or (N, C, H, W) with 1 or 3 channels", pixels.dims()),
    };
    let pixels = pixels.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let pixels = pixels.iter().map(|value| (value * 255.0).round() as u8).collect();
    let labels = labels.to_device(&Device::Cpu)?.to_dtype(DType::U32)?.flatten_all()?.to_vec1::<u32>()?;
    Ok(Images { pixels, labels, ..Images::empty(shape) })
}
