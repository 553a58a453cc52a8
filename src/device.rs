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
    /// The CUDA device of this number; without one, the first, or of several processes on a host each its own.
    Cuda(Option<usize>),
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
            ("cuda", ordinal) => Ok(Self::Cuda(ordinal)),
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
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(ordinal)) => write!(f, "cuda:{ordinal}"),
            Self::Metal(ordinal) => write!(f, "metal:{ordinal}"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device. One that was asked for by name and cannot be had is an error, never a silent change:
    /// [`Error::NotBuiltFor`] or [`Error::NoDevice`].
    pub fn open(self) -> anyhow::Result<Device> {
        self.open_for(0)
    }

    /// The same for one of several processes on a host, numbered from 0: where no number of a CUDA device is asked for, each
    /// gets its own, and the first again where they are fewer.
    pub fn open_for(self, process: usize) -> anyhow::Result<Device> {
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
            Self::Cuda(None) => Self::Cuda(Some(card_of(process, ops::cuda_devices()))).open(),
            Self::Cuda(Some(ordinal)) => open("cuda", utils::cuda_is_available(), ops::cuda_device(ordinal)),
            Self::Metal(ordinal) => open("metal", utils::metal_is_available(), Device::new_metal(ordinal)),
            Self::Auto => {
                let accelerator = utils::cuda_is_available()
                    .then(|| ops::cuda_device(card_of(process, ops::cuda_devices())))
                    .or_else(|| utils::metal_is_available().then(|| Device::new_metal(0)));
                Ok(accelerator.and_then(Result::ok).unwrap_or(Device::Cpu))
            }
        }
    }
}

/// Which of `count` cards is that of a process.
fn card_of(process: usize, count: usize) -> usize {
    process.checked_rem(count).unwrap_or(0)
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
        for name in ["auto", "cpu", "cuda", "cuda:1", "metal:0"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(None)));
        for wrong in ["", "gpu", "cpu:0", "cuda:x", "auto:1"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn processes_of_a_host_take_its_cards_in_turn() {
        assert_eq!([0, 1, 2, 3].map(|process| card_of(process, 4)), [0, 1, 2, 3]);
        assert_eq!([0, 1, 2, 3].map(|process| card_of(process, 2)), [0, 1, 0, 1], "fewer cards than processes");
        assert_eq!([0, 3].map(|process| card_of(process, 1)), [0, 0], "a launcher that shows each its own alone");
        assert_eq!(card_of(3, 0), 0, "the first is named in the error");
    }
}
