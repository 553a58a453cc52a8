//! How much memory the images of a set may take.

use std::fmt;
use std::fs;
use std::str::FromStr;

use super::MAX_PIXELS;

/// A number of bytes, as people write it: `512MiB`, `4GB`, `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySize(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("b", 1),
];

impl MemorySize {
    /// The memory that is free now; `None` where the system does not say how much that is.
    pub fn free() -> Option<Self> {
        free().map(Self)
    }

    /// Half of the memory that is free now. Where the system does not say how much that is, [`MAX_PIXELS`].
    pub fn half_of_free() -> Self {
        Self(free().map_or(MAX_PIXELS, |free| free / 2))
    }
}

impl FromStr for MemorySize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let (number, unit) = match UNITS.iter().find_map(|(name, unit)| Some((lower.strip_suffix(name)?, *unit))) {
            Some((number, unit)) => (number.trim_end(), unit),
            None => (&*lower, 1),
        };
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        // Half a byte is half a gibibyte without its unit.
        let is_whole = unit > 1 || !number.contains('.');
        let bytes = number.parse::<f64>().ok().filter(|_| is_plain && is_whole).map(|number| number * unit as f64);
        match bytes {
            Some(bytes) if bytes < u64::MAX as f64 => Ok(Self(bytes as u64)),
            Some(_) => Err("no memory is so large; expected a size such as 512MiB or 4GB, below 2^64 bytes".into()),
            None => Err("expected a size with its unit, such as 512MiB or 4GB, or 0".into()),
        }
    }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            bytes @ ..1_024 => write!(f, "{bytes} bytes"),
            bytes @ ..0x10_0000 => write!(f, "{:.1} KiB", bytes as f64 / f64::from(1 << 10)),
            bytes @ ..0x4000_0000 => write!(f, "{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
            bytes => write!(f, "{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
        }
    }
}

/// Bytes that this process may still take: what Linux counts as available, and no more than its control group is allowed.
/// `None` where the system does not say, so on other systems.
fn free() -> Option<u64> {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let field = |path: &str, name: &str| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let available = field("/proc/meminfo", "MemAvailable:")?.saturating_mul(1 << 10);
    // Of what a group uses the files' cache would be given back.
    let used = field("/sys/fs/cgroup/memory.stat", "anon ").unwrap_or(0);
    let allowed = number("/sys/fs/cgroup/memory.max").map(|most| most.saturating_sub(used));
    Some(allowed.map_or(available, |allowed| allowed.min(available)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("512MiB", 512 << 20),
            ("4GB", 4_000_000_000),
            ("1.5gib", 3 << 29),
            ("10 kB", 10_000),
            ("7b", 7),
            ("123456", 123_456),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(MemorySize(bytes)), "{text}");
        }
        for wrong in ["", "-1", "GiB", "4 XB", "1e3", "nan", "inf", "1.2.3MB", "99999999999TiB", "0.5", "0.5b", "4.0"] {
            assert!(wrong.parse::<MemorySize>().is_err(), "{wrong}");
        }
        assert!("99999999TB".parse::<MemorySize>().unwrap_err().contains("below 2^64 bytes"));
        let shown = [0, 2048, 5 << 20, 3 << 29].map(|bytes| MemorySize(bytes).to_string());
        assert_eq!(shown, ["0 bytes", "2.0 KiB", "5.0 MiB", "1.5 GiB"]);
    }

    #[test]
    fn linux_says_how_much_memory_is_free() {
        assert_eq!(free().is_some(), cfg!(target_os = "linux"));
        assert!(MemorySize::half_of_free().0 > 0);
    }
}
