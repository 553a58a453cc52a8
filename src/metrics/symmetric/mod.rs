//! Symmetric matrices in f64 as covariances need them: products, factors, eigenvalues. Fast enough for the 2,048 features
//! of Inception. What comes out does not depend on the number of threads.

mod eigenvalues;
mod factor;
mod products;

pub use eigenvalues::eigenvalues;
pub use factor::{Factor, factor};
pub use products::{Rows, product_with_itself, transposed_product};
