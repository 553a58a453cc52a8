//! `gan predict`: by the classifier of a run, on folders of pictures.

use std::fs;

use candle_core::Device;
use gan::pretrained::TrainedClassifier;
use serde_json::Value;

use crate::support::{Workplace, write_pictures};

/// A place with a linear probe on the bundled encoder, of bars, crosses and discs.
fn tuned() -> Workplace {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 12, 4);
    let flags = ["finetune", "--data", "pictures", "--weights", "bundled", "--labels", "1.0", "--run", "probe"];
    work.gan(&flags).args(["--epochs", "60", "--lr", "0.01", "-q"]).assert().success();
    work
}

fn stderr(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

fn stdout(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

#[test]
fn a_picture_is_said_to_be_of_the_class_of_its_folder() {
    let work = tuned();
    let classifier = TrainedClassifier::open(&work.path("weights/probe"), &Device::Cpu).unwrap();
    assert_eq!(
        (classifier.class_names(), classifier.has_class_names()),
        (&["bar", "cross", "disc"].map(String::from)[..], true)
    );
    let names = work.gan(&["inspect", "weights/probe/classifier.safetensors"]).assert().success();
    assert!(stdout(&names).contains(r#""names":["bar","cross","disc"]"#), "{}", stdout(&names));

    let json = work.gan(&["predict", "pictures", "--top", "3", "--json"]).assert().success();
    let lines: Vec<Value> = stdout(&json).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 48);
    for line in &lines {
        let top = line["top"].as_array().unwrap();
        let sum: f64 = top.iter().map(|candidate| candidate["probability"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5 && top[0]["class"] == line["predicted"], "{line}");
        assert!(top[0]["probability"].as_f64() >= top[1]["probability"].as_f64());
    }
    let right = lines.iter().filter(|line| line["class"] == line["predicted"]).count();
    assert!(right > 32, "{right} of 48");
    let accuracy = format!("accuracy {:.1} %, top-3 100.0 %: {right} of 48 pictures", 100.0 * right as f64 / 48.0);
    assert!(stderr(&json).contains(&accuracy), "{}", stderr(&json));
    let is_of_test = |line: &&Value| line["path"].as_str().unwrap().starts_with("pictures/test/");
    let right = lines.iter().filter(is_of_test).filter(|line| line["class"] == line["predicted"]).count();
    let (percent, said) = (100.0 * right as f64 / 12.0, stderr(&json));
    let others = format!("taken from 36 of these pictures; accuracy on the others {percent:.1} %: {right} of 12");
    assert!(said.contains(&others), "{said}");
    let trained_on = |data: &str| stderr(&work.gan(&["predict", data]).assert().success()).contains("taken from these");
    assert!(trained_on("pictures/train") && !trained_on("pictures/test"));

    let file = work.gan(&["predict", "pictures", "--weights", "weights/probe", "--top", "2", "-o", "p.csv"]).assert();
    assert_eq!(stdout(&file.success()), "p.csv\n");
    let csv = String::from_utf8(work.read("p.csv")).unwrap();
    assert!(csv.starts_with("path,predicted,probability,predicted_2,probability_2,class\npictures/test/bar/000.png,"));
    assert_eq!(csv.lines().count(), 49);
    let predicted = csv.lines().skip(1).map(|line| line.split(',').nth(1).unwrap());
    assert!(predicted.eq(lines.iter().map(|line| line["predicted"].as_str().unwrap())));

    let table = work.gan(&["predict", "pictures/train/disc"]).assert().success();
    assert_eq!(stdout(&table).lines().count(), 12);
    assert!(stdout(&table).lines().all(|line| line.ends_with(" %")) && !stderr(&table).contains("accuracy"));
}

#[test]
fn folders_that_are_no_classes_count_as_wrong_and_a_file_without_names_has_numbers() {
    let work = tuned();
    fs::rename(work.path("pictures/test/disc"), work.path("pictures/test/ring")).unwrap();
    let said = work.gan(&["predict", "pictures/test"]).assert().success();
    assert!(stderr(&said).contains("such as ring") && stderr(&said).contains("of 12 pictures"), "{}", stderr(&said));

    let path = work.path("weights/probe/classifier.safetensors");
    let mut archive = gan::checkpoint::read(&path).unwrap();
    let network = archive.metadata.get_mut("gan.network").unwrap();
    *network = network.replace(r#","names":["bar","cross","disc"]"#, "");
    gan::checkpoint::write(&path, &archive).unwrap();
    let numbers = work.gan(&["predict", "pictures/test", "--json"]).assert().success();
    let line: Value = serde_json::from_str(stdout(&numbers).lines().next().unwrap()).unwrap();
    assert!(["0", "1", "2"].contains(&line["predicted"].as_str().unwrap()), "{line}");
}
