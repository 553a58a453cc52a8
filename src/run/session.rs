//! A run in training: what every loop does the same way, so that a loop holds only what is its own.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::checkpoint::header::PENDING;
use crate::checkpoint::saved_runs::LOG_FILE;
use crate::checkpoint::state::{Tensors, non_finite};
use crate::checkpoint::{atomic, first_non_finite};
use crate::distributed::Traffic;
use crate::error::Error;
use crate::report::{self, Communication, Figure, KeptRecords, Monitor, Picture, RunLog, StepRecord, counted};
use crate::run::{BestSoFar, Clock, Position, Run, Snapshot, StopRequest, Timetable};

/// A run in training, with records of type `R` in its log. A loop goes like this:
/// ```text
/// loop {
///     if let Some(record) = session.pending.take() { measure; session.complete(record, ...)?; }
///     if session.is_save_due()? { session.save(snapshot)?; }
///     let Some(step) = session.next_step()? else { break };
///     train;
///     session.clock.advance();
///     if session.clock.is_logged() { session.log(record, figures)?; }
/// }
/// session.save(snapshot)?;
/// ```
pub struct Session<C, R> {
    pub run: Run<C>,
    pub clock: Clock,
    /// The record of the last step, which waits for a measurement.
    pub pending: Option<R>,
    /// Steps of the parts of the run before the one that the clock counts, and which one that is, for messages.
    part: (u64, String),
    /// Of the process that writes.
    log: Option<RunLog<R>>,
    saved_step: Option<u64>,
    /// Why the loop is to end early, as [`Session::is_save_due`] last saw it.
    stop: Option<Error>,
    is_pipe_closed: bool,
    /// Whether the run had come to its end before: then nothing is written that is there and right.
    is_finished: bool,
    /// The step of the previous record, and what was sent and waited for until then.
    sent: (u64, Traffic),
}

impl<C: Serialize, R: Serialize + DeserializeOwned + StepRecord> Session<C, R> {
    /// Takes the run over on the disk, when nothing can be refused any more, and goes on with its log.
    ///
    /// # Errors
    /// [`Error::Input`] where the log is damaged; those of [`crate::run::RunDirectory::begin`].
    pub fn begin(run: Run<C>, timetable: Timetable, monitor: Monitor) -> anyhow::Result<Self> {
        // The record that the run was stopped over, if it was.
        let pending: Option<R> = run.saved(PENDING)?;
        let (first_step, pending_step) = (run.step(), pending.as_ref().map(R::step));
        // Records after the checkpoint will be written again; one that is not due was the last of a shorter run.
        let kept = run.kept_records(|record: &R| {
            let step = record.step();
            step < first_step && timetable.is_logged(step) && Some(step) != pending_step
        })?;
        let seconds = run.checkpoint.as_ref().map_or(0.0, |(position, _)| position.seconds);
        let is_finished = first_step == timetable.last_step && pending.is_none() && run.is_as_saved()?;
        // Only now: before there is nothing to save, and a download ends at the first Ctrl-C.
        let clock = Clock::start(timetable, (first_step, seconds), monitor, StopRequest::listen()?);
        Ok(Self { pending, is_finished, ..Self::take_over(run, clock, &kept)? })
    }

    /// Logs a record that waited for its measurement. Where a signal to any process has cut that short, it waits until the
    /// run goes on. Whether it `is_measured` is for the process to say that writes.
    pub fn complete(&mut self, record: R, is_measured: bool) -> anyhow::Result<()> {
        self.clock.monitor.show_again(self.clock.step());
        let signal = self.run.processes.max(self.clock.stop.signal().unwrap_or(0))?;
        let is_cut_short = self.run.is_written_here() && !is_measured && signal != 0;
        if self.run.processes.max(is_cut_short.into())? == 0 {
            return self.append(&record);
        }
        self.pending = Some(record);
        Ok(())
    }

    /// After a measurement: says what it was beside the best one, if it `is_measured`, and ends the run with the step just
    /// done where there has been no better one for long enough. That is for the process to say that writes.
    pub fn end_without_better(&mut self, best: Option<&BestSoFar>, is_measured: bool) -> anyhow::Result<()> {
        let Some(best) = best else { return Ok(()) };
        if is_measured {
            self.clock.monitor.note(&best.words(self.clock.step()));
        }
        let is_over = self.run.is_written_here() && best.is_over();
        if self.run.processes.max(is_over.into())? > 0 {
            self.clock.end_here();
        }
        Ok(())
    }

    /// Shows the figures of the step just done and logs its record: at once, or with the measurement that is due.
    pub fn log(&mut self, record: R, figures: Vec<Figure>) -> anyhow::Result<()> {
        self.clock.show(figures, true);
        if !self.clock.is_measured() {
            return self.append(&record);
        }
        self.pending = Some(record);
        Ok(())
    }
}

