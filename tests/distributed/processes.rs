use std::path::Path;

use super::bits;
use crate::support::{Workplace, write_pictures};

/// The program in several processes under `mpirun`.
fn mpirun(place: &Workplace, processes: usize, arguments: &[&str]) -> assert_cmd::Command {
    let program = crate::support::program().into_string().unwrap();
    launched(place.directory.path(), processes, &[&[&*program], arguments].concat())
}

/// Any command under `mpirun`.
pub fn launched(directory: &Path, processes: usize, command: &[&str]) -> assert_cmd::Command {
    let mut mpirun = assert_cmd::Command::new("mpirun");
    mpirun
        .current_dir(directory)
        .args(["--oversubscribe", "-n", &processes.to_string()])
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .args(command);
    mpirun
}

/// Runs the program, which must end with this exit code in each of two processes, and returns what they have said.
fn fails_everywhere(place: &Workplace, code: i32, arguments: &[&str]) -> String {
    let program = crate::support::program().into_string().unwrap();
    let noted = "\"$@\"; echo $? > code.$OMPI_COMM_WORLD_RANK";
    let output = launched(place.directory.path(), 2, &[&["sh", "-c", noted, "sh", &*program], arguments].concat())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let codes = [0, 1].map(|rank| String::from_utf8(place.read(&format!("code.{rank}"))).unwrap());
    assert_eq!(codes.map(|text| text.trim().parse::<i32>().unwrap()), [code; 2], "{stderr}");
    stderr
}

const DCGAN: [&str; 12] = [
    "train-gan",
    "--model",
    "dcgan",
    "--data",
    "data",
    "--batch-size",
    "16",
    "--shards",
    "4",
    "--log-every",
    "1",
    "--force",
];

#[test]
#[cfg_attr(not(has_mpi), ignore = "needs the feature mpi, and mpirun")]
fn runs_of_one_two_and_four_processes_leave_the_same_files() {
    let place = Workplace::new();
    let train = |processes, name: &'static str| {
        let trained =
            mpirun(&place, processes, &[&DCGAN[..], &["--steps", "3", "--run", name]].concat()).assert().success();
        let said = String::from_utf8_lossy(&trained.get_output().stderr).into_owned();
        let words = format!("{processes} processes on ");
        assert_eq!(said.contains(&words) && said.contains("(thread support: "), processes > 1, "{said}");
        let generator = place.read(&format!("weights/{name}/generator_ema.safetensors"));
        let losses: Vec<_> =
            place.metrics(name).iter().map(|line| [&line["d_loss"], &line["g_loss"]].map(f64_of)).collect();
        (place.tensors(&format!("weights/{name}/step-00000003.safetensors")), generator.len(), losses)
    };
    let [one, two, four] = [train(1, "one"), train(2, "two"), train(4, "four")];
    for other in [&two, &four] {
        assert_eq!((other.1, &other.2), (one.1, &one.2));
        assert!(other.0.iter().map(|(name, x)| (name, bits(x))).eq(one.0.iter().map(|(name, x)| (name, bits(x)))));
    }
}

fn f64_of(value: &serde_json::Value) -> f64 {
    value.as_f64().unwrap()
}

/// The figures of lines of JSON, but for the clock and what was sent.
fn figures(output: &[u8]) -> Vec<serde_json::Value> {
    let lines = std::str::from_utf8(output).unwrap().lines();
    let without_clock = |line: &str| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        let objects = ["", "/mean", "/spread"];
        for object in objects {
            let Some(figures) = line.pointer_mut(object) else { continue };
            for name in ["seconds", "images_per_second", "evaluate_seconds", "bytes_sent", "seconds_waiting"] {
                figures.as_object_mut().unwrap().remove(name);
            }
        }
        line
    };
    lines.map(without_clock).collect()
}

