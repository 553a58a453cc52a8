//! What goes to which stream.

use super::*;

#[test]
fn stdout_carries_data_and_stderr_the_rest() {
    let say_all = |options| {
        let (console, read) = buffered(options);
        console.note("note");
        console.detail("detail");
        console.warning("careful");
        console.error("bad");
        console.data_line("weights/run").unwrap();
        console.data_bytes(b"raw").unwrap();
        read()
    };
    let data = "weights/run\nraw".to_owned();
    let plain = ConsoleOptions::default();
    assert_eq!(say_all(plain), (data.clone(), "note\nwarning: careful\nerror: bad\n".into()));
    let verbose = ConsoleOptions { verbose: 1, ..plain };
    assert_eq!(say_all(verbose), (data.clone(), "note\ndetail\nwarning: careful\nerror: bad\n".into()));
    let quiet = ConsoleOptions { quiet: true, ..verbose };
    assert_eq!(say_all(quiet), (data, "warning: careful\nerror: bad\n".into()));
}

#[test]
fn training_writes_few_plain_lines_where_there_is_no_terminal() {
    let (console, read) = buffered(ConsoleOptions::default());
    train(&console, 0..=3895, 3900);
    let (stdout, stderr) = read();
    assert_eq!(stdout, "");
    assert!(!stderr.contains(['\x1b', '\r']), "{stderr:?}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines[0], "step 0/3900  epoch 1/10  D 1.310  G 0.781  7,100 images/s");
    assert_eq!(lines[1], "step 390/3900  epoch 2/10  D 1.310  G 0.781  7,100 images/s");
    assert!(lines[lines.len() - 1].starts_with("step 3890/3900  epoch 10/10"), "{stderr}");
    assert_eq!(lines.len(), 11, "{stderr}");
}

#[test]
fn a_resumed_run_counts_its_lines_from_where_it_starts() {
    let (console, read) = buffered(ConsoleOptions::default());
    train(&console, 3800..=3900, 3900);
    let (_, stderr) = read();
    assert_eq!(stderr.lines().count(), 11, "{stderr}");
    assert!(stderr.starts_with("step 3800/3900"), "{stderr}");
}

#[test]
fn no_progress_means_none() {
    for options in [
        ConsoleOptions { quiet: true, ..ConsoleOptions::default() },
        ConsoleOptions { no_progress: true, ..ConsoleOptions::default() },
    ] {
        let (console, read) = buffered(options);
        train(&console, 0..=100, 100);
        console.items("images", 10).set(10);
        console.bytes().update("train-images", 10, Some(10));
        assert_eq!(read(), (String::new(), String::new()));
    }
}

#[test]
fn nobody_listening_is_a_failure_for_data_only() {
    let broken = Arc::new(Mutex::new(Broken));
    let console = Console::writing_to(ConsoleOptions::default(), broken.clone(), broken);
    console.note("lost");
    console.warning("lost");
    train(&console, 0..=100, 100);
    let error = console.data_line("lost").unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Error::ClosedPipe)));
    assert_eq!(exit_code(&error), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_storage_failure() {
    let full = || Arc::new(Mutex::new(fs::OpenOptions::new().write(true).open("/dev/full").unwrap()));
    let console = Console::writing_to(ConsoleOptions::default(), full(), full());
    console.error("lost");
    let error = console.data_bytes(b"image").unwrap_err();
    assert_eq!(exit_code(&error), 5);
    assert!(error.to_string().starts_with("stdout: cannot write: "), "{error}");
}
