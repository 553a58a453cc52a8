//! `gan sample` through the real binary: every output, the same bytes for the same sample, and where weights come from.

use std::collections::BTreeMap;
use std::io::Cursor;

use gan::checkpoint::Bundled;
use gan::latent_space::LatentSpace;
use predicates::prelude::*;

use crate::support::Workplace;

fn trained() -> Workplace {
    let work = Workplace::new();
    work.train("vanilla", "3", &[]);
    work
}

fn images(bytes: &[u8]) -> (Vec<u64>, Vec<f32>) {
    let npy = npyz::NpyFile::new(Cursor::new(bytes)).unwrap();
    (npy.shape().to_vec(), npy.into_vec::<f32>().unwrap())
}

#[test]
fn a_grid_is_written_and_its_path_printed() {
    let work = trained();
    work.gan(&["sample", "--n", "20", "-o", "grid.png"])
        .assert()
        .success()
        .stdout("grid.png\n")
        .stderr(predicate::str::contains("weights/vanilla/generator_ema.safetensors"));
    let picture = gan::report::read_png(&work.path("grid.png")).unwrap();
    assert_eq!((picture.width, picture.channels), (5 * 56 + 4 * 2, 1));
}

#[test]
fn samples_depend_on_seed_and_number_alone() {
    let work = trained();
    let draw = |flags: &[&str]| {
        work.gan(&[&["sample", "-o", "x.npy"], flags].concat()).assert().success();
        images(&work.read("x.npy"))
    };
    let (shape, long) = draw(&["--n", "200"]);
    assert_eq!(shape, [200, 1, 28, 28]);
    assert!(long.iter().all(|value| value.abs() <= 1.0));
    assert!(draw(&["--n", "5"]).1 == long[..5 * 784]);
    assert!(draw(&["--n", "70", "--offset", "100", "--threads", "3"]).1 == long[100 * 784..170 * 784]);
    assert!(draw(&["--n", "200", "--seed", "1"]).1 != long);
}

#[test]
fn given_latents_are_used() {
    let work = trained();
    let latents: Vec<f32> = gan::pretrained::latents(7, 0, 10, LatentSpace::uniform(8));
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (10, 8), }").as_bytes());
    bytes.extend(latents.iter().flat_map(|value| value.to_le_bytes()));
    std::fs::write(work.path("z.npy"), &bytes).unwrap();
    work.gan(&["sample", "--latents", "z.npy", "-o", "given.npy"]).assert().success();
    work.gan(&["sample", "--seed", "7", "--n", "10", "-o", "drawn.npy"]).assert().success();
    assert_eq!(work.read("given.npy"), work.read("drawn.npy"));
    work.gan(&["sample", "--latents", "z.npy", "--n", "11", "-o", "given.npy"]).assert().code(3);

    for (name, damaged) in [
        ("short", bytes[..bytes.len() - 1].to_vec()),
        ("lies", String::from_utf8_lossy(&bytes[..128]).replace("(10, 8)", "(99, 8)").into_bytes()),
        ("none", b"not a npy file".to_vec()),
    ] {
        std::fs::write(work.path(&format!("{name}.npy")), damaged).unwrap();
        work.gan(&["sample", "--latents", &format!("{name}.npy"), "-o", "x.png"]).assert().code(3);
    }
    assert!(!work.path("x.png").exists());
}