/// Files of a directory, by name.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
#[cfg_attr(not(has_mpi), ignore = "needs the feature mpi, and mpirun")]
fn measurements_in_training_are_those_of_one_process() {
    let place = Workplace::new();
    write_pictures(&place.path("pictures"), 8, 4);
    let gan = ["--evaluate-every", "2", "--evaluate-samples", "10", "--evaluate-reference", "0..30", "--steps", "3"];
    let gan = [&DCGAN[..], &gan, &["--keep-best", "frechet", "--patience", "9"]].concat();
    let simclr =
        ["pretrain-simclr", "--data", "pictures", "--encoder", "resnet9", "--batch-size", "8", "--shards", "4"];
    let simclr =
        [&simclr[..], &["--steps", "4", "--knn-every", "1", "--log-every", "1", "--keep-best", "knn"]].concat();
    for (name, network, flags) in [("gan", "generator", gan), ("simclr", "encoder", simclr)] {
        let train = |processes, run: &str| {
            mpirun(&place, processes, &[&flags[..], &["--run", run]].concat()).assert().success();
            let best = place.read(&format!("weights/{run}/{network}_best.safetensors"));
            (figures(&place.read(&format!("weights/{run}/metrics.jsonl"))), best)
        };
        let [one, two, four] = [1, 2, 4].map(|processes| train(processes, &format!("{name}-{processes}")));
        assert!(one.0.iter().any(|line| line["frechet"].is_number() || line["knn_top1"].is_number()), "{:?}", one.0);
        assert!(one == two && one == four, "{name}");
    }
}

#[test]
#[cfg_attr(not(has_mpi), ignore = "needs the feature mpi, and mpirun")]
fn fine_tuning_leaves_the_same_files_and_goes_on_in_another_number_of_processes() {
    let place = Workplace::new();
    write_pictures(&place.path("pictures"), 8, 4);
    let encoder = ["pretrain-simclr", "--data", "pictures", "--batch-size", "8", "--steps", "2", "--knn-every", "0"];
    place.gan(&encoder).assert().success();
    let tune = ["finetune", "--labels", "1.0", "--batch-size", "8", "--shards", "4", "--checkpoint-every", "1"];
    let tune = [&tune[..], &["--epochs", "2", "--mode", "both", "--embeddings", "features.npy", "--json"]].concat();
    let left = |run: &str| {
        let weights = files(&place.path(&format!("weights/{run}")));
        let tensors = weights.iter().filter(|(name, _)| name.ends_with(".safetensors")).map(|(name, _)| {
            let tensors = place.tensors(&format!("weights/{run}/{name}"));
            (name.clone(), tensors.iter().map(|(name, x)| (name.clone(), bits(x))).collect::<Vec<_>>())
        });
        let features = place.read("features.npy");
        std::fs::remove_file(place.path("features.npy")).unwrap();
        (tensors.collect::<Vec<_>>(), files(&place.path(&format!("samples/{run}"))), features)
    };
    let run = |processes, run: &str| {
        let rows = mpirun(&place, processes, &[&tune[..], &["--run", run]].concat()).assert().success();
        (figures(&rows.get_output().stdout), left(run))
    };
    let one = run(1, "one");
    assert_eq!((one.0.len(), one.1.0.len()), (2, 5), "two rows; three checkpoints and two classifiers");
    for processes in [2, 4] {
        assert!(run(processes, &format!("{processes}")) == one, "{processes}");
    }
    // As if stopped after the second step of the second row, six steps each.
    let keep = [&tune[..], &["--run", "kept", "--keep", "99"]].concat();
    mpirun(&place, 4, &keep).assert().success();
    let checkpoint = "weights/kept/step-00000008.safetensors";
    for processes in [1, 2] {
        let resumed = ["finetune", "--resume", checkpoint];
        mpirun(&place, processes, &resumed).assert().success();
        let last = |run: &str| place.tensors(&format!("weights/{run}/classifier-pretrained-full.safetensors"));
        let [kept, expected] = [last("kept"), last("one")].map(|all| all.values().map(bits).collect::<Vec<_>>());
        assert!(kept == expected, "resumed by {processes}");
    }
}

