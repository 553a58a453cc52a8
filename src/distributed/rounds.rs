//! Work without sums: items that are computed on their own, tile by tile, as samples and features are.

use std::collections::VecDeque;
use std::ops::Range;

use anyhow::bail;

use super::Communicator;
use crate::error::Error;

/// What a process gives as the reason to stop that has failed.
const FAILED: i32 = i32::MAX;

/// Numbered items, computed in tiles. In each round every process computes one tile; what all have computed comes together
/// in the order of the items. Whoever computed a tile, the values are the same.
pub struct Rounds<'a> {
    processes: &'a dyn Communicator,
    /// Those still to be computed.
    items: Range<u64>,
    /// Items of a tile; tiles begin at its multiples.
    tile: u64,
    /// Values of an item.
    width: usize,
    is_for_all: bool,
    computed: VecDeque<Tile>,
    is_over: bool,
    stopped: Option<i32>,
}

/// Items, and their values one after another.
pub type Tile = (Range<u64>, Vec<f32>);

impl<'a> Rounds<'a> {
    /// `items` of `width` values each, which come to the first process alone.
    pub fn new(processes: &'a dyn Communicator, items: Range<u64>, tile: usize, width: usize) -> Self {
        let (tile, computed) = (tile.max(1) as u64, VecDeque::new());
        Self { processes, items, tile, width, is_for_all: false, computed, is_over: false, stopped: None }
    }

    /// The same, but they come to every process.
    pub fn for_all(mut self) -> Self {
        self.is_for_all = true;
        self
    }

    /// The next tile; `None` after the last, and in a process that gets none.
    ///
    /// `stop` is asked in each round, and after the last, with the number of the first item that is not done. If it gives
    /// anything but 0 in any process, the work ends early in all, and the largest of what they gave is
    /// [`stopped`](Self::stopped).
    ///
    /// # Errors
    /// Those of `compute`, which gives the values of the items of a tile; [`Error::OtherProcess`] where another process has
    /// failed. Where the others cannot be reached.
    pub fn next(
        &mut self,
        mut stop: impl FnMut(u64) -> i32,
        mut compute: impl FnMut(Range<u64>) -> anyhow::Result<Vec<f32>>,
    ) -> anyhow::Result<Option<Tile>> {
        while self.computed.is_empty() && !self.is_over {
            // Until all of it has succeeded: an error ends the work.
            self.is_over = true;
            let done = self.items.start;
            let tiles: Vec<Range<u64>> = (0..self.processes.size()).map(|_| self.take_tile()).collect();
            let own = match &tiles[self.processes.rank()] {
                tile if tile.is_empty() => Ok(Vec::new()),
                tile => compute(tile.clone()),
            };
            let why = self.processes.max(if own.is_err() { FAILED } else { stop(done) })?;
            let own = own?;
            match why {
                0 if tiles[0].is_empty() => {}
                0 => {
                    self.put_together(tiles, own)?;
                    self.is_over = false;
                }
                FAILED => bail!(Error::OtherProcess),
                why => self.stopped = Some(why),
            }
        }
        Ok(self.computed.pop_front())
    }

    /// Why the work has ended early, if it has.
    pub fn stopped(&self) -> Option<i32> {
        self.stopped
    }

    /// Takes what every process has computed of its tile.
    fn put_together(&mut self, tiles: Vec<Range<u64>>, own: Vec<f32>) -> anyhow::Result<()> {
        let (rank, size) = (self.processes.rank(), self.processes.size());
        let values_of = |tile: &Range<u64>| (tile.end - tile.start) as usize * self.width;
        if own.len() != values_of(&tiles[rank]) {
            bail!("{} values of items {:?}; expected {}", own.len(), tiles[rank], values_of(&tiles[rank]));
        }
        let lengths: Vec<usize> = tiles.iter().map(values_of).collect();
        let is_given = rank == 0 || self.is_for_all;
        let all = match size {
            1 => vec![own],
            _ if self.is_for_all => self.processes.gather(&own, &lengths)?,
            _ => {
                let mut parts = vec![Vec::new(); size];
                parts[0] = own;
                self.processes.exchange(&parts, &if is_given { lengths } else { vec![0; size] })?
            }
        };
        self.computed = tiles.into_iter().zip(all).filter(|(tile, _)| is_given && !tile.is_empty()).collect();
        Ok(())
    }

    /// The first of the tiles that are left; an empty one where there is none.
    fn take_tile(&mut self) -> Range<u64> {
        let begin = self.items.start;
        let end = (begin - begin % self.tile).saturating_add(self.tile).min(self.items.end);
        self.items.start = end.max(begin);
        begin..self.items.start
    }
}

/// The others are told that the work is given up, where this process could not go on with what it was given.
impl Drop for Rounds<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.processes.size() > 1 {
            // They may be gone too.
            let _ = self.processes.max(FAILED);
        }
    }
}
