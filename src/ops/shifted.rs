//! What a batch norm gives, its shift apart.

use candle_core::{Result, Tensor};

/// x = `values` + `shift`.
///
/// A ReLU leaves zeros, and a batch norm moves all those of a channel by the same amount, so that a product behind it
/// could no longer leave them out. With the shift apart they stay zero, and it costs the product one row more.
///
/// `values` have not had their mean taken off: where that is many deviations, x is the difference of two large numbers and
/// loses digits, as many as the ratio has. Behind a ReLU it is about one.
///
/// The gradient of x is that of `values`, and `shift` has none: the norm's backward pass knows what both came from.
#[derive(Clone, Debug)]
pub struct Shifted {
    /// (.., C)
    pub values: Tensor,
    /// (C), on the CPU alone.
    pub shift: Option<Tensor>,
}

impl Shifted {
    /// x itself.
    pub fn sum(&self) -> Result<Tensor> {
        match &self.shift {
            Some(shift) => self.values.broadcast_add(shift),
            None => Ok(self.values.clone()),
        }
    }
}

impl From<Tensor> for Shifted {
    fn from(values: Tensor) -> Self {
        Self { values, shift: None }
    }
}
