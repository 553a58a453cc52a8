//! What the system says of the file systems that paths lie in.

#![allow(unsafe_code)]

#[cfg(unix)]
use std::ffi::CString;
use std::path::Path;

/// Bytes that this user may still write to the file system of `path`; `None` where the system does not say.
#[cfg(unix)]
pub fn free_bytes(path: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: all-zero is a valid value of this plain C struct; the text ends in a zero, and the call writes into the
    // struct alone.
    let found = unsafe {
        let mut found: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &mut found) == 0).then_some(found)
    }?;
    // Some file systems of the system's own have no size. The widths of the fields are the system's.
    #[allow(clippy::unnecessary_cast)]
    (found.f_blocks > 0).then(|| (found.f_bavail as u64).saturating_mul(found.f_frsize as u64))
}

/// Whether the file system of `path` keeps its files in memory, as far as the system says.
pub fn is_in_memory(path: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
        // SAFETY: all-zero is a valid value of this plain C struct; the text ends in a zero, and the call writes into the
        // struct alone.
        let kind = unsafe {
            let mut found: libc::statfs = std::mem::zeroed();
            (libc::statfs(path.as_ptr(), &mut found) == 0).then_some(found.f_type)
        };
        // The widths of the fields are the system's.
        #[allow(clippy::unnecessary_cast)]
        return kind.is_some_and(|kind| [libc::TMPFS_MAGIC as i64, RAMFS_MAGIC].contains(&(kind as i64)));
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        false
    }
}

/// Of `linux/magic.h`.
#[cfg(target_os = "linux")]
const RAMFS_MAGIC: i64 = 0x8584_58f6;

#[cfg(not(unix))]
pub fn free_bytes(_: &Path) -> Option<u64> {
    None
}