impl<C: Serialize, R: Serialize + DeserializeOwned> Session<C, R> {
    /// As [`Session::begin`], with what the caller keeps of the log.
    pub fn take_over(mut run: Run<C>, clock: Clock, kept: &KeptRecords) -> anyhow::Result<Self> {
        run.checkpoint = None;
        if run.is_written_here() {
            run.begin()?;
        }
        let log = run.is_written_here().then(|| RunLog::begin(&run.directory.metrics_path(), kept)).transpose()?;
        let (pending, part, saved_step, stop) = (None, (0, String::new()), None, None);
        let sent = (clock.step(), run.processes.traffic());
        Ok(Self { run, clock, pending, part, log, saved_step, stop, is_pipe_closed: false, is_finished: false, sent })
    }

    /// Begins part `name` of a run that trains several things one after another, before which `steps_before` steps were
    /// done. It goes on after `first_step` of its own.
    pub fn begin_part(&mut self, name: String, steps_before: u64, (first_step, seconds): (u64, f64)) {
        (self.part, self.saved_step) = ((steps_before, name), None);
        self.clock.restart(first_step, seconds);
    }

    /// Says what is trained, on what device; then what is to be known about how the run begins.
    pub fn announce(&self, what: &str, device: &str) {
        let (clock, monitor) = (&self.clock, &self.clock.monitor);
        let (directory, step) = (&self.run.directory, clock.step());
        match self.is_finished {
            true => monitor.note(&format!(
                "the run {} is finished, at step {step}; more steps or epochs go on with it",
                directory.name
            )),
            false => monitor.note(&format!("{what}, {device}, {}", counted(rayon::current_num_threads(), "thread"))),
        }
        let steps_per_epoch = clock.timetable().steps_per_epoch;
        let steps_per_epoch = counted(steps_per_epoch, "step");
        monitor.detail(&format!("{steps_per_epoch} an epoch; run {}", directory.weights.display()));
        self.run.notices.iter().for_each(|notice| monitor.notice(notice));
    }

    /// Which steps are to be done, in words.
    pub fn span(&self) -> String {
        match (self.clock.step(), self.clock.last_step()) {
            (0, last) => counted(last, "step"),
            (first, last) => format!("steps {first} to {last}"),
        }
    }

    /// Whether a checkpoint is due: on the interval, or since the run is to stop. Looks whether it is to.
    ///
    /// # Errors
    /// Where the other processes cannot be asked.
    pub fn is_save_due(&mut self) -> anyhow::Result<bool> {
        self.look_for_stop()?;
        Ok(self.clock.is_checkpoint_due() || self.stop.is_some())
    }

    /// Looks whether any of the run's processes is to stop: then all of them do, after the same step.
    fn look_for_stop(&mut self) -> anyhow::Result<()> {
        // The reader of stdout has gone: that stops a run, as a signal does, and loses nothing.
        const CLOSED_PIPE: i32 = i32::MAX;
        let own = if self.is_pipe_closed { CLOSED_PIPE } else { self.clock.stop.signal().unwrap_or(0) };
        self.stop = match self.run.processes.max(own)? {
            0 => None,
            CLOSED_PIPE => Some(Error::ClosedPipe),
            signal => Some(Error::Stopped(signal)),
        };
        Ok(())
    }

    /// The number of the next step; `None` after the last.
    ///
    /// # Errors
    /// [`Error::RunStopped`] or [`Error::ClosedPipe`] where the run is to stop.
    pub fn next_step(&mut self) -> anyhow::Result<Option<u64>> {
        match self.stop.take() {
            // All that was asked for is trained: what is left is to draw.
            Some(Error::ClosedPipe) if self.clock.is_done() => Ok(self.clock.step_unless_done()),
            Some(stop) => Err(self.stopped(stop)),
            None => Ok(self.clock.step_unless_done()),
        }
    }

    /// Ends a run that is to stop, between two things that it does and with nothing to save.
    ///
    /// # Errors
    /// As [`Session::next_step`].
    pub fn stop_if_asked(&mut self) -> anyhow::Result<()> {
        self.look_for_stop()?;
        self.stop.take().map_or(Ok(()), |stop| Err(self.stopped(stop)))
    }

    fn stopped(&mut self, stop: Error) -> anyhow::Error {
        self.clock.monitor.finish();
        match stop {
            Error::Stopped(signal) => {
                let (run, part, step) = (self.run.directory.name.clone(), self.part.1.clone(), self.clock.step());
                Error::RunStopped { signal, run, part, step }.into()
            }
            stop => stop.into(),
        }
    }

