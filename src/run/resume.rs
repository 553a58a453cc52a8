//! How a run goes on: which one, from where, under its saved configuration. Everything is read and nothing is changed.

use std::path::{Path, PathBuf};

use anyhow::bail;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::checkpoint::header::{CONFIG, DATA, ENCODER, PLACES};
use crate::checkpoint::saved_runs::CONFIG_FILE;
use crate::checkpoint::{self, Archive, first_non_finite};
use crate::error::Error;
use crate::report::Notice;
use crate::run::{Places, Position, Run, RunDirectory, RunOptions, as_typed};

/// The run that `target` names, to go on with. `typed` names the fields of `config` that the user set: the saved
/// configuration holds, `steps` or `epochs` may be raised, `patience` be changed, `data` be moved, and any other field that
/// contradicts it is refused. The directory of named sets is that of `options`, else the one that the run was left with; so
/// are the places of files that `typed` does not name.
///
/// # Errors
/// [`Error::NoRun`] where there is none, [`Error::OtherCommand`] where it is of another method, [`Error::OtherSetting`]
/// where a field contradicts it, [`Error::RunInUse`] where another process has it, [`Error::DamagedConfig`] or
/// [`Error::Input`] where its files are damaged, [`Error::NotFinite`] where its checkpoint holds a NaN.
pub fn resume<C>(target: &str, config: &C, typed: &[String], options: &RunOptions) -> anyhow::Result<Run<C>>
where
    C: Serialize + DeserializeOwned,
{
    let Target { name, weights_dir, checkpoint } = Target::of(target, options)?;
    let open = if checkpoint.is_some() { RunDirectory::open_at } else { RunDirectory::open };
    let mut directory = open(&name, options.place(&weights_dir))?;
    let mut notices = Vec::new();
    let checkpoint = match checkpoint {
        Some(path) => {
            let archive = checkpoint::read(&path)?;
            let position = Position::of(&archive, &path)?;
            directory.go_back_to(&archive.metadata, position.step)?;
            directory.is_from_copy = path.file_name() != directory.checkpoint_path(position.step).file_name();
            Some((position, archive, path))
        }
        None if directory.checkpoints()?.is_empty() => {
            notices.push(Notice::Warning(format!("run {name} has no checkpoint yet: it begins at step 0")));
            None
        }
        None => {
            let newest = directory.newest_readable()?;
            notices.extend(newest.notes.into_iter().map(Notice::Warning));
            let path = directory.checkpoint_path(newest.step);
            Some((Position::of(&newest.archive, &path)?, newest.archive, path))
        }
    };
    let saved_in = checkpoint.as_ref().map(|(_, archive, path)| (archive, path));
    let (mut saved, damaged) = saved_config(&directory, saved_in)?;
    let mut beside = |key| saved.as_object_mut().and_then(|saved| saved.remove(key));
    let data_dir = beside("data_dir").as_ref().and_then(Value::as_str).map(PathBuf::from);
    let mut places: Places = beside(PLACES).and_then(|places| serde_json::from_value(places).ok()).unwrap_or_default();
    places.forget(typed);
    let config_of = |value: Value| {
        serde_json::from_value::<C>(value)
            .map_err(|error| damaged(format!("not the configuration of such a run: {error}")))
    };
    refuse_another_kind(&saved, &serde_json::to_value(config)?, &name)?;
    // By way of the struct: a field that came after the run has its default, which a flag may contradict too.
    let saved = serde_json::to_value(config_of(saved)?)?;
    // What is known by its content may lie elsewhere now.
    let knows = |key| checkpoint.as_ref().is_some_and(|(_, archive, _)| archive.metadata.contains_key(key));
    let may_move = |field: &str| match field {
        "data" => knows(DATA) || options.changed_data,
        "weights" => knows(ENCODER),
        _ => false,
    };
    let config = config_of(reconcile(saved, &serde_json::to_value(config)?, typed, may_move, &name)?)?;
    if let Some((_, archive, path)) = &checkpoint {
        refuse_non_finite(archive, path, &directory)?;
    }
    let checkpoint = checkpoint.map(|(position, archive, _)| (position, archive));
    let data_dir = options.data.data_dir.clone().or(data_dir);
    Ok(Run { checkpoint, notices, data_dir, places, ..Run::of(directory, config) })
}

/// Refuses the run of another command, which has other fields; `own` is the configuration of this one.
fn refuse_another_kind(saved: &Value, own: &Value, name: &str) -> anyhow::Result<()> {
    const KINDS: [(&str, &str); 3] = [("model", "train-gan"), ("temperature", "pretrain-simclr"), ("mode", "finetune")];
    let has = |config: &Value, field: &str| config.get(field).is_some();
    match KINDS.into_iter().find(|(field, _)| has(saved, field) && !has(own, field)) {
        Some((_, command)) => bail!(Error::OtherCommand { run: name.into(), command }),
        None => Ok(()),
    }
}

