//! What lies under a directory, so that any change to it shows.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// All that is there, by its path from the directory on.
pub struct Snapshot(BTreeMap<PathBuf, Entry>);

#[derive(Clone, Copy, PartialEq)]
struct Entry {
    mode: u32,
    /// Seconds and nanoseconds of the last change; of a directory none, since whether a file can be made in it is found by
    /// making one.
    modified: Option<(i64, i64)>,
    /// Of what a file holds, or of where a symbolic link leads.
    content: u64,
}

impl Snapshot {
    pub fn of(directory: &Path) -> Self {
        let mut entries = BTreeMap::new();
        collect(directory, Path::new(""), &mut entries);
        Self(entries)
    }

    /// A line for each path that is not in `after` as it is here.
    pub fn changes(&self, after: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (path, before) in &self.0 {
            let what = match after.0.get(path) {
                None => "is gone",
                Some(now) if now.content != before.content => "has other content",
                Some(now) if now.mode != before.mode => "has another mode",
                Some(now) if now.modified != before.modified => "was written to",
                Some(_) => continue,
            };
            changes.push(format!("{} {what}", path.display()));
        }
        let new = after.0.keys().filter(|path| !self.0.contains_key(*path));
        changes.extend(new.map(|path| format!("{} is new", path.display())));
        changes
    }
}

fn collect(root: &Path, path: &Path, entries: &mut BTreeMap<PathBuf, Entry>) {
    let place = root.join(path);
    let found = place.symlink_metadata().unwrap();
    let mut hash = DefaultHasher::new();
    if found.is_file() {
        let (mut file, mut buffer) = (File::open(&place).unwrap(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut buffer).unwrap() {
                0 => break,
                read => hash.write(&buffer[..read]),
            }
        }
    } else if found.is_symlink() {
        hash.write(fs::read_link(&place).unwrap().as_os_str().as_encoded_bytes());
    }
    let modified = (!found.is_dir()).then(|| (found.mtime(), found.mtime_nsec()));
    entries.insert(path.to_path_buf(), Entry { mode: found.mode(), modified, content: hash.finish() });
    if found.is_dir() {
        for entry in fs::read_dir(&place).unwrap() {
            collect(root, &path.join(entry.unwrap().file_name()), entries);
        }
    }
}

#[test]
fn a_snapshot_sees_every_kind_of_change() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("d")).unwrap();
    for name in ["d/gone", "d/content", "d/touched"] {
        fs::write(at(name), name).unwrap();
    }
    std::os::unix::fs::symlink("d", at("link")).unwrap();
    let before = Snapshot::of(place.path());
    assert!(before.changes(&Snapshot::of(place.path())).is_empty());
    fs::remove_file(at("d/gone")).unwrap();
    fs::write(at("d/content"), "other").unwrap();
    let touched = fs::File::options().write(true).open(at("d/touched")).unwrap();
    touched.set_modified(std::time::UNIX_EPOCH).unwrap();
    fs::set_permissions(at("d"), PermissionsExt::from_mode(0o700)).unwrap();
    fs::write(at("new"), "").unwrap();
    let changes = before.changes(&Snapshot::of(place.path()));
    let wanted = ["d has another mode", "d/content has other content", "d/gone is gone", "d/touched was written to"];
    assert_eq!(changes, [&wanted[..], &["new is new"]].concat());
}
