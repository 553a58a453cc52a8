//! Every row of the table of exit codes, and what hostile or damaged files do: an error of one to three lines, never
//! a panic.

use std::os::fd::FromRawFd;

use candle_core::{DType, Device, Tensor};
use gan::checkpoint::{self, Archive};

use crate::support::{TINY, Workplace, write_pictures};

/// Runs, checks the exit code, and that the error reads as promised; returns stderr.
fn fails(work: &Workplace, arguments: &[&str], code: i32) -> String {
    let output = work.gan(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?} wrote to stdout");
    assert!(!stderr.contains("panicked") && !stderr.contains("backtrace"), "{stderr}");
    if code != 2 {
        let error = &stderr[stderr.find("error: ").unwrap_or_else(|| panic!("no error in {stderr:?}"))..];
        assert!(error.trim_end().lines().count() <= 3, "{arguments:?}: more than three lines: {error}");
    }
    stderr
}

#[test]
fn wrong_flags_are_wrong_usage() {
    let work = Workplace::new();
    for arguments in [
        &["train-gan", "--model", "vae"][..],
        &["train-gan", "--batch-size", "0"],
        &["train-gan", "--batch-size", "-1"],
        &["train-gan", "--batch-size", "99999999999"],
        &["train-gan", "--lr", "-1"],
        &["train-gan", "--lr", "nan"],
        &["train-gan", "--beta1", "1"],
        &["train-gan", "--ema-decay", "1.5"],
        &["train-gan", "--log-every", "0"],
        &["train-gan", "--keep", "0"],
        &["train-gan", "--steps", "1", "--epochs", "1"],
        &["train-gan", "--model", "dcgan", "--batch-size", "1", "--data", "data"],
        &["train-gan", "--run", "../up", "--data", "data"],
        &["train-gan", "--run", "", "--data", "data"],
        &["train-gan", "--threads", "0"],
        &["train-gan", "--device", "gpu"],
        &["sample", "--n", "0"],
        &["sample", "-o", "grid.bmp"],
        &["sample", "--n", "1000000", "-o", "grid.png"],
        &["sample", "--scale", "0"],
        &["frobnicate"],
        &[],
    ] {
        // the sampler looks for weights first, so give it some
        if arguments.first() == Some(&"sample") && !work.path("weights").exists() {
            work.train("vanilla", "1", &[]);
        }
        fails(&work, arguments, 2);
    }
}

#[test]
fn data_that_is_not_there_or_not_data() {
    let work = Workplace::new();
    let stderr = fails(&work, &["train-gan", "--data", "nowhere"], 3);
    assert!(stderr.contains("nowhere") && stderr.contains("digits"), "{stderr}");
    for (name, files) in [
        ("empty", vec![]),
        ("text", vec![("readme.txt", b"hello".to_vec())]),
        ("png", vec![("cat.png", b"\x89PNG\r\n\x1a\nnot a picture at all".to_vec())]),
        ("lie", vec![("train-images-idx3-ubyte", [0x0803u32, u32::MAX, 28, 28].map(u32::to_be_bytes).concat())]),
        ("magic", vec![("train-images-idx3-ubyte", vec![0; 100])]),
        ("cut", vec![("train-images-idx3-ubyte.gz", vec![0x1f, 0x8b, 8, 0, 0, 0])]),
    ] {
        std::fs::create_dir(work.path(name)).unwrap();
        for (file, bytes) in files {
            std::fs::write(work.path(name).join(file), bytes).unwrap();
        }
        let stderr = fails(&work, &["train-gan", "--data", name], 3);
        assert!(stderr.contains(name), "{stderr}");
    }
    fails(&work, &["train-gan", "--data", "data", "--train-images", "97"], 3);
    fails(&work, &["train-gan", "--data", "data", "--batch-size", "128"], 3);
    assert!(!work.path("weights").exists());
}

