//! The lock that keeps a second process away from a database file; it may not know what is in the file.
//!
//! It is a lock on the file itself, so that it is met under every name that leads there, be it a symbolic link or
//! a hard one. It is one of `flock`, which says nothing to SQLite: SQLite locks ranges of the file (`fcntl`), and
//! both are different things on a local disk. A file beside the database tells who holds it, and keeps versions
//! of before away, which know that one alone.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Read as _, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use super::OpenError;

/// A file, whatever its name: its device and its number there.
type Inode = (u64, u64);

/// What this process holds. Opening such a file once more and closing it would end the locks that SQLite has on
/// it: those of `fcntl` go with the first descriptor that is closed.
static HELD: Mutex<BTreeSet<Inode>> = Mutex::new(BTreeSet::new());

/// A held lock. The system frees it with the process, however that ends, so a lock that is held
/// always means a living process.
#[derive(Debug)]
pub(super) struct Lock {
    inode: Inode,
    _file: File,
    _beside: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        held(|held| held.remove(&self.inode));
    }
}

fn held<T>(work: impl FnOnce(&mut BTreeSet<Inode>) -> T) -> T {
    // A set has no invariant that a panic elsewhere could break half-way.
    work(&mut HELD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Takes the lock of a database file, and makes the file, for its owner only, where there is none.
pub(super) fn take(path: &Path) -> Result<Lock, OpenError> {
    let in_use = |holder: String| OpenError::InUse {
        path: path.to_owned(),
        holder,
    };
    let inode = |of: &fs::Metadata| (of.dev(), of.ino());
    if let Ok(there) = fs::metadata(path)
        && held(|held| held.contains(&inode(&there)))
    {
        return Err(in_use(" (this process)".to_owned()));
    }
    let open = |path: &Path| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        options.mode(0o600).open(path)
    };
    let file = open(path).map_err(|error| failed(path, &error))?;
    let name = beside(path);
    if !try_lock(&file, path)? {
        let holder = File::open(&name).map(holder).unwrap_or_default();
        return Err(in_use(holder));
    }
    let mut note = open(&name).map_err(|error| denied(&name, &error))?;
    if !try_lock(&note, &name)? {
        return Err(in_use(holder(note)));
    }
    let there = file.metadata().map_err(|error| failed(path, &error))?;
    held(|held| held.insert(inode(&there)));
    // Who holds it is told for people only, so a disk that refuses the note refuses nothing else.
    let noted = note
        .set_len(0)
        .and_then(|()| note.rewind())
        .and_then(|()| write!(note, "{}", std::process::id()));
    drop(noted);
    Ok(Lock {
        inode: inode(&there),
        _file: file,
        _beside: note,
    })
}

/// The file beside the database, whichever link led to it.
fn beside(path: &Path) -> PathBuf {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = path.into_os_string();
    name.push(".lock");
    name.into()
}

/// How often a lock is tried, and how long after the time before.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_millis(10);

/// Whether the lock of a file was free, or became so in a moment: a process that was just started has the files
/// of its parent until it becomes another program, and so holds a lock that its parent gave back meanwhile.
fn try_lock(file: &File, path: &Path) -> Result<bool, OpenError> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(failed(path, &error)),
        }
    }
    Ok(false)
}

fn failed(path: &Path, error: &std::io::Error) -> OpenError {
    OpenError::Unavailable(format!("{}: {error}", path.display()))
}

/// Why a file beside the database cannot be had. The usual reason is that it was left by somebody else.
fn denied(path: &Path, error: &std::io::Error) -> OpenError {
    let Ok(there) = fs::metadata(path) else {
        return failed(path, error);
    };
    if error.kind() != ErrorKind::PermissionDenied {
        return failed(path, error);
    }
    OpenError::Unavailable(format!(
        "{} belongs to another user (uid {}): a drbackup of that user uses this database, or did; run this one as \
         the same user, or remove the file when no other runs",
        path.display(),
        there.uid()
    ))
}

fn holder(mut file: File) -> String {
    let mut process = String::new();
    match file.read_to_string(&mut process) {
        Ok(_) if !process.is_empty() => format!(" (process {process})"),
        Ok(_) | Err(_) => String::new(),
    }
}

/// What is said of a database that others than its owner may read or write, or that has several names.
pub(super) fn doubts(path: &Path) -> Vec<String> {
    let Ok(there) = fs::metadata(path) else {
        return Vec::new();
    };
    let mut doubts = Vec::new();
    let mode = there.mode() & 0o777;
    if mode & 0o077 != 0 {
        doubts.push(format!(
            "others than its owner may open it (mode {mode:04o}), and it holds what servers and their user data \
             are: chmod 600 it, and what lies beside it"
        ));
    }
    if there.nlink() > 1 {
        doubts.push(format!(
            "it has {} names: what was written last lies beside one of them (-wal), and is lost to whoever opens \
             it under another",
            there.nlink()
        ));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_lock_of_another_user_is_told_as_that() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("db.lock");
        let refused = std::io::Error::from(ErrorKind::PermissionDenied);
        let missing = denied(&path, &refused).to_string();
        assert!(!missing.contains("another user"), "{missing}");
        fs::write(&path, "").unwrap();
        let told = denied(&path, &refused).to_string();
        assert!(
            told.contains("another user (uid ") && told.contains("db.lock"),
            "{told}"
        );
        let full = std::io::Error::from(ErrorKind::StorageFull);
        assert!(!denied(&path, &full).to_string().contains("another user"));
    }

    #[test]
    fn a_database_that_others_may_open_or_that_has_two_names_is_doubted() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("db");
        let lock = take(&path).unwrap();
        assert_eq!(doubts(&path), [""; 0]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        fs::hard_link(&path, place.path().join("other")).unwrap();
        let told = doubts(&path);
        assert_eq!(told.len(), 2);
        assert!(
            told[0].contains("0640") && told[1].contains("2 names"),
            "{told:?}"
        );
        let again = take(&path).unwrap_err().to_string();
        assert!(again.contains("this process"), "{again}");
        drop(lock);
        drop(take(&path).unwrap());
    }
}
