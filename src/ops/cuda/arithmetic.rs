//! In which arithmetic products of matrices are computed.

use candle_core::DType;
use std::cell::Cell;

/// The factors of a product; sums and everything else are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// f32 as on the CPU.
    #[default]
    Float,
    /// f32 with factors rounded to 10 bits of mantissa: NVIDIA's TF32.
    Tf32,
    /// Factors rounded to bf16.
    Bfloat16,
}

thread_local! {
    static CURRENT: Cell<Arithmetic> = const { Cell::new(Arithmetic::Float) };
}

impl Arithmetic {
    /// For a product with an input of this type: bf16 are multiplied as bf16.
    pub fn of(input: DType) -> Self {
        match input {
            DType::BF16 => Arithmetic::Bfloat16,
            _ => CURRENT.get(),
        }
    }

    /// Runs `work` with this as the thread's.
    pub fn during<R>(self, work: impl FnOnce() -> R) -> R {
        struct Restore(Arithmetic);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        let _restore = Restore(CURRENT.replace(self));
        work()
    }

    /// The type of the factors.
    pub fn factors(self) -> DType {
        match self {
            Arithmetic::Float | Arithmetic::Tf32 => DType::F32,
            Arithmetic::Bfloat16 => DType::BF16,
        }
    }
}
