//! The lines of metrics.jsonl and what is read back.

use super::*;

#[test]
fn a_log_line_is_as_the_contract_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.jsonl");
    let mut log = RunLog::open(&path, |_| true).unwrap();
    let rough = GanRecord { seconds: 1.250_012_345, images_per_second: 7_214.499_9, ..record(250) };
    let line = log.append(&rough).unwrap();
    assert_eq!(
        line,
        r#"{"step":250,"epoch":1,"seconds":1.25,"images_per_second":7214.5,"d_loss":1.3862944,"g_loss":0.6931472,"real_score":0.5,"fake_score":0.5}"#
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{line}\n"), "on the disk at once");
    assert_eq!(RunLog::<GanRecord>::records(&path).unwrap(), [record(250)]);
}

#[test]
fn a_simclr_line_has_its_knn_only_where_it_was_measured() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.jsonl");
    let mut log = RunLog::open(&path, |_| true).unwrap();
    let record = SimclrRecord {
        step: 50,
        epoch: 2,
        seconds: 1.25,
        images_per_second: 212.5,
        loss: 4.2714,
        lr: 0.001,
        alignment: 0.31,
        uniformity: f32::NAN,
        knn_top1: None,
        evaluation: None,
        communication: None,
    };
    let start = r#"{"step":50,"epoch":2,"seconds":1.25,"images_per_second":212.5,"loss":4.2714,"lr":0.001,"alignment":0.31,"uniformity":null"#;
    assert_eq!(log.append(&record).unwrap(), format!("{start}}}"));
    let measured = SimclrRecord { knn_top1: Some(0.453), ..record };
    assert_eq!(log.append(&measured).unwrap(), format!(r#"{start},"knn_top1":0.453}}"#));
    let read: Vec<SimclrRecord> = RunLog::records(&path).unwrap();
    assert_eq!(read.iter().map(|record| record.knn_top1).collect::<Vec<_>>(), [None, Some(0.453)]);
    assert!(read[0].uniformity.is_nan());
}

fn row(encoder: &str, mode: &str) -> ProbeRow {
    ProbeRow {
        encoder: encoder.into(),
        mode: mode.into(),
        labels: 5000,
        top1: 0.6431,
        top5: 0.9517,
        knn: 0.6,
        seconds: 12.345_678,
    }
}

#[test]
fn a_probe_is_a_line_of_json_and_a_row_of_the_table() {
    assert_eq!(
        serde_json::to_string(&row("pretrained", "linear")).unwrap(),
        r#"{"encoder":"pretrained","mode":"linear","labels":5000,"top1":0.6431,"top5":0.9517,"knn":0.6,"seconds":12.346}"#
    );
    let untrained = row("untrained", "full");
    let other = ProbeRow { labels: 64, top1: 0.1, top5: 1.0, knn: 0.05, seconds: 1234.5, ..untrained };
    assert_eq!(
        probe_table(&[row("pretrained", "linear"), other], Some(10)),
        "encoder     mode    labels   top-1    top-5     kNN  seconds\n\
         pretrained  linear   5,000  64.3 %   95.2 %  60.0 %     12.3\n\
         untrained   full        64  10.0 %  100.0 %   5.0 %   1234.5"
    );
    assert_eq!(probe_table(&[], None), "encoder  mode  labels  top-1  top-5  kNN  seconds");
    assert_eq!(probe_table(&[], Some(6)), "encoder  mode  labels  top-1  top-5  kNN  seconds");
    assert_eq!(
        probe_table(&[row("pretrained", "linear")], Some(5)),
        "encoder     mode    labels   top-1     kNN  seconds\n\
         pretrained  linear   5,000  64.3 %  60.0 %     12.3"
    );
}

#[test]
fn a_log_takes_losses_that_are_no_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.jsonl");
    let mut log = RunLog::open(&path, |_: &GanRecord| true).unwrap();
    let line = log.append(&GanRecord { d_loss: f32::NAN, g_loss: f32::INFINITY, ..record(1) }).unwrap();
    assert!(line.contains(r#""d_loss":null,"g_loss":null"#), "{line}");
    let records = RunLog::<GanRecord>::records(&path).unwrap();
    assert!(records[0].d_loss.is_nan() && records[0].g_loss.is_nan());
}

#[test]
fn a_resumed_log_drops_a_torn_line_and_what_comes_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.jsonl");
    let mut log = RunLog::open(&path, |_| true).unwrap();
    for step in [0, 250, 500, 750] {
        log.append(&record(step)).unwrap();
    }
    drop(log);
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}{}", r#"{"step":1000,"epo"#)).unwrap();
    assert_eq!(RunLog::<GanRecord>::records(&path).unwrap().len(), 4, "a torn line is no record");

    let mut log = RunLog::open(&path, |record: &GanRecord| record.step < 500).unwrap();
    log.append(&record(500)).unwrap();
    log.append(&record(750)).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left behind");
}

#[test]
fn a_log_keeps_its_lines_to_the_byte() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.jsonl");
    let line = r#"{ "step":1,"epoch":1,"seconds":0,"images_per_second":1e2,"d_loss":1,"g_loss":1,"real_score":0,"fake_score":0,"later":"field" }"#;
    for (found, left) in
        [(format!("{line}\n{line}"), format!("{line}\n{line}\n")), (format!("{line}\n\0\0"), format!("{line}\n"))]
    {
        fs::write(&path, found).unwrap();
        RunLog::<GanRecord>::open(&path, |_| true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), left);
    }
}

#[test]
fn a_damaged_log_is_named_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.jsonl");
    let line = serde_json::to_string(&record(0)).unwrap();
    fs::write(&path, format!("{line}\nnonsense\n{line}\n")).unwrap();
    let error = RunLog::<GanRecord>::open(&path, |_| true).unwrap_err();
    assert_eq!(exit_code(&error), 3);
    assert!(error.to_string().contains("metrics.jsonl: line 2 "), "{error}");
    let nowhere = directory.path().join("missing").join("metrics.jsonl");
    assert_eq!(exit_code(&RunLog::<GanRecord>::open(&nowhere, |_| true).unwrap_err()), 5);
    assert_eq!(exit_code(&RunLog::<GanRecord>::records(&nowhere).unwrap_err()), 3);
}