    /// Writes the checkpoint of this step and the networks for use, once. Those that are not finite are not written.
    ///
    /// # Errors
    /// [`Error::Diverged`] for those, [`Error::Storage`] where a file cannot be written.
    pub fn save(&mut self, mut snapshot: Snapshot) -> anyhow::Result<()> {
        let (clock, step) = (&self.clock, self.total_step());
        if self.saved_step == Some(step) {
            return Ok(());
        }
        if let Some(name) = first_non_finite(&snapshot.state)? {
            return Err(self.diverged(&format!("{name} holds a NaN or an infinity")));
        }
        let position = Position::new(step, clock.timetable().steps_per_epoch, clock.seconds(), &snapshot.streams);
        if let Some(record) = &self.pending {
            snapshot.entries.push((PENDING, serde_json::to_string(record)?));
        }
        let written = self.write_snapshot(&position, snapshot);
        self.together(written)?;
        self.saved_step = Some(step);
        Ok(())
    }

    /// In the process that writes.
    fn write_snapshot(&mut self, position: &Position, snapshot: Snapshot) -> anyhow::Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        log.sync()?;
        self.run.save(position, snapshot, self.is_finished)?;
        self.run.directory.prune(self.clock.timetable().keep)
    }

    /// What one process alone may fail at, as the one that writes the files: where any has, all fail, the others with
    /// [`Error::OtherProcess`].
    pub fn together<T>(&self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        match self.run.processes.max(outcome.is_err().into())? {
            0 => outcome,
            _ => Err(outcome.err().unwrap_or_else(|| Error::OtherProcess.into())),
        }
    }

    /// What communication cost in each step since the previous record; `None` of one process.
    pub fn communication(&mut self) -> Option<Communication> {
        let sent = (self.clock.step(), self.run.processes.traffic());
        let (step_before, before) = std::mem::replace(&mut self.sent, sent);
        let ((step, now), is_alone) = (sent, self.run.processes.size() == 1);
        let steps = step.saturating_sub(step_before).max(1);
        let bytes_sent = now.bytes.saturating_sub(before.bytes) / steps;
        let seconds_waiting = (now.seconds - before.seconds) / steps as f64;
        (!is_alone).then_some(Communication { bytes_sent, seconds_waiting })
    }

    /// Adds a record to the log, and streams it where that was asked for.
    pub fn append(&mut self, record: &R) -> anyhow::Result<()> {
        let line = self.write(record);
        self.together(line)?.map_or(Ok(()), |line| self.stream(&line))
    }

    /// Adds a record to the log; returns its line, for [`Session::stream`]. `None` in a process that does not write.
    pub fn write(&mut self, record: &R) -> anyhow::Result<Option<String>> {
        self.log.as_mut().map(|log| log.append(record)).transpose()
    }

    /// Streams a line of the log where that was asked for.
    pub fn stream(&mut self, line: &str) -> anyhow::Result<()> {
        match self.clock.monitor.record(line) {
            Err(error) if matches!(error.downcast_ref(), Some(Error::ClosedPipe)) => self.is_pipe_closed = true,
            streamed => streamed?,
        }
        Ok(())
    }

    /// All records of the log.
    pub fn records(&self) -> anyhow::Result<Vec<R>> {
        RunLog::records(&self.run.directory.weights.join(LOG_FILE))
    }

    /// Writes the picture of that name. Of a run that was finished before, only what is missing or another is written.
    pub fn draw(&self, name: &str, picture: impl FnOnce() -> anyhow::Result<Picture>) -> anyhow::Result<()> {
        self.draw_bytes(name, || {
            let (picture, mut png) = (picture()?, Vec::new());
            report::encode_png(&picture, &mut png)?;
            Ok(png)
        })
    }

    /// The same for a file of any format.
    pub fn draw_bytes(&self, name: &str, bytes: impl FnOnce() -> anyhow::Result<Vec<u8>>) -> anyhow::Result<()> {
        if !self.run.is_written_here() {
            return Ok(());
        }
        let path = self.run.directory.picture_path(name);
        let bytes = bytes()?;
        if self.is_finished && std::fs::read(&path).is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        atomic::write(&path, |out| out.write_all(&bytes))
    }

    /// Says that all is done; `what` came of it.
    pub fn finish(&self, what: &str) {
        let (clock, directory) = (&self.clock, &self.run.directory);
        let (weights, samples) = (directory.weights.display(), directory.samples.display());
        match self.is_finished {
            true => clock.monitor.note(&format!("{weights} and {samples}")),
            false => clock.monitor.note(&format!("done in {:.0} s{what}: {weights} and {samples}", clock.seconds())),
        }
    }

    /// The error of a step whose loss, called `name`, is not finite; `state` is that after it.
    pub fn loss_diverged(&self, name: &str, loss: f32, state: &Tensors) -> anyhow::Error {
        match non_finite(state) {
            Ok(tensors) => self.diverged(&format!("{name} is {loss}; {tensors}")),
            Err(error) => error.into(),
        }
    }

    fn diverged(&self, what: &str) -> anyhow::Error {
        self.run.diverged(self.total_step(), what)
    }

    /// Steps done, in all parts.
    fn total_step(&self) -> u64 {
        self.part.0 + self.clock.step()
    }
}