#[test]
fn checkpoints_that_do_not_fit() {
    let work = Workplace::new();
    work.train("vanilla", "1", &[]);
    let good = work.read("weights/vanilla/generator.safetensors");
    let tensors = work.tensors("weights/vanilla/generator.safetensors");
    let with = |change: &dyn Fn(&mut Archive)| {
        let mut archive = Archive { tensors: tensors.clone(), metadata: Default::default() };
        change(&mut archive);
        checkpoint::write(&work.path("bad.safetensors"), &archive).unwrap();
        fails(&work, &["sample", "--weights", "bad.safetensors", "-o", "x.png"], 3)
    };
    let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
    let stderr = with(&|archive| drop(archive.tensors.remove("2.bias")));
    assert!(stderr.contains("2.bias"), "a missing tensor is named: {stderr}");
    let stderr = with(&|archive| drop(archive.tensors.insert("7.weight".into(), zeros(&[2], DType::F32))));
    assert!(stderr.contains("7.weight"), "a tensor too many is named: {stderr}");
    let stderr = with(&|archive| drop(archive.tensors.insert("2.bias".into(), zeros(&[1023], DType::F32))));
    assert!(stderr.contains("1023") && stderr.contains("1024"), "a wrong shape is named: {stderr}");
    let stderr = with(&|archive| drop(archive.tensors.insert("2.bias".into(), zeros(&[1024], DType::I64))));
    assert!(stderr.contains("2.bias"), "a wrong type is named: {stderr}");

    let damaged = |bytes: &[u8]| {
        std::fs::write(work.path("bad.safetensors"), bytes).unwrap();
        fails(&work, &["sample", "--weights", "bad.safetensors", "-o", "x.png"], 3);
    };
    damaged(&[]);
    damaged(b"garbage");
    damaged(&good[..good.len() - 1]);
    damaged(&good[..100]);
    damaged(&[&u64::MAX.to_le_bytes()[..], &good[8..]].concat());
    damaged(&[&8u64.to_le_bytes()[..], b"[[[[[[[["].concat());
    fails(&work, &["sample", "--weights", "nowhere.safetensors"], 3);
    fails(&work, &["sample", "--weights", "data"], 3);
    fails(&work, &["sample", "--weights", "weights/vanilla/discriminator.safetensors"], 3);
    assert!(!work.path("x.png").exists());
}

#[test]
fn runs_that_cannot_be_resumed() {
    let work = Workplace::new();
    let stderr = fails(&work, &["train-gan", "--resume", "nobody"], 3);
    assert!(stderr.contains("nobody"), "{stderr}");
    work.train("run", "8", &[]);
    let damage = |name: &str, bytes: &[u8]| std::fs::write(work.path(&format!("weights/run/{name}")), bytes).unwrap();
    let config = work.read("weights/run/config.json");
    for damaged in [&b"{\"model\": \"vanilla\""[..], b"{\"encoder\": \"resnet18\"}", b""] {
        damage("config.json", damaged);
        let stderr = fails(&work, &["train-gan", "--resume", "run", "--steps", "9"], 3);
        let advice = "move weights/run/config.json away: --resume run then reads the copy in its checkpoint; or begin the run \
                      run anew with --force";
        assert!(stderr.contains(advice), "{stderr}");
    }
    std::fs::remove_file(work.path("weights/run/config.json")).unwrap();
    work.gan(&["train-gan", "--resume", "run"]).assert().success();
    damage("config.json", &config);

    // the newest is cut off: the one before is taken, and it is said
    let newest = work.read("weights/run/step-00000008.safetensors");
    damage("step-00000008.safetensors", &newest[..newest.len() / 2]);
    let assert = work.gan(&["train-gan", "--resume", "run", "--steps", "9"]).assert().success();
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("step-00000008.safetensors"), "{stderr}");

    for step in [4, 8, 9] {
        let name = format!("step-{step:08}.safetensors");
        if work.path(&format!("weights/run/{name}")).exists() {
            damage(&name, b"");
        }
    }
    fails(&work, &["train-gan", "--resume", "run", "--steps", "12"], 3);
}