/// The configuration that a run was left with, and the error of what is wrong with it: of `config.json`, or where that is
/// missing of the checkpoint itself.
fn saved_config(
    directory: &RunDirectory,
    checkpoint: Option<(&Archive, &PathBuf)>,
) -> anyhow::Result<(Value, impl Fn(String) -> Error + use<>)> {
    let copy = checkpoint.filter(|(archive, _)| archive.metadata.contains_key(CONFIG));
    let (run, file) = (directory.name.clone(), directory.weights.join(CONFIG_FILE));
    let (text, path, has_copy) = match (directory.config()?, copy) {
        (Some(text), _) => (Some(text), file, copy.is_some()),
        (None, Some((archive, path))) => (Some(archive.metadata[CONFIG].clone().into_bytes()), path.clone(), false),
        (None, None) => (None, file, false),
    };
    let damaged =
        move |problem: String| Error::DamagedConfig { run: run.clone(), path: path.clone(), problem, has_copy };
    let Some(text) = text else { bail!(damaged("there is no such file".into())) };
    let config = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    Ok((config, damaged))
}

/// No checkpoint is written with a NaN in it: one that has some was changed, and training on it leads nowhere.
fn refuse_non_finite(archive: &Archive, path: &Path, directory: &RunDirectory) -> anyhow::Result<()> {
    let Some(name) = first_non_finite(&archive.tensors)? else { return Ok(()) };
    let this = path.file_name();
    let before = directory.checkpoints()?.into_iter().map(|step| directory.checkpoint_path(step));
    let before = before.take_while(|path| path.file_name() != this).last();
    bail!(Error::NotFinite { path: path.into(), tensor: name.into(), before })
}

/// What `--resume` names.
struct Target {
    name: String,
    weights_dir: PathBuf,
    /// Where one was named by its path.
    checkpoint: Option<PathBuf>,
}

impl Target {
    fn of(target: &str, options: &RunOptions) -> anyhow::Result<Self> {
        let path = Path::new(target);
        let is_checkpoint = path.extension().is_some_and(|extension| extension == "safetensors");
        let is_path = target.contains(std::path::is_separator) || [".", ".."].contains(&target);
        if !is_checkpoint && !is_path {
            return Ok(Self { name: target.into(), weights_dir: options.weights_dir.clone(), checkpoint: None });
        }
        let failed = |error| Error::reading(path, error);
        let mut run = path.to_path_buf();
        if is_checkpoint {
            // A link to a checkpoint is of the run that the checkpoint lies in; a link to a run has a name of its own.
            let is_link = path.symlink_metadata().map_err(failed)?.is_symlink();
            run = if is_link { path.canonicalize().map_err(failed)? } else { run };
            run.pop();
        }
        if run.file_name().is_none() {
            let here = if run.as_os_str().is_empty() { Path::new(".") } else { &run };
            run = here.canonicalize().map_err(failed)?; // of `.` and `..`
        }
        let Some((name, weights_dir)) = run.file_name().and_then(|name| Some((name.to_str()?, run.parent()?))) else {
            bail!(Error::Input(format!("{}: not the directory of a run, nor in one", path.display())));
        };
        let checkpoint = is_checkpoint.then(|| path.to_path_buf());
        Ok(Self { name: name.into(), weights_dir: weights_dir.to_path_buf(), checkpoint })
    }
}

fn reconcile(
    mut saved: Value,
    given: &Value,
    typed: &[String],
    may_move: impl Fn(&str) -> bool,
    name: &str,
) -> anyhow::Result<Value> {
    // A table has epochs a row and no steps: there is nothing to raise.
    let has_an_end = saved.get("steps").is_some();
    for field in typed {
        if has_an_end && (field == "steps" || field == "epochs") {
            saved["steps"] = Value::Null;
            saved["epochs"] = Value::Null;
            saved[field] = given[field].clone();
        } else if has_an_end && field == "patience" {
            // What is not written has its default.
            match (given.get(field), saved.as_object_mut()) {
                (Some(value), Some(saved)) => drop(saved.insert(field.clone(), value.clone())),
                (None, Some(saved)) => drop(saved.remove(field)),
                (_, None) => {}
            }
        } else if may_move(field) && saved.get(field).is_some() {
            saved[field] = given[field].clone();
        } else if (saved.get(field).is_some() || given.get(field).is_some()) && saved[field] != given[field] {
            let value = as_typed(&given[field]).unwrap_or_default();
            let saved = as_typed(&saved[field]);
            bail!(Error::OtherSetting { name: field.clone(), value, run: name.into(), saved });
        }
    }
    Ok(saved)
}
