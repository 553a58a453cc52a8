//! Files are replaced in one step or not at all.

use super::*;

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    atomic::write(&path, |out| out.write_all(b"old")).unwrap();
    let text = refused(
        atomic::write(&path, |out| {
            out.write_all(&vec![1; 1 << 20])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }),
        5,
    );
    assert!(text.contains("cannot write"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(listing(directory.path()), ["x"]);

    let panicked = std::panic::catch_unwind(|| atomic::write(&path, |_| panic!("within the writer")));
    assert!(panicked.is_err());
    assert_eq!(listing(directory.path()), ["x"]);

    atomic::write(&path, |out| out.write_all(b"new")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn unwritable_places_are_storage_failures() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    // Below a regular file: refused to root as well.
    for path in [file.join("x"), directory.path().join("none/x"), directory.path().to_owned(), PathBuf::from("/")] {
        refused(write(&path, &every_dtype()), 5);
    }
    let begin = |weights_dir: &Path, samples_dir: &Path| {
        RunDirectory::create("run", RunPlace::new(weights_dir, samples_dir), false).and_then(|mut run| run.begin(b"{}"))
    };
    refused(begin(&file, directory.path()), 5);
    refused(begin(directory.path(), &file), 5);
    assert_eq!(listing(directory.path()), ["file"], "a run that cannot begin leaves nothing");
    #[cfg(target_os = "linux")]
    {
        assert!(refused(write(Path::new("/dev/full"), &every_dtype()), 5).contains("No space left"));
        write(Path::new("/dev/null"), &every_dtype()).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}

#[cfg(unix)]
#[test]
fn files_obey_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let mode = |name: &str| fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
    // The umask belongs to the whole process, so it is compared with and not set: with what a plain file gets.
    fs::write(directory.path().join("plain"), "").unwrap();
    write(&directory.path().join("x"), &every_dtype()).unwrap();
    assert_eq!(mode("x"), mode("plain"));
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_stays_one() {
    let directory = tempfile::tempdir().unwrap();
    let [target, link] = ["target", "link"].map(|name| directory.path().join(name));
    fs::write(&target, "old").unwrap();
    std::os::unix::fs::symlink("target", &link).unwrap();
    atomic::write(&link, |out| out.write_all(b"new")).unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::read(&target).unwrap(), b"new");
}

#[test]
fn a_sweep_removes_what_the_dead_left_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    for name in [".x.tmp-1", ".y.safetensors.tmp-99999", "x.tmp-1", ".x.tmp-", ".x.tmp-1a", ".lock"] {
        fs::write(directory.path().join(name), "").unwrap();
    }
    let path = directory.path().join("z");
    atomic::write(&path, |out| {
        atomic::sweep(directory.path()).map_err(io::Error::other)?;
        out.write_all(b"whole")
    })
    .unwrap();
    assert_eq!(listing(directory.path()), [".lock", ".x.tmp-", ".x.tmp-1a", "x.tmp-1", "z"]);
    assert_eq!(fs::read(&path).unwrap(), b"whole");
}
