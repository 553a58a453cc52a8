//! Downloads from a local web server that cuts connections, ignores what it is asked, and lies.

use std::cell::RefCell;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::thread::{self};
use std::time::Duration;

use anyhow::Result;
use gan::commands::exit_code::exit_code;
use gan::data::catalogue::{Files, NamedFile, NamedSet, SETS};
use gan::data::download::{Download, Downloader, check_content};
use gan::data::{Dataset, ImageShape, idx, named};
use gan::rng::Stream;

use super::server::{Server, rest, status, whole};
use super::{gzip, idx_bytes, in_memory, pixels, refused};
use crate::support::Workplace;

/// A file of 3,000 random bytes that gzip cannot shrink, as an IDX file of labels.
fn labels() -> Vec<u8> {
    let mut generator = Stream::new(0, "labels").at(0);
    let data: Vec<u8> = (0..3000).map(|_| generator.bits() as u8).collect();
    idx_bytes(&[3000], &data)
}

pub fn quick() -> Downloader {
    Downloader {
        pause: Duration::from_millis(1),
        stall: Duration::from_secs(2),
        proxies: false,
        ..Downloader::default()
    }
}

/// Fetches the labels into `folder`; gives the outcome and the progress that was told.
#[allow(clippy::type_complexity)]
fn fetch(folder: &Path, urls: &[String]) -> (Result<Result<(), Vec<String>>>, Vec<(u64, Option<u64>)>) {
    let content = labels();
    let sha256 = idx::sha256(&[3000], &content[8..]);
    let path = folder.join("set/labels.gz");
    let download = Download {
        name: "labels.gz",
        path: &path,
        bytes: content.len() as u64,
        check: &|path| check_content(path, content.len() as u64, &sha256),
    };
    let told = RefCell::new(Vec::new());
    let outcome = quick().fetch(&download, urls, &|name, bytes, total| {
        assert_eq!(name, "labels.gz");
        told.borrow_mut().push((bytes, total));
    });
    if matches!(outcome, Ok(Ok(()))) {
        assert_eq!(idx::read(&path, &[1]).unwrap().data, content[8..]);
    } else {
        assert!(!path.exists(), "a bad file under its final name");
    }
    (outcome, told.into_inner())
}

#[test]
fn a_connection_cut_again_and_again_is_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let packed = gzip(&labels());
    let body = packed.clone();
    let server = Server::start(move |_, request| match request.from {
        None => whole(&body, 1000),
        Some(from) => rest(&body, from, 500),
    });
    let (outcome, told) = fetch(folder.path(), &[server.url("labels.gz")]);
    outcome.unwrap().unwrap();
    assert_eq!(server.seen(), [None, Some(1000), Some(1500), Some(2000), Some(2500), Some(3000)]);
    assert!(told.iter().all(|(_, total)| *total == Some(packed.len() as u64)));
    assert_eq!(told.last().unwrap().0, packed.len() as u64);
    assert!(!folder.path().join("set/labels.gz.part").exists());
}

#[test]
fn a_part_from_before_is_gone_on_from_or_found_complete() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("set/labels.gz.part");
    fs::create_dir(folder.path().join("set")).unwrap();
    let packed = gzip(&labels());
    let body = packed.clone();
    let server = Server::start(move |_, request| match request.from {
        Some(from) if from < body.len() => rest(&body, from, usize::MAX),
        Some(_) => status("416 Range Not Satisfiable"),
        None => whole(&body, usize::MAX),
    });
    let urls = [server.url("labels.gz")];
    for (before, asked) in [(700, Some(700)), (packed.len(), Some(packed.len()))] {
        fs::write(&part, &packed[..before]).unwrap();
        fetch(folder.path(), &urls).0.unwrap().unwrap();
        assert_eq!(server.seen().last().unwrap(), &asked);
        fs::remove_file(folder.path().join("set/labels.gz")).unwrap();
    }
    // A part of something else: the checksum fails, and all is fetched anew.
    fs::write(&part, vec![0xaa; 900]).unwrap();
    fetch(folder.path(), &urls).0.unwrap().unwrap();
    assert_eq!(server.seen()[2..], [Some(900), None]);
}

