//! Where the gradient of an output is collected.

use crate::kernels::cpu::parallel::sum_of;
use crate::kernels::storage::{is_host, read, tensor};
use candle_core::{Result, Tensor, bail};
use std::sync::{Arc, Mutex};

/// Takes gradients in and adds them up, until the op's own backward pass. Clones are the same slot.
#[derive(Clone, Default)]
pub struct GradSlot(Arc<Mutex<State>>);

enum State {
    /// Two at most: more are added up. An op may take two in the pass in which it reads them.
    Open(Vec<Tensor>),
    Closed,
}

impl Default for State {
    fn default() -> Self {
        State::Open(Vec::new())
    }
}

impl GradSlot {
    pub fn accumulate(&self, gradient: Tensor) -> Result<()> {
        let Ok(mut state) = self.0.lock() else { bail!("a backward pass has failed before") };
        match &mut *state {
            State::Open(given) => {
                if let [first, second] = &given[..] {
                    *given = vec![added(first, second)?];
                }
                given.push(gradient);
                Ok(())
            }
            State::Closed => bail!("a training step must run its backward pass itself, once"),
        }
    }

    /// None, one or two gradients whose sum is what was given. Nothing can be given from here on.
    pub fn close(&self) -> Vec<Tensor> {
        match self.0.lock().map(|mut state| std::mem::replace(&mut *state, State::Closed)) {
            Ok(State::Open(given)) => given,
            _ => Vec::new(),
        }
    }
}

/// The sum as a new tensor: either may be in use elsewhere.
pub fn added(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    match is_host(&[x, y]) {
        true => tensor(read(x, |x| read(y, |y| sum_of(x, y)))??, x.dims()),
        false => x + y,
    }
}
