/// Which of the processes that train together this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// 0 to `world` - 1.
    pub rank: usize,
    /// The number of processes.
    pub world: usize,
}

impl Shard {
    /// The only process.
    pub const WHOLE: Self = Self { rank: 0, world: 1 };
}
