use std::collections::BTreeMap;
use std::sync::Arc;

use clap::{Args, Command, FromArgMatches};
use gan::autograd::Precision;
use gan::distributed::{Alone, Shards};
use gan::ops::{self, Activation};
use gan::train::gan_config::GanConfig;
use gan::train::simclr_config::SimclrConfig;

use super::{bits, config, random, trained};
use crate::support::Workplace;

/// Relative to the norm of each tensor, after one step without Adam's signs: what two sums of the same may differ by.
const ROUNDING: f64 = 1e-6;

/// With batch norm over all shards they are the whole batch: losses, scores, images and batch-norm statistics.
#[test]
fn synchronised_shards_are_the_whole_batch_but_for_rounding() {
    check("16");
}

/// Of one image too, though its own statistics would be of one value a channel.
#[test]
fn a_synchronised_shard_may_have_one_image() {
    check("4");
}

fn check(batch_size: &str) {
    let config = config(&["--model", "dcgan", "--batch-size", batch_size, "--lr", "0", "--sync-batch-norm"]);
    let whole = trained(&config, Shards::default());
    let cut = trained(&config, Shards::new(4, Arc::new(Alone)).unwrap());
    let apart = GanConfig { sync_batch_norm: false, ..config.clone() };
    let apart = trained(&apart, Shards::new(2, Arc::new(Alone)).unwrap());
    let distance = |other: &BTreeMap<String, Vec<u32>>, name: &str| {
        let values = |of: &[u32]| of.iter().map(|bits| f64::from(f32::from_bits(*bits))).collect::<Vec<_>>();
        let (whole, other) = (values(&whole[name]), values(&other[name]));
        assert_eq!(whole.len(), other.len(), "{name}");
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        norm(&mut whole.iter().zip(&other).map(|(whole, other)| whole - other)) / (norm(&mut whole.into_iter()) + 1e-12)
    };
    // The moments are gradients, which rounding enlarges; they are held to PyTorch's.
    for name in whole.keys().filter(|name| !name.starts_with("adam.")) {
        let found = distance(&cut, name);
        assert!(found <= ROUNDING, "{name}: {found:e}");
    }
    for name in ["g_loss 0", "fakes 0", "generator.2.running_var"] {
        assert!(distance(&apart, name) > 100.0 * ROUNDING, "{name} is of a batch norm over all shards");
    }
}

/// What the networks then compute is held to PyTorch's, in `reference/encoders.rs`.
#[test]
fn simclr_takes_one_image_a_shard_where_batch_norm_is_synchronised() {
    let config = |flags: &[&str]| {
        let matches = SimclrConfig::augment_args(Command::new("pretrain-simclr").no_binary_name(true));
        SimclrConfig::from_arg_matches(&matches.get_matches_from(flags)).unwrap()
    };
    let flags = ["--batch-size", "4", "--shards", "4"];
    let refused = config(&flags).validate().unwrap_err().to_string();
    assert!(refused.contains("at least 2 images a shard"), "{refused}");
    config(&[&flags[..], &["--sync-batch-norm"]].concat()).validate().unwrap();
}

/// A run says whether batch norms look at all shards, and refuses to be told so where it has none.
#[test]
fn the_first_line_of_a_run_says_whether_batch_norm_is_synchronised() {
    let place = Workplace::new();
    let begin = |flags: &[&str]| {
        let train =
            ["train-gan", "--data", "data", "--batch-size", "8", "--steps", "1", "--force", "--sync-batch-norm"];
        let done = place.gan(&[&train[..], flags].concat()).assert();
        String::from_utf8_lossy(&done.get_output().stderr).into_owned()
    };
    let said = begin(&["--model", "dcgan", "--shards", "8"]);
    assert!(said.contains("batch 8 in 8 shards with synchronised batch norm"), "{said}");
    let said = begin(&["--model", "dcgan"]);
    assert!(said.contains("batch 8 in one shard, where --sync-batch-norm changes nothing"), "{said}");
    for model in ["vanilla", "lsgan"] {
        let said = begin(&["--model", model, "--shards", "2"]);
        assert!(said.contains("--sync-batch-norm: there is no batch norm in these networks"), "{said}");
    }
}