#[test]
#[cfg_attr(not(has_mpi), ignore = "needs the feature mpi, and mpirun")]
fn samples_of_several_processes_are_the_files_of_one() {
    let place = Workplace::new();
    let train = ["train-gan", "--model", "vanilla", "--data", "data", "--conditional", "--batch-size", "16"];
    place.gan(&[&train[..], &["--steps", "2", "--run", "drawn"]].concat()).assert().success();
    place.gan(&["sample", "--n", "700", "-o", "latents.npy"]).assert().success();
    let latents: Vec<f32> = (0..700 * 96).map(|value| (value % 17) as f32 / 17.0).collect();
    let mut bytes = gan::report::npy_header(&[700, 96]);
    bytes.extend(latents.iter().flat_map(|value| value.to_le_bytes()));
    std::fs::write(place.path("latents.npy"), bytes).unwrap();
    let cases: [(&str, &[&str]); 8] = [
        ("grid.png", &["--n", "600"]),
        ("rows.png", &["--n", "600", "--class", "all"]),
        ("array.npy", &["--n", "1500", "--offset", "77"]),
        ("latents.npy", &["--latents", "latents.npy"]),
        ("walk.gif", &["--n", "3", "--walks", "4", "--frames", "5"]),
        ("walks.gif", &["--n", "3", "--class", "all", "--frames", "3"]),
        ("images/", &["--n", "530", "--class", "3"]),
        ("-", &["--n", "300", "--format", "npy"]),
    ];
    for (output, flags) in cases {
        let draw = |folder: &str, processes: Option<usize>| {
            std::fs::create_dir_all(place.path(folder)).unwrap();
            let output = if output == "-" { "-".into() } else { format!("{folder}/{output}") };
            let arguments = [&["sample", "--weights", "drawn", "-o", &output], flags].concat();
            let mut command = match processes {
                Some(processes) => mpirun(&place, processes, &arguments),
                None => place.gan(&arguments),
            };
            let done = command.assert().success();
            let path = place.path(&output);
            match path.is_dir() {
                true => files(&path),
                false if output == "-" => vec![(String::new(), done.get_output().stdout.clone())],
                false => vec![(String::new(), std::fs::read(path).unwrap())],
            }
        };
        let one = draw("one", None);
        assert!(!one[0].1.is_empty());
        for processes in [1, 3] {
            assert!(draw("several", Some(processes)) == one, "{output} {flags:?}, {processes}");
        }
    }
}

#[test]
#[cfg_attr(not(has_mpi), ignore = "needs the feature mpi, and mpirun")]
fn scores_of_several_processes_are_those_of_one() {
    let place = Workplace::new();
    write_pictures(&place.path("pictures"), 8, 4);
    let encoder = ["pretrain-simclr", "--data", "pictures", "--batch-size", "8", "--steps", "2", "--knn-every", "0"];
    place.gan(&encoder).assert().success();
    let generator =
        ["--model", "dcgan", "--weights", "bundled", "--data", "data", "--reference", "0..40", "--n", "700"];
    let cases = [
        [&generator[..], &["-o", "nearest.png", "--seeds", "2"]].concat(),
        vec!["--weights", "weights/resnet9", "--data", "pictures", "--seeds", "2"],
    ];
    for flags in cases {
        let evaluate = |processes: Option<usize>| {
            let arguments = [&["evaluate", "--json"], &flags[..]].concat();
            let mut command = match processes {
                Some(processes) => mpirun(&place, processes, &arguments),
                None => place.gan(&arguments),
            };
            let rows = figures(&command.assert().success().get_output().stdout);
            let picture = std::fs::read(place.path("nearest.png")).unwrap();
            std::fs::write(place.path("nearest.png"), []).unwrap();
            (rows, picture)
        };
        std::fs::write(place.path("nearest.png"), []).unwrap();
        let one = evaluate(None);
        assert!(one.0.len() >= 3, "two rows and their mean: {:?}", one.0);
        for processes in [2, 3] {
            let several = evaluate(Some(processes));
            assert!(several.0 == one.0 && several.1 == one.1, "{:?}, not {:?}", several.0, one.0);
        }
    }
}

