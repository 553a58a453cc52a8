//! The steps of a training loop: which one it is, what is due after it, how fast it goes, whether to stop.

use std::time::Instant;

use crate::error::Error;
use crate::report::{Figure, Monitor, TrainingStatus};
use crate::run::signals::StopRequest;

/// How long training takes, and what is due when.
#[derive(Clone, Copy, Debug)]
pub struct Timetable {
    pub last_step: u64,
    pub steps_per_epoch: u64,
    /// Images a step.
    pub batch_size: usize,
    /// Steps between two logged ones.
    pub log_every: u64,
    /// Steps between two measurements, which are due after the last step too; 0: none.
    pub measure_every: u64,
    /// Steps between two checkpoints, and how many of them are kept.
    pub checkpoint_every: u64,
    pub keep: usize,
}

impl Timetable {
    /// Whether a measurement is due when `steps` steps are done.
    fn is_measured(&self, steps: u64) -> bool {
        self.measure_every > 0 && (steps.is_multiple_of(self.measure_every) || steps == self.last_step)
    }

    /// Whether `step` is logged: on the interval, before a measurement, and as the last.
    pub fn is_logged(&self, step: u64) -> bool {
        step.is_multiple_of(self.log_every) || self.is_measured(step + 1) || step + 1 == self.last_step
    }
}

/// What a record says of its step.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub step: u64,
    pub epoch: u64,
    /// Of training so far.
    pub seconds: f64,
    /// Training images a second since the previous mark, everything included.
    pub images_per_second: f64,
}

/// Counts the steps of a loop.
pub struct Clock {
    timetable: Timetable,
    pub monitor: Monitor,
    pub stop: StopRequest,
    first_step: u64,
    /// Steps done.
    step: u64,
    began: Instant,
    seconds_before: f64,
    marked_at: (Instant, u64),
    images_per_second: f64,
}

impl Clock {
    /// After `first_step` steps, which have taken `seconds_before`.
    pub fn start(
        timetable: Timetable,
        (first_step, seconds_before): (u64, f64),
        monitor: Monitor,
        stop: StopRequest,
    ) -> Self {
        let began = Instant::now();
        let (marked_at, images_per_second) = ((began, first_step), 0.0);
        Self {
            timetable,
            monitor,
            stop,
            first_step,
            step: first_step,
            began,
            seconds_before,
            marked_at,
            images_per_second,
        }
    }

    /// Begins again after `first_step` steps of another series.
    pub(crate) fn restart(&mut self, first_step: u64, seconds_before: f64) {
        self.monitor.finish();
        (self.first_step, self.step) = (first_step, first_step);
        (self.began, self.seconds_before) = (Instant::now(), seconds_before);
    }

    /// The number of the next step; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Stopped`] where a signal has come.
    pub fn next_step(&mut self) -> anyhow::Result<Option<u64>> {
        if let Some(signal) = self.stop.signal() {
            self.monitor.finish();
            return Err(Error::Stopped(signal).into());
        }
        Ok(self.step_unless_done())
    }

    pub(crate) fn step_unless_done(&mut self) -> Option<u64> {
        if self.is_done() {
            self.monitor.finish();
            return None;
        }
        if self.monitor.start(self.first_step, self.timetable.last_step) {
            self.marked_at = (Instant::now(), self.step);
        }
        Some(self.step)
    }

    /// A step is done. From here on the networks are those after it, whatever stops the loop.
    pub fn advance(&mut self) {
        self.step += 1;
        self.monitor.tick(self.step);
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    pub fn timetable(&self) -> &Timetable {
        &self.timetable
    }

    /// The number of steps when all are done.
    pub fn last_step(&self) -> u64 {
        self.timetable.last_step
    }

    /// The epoch of the next step.
    pub fn epoch(&self) -> u64 {
        self.step / self.timetable.steps_per_epoch
    }

    /// Seconds of training so far.
    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }

    /// Whether the last step is done.
    pub fn is_done(&self) -> bool {
        self.step >= self.timetable.last_step
    }

    /// Whether the step just done is logged.
    pub fn is_logged(&self) -> bool {
        self.timetable.is_logged(self.step - 1)
    }

    /// Whether the step just done is on the log interval. Others may be the last of a run that goes on: one that was never
    /// stopped does not see them.
    pub fn is_on_interval(&self) -> bool {
        (self.step - 1).is_multiple_of(self.timetable.log_every)
    }

    /// Whether a checkpoint is due now.
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        self.step > self.first_step && self.step.is_multiple_of(self.timetable.checkpoint_every)
    }

    /// Whether a measurement is due now.
    pub fn is_measured(&self) -> bool {
        self.timetable.is_measured(self.step)
    }

    /// Whether the measurement that is due is on the interval, and not there since the last step is done.
    pub fn is_measured_on_interval(&self) -> bool {
        self.step.is_multiple_of(self.timetable.measure_every.max(1))
    }

    /// Makes the step just done the last one.
    pub(crate) fn end_here(&mut self) {
        self.timetable.last_step = self.step;
    }

    /// Takes the time of a logged step. To be called once the device has finished it.
    pub fn mark(&mut self) -> Mark {
        let (since, from) = self.marked_at;
        let images = (self.step - from) * self.timetable.batch_size as u64;
        self.images_per_second = images as f64 / since.elapsed().as_secs_f64();
        self.marked_at = (Instant::now(), self.step);
        let step = self.step - 1;
        let epoch = step / self.timetable.steps_per_epoch;
        Mark { step, epoch, seconds: self.seconds(), images_per_second: self.images_per_second }
    }

    /// Shows the step that was marked, with the figures of this kind of training; and how fast, where it `reads_images`.
    pub fn show(&self, figures: Vec<Figure>, reads_images: bool) {
        let Timetable { last_step, steps_per_epoch, .. } = self.timetable;
        self.monitor.status(&TrainingStatus {
            step: self.step,
            epoch: (self.step - 1) / steps_per_epoch + 1,
            epochs: Some(last_step.div_ceil(steps_per_epoch)),
            figures,
            images_per_second: reads_images.then_some(self.images_per_second),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_logged_on_the_interval_before_a_measurement_and_at_the_end() {
        let (last_step, steps_per_epoch, batch_size, checkpoint_every, keep) = (18, 6, 8, 5, 3);
        #[rustfmt::skip]
        let timetable = |log_every, measure_every| {
            Timetable { last_step, steps_per_epoch, batch_size, log_every, measure_every, checkpoint_every, keep }
        };
        let logged = |log_every, measure_every| -> Vec<u64> {
            (0..last_step).filter(|step| timetable(log_every, measure_every).is_logged(*step)).collect()
        };
        assert_eq!(logged(5, 0), [0, 5, 10, 15, 17]);
        assert_eq!(logged(5, 8), [0, 5, 7, 10, 15, 17]);
        assert!(timetable(5, 8).is_measured(18) && !timetable(5, 0).is_measured(18), "the last, if any");
    }
}