/// The files of a directory, by name.
fn files(work: &Workplace, directory: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(work.path(directory)).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn a_directory_gets_one_png_an_image_one_pixel_a_pixel() {
    let work = trained();
    work.gan(&["sample", "--n", "3", "--offset", "62", "-o", "dir/"]).assert().success().stdout("dir/\n");
    let names: Vec<String> = files(&work, "dir").into_keys().collect();
    assert_eq!(names, ["000062.png", "000063.png", "000064.png"]);
    // read back, they are the raw output rounded to a byte
    work.gan(&["sample", "--n", "3", "--offset", "62", "-o", "raw.npy"]).assert().success();
    let raw = images(&work.read("raw.npy")).1;
    for (name, raw) in names.iter().zip(raw.chunks_exact(784)) {
        let picture = gan::report::read_png(&work.path("dir").join(name)).unwrap();
        assert_eq!((picture.width, picture.height, picture.channels), (28, 28, 1));
        let rounded: Vec<u8> = raw.iter().map(|value| ((value + 1.0) / 2.0 * 255.0).round() as u8).collect();
        assert_eq!(picture.pixels, rounded, "{name}");
    }
    // larger ones are to be had, where they are asked for
    work.gan(&["sample", "--n", "1", "--scale", "2", "-o", "large/"]).assert().success();
    assert_eq!(gan::report::read_png(&work.path("large/000000.png")).unwrap().width, 56);
}

#[test]
fn older_samples_in_a_directory_are_not_left_among_new_ones() {
    let work = trained();
    work.gan(&["sample", "-n", "12", "-o", "dir/"]).assert().success();
    for other in ["grid.png", "12.png", "readme.txt"] {
        std::fs::write(work.path("dir").join(other), other).unwrap();
    }
    let twelve = files(&work, "dir");
    let stderr = "it holds 8 samples that would not be written again, 000004.png to 000011.png";
    let refused = work.gan(&["sample", "-n", "4", "--seed", "1", "-o", "dir"]).assert().code(2);
    refused.stderr(predicate::str::contains(stderr).and(predicate::str::contains("--force")));
    assert_eq!(files(&work, "dir"), twelve, "a refusal changes nothing");
    // the same again, and more of them, need no flag
    work.gan(&["sample", "-n", "12", "-o", "dir/"]).assert().success();
    assert_eq!(files(&work, "dir"), twelve);

    work.gan(&["sample", "-n", "4", "--seed", "1", "-o", "dir/", "--force"]).assert().success();
    let four = files(&work, "dir");
    let names = ["000000.png", "000001.png", "000002.png", "000003.png", "12.png", "grid.png", "readme.txt"];
    assert!(four.keys().eq(names.iter()), "{:?}", four.keys());
    assert_ne!(four["000000.png"], twelve["000000.png"]);
    work.gan(&["sample", "-n", "12", "-o", "dir/"]).assert().success();
    assert_eq!(files(&work, "dir"), twelve);
}

#[test]
fn shares_of_a_job_meet_in_one_directory() {
    let work = trained();
    work.gan(&["sample", "-n", "9", "-o", "whole/"]).assert().success();
    for (first, count) in [("6", "3"), ("0", "4"), ("4", "2")] {
        work.gan(&["sample", "-n", count, "--offset", first, "-o", "shares/"]).assert().success();
    }
    assert_eq!(files(&work, "shares"), files(&work, "whole"));
    // one that deletes would delete what the others wrote
    let flags = ["sample", "-n", "4", "--offset", "0", "-o", "shares/", "--force"];
    work.gan(&flags).assert().code(2).stderr(predicate::str::contains("--force"));
    assert_eq!(files(&work, "shares"), files(&work, "whole"));
}

/// Pictures come into a directory whole or not at all, and what a killed process left there goes.
#[test]
fn a_stopped_job_leaves_whole_pictures() {
    let work = trained();
    let mut child = work.spawn(&["sample", "-n", "200000", "-o", "dir/", "-q"]).spawn().unwrap();
    let written = || std::fs::read_dir(work.path("dir")).is_ok_and(|entries| entries.count() > 300);
    while !written() {
        assert!(child.try_wait().unwrap().is_none(), "it ended too soon");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for (name, bytes) in files(&work, "dir").iter().filter(|(name, _)| !name.starts_with('.')) {
        gan::report::read_png(&work.path("dir").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(bytes.ends_with(b"IEND\xaeB\x60\x82"), "{name}");
    }
    std::fs::write(work.path("dir/.000007.png.tmp-1"), b"half").unwrap();
    work.gan(&["sample", "-n", "1", "-o", "dir/", "--force"]).assert().success();
    assert_eq!(files(&work, "dir").into_keys().collect::<Vec<_>>(), ["000000.png"]);
}

#[test]
fn a_name_and_what_lies_there_must_agree() {
    let work = trained();
    std::fs::create_dir(work.path("grid.png")).unwrap();
    let refused = work.gan(&["sample", "-o", "grid.png"]).assert().code(2);
    refused.stderr(predicate::str::contains("-o grid.png: it is a directory"));
    assert_eq!(files(&work, "grid.png").len(), 0);
    work.gan(&["sample", "-o", "x.npy", "--format", "png"]).assert().code(2);
    work.gan(&["sample", "-n", "2", "-o", "grid.png/"]).assert().success();
    assert_eq!(files(&work, "grid.png").len(), 2);
}

#[test]
fn a_walk_is_a_film_that_comes_back_to_its_beginning() {
    let work = trained();
    work.gan(&["sample", "--n", "3", "--frames", "4", "--walks", "2", "-o", "walk.gif"]).assert().success();
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let bytes = work.read("walk.gif");
    let mut decoder = options.read_info(&bytes[..]).unwrap();
    let mut frames = 0;
    while decoder.read_next_frame().unwrap().is_some() {
        frames += 1;
    }
    assert_eq!(frames, 12);
    work.gan(&["sample", "--n", "1", "-o", "walk.gif"]).assert().code(2);
    work.gan(&["sample", "--n", "3", "--walk", "linear", "--frames", "4", "--walks", "2", "-o", "line.gif"])
        .assert()
        .success();
    assert_ne!(bytes, work.read("line.gif"));
}

#[test]
fn stdout_carries_the_picture_and_nothing_else() {
    let work = trained();
    work.gan(&["sample", "--n", "4", "-o", "file.png"]).assert().success();
    let piped = work.gan(&["sample", "--n", "4", "-o", "-"]).assert().success().get_output().stdout.clone();
    assert_eq!(piped, work.read("file.png"));
    let piped = work.gan(&["sample", "--n", "4", "-o", "-", "--format", "npy"]).output().unwrap().stdout;
    assert_eq!(images(&piped).0, [4, 1, 28, 28]);
    let json = work.gan(&["sample", "--n", "4", "-o", "a.npy", "--json"]).output().unwrap().stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((json["path"].as_str(), json["n"].as_u64()), (Some("a.npy"), Some(4)));
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let work = trained();
    let mut child = work
        .spawn(&["sample", "--n", "20000", "-o", "-", "--format", "npy", "-q"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.len()),
        (Some(0), 0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn weights_are_found_in_the_order_that_is_promised() {
    let work = trained();
    let took = |flags: &[&str]| {
        let assert = work.gan(&[&["sample", "--n", "1", "-o", "x.png"], flags].concat()).assert().success();
        String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
    };
    assert!(took(&["--raw"]).contains("weights/vanilla/generator.safetensors"));
    assert!(took(&["--weights", "weights/vanilla"]).contains("generator_ema.safetensors"));
    let checkpoint = "weights/vanilla/step-00000003.safetensors";
    assert!(took(&["--weights", checkpoint]).contains(checkpoint));
    work.gan(&["sample", "--weights", checkpoint, "-o", "a.npy"]).assert().success();
    work.gan(&["sample", "--weights", "weights/vanilla/generator_ema.safetensors", "-o", "b.npy"]).assert().success();
    assert_eq!(work.read("a.npy"), work.read("b.npy"));
    // a newer run of the same model is taken instead
    work.train("newer", "1", &[]);
    assert!(took(&["--model", "vanilla"]).contains("weights/newer"));
    // where there is no such run, what comes with the program
    let asserted = work.gan(&["sample", "--model", "dcgan", "-o", "x.png"]).assert();
    asserted.success().stderr(predicate::str::contains(Bundled::DcganGenerator.name()));
    work.gan(&["sample", "--model", "dcgan", "--weights", checkpoint, "-o", "x.png"]).assert().code(3);
}

#[test]
fn the_grid_of_a_run_is_what_sample_draws() {
    let work = trained();
    work.gan(&["sample", "-o", "grid.png"]).assert().success();
    assert_eq!(work.read("grid.png"), work.read("samples/vanilla/step-00000003.png"));
}
