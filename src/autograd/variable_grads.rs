//! Where the gradients of variables go: into a store, or each to whoever takes it, as soon as it is complete.

use crate::autograd::grad_slot::added;
use crate::kernels::storage::{is_host, read};
use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, TensorId, bail};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// What changes a variable on the CPU by its gradient.
pub trait Update: Sync {
    /// By the whole of it, in row-major order.
    fn whole(&self, gradient: &[f32]) -> Result<()>;

    /// The same in pieces of `size` values (the last may be shorter), each used while it is in the cache, so that the
    /// whole of it is never in memory. `write` overwrites the piece of that index.
    fn in_pieces(&self, size: usize, write: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Result<()>;

    /// The same of some of the values, those of `range` in row-major order. The others stay as they are.
    fn in_range(&self, range: Range<usize>, size: usize, write: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Result<()>;
}

/// What becomes of the gradients of some variables.
pub trait Updates {
    /// The update of this variable, if it is one of those that are updated.
    fn update_of(&self, variable: TensorId) -> Option<Box<dyn Update + '_>>;

    /// Takes the gradient of this variable, which is complete; false where it is none of them.
    fn take(&self, variable: TensorId, gradient: &Tensor) -> Result<bool> {
        let Some(update) = self.update_of(variable) else { return Ok(false) };
        read(gradient, |gradient| update.whole(gradient))??;
        Ok(true)
    }
}

/// The gradients of a backward pass.
pub struct VariableGrads<'a> {
    pub store: GradStore,
    /// How many nodes have still to give something for a variable.
    uses: HashMap<TensorId, usize>,
    updates: Option<&'a dyn Updates>,
    taken: HashSet<TensorId>,
}

impl<'a> VariableGrads<'a> {
    pub fn new(store: GradStore, uses: HashMap<TensorId, usize>, updates: Option<&'a dyn Updates>) -> Self {
        Self { store, uses, updates, taken: HashSet::new() }
    }

    /// Adds to the gradient of a variable.
    pub fn accumulate(&mut self, variable: &Tensor, gradient: Tensor) -> Result<()> {
        let sum = match self.store.remove(variable) {
            Some(other) => added(&other, &gradient)?,
            None => gradient,
        };
        self.store.insert(variable, sum);
        Ok(())
    }

    /// The update of a variable whose gradient comes from one node alone, for that node.
    pub fn direct_update(&self, variable: &Tensor) -> Option<Box<dyn Update + 'a>> {
        let is_alone = self.uses.get(&variable.id()) == Some(&1) && self.store.get(variable).is_none();
        let updates = self.updates.filter(|_| is_alone && is_host(&[variable]))?;
        updates.update_of(variable.id())
    }

    /// Notes that a node has updated a variable itself.
    pub fn was_updated(&mut self, variable: &Tensor) {
        self.taken.insert(variable.id());
    }

    /// Notes that a node gives nothing more for a variable. After the last such node its gradient is taken, if it is on the CPU:
    /// elsewhere the host would wait for it, which is ahead of the device.
    pub fn release(&mut self, variable: &Tensor) -> Result<()> {
        let id = variable.id();
        let Some(uses) = self.uses.get_mut(&id) else { return Ok(()) };
        *uses -= 1;
        let Some(updates) = self.updates.filter(|_| *uses == 0 && is_host(&[variable])) else { return Ok(()) };
        if let Some(gradient) = self.store.get_id(id)
            && updates.take(id, gradient)?
        {
            self.taken.insert(id);
            self.store.remove(variable);
        }
        Ok(())
    }

    /// Has the gradients taken that candle's own ops gave. Returns the variables of all that were taken in this pass.
    pub fn finish(mut self) -> Result<HashSet<TensorId>> {
        let Some(updates) = self.updates else { return Ok(self.taken) };
        for id in self.store.get_ids() {
            let Some(gradient) = self.store.get_id(*id) else { continue };
            if self.taken.contains(id) {
                bail!("a gradient came for a variable whose gradient was taken already")
            }
            if updates.take(*id, gradient)? {
                self.taken.insert(*id);
            }
        }
        Ok(self.taken)
    }
}
