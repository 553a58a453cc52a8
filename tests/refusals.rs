//! A refusal leaves no trace: a command that ends with 2, 3 or 5 before its first step changes no name, no byte, no mode
//! and no time of a file where it runs: runs, samples, data, cache.
//!
//! The test walks a table. A new refusal is a new row, in the part of the table where its command is.

mod begin;
mod files;
mod places;
mod resume;
mod snapshot;
mod usage;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use places::{Places, State};
use snapshot::Snapshot;

use crate::support::Workplace;

/// A command, and how it is refused.
pub struct Row {
    name: String,
    state: State,
    /// The command line, its words apart by single spaces.
    arguments: String,
    code: i32,
    /// What stderr says.
    says: String,
    change: Option<Change>,
    in_use: Option<&'static str>,
    shell: Option<&'static str>,
}

/// What is done to a place before the command is run.
type Change = Box<dyn Fn(&Workplace) + Send + Sync>;

/// A row of the table: `name` says why the command is refused.
pub fn row(name: &str, state: State, arguments: &str, code: i32, says: &str) -> Row {
    let [name, arguments, says] = [name, arguments, says].map(str::to_string);
    Row { name, state, arguments, code, says, change: None, in_use: None, shell: None }
}

impl Row {
    /// With further flags.
    pub fn with(self, flags: &str) -> Self {
        Self { arguments: format!("{} {flags}", self.arguments), ..self }
    }

    /// Does this to the place first.
    pub fn after(self, change: impl Fn(&Workplace) + Send + Sync + 'static) -> Self {
        Self { change: Some(Box::new(change)), ..self }
    }

    /// While a living process, that of this test, has the run of that directory.
    pub fn while_in_use(self, run: &'static str) -> Self {
        Self { in_use: Some(run), ..self }
    }

    /// On a disk that takes new names and no more bytes.
    pub fn on_a_full_disk(self) -> Self {
        Self { shell: Some("ulimit -f 0; trap '' XFSZ; exec \"$@\""), ..self }
    }

    /// With stdout on a full disk.
    pub fn into_a_full_disk(self) -> Self {
        Self { shell: Some("exec \"$@\" > /dev/full"), ..self }
    }

    /// Runs the command at its place; the error says what was not as promised.
    fn check(&self, places: &Places) -> Result<(), String> {
        let place = places.take(self.state);
        let (mut before, directory) = (None, place.work.directory.path());
        if let Some(change) = &self.change {
            change(&place.work);
        }
        let held = self.in_use.map(|run| hold(&place.work.path(run)));
        if self.change.is_some() || held.is_some() {
            before = Some(Snapshot::of(directory));
        }
        let output = self.command(&place.work).timeout(Duration::from_secs(100)).output().unwrap();
        let after = Snapshot::of(directory);
        let changes = before.as_ref().unwrap_or(&place.snapshot).changes(&after);

        let stderr = String::from_utf8_lossy(&output.stderr);
        let mut wrong = Vec::new();
        if output.status.code() != Some(self.code) {
            wrong.push(format!("it ended with {:?}, expected {}", output.status.code(), self.code));
        }
        if !stderr.contains(&self.says) {
            wrong.push(format!("stderr does not say {:?}", self.says));
        }
        if !output.stdout.is_empty() {
            wrong.push("it wrote to stdout".into());
        }
        if stderr.contains("panicked") {
            wrong.push("it panicked".into());
        }
        wrong.extend(changes);
        match wrong.is_empty() {
            true => {
                if before.is_none() {
                    places.give_back(place);
                }
                Ok(())
            }
            false => Err(format!("{}: gan {}\n    {}\n{stderr}", self.name, self.arguments, wrong.join("\n    "))),
        }
    }

    fn command(&self, place: &Workplace) -> assert_cmd::Command {
        let arguments: Vec<&str> = self.arguments.split(' ').filter(|word| !word.is_empty()).collect();
        let mut command = place.spawn(&arguments);
        if let Some(script) = self.shell {
            let program = command;
            command = Command::new("sh");
            command.args(["-c", script, "sh"]).arg(program.get_program()).args(program.get_args());
            command.current_dir(place.directory.path());
        }
        // No network, and nothing outside of the place: nobody listens on the port.
        command.env("GAN_MIRROR", "http://127.0.0.1:9/").env("NO_PROXY", "*");
        command.env("HOME", place.path("home")).env("XDG_CACHE_HOME", place.path("home/cache"));
        command.stdin(Stdio::null());
        assert_cmd::Command::from_std(command)
    }
}

/// Has the run of this directory as a process has that trains it, until the file is dropped.
fn hold(run: &Path) -> File {
    fs::create_dir_all(run).unwrap();
    fs::write(run.join(".lock"), format!("{}\n", std::process::id())).unwrap();
    let lock = File::open(run.join(".lock")).unwrap();
    lock.try_lock().unwrap();
    lock
}

#[test]
fn a_refusal_leaves_no_trace() {
    let rows = [usage::rows(), begin::rows(), resume::rows(), files::rows()].into_iter().flatten();
    let wanted = std::env::var("REFUSAL").unwrap_or_default(); // a part of a name or command line, to try those alone
    let rows: Vec<Row> = rows.filter(|row| format!("{}: {}", row.name, row.arguments).contains(&wanted)).collect();
    let (places, next, failures) = (Places::default(), AtomicUsize::new(0), AtomicUsize::new(0));
    let walk = || {
        while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(failure) = row.check(&places) {
                eprintln!("{failure}");
                failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(walk))));
    assert_eq!(failures.into_inner(), 0, "of {} rows", rows.len());
}
