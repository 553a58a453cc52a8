//! In place of the instructions on architectures that have none: bf16 is refused there before any product is made.

use super::{PanelProduct, Rows};

pub fn are_there() -> bool {
    false
}

pub fn pairs_along(_: Rows, _: &mut [u32]) {
    unreachable!("bf16 was refused")
}

pub fn pairs_across(_: Rows, _: &mut [u32], _: usize) {
    unreachable!("bf16 was refused")
}

impl PanelProduct<'_> {
    pub fn compute(self) {
        unreachable!("bf16 was refused")
    }
}
