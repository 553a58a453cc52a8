//! Where the tests compute: on the CPU, or where `GAN_TEST_DEVICE` says, a name as `--device` takes it. `gpu.sh` sets it.

use std::sync::OnceLock;

use candle_core::Device;
use gan::device::DeviceChoice;

const VARIABLE: &str = "GAN_TEST_DEVICE";

/// The name of the device, if one is given.
pub fn named() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|name| !name.is_empty())
}

fn open(name: &str) -> Device {
    let choice: DeviceChoice = name.parse().unwrap_or_else(|error| panic!("{VARIABLE}={name}: {error}"));
    choice.open().unwrap_or_else(|error| panic!("{VARIABLE}={name}: {error}"))
}

/// The one device of this process: tensors of two openings of one card do not mix.
pub fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| named().map_or(Device::Cpu, |name| open(&name))).clone()
}

/// The device to hold against the CPU: the one that is named, be it the CPU to test the tests, else the first
/// accelerator that can be opened. Tests that need one are ignored unless they are asked for.
pub fn accelerator() -> Device {
    static FOUND: OnceLock<Device> = OnceLock::new();
    let found = FOUND.get_or_init(|| match named() {
        Some(_) => device(),
        None => open("auto"),
    });
    assert!(named().is_some() || !found.is_cpu(), "no accelerator can be opened; {VARIABLE} names a device");
    found.clone()
}