#[test]
fn a_server_that_ignores_ranges_is_taken_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let body = gzip(&labels());
    let server = Server::start(move |number, _| whole(&body, if number == 0 { 1200 } else { usize::MAX }));
    let (outcome, told) = fetch(folder.path(), &[server.url("labels.gz")]);
    outcome.unwrap().unwrap();
    assert_eq!(server.seen(), [None, Some(1200)]);
    assert!(told.iter().filter(|(bytes, _)| *bytes == 0).count() == 2, "progress starts again: {told:?}");
}

#[test]
fn an_unpacked_file_without_a_length_is_taken_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", &labels()[..]].concat());
    let (outcome, told) = fetch(folder.path(), &[server.url("labels.gz")]);
    outcome.unwrap().unwrap();
    assert_eq!(told.last().unwrap(), &(3008, None));
}

#[test]
fn corrupt_missing_and_endless_files_lead_to_the_next_mirror() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, request| {
        let good = gzip(&labels());
        match request.path.as_str() {
            "gone" => status("404 Not Found"),
            "corrupt" => {
                let mut bytes = labels();
                bytes[99] ^= 1;
                whole(&gzip(&bytes), usize::MAX)
            }
            "damaged" => whole(&good[..good.len() - 4], usize::MAX),
            "endless" => whole(&vec![7; 1 << 20], usize::MAX),
            "busy" if number % 2 == 0 => status("503 Service Unavailable"),
            "shifted" => match request.from {
                None => whole(&good, 100),
                Some(from) => rest(&good, from - 1, usize::MAX),
            },
            _ => whole(&good, usize::MAX),
        }
    });
    let bad = ["gone", "corrupt", "damaged", "endless"].map(|path| server.url(path));
    let (outcome, _) = fetch(folder.path(), &bad);
    let reasons = outcome.unwrap().unwrap_err();
    for (reason, says) in reasons.iter().zip(["404", "SHA-256", "damaged", "more than"]) {
        assert!(reason.contains(says), "{reason}");
    }
    assert_eq!(server.seen().len(), 4, "none of these is worth another try");
    assert!(!folder.path().join("set/labels.gz.part").exists());

    let (outcome, _) = fetch(folder.path(), &[bad[1].clone(), server.url("busy")]);
    outcome.unwrap().unwrap();
    fs::remove_file(folder.path().join("set/labels.gz")).unwrap();
    let (outcome, _) = fetch(folder.path(), &[server.url("shifted"), server.url("good")]);
    outcome.unwrap().unwrap();
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    // Accepts and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/labels.gz", listener.local_addr().unwrap());
    let content = labels();
    let sha256 = idx::sha256(&[3000], &content[8..]);
    let path = folder.path().join("labels.gz");
    let download =
        Download { name: "labels.gz", path: &path, bytes: 3008, check: &|path| check_content(path, 3008, &sha256) };
    let impatient = Downloader { tries: 2, stall: Duration::from_millis(100), ..quick() };
    let reasons = impatient.fetch(&download, &[url], &|_, _, _| ()).unwrap().unwrap_err();
    assert!(reasons[0].contains("timeout"), "{reasons:?}");
}