#[test]
#[cfg_attr(not(has_mpi), ignore = "needs the feature mpi, and mpirun")]
fn what_one_process_refuses_is_said_once_and_ends_all() {
    let place = Workplace::new();
    place.train("one", "1", &["--shards", "1"]);
    let each = "2 processes, with a shard each: expected a divisor of the batch size, 15";
    let cases: [(i32, &str, &[&str]); 7] = [
        (2, "unexpected argument", &["sample", "--such"]),
        (2, each, &["train-gan", "--data", "data", "--batch-size", "15"]),
        (2, each, &["pretrain-simclr", "--data", "data", "--batch-size", "15"]),
        (
            2,
            "the run's 1 shard cannot be divided evenly among 2 processes",
            &["train-gan", "--resume", "one", "--steps", "2"],
        ),
        (2, "--shards 3", &["train-gan", "--data", "data", "--batch-size", "15", "--shards", "3"]),
        (2, "does not divide its work", &["embed", "data"]),
        (3, "no run is there", &["evaluate", "--run", "nothing"]),
    ];
    for (code, words, arguments) in cases {
        let said = fails_everywhere(&place, code, arguments);
        assert_eq!(said.matches(words).count(), 1, "{said}");
    }
}

#[test]
#[cfg_attr(not(has_mpi), ignore = "needs the feature mpi, and mpirun")]
fn what_only_one_process_fails_at_ends_all_with_its_code() {
    let place = Workplace::new();
    // Where the grid of a later step should go, there is something else.
    std::fs::create_dir_all(place.path("samples/grids/step-00000002.png/in the way")).unwrap();
    let train = [&DCGAN[..11], &["--steps", "4", "--sample-every", "1"]].concat();
    let said = fails_everywhere(&place, 5, &[&train[..], &["--run", "grids"]].concat());
    assert_eq!(said.matches("step-00000002.png").count(), 1, "{said}");
    let said = fails_everywhere(&place, 4, &[&train[..], &["--run", "nan", "--lr", "1e30"]].concat());
    assert_eq!(said.matches("diverged").count(), 1, "{said}");
}

#[test]
#[cfg_attr(not(has_mpi), ignore = "needs the feature mpi, and mpirun")]
fn wrong_arguments_and_the_version_are_said_once() {
    let place = Workplace::new();
    let refused = mpirun(&place, 3, &["train-gan", "--frobnicate"]).assert();
    let output = refused.get_output();
    let said = String::from_utf8_lossy(&output.stderr).matches("--frobnicate").count();
    assert_eq!((output.status.code(), said), (Some(2), 1), "{}", String::from_utf8_lossy(&output.stderr));
    let own = ["train-gan", "--steps", "1", "--data", "data", "--batch-size", "16"];
    let program = crate::support::program().into_string().unwrap();
    let other = [&[&*program][..], &own, &[":", "-n", "1", &program], &own, &["--clip-norm", "3"]].concat();
    let refused = launched(place.directory.path(), 1, &other).assert().code(2);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(said.contains("clip_norm is 3") && said.contains("not set in process 0"), "{said}");
    let commands =
        [&*program, "sample", ":", "-n", "2", &program, "evaluate", ":", "-n", "1", &program, "inspect", "x"];
    let refused = launched(place.directory.path(), 1, &commands).assert().code(2);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert_eq!(said.matches("the processes run different commands: sample, evaluate, inspect").count(), 1, "{said}");
    let version = mpirun(&place, 3, &["--version"]).assert().success();
    assert_eq!(String::from_utf8_lossy(&version.get_output().stdout).matches("gan ").count(), 1);
}

