//! The directories of runs.

use super::*;

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }
    fn weights(&self) -> PathBuf {
        self.directory.path().join("weights")
    }
    /// A run that has begun.
    fn create(&self, name: &str, force: bool) -> anyhow::Result<RunDirectory> {
        let mut run =
            RunDirectory::create(name, RunPlace::new(&self.weights(), &self.directory.path().join("samples")), force)?;
        run.begin(b"{}")?;
        Ok(run)
    }
    fn open(&self, name: &str) -> anyhow::Result<RunDirectory> {
        RunDirectory::open(name, RunPlace::new(&self.weights(), &self.directory.path().join("samples")))
    }
}

fn step(number: u64) -> Archive {
    let tensors = [("step".to_owned(), Tensor::new(number as i64, &Device::Cpu).unwrap())].into();
    Archive { tensors, ..Archive::default() }
}

#[test]
fn a_run_is_not_written_over_without_force() {
    let place = Place::new();
    let run = place.create("dcgan", false).unwrap();
    assert_eq!(run.checkpoint_path(500), place.weights().join("dcgan/step-00000500.safetensors"));
    assert_eq!(run.sample_path(250), place.directory.path().join("samples/dcgan/step-00000250.png"));
    assert_eq!(run.checkpoint_path(123_456_789).file_name().unwrap(), "step-123456789.safetensors");
    write(&run.checkpoint_path(1), &step(1)).unwrap();
    for file in ["config.json", "metrics.jsonl", "notes.txt", "my-step-1.png"] {
        fs::write(run.weights.join(file), "").unwrap();
        fs::write(run.samples.join(file), "").unwrap();
    }
    fs::write(run.samples.join("losses.png"), "").unwrap();
    fs::write(run.sample_path(1), "").unwrap();
    drop(run);

    let text = refused(place.create("dcgan", false), 2);
    assert!(text.contains("--resume dcgan") && text.contains("--force") && text.contains("--run"), "{text}");
    let run = place.create("dcgan", true).unwrap();
    assert_eq!(listing(&run.weights), [".lock", "config.json", "my-step-1.png", "notes.txt"]);
    assert_eq!(fs::read(run.weights.join("config.json")).unwrap(), b"{}");
    assert_eq!(listing(&run.samples), ["config.json", "metrics.jsonl", "my-step-1.png", "notes.txt"]);
    assert!(run.checkpoints().unwrap().is_empty());
}

#[test]
fn a_generator_alone_is_not_written_over() {
    let place = Place::new();
    fs::create_dir_all(place.weights().join("dcgan")).unwrap();
    write(&place.weights().join("dcgan/generator.safetensors"), &step(1)).unwrap();
    refused(place.create("dcgan", false), 2);
}

#[test]
fn names_of_runs_stay_within_the_directory() {
    let place = Place::new();
    for name in ["", ".", "..", "../x", "a/b", "/x", ".hidden", "a\\b", "a\0"] {
        refused(place.create(name, false), 2);
        refused(place.open(name), 2);
    }
    assert!(listing(place.directory.path()).is_empty());
}

#[test]
fn a_run_belongs_to_one_process_at_a_time() {
    let place = Place::new();
    let run = place.create("x", false).unwrap();
    for second in [place.create("x", true), place.open("x")] {
        let text = refused(second, 2);
        assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");
    }
    place.create("y", false).unwrap();
    drop(run);
    place.open("x").unwrap();
}

#[test]
fn a_run_that_is_missing_names_those_that_are_there() {
    let place = Place::new();
    assert!(refused(place.open("x"), 3).contains("none yet"));
    assert!(!place.weights().exists());
    for name in ["first", "second", "third"] {
        let run = place.create(name, false).unwrap();
        write(&run.checkpoint_path(1), &step(1)).unwrap();
    }
    // Ages that do not hang on the clock of the file system.
    let age = |name: &str, file: &str, seconds: u64| {
        let file = fs::File::options().write(true).open(place.weights().join(name).join(file)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    age("first", "step-00000001.safetensors", 300);
    age("second", "step-00000001.safetensors", 100);
    age("third", "step-00000001.safetensors", 200);
    let names = || saved_runs(&place.weights()).into_iter().map(|run| run.name).collect::<Vec<_>>();
    assert_eq!(names(), ["first", "third", "second"]);
    assert!(refused(place.open("x"), 3).contains("first, third, second"));
    write(&place.weights().join("second/generator.safetensors"), &step(1)).unwrap();
    age("second", "generator.safetensors", 400);
    assert_eq!(names(), ["second", "first", "third"]);
}

#[test]
fn the_newest_checkpoints_stay() {
    let place = Place::new();
    let run = place.create("x", false).unwrap();
    for number in [20, 100, 3, 1_000_000_000, 40] {
        write(&run.checkpoint_path(number), &step(number)).unwrap();
    }
    fs::write(run.weights.join("step-best.safetensors"), "").unwrap();
    assert_eq!(run.checkpoints().unwrap(), [3, 20, 40, 100, 1_000_000_000]);
    run.prune(2).unwrap();
    // 40 is what was written last, though older ones by number were there.
    assert_eq!(run.checkpoints().unwrap(), [40, 100, 1_000_000_000]);
    run.checkpoint_path(1_000_000_000);
    run.prune(0).unwrap();
    assert_eq!(run.checkpoints().unwrap(), [1_000_000_000]);
    assert!(run.weights.join("step-best.safetensors").exists());
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let place = Place::new();
    let mut run = place.create("x", false).unwrap();
    assert!(refused(run.newest_readable(), 3).contains("before its first checkpoint"));
    for number in [10, 20, 30] {
        write(&run.checkpoint_path(number), &step(number)).unwrap();
    }
    assert_eq!(run.newest_readable().unwrap().step, 30);

    let whole = fs::read(run.checkpoint_path(30)).unwrap();
    fs::write(run.checkpoint_path(30), &whole[..whole.len() - 1]).unwrap();
    let newest = run.newest_readable().unwrap();
    assert_eq!(newest.step, 20);
    assert_eq!(newest.archive.tensors["step"].to_scalar::<i64>().unwrap(), 20);
    assert_eq!(newest.notes.len(), 1);
    assert!(newest.notes[0].contains("step-00000030.safetensors") && newest.notes[0].contains("truncated"));
    assert!(run.weights.join("step-00000030.safetensors").exists(), "a run that has not begun changes nothing");
    // Set aside, so that it does not count among the newest that are kept.
    run.begin(b"{}").unwrap();
    run.checkpoint_path(20);
    run.prune(1).unwrap();
    assert_eq!(run.checkpoints().unwrap(), [20]);
    assert!(run.weights.join("step-00000030.safetensors.damaged").exists());

    fs::write(run.checkpoint_path(20), "").unwrap();
    let text = refused(run.newest_readable(), 3);
    assert!(text.contains("step-00000020"), "{text}");
    assert_eq!(run.checkpoints().unwrap(), [20]);
    drop(run);
    assert_eq!(listing(&place.create("x", true).unwrap().weights), [".lock", "config.json"]);
}
