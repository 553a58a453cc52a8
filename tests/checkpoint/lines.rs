//! A run that goes back, stopped at every point of the switch from one line of checkpoints to the other.

use super::*;

use gan::run::line::Line;

const METRICS: &str = "metrics.jsonl";

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    /// A run of 12 steps with checkpoints at 4, 8 and 12 and a grid beside each.
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        let [weights, samples] = place.directories();
        let mut run = RunDirectory::create("run", RunPlace::new(&weights, &samples), false).unwrap();
        run.begin(b"old").unwrap();
        fs::write(run.metrics_path(), "old").unwrap();
        for step in [4, 8, 12] {
            write(&run.checkpoint_path(step), &of("old", &run)).unwrap();
            fs::write(run.sample_path(step), "old").unwrap();
        }
        place
    }

    fn directories(&self) -> [PathBuf; 2] {
        ["weights", "samples"].map(|name| self.directory.path().join(name))
    }

    fn open(&self) -> RunDirectory {
        let [weights, samples] = self.directories();
        RunDirectory::open("run", RunPlace::new(&weights, &samples)).unwrap()
    }

    /// Goes back to step 4 and writes all that comes before and with the first checkpoint, of step 8, but for the switch.
    fn go_back(&self) -> RunDirectory {
        let mut run = self.open();
        run.go_back_to(&BTreeMap::new(), 4).unwrap();
        run.begin(b"new").unwrap();
        fs::write(run.metrics_path(), "new").unwrap();
        for step in [4, 6] {
            fs::write(run.sample_path(step), "new").unwrap();
        }
        run
    }

    /// The checkpoint that counts, and the content of each file after the run has begun again from it.
    fn after(&self) -> (u64, Vec<(String, String)>) {
        let mut run = self.open();
        let newest = run.newest_readable().unwrap();
        let config = run.config().unwrap().unwrap();
        let metrics = fs::read(run.found_metrics().unwrap()).unwrap();
        run.begin(&config).unwrap();
        assert_eq!(fs::read(run.metrics_path()).unwrap(), metrics, "read before the run begins and after");
        let mut files = vec![("config.json".into(), String::from_utf8(config).unwrap())];
        for name in listing(&run.weights).iter().filter(|name| name.starts_with("step-") || *name == METRICS) {
            let path = run.weights.join(name);
            let text = match read(&path) {
                Ok(archive) => archive.metadata["of"].clone(),
                Err(_) => fs::read_to_string(path).unwrap(),
            };
            files.push((name.clone(), text));
        }
        for name in listing(&run.samples) {
            files.push((name.clone(), fs::read_to_string(run.samples.join(name)).unwrap()));
        }
        let left = [listing(&run.weights), listing(&run.samples)].concat();
        assert!(left.iter().all(|name| !name.contains(".line-")), "{left:?}");
        (newest.step, files)
    }
}

fn of(what: &str, run: &RunDirectory) -> Archive {
    let mut metadata: BTreeMap<String, String> = run.line_entry().unwrap().into_iter().collect();
    metadata.insert("of".into(), what.into());
    Archive { tensors: BTreeMap::new(), metadata }
}

fn files(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, of)| (name.to_string(), of.to_string())).collect()
}

#[test]
fn before_its_first_checkpoint_the_new_line_is_none() {
    let place = Place::new();
    drop(place.go_back());
    let old = [("config.json", "old"), ("metrics.jsonl", "old"), ("step-00000004.safetensors", "old")];
    let old = [&old[..], &[("step-00000008.safetensors", "old"), ("step-00000012.safetensors", "old")]].concat();
    let grids = ["step-00000004.png", "step-00000008.png", "step-00000012.png"].map(|name| (name, "old"));
    assert_eq!(place.after(), (12, files(&[&old[..], &grids].concat())));
}

#[test]
fn with_its_first_checkpoint_the_new_line_is_all_wherever_it_was_stopped() {
    let new = [("config.json", "new"), ("metrics.jsonl", "new"), ("step-00000004.safetensors", "old")];
    let new = [&new[..], &[("step-00000008.safetensors", "new")]].concat();
    let grids = [("step-00000004.png", "new"), ("step-00000006.png", "new")];
    let new = (8, files(&[&new[..], &grids].concat()));
    // The switch, cut off after each of its changes.
    let line = Line { number: 1, parent: 0, after: 4 };
    for done in 0..8 {
        let place = Place::new();
        let mut run = place.go_back();
        write(&run.checkpoint_path(8), &of("new", &run)).unwrap();
        let [weights, samples] = [run.weights.clone(), run.samples.clone()];
        let settle = |directory: &Path, name: &str| {
            fs::rename(line.staged(directory, name), directory.join(name)).unwrap();
        };
        let changes: [&dyn Fn(); 7] = [
            &|| fs::remove_file(weights.join("step-00000012.safetensors")).unwrap(),
            &|| fs::remove_file(samples.join("step-00000008.png")).unwrap(),
            &|| fs::remove_file(samples.join("step-00000012.png")).unwrap(),
            &|| settle(&weights, METRICS),
            &|| settle(&weights, "config.json"),
            &|| settle(&samples, "step-00000006.png"),
            &|| settle(&samples, "step-00000004.png"),
        ];
        match changes.get(..done) {
            Some(changes) => changes.iter().for_each(|change| change()),
            None => run.settle().unwrap(),
        }
        drop(run);
        assert_eq!(place.after(), new, "stopped after {done} changes");
    }
}

#[test]
fn who_goes_back_twice_is_on_the_last_line() {
    let place = Place::new();
    let mut run = place.go_back();
    write(&run.checkpoint_path(10), &of("new", &run)).unwrap();
    run.settle().unwrap();
    assert_eq!(run.checkpoints().unwrap(), [4, 10]);
    drop(run);
    // The older line still counts where the newer one is damaged.
    let run = place.go_back();
    write(&run.checkpoint_path(6), &of("newest", &run)).unwrap();
    assert_eq!(run.last_good().unwrap(), Some(run.checkpoint_path(6)), "10 is on its way out");
    drop(run);
    let mut run = place.open();
    assert_eq!(run.newest_readable().unwrap().step, 6);
    fs::write(run.checkpoint_path(6), "").unwrap();
    assert_eq!(run.newest_readable().unwrap().step, 10);
    drop(run);

    // From a checkpoint without newer ones nothing is abandoned.
    let place = Place::new();
    let mut run = place.open();
    run.go_back_to(&BTreeMap::new(), 12).unwrap();
    run.begin(b"same").unwrap();
    assert_eq!(run.line_entry().unwrap(), None);
    assert_eq!(run.checkpoints().unwrap(), [4, 8, 12]);
}