/// A named set of three and two images of 2x2, and its four files packed.
fn small_set() -> (NamedSet, Vec<(&'static str, Vec<u8>)>) {
    let contents =
        [(vec![3, 2, 2], pixels(12)), (vec![3], vec![0, 1, 0]), (vec![2, 2, 2], pixels(8)), (vec![2], vec![1, 1])];
    let Files::Idx(mnist) = SETS[0].files else { panic!() };
    let names = mnist.map(|file| file.name);
    let files: Vec<NamedFile> = contents
        .iter()
        .zip(names)
        .map(|((dims, data), name)| {
            let sizes: Vec<usize> = dims.iter().map(|dim| *dim as usize).collect();
            let sha256 = Box::leak(idx::sha256(&sizes, data).into_boxed_str());
            NamedFile { name, bytes: idx_bytes(dims, data).len() as u64, sha256 }
        })
        .collect();
    let packed = contents.iter().zip(names).map(|((dims, data), name)| (name, gzip(&idx_bytes(dims, data)))).collect();
    let shape = ImageShape { height: 2, width: 2, channels: 1 };
    let set = NamedSet {
        name: "small",
        classes: &["off", "on"],
        mirrors: &[],
        files: Files::Idx(files.try_into().unwrap()),
        shape,
        validation: 0,
        stand_in: "digits",
    };
    (set, packed)
}

fn open_small(set: &NamedSet, data_dir: &Path, mirrors: &[String]) -> Result<Dataset> {
    named::open_from(set, data_dir, mirrors, &Downloader { tries: 1, ..quick() }, &|_, _, _| ())
}

#[test]
fn a_named_set_is_downloaded_once_and_checked_always() {
    let folder = tempfile::tempdir().unwrap();
    let (set, packed) = small_set();
    let files = packed.clone();
    let server = Server::start(move |_, request| {
        let file = files.iter().find(|(name, _)| request.path == format!("small/{name}"));
        file.map_or(status("404 Not Found"), |(_, body)| whole(body, usize::MAX))
    });
    let mirrors = named::mirrors(&set, Some(&server.url("")));
    let first = open_small(&set, folder.path(), &mirrors).unwrap();
    assert_eq!((first.train.len(), first.test.len(), first.classes.len()), (3, 2, 2));
    assert_eq!(in_memory(&first.train).labels, [0, 1, 0]);
    assert_eq!(server.seen().len(), 4);
    let again = open_small(&set, folder.path(), &[]).unwrap();
    assert_eq!(in_memory(&again.train), in_memory(&first.train));

    // Unpacked under the plain name is as good; another content is not.
    let (images, _) = packed[0];
    let plain = folder.path().join("small").join(images.trim_end_matches(".gz"));
    fs::remove_file(folder.path().join("small").join(images)).unwrap();
    fs::write(&plain, idx_bytes(&[3, 2, 2], &pixels(12))).unwrap();
    assert_eq!(in_memory(&open_small(&set, folder.path(), &[]).unwrap().train), in_memory(&first.train));
    fs::write(&plain, idx_bytes(&[3, 2, 2], &[0; 12])).unwrap();
    let text = refused(open_small(&set, folder.path(), &[]));
    assert!(text.contains("train-images-idx3-ubyte: not the") && text.contains("SHA-256"), "{text}");
}

#[test]
fn without_a_network_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (set, _) = small_set();
    // A port where nothing listens any more.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = refused(open_small(&set, folder.path(), &[format!("http://127.0.0.1:{port}/")]));
    for part in ["--data small", folder.path().to_str().unwrap(), "--data digits", "--data-dir"] {
        assert!(text.contains(part), "{text}");
    }
}

/// All names below a folder, its own parents' left out.
fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        names.push(path.strip_prefix(folder).unwrap().display().to_string());
        if path.is_dir() {
            names.extend(self::names(&path));
        }
    }
    names.sort();
    names
}

#[test]
fn a_download_that_brings_nothing_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, request| match request.path.as_str() {
        "empty" => whole(&labels(), 0),
        "cut" => whole(&labels(), 1000),
        _ => status("404 Not Found"),
    });
    for path in ["gone", "empty"] {
        fetch(&folder.path().join("new/below"), &[server.url(path)]).0.unwrap().unwrap_err();
        assert_eq!(names(folder.path()), [""; 0], "{path}");
    }
    // What was there before stays, and so does a part that a later call goes on from.
    fs::create_dir(folder.path().join("new")).unwrap();
    fetch(&folder.path().join("new/below"), &[server.url("gone")]).0.unwrap().unwrap_err();
    assert_eq!(names(folder.path()), ["new"]);
    fetch(folder.path(), &[server.url("cut")]).0.unwrap().unwrap_err();
    assert_eq!(names(folder.path()), ["labels.gz.part", "new", "set"]);
}

/// Each takes the lock file away when it is done, under the others' feet.
#[test]
fn many_downloads_of_one_file_at_once_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| {
        thread::sleep(Duration::from_millis(20));
        whole(&labels(), usize::MAX)
    });
    let (folder, urls) = (folder.path().join("data"), [server.url("labels.gz")]);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| fetch(&folder, &urls).0.unwrap().unwrap());
        }
    });
    assert_eq!(server.seen().len(), 1);
    assert_eq!(names(&folder), ["labels.gz", "set"]);
}

