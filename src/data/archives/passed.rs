//! What of archives is passed over.

use std::ops::AddAssign;

/// How much of archives is passed over, and why.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    /// Pictures that are symbolic links, which are not followed.
    pub links: usize,
    /// Pictures whose names have a `..`, as if they lay outside.
    pub outside: usize,
    /// Archives in archives.
    pub archives: usize,
}

impl AddAssign for Passed {
    fn add_assign(&mut self, other: Self) {
        self.links += other.links;
        self.outside += other.outside;
        self.archives += other.archives;
    }
}

impl Passed {
    /// A line for each reason.
    pub fn notes(&self) -> Vec<String> {
        let line = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        let lines = [
            line(
                self.links,
                "picture passed over: it is a symbolic link",
                "pictures passed over: they are symbolic links",
            ),
            line(
                self.outside,
                "picture passed over: its name leads out of the archive (..)",
                "pictures passed over: their names lead out of the archive (..)",
            ),
            line(
                self.archives,
                "archive within an archive passed over; unpack it",
                "archives within archives passed over; unpack them",
            ),
        ];
        lines.into_iter().flatten().collect()
    }
}