/// Through a discriminator with batch norm: the penalties look at the whole batch as the scores do.
#[test]
fn penalties_of_synchronised_shards_are_those_of_the_whole_batch() {
    let flags = ["--model", "dcgan", "--image-size", "32", "--channels", "1", "--batch-size", "8", "--lr", "0"];
    let config = config(&[&flags[..], &["--r1", "10", "--r2", "5", "--no-ema", "--sync-batch-norm"]].concat());
    let whole = trained(&config, Shards::default());
    let cut = trained(&config, Shards::new(2, Arc::new(Alone)).unwrap());
    let apart = GanConfig { sync_batch_norm: false, ..config.clone() };
    let apart = trained(&apart, Shards::new(2, Arc::new(Alone)).unwrap());
    let values = |of: &BTreeMap<String, Vec<u32>>| -> Vec<f64> {
        let moments =
            of.iter().filter(|(name, _)| name.starts_with("adam.discriminator.") && name.ends_with("exp_avg"));
        moments.flat_map(|(_, bits)| bits.iter().map(|bits| f64::from(f32::from_bits(*bits)))).collect()
    };
    let distance = |other: &BTreeMap<String, Vec<u32>>| {
        let (whole, other) = (values(&whole), values(other));
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        norm(&mut whole.iter().zip(&other).map(|(whole, other)| whole - other)) / norm(&mut whole.iter().copied())
    };
    assert!(distance(&cut) < 1e-4, "{:e}", distance(&cut));
    assert!(distance(&apart) > 1e-2, "{:e}: a batch norm of each shard's own is another", distance(&apart));
}

/// A shard that fails makes the others fail, and its error is the one that is told.
#[test]
fn a_shard_that_fails_ends_the_step() {
    let shards = Shards::new(3, Arc::new(Alone)).unwrap();
    let x = random("x", &[4, 2]);
    let [weight, bias] = ["weight", "bias"].map(|name| random(name, &[2]));
    let step = |failing: Option<usize>| {
        shards.in_steps(Precision::F32, true, |shard| {
            let normal = ops::batch_norm_train(&x, &weight, &bias, 1e-5, Activation::Identity)?;
            if failing == Some(shard) {
                candle_core::bail!("shard {shard} has no memory left");
            }
            let again = ops::batch_norm_train(&normal.output, &weight, &bias, 1e-5, Activation::Identity)?;
            Ok((normal.count, again.output.dims().to_vec()))
        })
    };
    assert_eq!(step(None).unwrap(), vec![(12, vec![4, 2]); 3]);
    for shard in 0..3 {
        let found = step(Some(shard)).unwrap_err().to_string();
        assert!(found.starts_with(&format!("shard {shard} has no memory left")), "{found}");
    }
}

/// Checkpoint and losses of three steps in so many processes.
fn run(place: &Workplace, command: &[&str], processes: usize) -> (BTreeMap<String, Vec<u32>>, Vec<serde_json::Value>) {
    let name = format!("in-{processes}");
    let further = ["--steps", "3", "--log-every", "1", "--shards", "4", "--sync-batch-norm", "--force", "--run", &name];
    assert_cmd::Command::new("mpirun")
        .current_dir(place.directory.path())
        .args(["--oversubscribe", "-n", &processes.to_string()])
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .arg(crate::support::program())
        .args(command)
        .args(further)
        .assert()
        .success();
    let mut lines = place.metrics(&name);
    for line in &mut lines {
        let record = line.as_object_mut().unwrap();
        ["seconds", "images_per_second"].iter().for_each(|of_the_clock| drop(record.remove(*of_the_clock).unwrap()));
        let cost = ["bytes_sent", "seconds_waiting"].map(|cost| record.remove(cost));
        assert!(cost.iter().all(|cost| cost.as_ref().is_some_and(serde_json::Value::is_number) == (processes > 1)));
    }
    let state = place.tensors(&format!("weights/{name}/step-00000003.safetensors"));
    (state.iter().map(|(name, tensor)| (name.clone(), bits(tensor))).collect(), lines)
}

#[test]
#[cfg_attr(not(has_mpi), ignore = "needs the feature mpi, and mpirun")]
fn synchronised_runs_of_one_two_and_four_processes_leave_the_same_bytes() {
    let gan = ["train-gan", "--model", "dcgan", "--data", "data", "--batch-size", "16", "--sample-every", "2"];
    let simclr =
        ["pretrain-simclr", "--encoder", "resnet9", "--image-size", "16", "--batch-size", "16", "--knn-every", "0"];
    for command in [&gan[..], &[&simclr[..], &["--train-images", "64"]].concat()] {
        let place = Workplace::new();
        let one = run(&place, command, 1);
        assert!(run(&place, command, 2) == one && run(&place, command, 4) == one, "{command:?}");
    }
}
