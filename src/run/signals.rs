//! Ctrl-C, SIGTERM, a terminal that goes away and the end of a job's time: the first asks the loop to save and leave, the second leaves at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::startup::is_ignored;

// SIGUSR1 is what Slurm sends before a job's time is over, where it was asked to.
#[cfg(unix)]
const SIGNALS: [i32; 4] = [SIGINT, SIGTERM, signal_hook::consts::SIGHUP, signal_hook::consts::SIGUSR1];
#[cfg(not(unix))]
const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// Whether a signal has asked the program to stop.
#[derive(Clone, Debug, Default)]
pub struct StopRequest {
    asked: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl StopRequest {
    /// Takes over SIGINT, SIGTERM, SIGHUP and SIGUSR1 for the rest of the process, but those that it was started to ignore: by
    /// `nohup`, or in the background of a script.
    pub fn listen() -> anyhow::Result<Self> {
        Self::register().context("cannot listen for signals")
    }

    fn register() -> std::io::Result<Self> {
        let request = Self::default();
        for signal in SIGNALS.into_iter().filter(|&signal| !is_ignored(signal)) {
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
