//! The only place that turns a name into a device.

use std::fmt;
use std::str::FromStr;

use candle_core::{Device, utils};

use crate::autograd::Precision;
use crate::error::Error;
use crate::ops;

/// What `--device` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// CUDA, then Metal, then the CPU, of those the binary was built with.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
    /// The Metal device of this number.
    Metal(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, ordinal) = match text.split_once(':') {
            Some((name, ordinal)) => {
                let ordinal = ordinal.parse().map_err(|_| format!("{ordinal:?} is not the number of a device"))?;
                (name, Some(ordinal))
            }
            None => (text, None),
        };
        match (name, ordinal) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("cuda", ordinal) => Ok(Self::Cuda(ordinal.unwrap_or(0))),
            ("metal", ordinal) => Ok(Self::Metal(ordinal.unwrap_or(0))),
            _ => Err("expected auto, cpu, cuda, cuda:N, metal or metal:N".into()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            Self::Metal(ordinal) => write!(f, "metal:{ordinal}"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device. One that was asked for by name and cannot be had is an error, never a silent change:
    /// [`Error::NotBuiltFor`] or [`Error::NoDevice`].
    pub fn open(self) -> anyhow::Result<Device> {
        let open = |name: &'static str, built: bool, device: candle_core::Result<Device>| match (built, device) {
            (false, _) => {
                anyhow::bail!(Error::NotBuiltFor { device: self.to_string(), feature: name })
            }
            (true, Err(error)) => {
                // candle's error may go on with a backtrace.
                let error = error.to_string();
                let problem = error.lines().next().unwrap_or_default().to_string();
                anyhow::bail!(Error::NoDevice { device: self.to_string(), problem })
            }
            (true, Ok(device)) => Ok(device),
        };
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(ordinal) => open("cuda", utils::cuda_is_available(), ops::cuda_device(ordinal)),
            Self::Metal(ordinal) => open("metal", utils::metal_is_available(), Device::new_metal(ordinal)),
            Self::Auto => {
                let accelerator = utils::cuda_is_available()
                    .then(|| ops::cuda_device(0))
                    .or_else(|| utils::metal_is_available().then(|| Device::new_metal(0)));
                Ok(accelerator.and_then(Result::ok).unwrap_or(Device::Cpu))
            }
        }
    }
}

/// Whether a device keeps the images that it trains on and makes batches of them itself. A CPU has them anyway, and makes
/// batches on a thread of their own, ahead of training; for Metal there is no kernel.
#[doc(hidden)]
pub fn keeps_images(device: &Device) -> bool {
    device.is_cuda()
}

/// The name of an opened device, as `--device` takes it.
pub fn name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// Refuses a precision that the device has no arithmetic for: there is no silent change to another. [`Error::Setting`].
#[doc(hidden)]
pub fn check_precision(precision: Precision, device: &Device) -> anyhow::Result<()> {
    match precision.missing(device) {
        None => Ok(()),
        Some(what) => {
            let (precision, device) = (precision.name(), name(device));
            let problem = format!(
                "not on {device}: {what}\n\
                 a new run takes f32; one begun in {precision} goes on only where a CUDA device is"
            );
            anyhow::bail!(Error::setting("precision", precision, problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_printed() {
        for name in ["auto", "cpu", "cuda:1", "metal:0"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for wrong in ["", "gpu", "cpu:0", "cuda:x", "auto:1"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }
}