#[test]
fn a_checkpoint_of_another_model_is_not_resumed() {
    let work = Workplace::new();
    work.train("run", "4", &[]);
    let mut archive = checkpoint::read(&work.path("weights/run/step-00000004.safetensors")).unwrap();
    archive.tensors.remove("adam.generator.0.weight.exp_avg");
    checkpoint::write(&work.path("weights/run/step-00000004.safetensors"), &archive).unwrap();
    let stderr = fails(&work, &["train-gan", "--resume", "run", "--steps", "5"], 3);
    assert!(stderr.contains("step-00000004.safetensors"), "{stderr}");
}

#[test]
fn places_that_cannot_be_written() {
    let work = Workplace::new();
    std::fs::write(work.path("file"), b"").unwrap();
    fails(&work, &[TINY, &["--weights-dir", "file/weights"]].concat(), 5);
    fails(&work, &[TINY, &["--samples-dir", "file/samples"]].concat(), 5);
    work.train("vanilla", "1", &[]);
    fails(&work, &["sample", "-o", "file/grid.png"], 5);
    fails(&work, &["sample", "-o", "file/dir/"], 5);
    fails(&work, &["sample", "-o", "nowhere/grid.png"], 5);
}

#[test]
fn a_full_disk_under_stdout_is_said() {
    let work = Workplace::new();
    work.train("vanilla", "1", &[]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = work.spawn(&["sample", "-o", "-", "--format", "npy"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let work = Workplace::new();
    if cfg!(not(feature = "cuda")) {
        let stderr = fails(&work, &[TINY, &["--device", "cuda"]].concat(), 1);
        assert!(stderr.contains("--features cuda"), "{stderr}");
    }
}

#[test]
fn a_picture_is_not_thrown_at_a_terminal() {
    let work = Workplace::new();
    work.train("vanilla", "1", &[]);
    let (mut controller, mut terminal) = (0, 0);
    let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
    // SAFETY: openpty writes two descriptors into the integers and takes null for all that is optional.
    assert_eq!(unsafe { libc::openpty(&mut controller, &mut terminal, name, settings, size) }, 0);
    // SAFETY: both descriptors were just opened and belong to nobody else.
    let (_controller, terminal) =
        unsafe { (std::fs::File::from_raw_fd(controller), std::fs::File::from_raw_fd(terminal)) };
    let output = work.spawn(&["sample", "-o", "-"]).stdout(terminal).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("terminal"));
}

#[test]
fn simclr_and_finetune_refuse_what_cannot_be_meant() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    let simclr = ["pretrain-simclr", "--data", "pictures", "--batch-size", "8", "--knn-every", "0", "--steps", "1"];
    work.gan(&simclr).assert().success();
    work.train("gan", "1", &[]);
    let with = |flags: &[&'static str], more: &[&'static str]| [flags, more].concat();
    let finetune = ["finetune", "--labels", "1.0", "--batch-size", "8", "--epochs", "1", "--run", "probe"];

    for (arguments, code, words) in [
        (with(&simclr, &["--run", "a", "--batch-size", "25"]), 3, ["25", "24 training images"]),
        (with(&simclr, &["--run", "a", "--batch-size", "1"]), 2, ["--batch-size 1", "at least 2"]),
        (with(&simclr, &["--run", "a", "--accumulate", "4"]), 2, ["--accumulate 4", "negatives"]),
        (with(&simclr, &["--run", "a", "--temperature", "0"]), 2, ["--temperature 0", "above 0"]),
        (with(&simclr, &["--run", "a", "--train-images", "99"]), 3, ["--train-images 99", "24"]),
        (with(&simclr, &[]), 2, ["--resume resnet9", "--force"]),
        (with(&["pretrain-simclr", "--resume", "gan"], &[]), 3, ["gan", "a run of train-gan"]),
        (with(&["pretrain-simclr", "--resume", "resnet9"], &["--temperature", "2"]), 2, ["--temperature", "0.5"]),
        (with(&["pretrain-simclr", "--resume", "resnet9"], &["--encoder", "resnet18"]), 2, ["--encoder", "resnet9"]),
        (with(&finetune, &["--encoder", "resnet18"]), 3, ["no pretrained resnet18 encoder", "pretrain-simclr"]),
        (
            with(&finetune, &["--encoder", "resnet18", "--weights", "weights/resnet9"]),
            3,
            ["holds a resnet9 encoder", "--encoder resnet18"],
        ),
        (with(&finetune, &["--weights", "weights/gan"]), 3, ["holds no encoder", "encoder.safetensors"]),
        (
            with(&finetune, &["--weights", "weights/gan/generator.safetensors"]),
            3,
            ["not an encoder", "pretrain-simclr"],
        ),
        (
            with(&finetune, &["--weights", "weights/resnet9/projection_head.safetensors"]),
            3,
            ["not an encoder", "pretrain-simclr"],
        ),
        (with(&finetune, &["--labels", "25"]), 3, ["--labels 25", "24 labelled"]),
        (with(&finetune, &["--labels", "1.5"]), 2, ["--labels", "above 0"]),
        (with(&finetune, &["--cached", "--mode", "full"]), 2, ["--cached", "linear"]),
        (
            with(&finetune, &["--data", "pictures/train", "--test-part", "0"]),
            3,
            ["test images without classes", "train/"],
        ),
        (
            with(&["sample", "--weights", "weights/resnet9/encoder.safetensors"], &[]),
            3,
            ["not a generator", "train-gan"],
        ),
    ] {
        let stderr = fails(&work, &arguments, code);
        for word in words {
            assert!(stderr.contains(word), "{arguments:?}: no {word:?} in {stderr}");
        }
        assert!(!work.path("weights/a").exists() && !work.path("weights/probe").exists(), "{arguments:?} left a run");
    }
}

/// Found by mutation: a parser of Python's literals took twice the time for each further bracket.
#[test]
fn a_nested_npy_header_is_refused_at_once() {
    let work = Workplace::new();
    work.train("vanilla", "1", &[]);
    let header = format!("{{'descr': '<f4', {}}}\n", "{".repeat(200));
    let file = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
    std::fs::write(work.path("deep.npy"), file).unwrap();
    fails(&work, &["sample", "--latents", "deep.npy", "-o", "x.png"], 3);
}

/// Found by mutation: serde quotes what a file says.
#[test]
fn a_hostile_file_does_not_steer_the_terminal() {
    let work = Workplace::new();
    work.train("run", "1", &[]);
    std::fs::write(work.path("weights/run/config.json"), "{\"\\u001b[2Jmodel\": 1}").unwrap();
    let stderr = fails(&work, &["train-gan", "--resume", "run"], 3);
    assert!(!stderr.contains('\u{1b}') && stderr.contains("[2Jmodel"), "{stderr}");
}

/// A checkpoint whose tensors were changed behind the program's back is not trained on.
#[test]
fn a_checkpoint_with_a_nan_is_named_and_so_is_the_one_before() {
    let work = Workplace::new();
    work.train("run", "8", &[]);
    let path = work.path("weights/run/step-00000008.safetensors");
    let mut archive = checkpoint::read(&path).unwrap();
    let spoilt = (&archive.tensors["adam.generator.2.weight.exp_avg"] * f64::NAN).unwrap();
    archive.tensors.insert("adam.generator.2.weight.exp_avg".into(), spoilt);
    checkpoint::write(&path, &archive).unwrap();
    let stderr = fails(&work, &["train-gan", "--resume", "run", "--steps", "9"], 4);
    assert!(stderr.contains("generator.2.weight") && stderr.contains("step-00000004.safetensors"), "{stderr}");
    assert!(path.is_file());
}
