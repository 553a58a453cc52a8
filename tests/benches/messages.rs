//! How long the processes of `mpirun` take to give each other parts of a tensor: a JSON line for each size, by the first.
//!
//!     mpirun -n 2 PATH   (`processes.py` builds and runs it)

use std::time::Instant;

use candle_core::{DType, Device, Result, Tensor};
use gan::distributed::{Communicator, MpiProcesses, Parts};

/// Values of the tensor: a process sends a part of it to each other.
const VALUES: [usize; 6] = [2, 1 << 10, 1 << 14, 1 << 18, 1 << 21, 1 << 23];

/// Of each size so many bytes are sent in all, in up to so many rounds.
const BYTES: usize = 1 << 28;
const ROUNDS: usize = 2_000;

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
fn main() -> Result<()> {
    let processes = MpiProcesses::start()?;
    for values in VALUES {
        let parts = Parts::new([values], processes.size());
        let tensor = Tensor::zeros(values, DType::F32, &Device::Cpu)?;
        let rounds = (BYTES / (4 * values)).clamp(5, ROUNDS);
        (0..5).try_for_each(|_| processes.share(vec![tensor.clone()], &parts))?;
        let (begin, sent) = (Instant::now(), processes.traffic().bytes);
        (0..rounds).try_for_each(|_| processes.share(vec![tensor.clone()], &parts))?;
        let seconds = begin.elapsed().as_secs_f64() / rounds as f64;
        if processes.rank() == 0 {
            let bytes = (processes.traffic().bytes - sent) / rounds as u64;
            println!("{{\"bytes\": {bytes}, \"seconds\": {seconds:.9}}}");
        }
    }
    processes.finish();
    Ok(())
}