/// The real program, without a network, with `--data-dir` and with the user's cache.
#[test]
fn a_named_set_that_cannot_be_had_leaves_no_folder() {
    let work = Workplace::new();
    let before = names(&work.path(""));
    for flags in [&["--data", "mnist", "--data-dir", "WRONG/deep"][..], &["--data", "cifar10"]] {
        let mut command = work.gan(&[&["train-gan"], flags].concat());
        let command =
            command.env(named::MIRROR_VARIABLE, "http://127.0.0.1:1").env("XDG_CACHE_HOME", work.path("cache"));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be downloaded"));
        assert_eq!(names(&work.path("")), before, "{flags:?}");
    }
}

/// A run remembers where its set lies, beside its configuration: no checkpoint depends on it.
#[test]
fn a_resumed_run_looks_where_its_named_set_was() {
    let work = Workplace::new();
    work.train("plain", "4", &[]);
    work.train("run", "4", &["--data-dir", "sets"]);
    let config = |run: &str| -> serde_json::Value {
        serde_json::from_slice(&work.read(&format!("weights/{run}/config.json"))).unwrap()
    };
    assert!(config("plain").get("data_dir").is_none());
    let here = work.path("").canonicalize().unwrap();
    assert_eq!(config("run")["data_dir"], here.join("sets").to_str().unwrap(), "from any directory");
    let checkpoint = |run: &str| gan::checkpoint::read(&work.path(&format!("weights/{run}/step-00000004.safetensors")));
    let [plain, run] = ["plain", "run"].map(|run| checkpoint(run).unwrap());
    assert_eq!(plain.metadata["gan.config"], run.metadata["gan.config"]);
    work.gan(&["train-gan", "--resume", "run", "--steps", "5"]).assert().success();
    assert_eq!(config("run")["data_dir"], here.join("sets").to_str().unwrap());
    work.gan(&["train-gan", "--resume", "run", "--steps", "6", "--data-dir", "others"]).assert().success();
    assert_eq!(config("run")["data_dir"], here.join("others").to_str().unwrap(), "the flag comes first");
    work.gan(&["train-gan", "--resume", "plain", "--steps", "5"]).assert().success();

    // Of a named set it is used.
    let mut named_set = config("run");
    named_set["data"] = "mnist".into();
    fs::write(work.path("weights/run/config.json"), named_set.to_string()).unwrap();
    let path = work.path("weights/run/generator_ema.safetensors");
    let mut archive = gan::checkpoint::read(&path).unwrap();
    let config = archive.metadata.values_mut().find(|text| text.contains("\"data\":\"data\"")).unwrap();
    *config = config.replace("\"data\":\"data\"", "\"data\":\"mnist\"");
    fs::write(&path, gan::checkpoint::to_bytes(&archive).unwrap()).unwrap();
    let kept = here.join("others/mnist").display().to_string();
    for (command, place) in [
        (&["train-gan", "--resume", "run", "--steps", "7"][..], &*kept),
        (&["train-gan", "--resume", "run", "--steps", "7", "--data-dir", "sets"], "sets/mnist"),
        (&["evaluate", "--run", "run"], &*kept),
        (&["evaluate", "--run", "run", "--data-dir", "sets"], "sets/mnist"),
    ] {
        let mut command = work.gan(command);
        let output = command.env(named::MIRROR_VARIABLE, "http://127.0.0.1:1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(3) && said.contains(&format!("is not in {place}")), "{said}");
    }
}

#[test]
fn a_data_dir_that_cannot_be_written_is_exit_code_5() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (set, _) = small_set();
    let error = open_small(&set, file.path(), &["http://127.0.0.1:9/".to_string()]).unwrap_err();
    assert_eq!(exit_code(&error), 5, "{error}");
}

#[test]
fn mirrors_are_the_sets_own_or_the_users() {
    let own = named::mirrors(&SETS[1], None);
    assert!(own.len() == 2 && own.iter().all(|mirror| mirror.ends_with('/')), "{own:?}");
    assert_eq!(named::mirrors(&SETS[0], Some("http://here/x/")), ["http://here/x/mnist/"]);
    assert_eq!(named::mirrors(&SETS[1], Some("")), own);
}
