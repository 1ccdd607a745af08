//! The lock that keeps a second process away from a file; it may not know what is in the file.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::Path,
};

use super::OpenError;

/// A held lock. The system frees it with the process, however that ends, so a lock that is held
/// always means a living process.
pub(super) struct Lock {
    _file: File,
}

/// Takes the lock beside a database file.
pub(super) fn take(path: &Path) -> Result<Lock, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(|error| OpenError::Unavailable(format!("{}: {error}", name.display())))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::InUse {
                path: path.to_owned(),
                holder: holder(&mut file),
            });
        }
        Err(TryLockError::Error(error)) => {
            return Err(OpenError::Unavailable(format!(
                "{}: {error}",
                name.display()
            )));
        }
    }
    // Who holds it is told for people only, so a disk that refuses the note refuses nothing else.
    let noted = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()));
    drop(noted);
    Ok(Lock { _file: file })
}

fn holder(file: &mut File) -> String {
    let mut process = String::new();
    match file.read_to_string(&mut process) {
        Ok(_) if !process.is_empty() => format!(" (process {process})"),
        Ok(_) | Err(_) => String::new(),
    }
}