/// What says that several processes were started, but not how many, ends the program; what a job's script finds around it
/// does not.
#[test]
fn a_half_set_environment_is_refused_with_how_to_start_the_program() {
    let place = Workplace::new();
    let run = |environment: &[(&str, &str)]| {
        let mut command = place.gan(&["completions", "bash"]);
        for name in ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE", "SLURM_STEP_ID"] {
            command.env_remove(name);
        }
        command.env_remove("SLURM_STEP_NUM_TASKS").envs(environment.iter().copied()).assert()
    };
    for (name, missing) in [
        ("PMI_RANK", "PMI_SIZE"),
        ("PMI_SIZE", "PMI_RANK"),
        ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
        ("SLURM_STEP_NUM_TASKS", "SLURM_STEP_ID"),
    ] {
        let refused = run(&[(name, "2")]).code(2);
        let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        for words in
            [&format!("sets {name} but not {missing}"), "mpirun -n 4 gan", "srun -n 4", &format!("unset {name}")]
        {
            assert!(said.contains(words), "no {words} in {said}");
        }
    }
    run(&[("PMI_RANK", "0"), ("PMI_SIZE", "many")]).code(2);
    run(&[("PMI_RANK", "0"), ("PMI_SIZE", "1")]).success();
    // The script of `sbatch`, and the shell of `salloc`.
    run(&[("SLURM_JOB_ID", "7"), ("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4")]).success();
}

/// A build without MPI joins no processes: each does what its own flags say, as long as they do not all write one file.
#[test]
#[cfg_attr(feature = "mpi", ignore = "of a build without the feature mpi")]
fn without_mpi_processes_that_do_not_train_work_each_by_itself() {
    let place = Workplace::new();
    place.train("trained", "1", &[]);
    let run = |rank: &str, arguments: &[&str]| {
        let mut command = place.gan(arguments);
        for name in ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE"] {
            command.env_remove(name);
        }
        command.envs([("SLURM_STEP_ID", "0"), ("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_PROCID", rank)]).assert()
    };
    let said = |done: &assert_cmd::assert::Assert| String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    let note = "srun has started 2 processes";
    for (rank, is_told) in [("0", true), ("1", false)] {
        let done = run(rank, &["inspect", "weights/trained/generator_ema.safetensors"]).success();
        assert_eq!(said(&done).contains(note), is_told, "once, by the first");
    }
    // Shares of one directory, and outputs of their own.
    place.gan(&["sample", "--n", "5", "-o", "all/"]).assert().success();
    for (rank, offset, count) in [("0", "0", "3"), ("1", "3", "2")] {
        run(rank, &["sample", "--n", count, "--offset", offset, "-o", "shared/"]).success();
        run(rank, &["sample", "--n", count, "-o", &format!("part-{rank}.npy")]).success();
    }
    assert!(files(&place.path("all")) == files(&place.path("shared")));
    run("1", &["sample", "--n", "2", "-o", "-"]).success();
    for arguments in [
        &["sample"][..],
        &["sample", "-o", "all.npy", "--offset", "3"],
        &["sample", "-o", "new/"],
        &["embed", "data", "-o", "features.npy"],
        &["predict", "data", "-o", "predictions.csv"],
        &["data", "data", "-o", "sheet.png"],
        &["evaluate", "-o", "nearest.png"],
    ] {
        let refused = said(&run("1", arguments).code(2));
        assert!(refused.contains("each would write all of it") && refused.contains("$SLURM_PROCID"), "{refused}");
    }
    for arguments in [
        &["train-gan"][..],
        &["pretrain-simclr"],
        &["finetune", "--weights", "bundled"],
        &["evaluate", "--train-classifier", "-o", "classifier-1.safetensors"],
    ] {
        let refused = said(&run("1", arguments).code(2));
        assert!(refused.contains("cannot train together") && refused.contains("--features mpi"), "{refused}");
    }
}
