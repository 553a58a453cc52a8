//! Ctrl-C and SIGTERM: the first asks the loop to save and leave, the second leaves at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether a signal has asked the program to stop.
#[derive(Clone, Debug, Default)]
pub struct StopRequest {
    asked: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl StopRequest {
    /// Takes over SIGINT and SIGTERM for the rest of the process.
    pub fn listen() -> std::io::Result<Self> {
        let request = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // In this order, so that the first signal sets the flag and only a second one finds it set.
            flag::register_conditional_shutdown(signal, 128 + signal, request.asked.clone())?;
            flag::register_usize(signal, request.signal.clone(), signal as usize)?;
            flag::register(signal, request.asked.clone())?;
        }
        Ok(request)
    }

    /// The signal that came, if one did.
    pub fn signal(&self) -> Option<i32> {
        self.asked.load(Ordering::Relaxed).then(|| self.signal.load(Ordering::Relaxed) as i32)
    }
}
