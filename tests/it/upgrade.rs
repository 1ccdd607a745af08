//! What was written by the program of before points became one resource: its databases are read without loss,
//! and it may run beside this one; it may not look inside the service.
//!
//! `tests/upgrade/fixtures` holds databases as SQL, each with what the service told of it when it was made, as
//! JSON. They are only ever added to: `recipe` tells how, `told` what is told.

mod before;
mod recipe;
mod rolling;
mod told;

use std::path::{Path, PathBuf};

/// Where the databases of before are.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/upgrade/fixtures");

/// The program of before, where `tests/upgrade/old` has built it: beside the folder in which cargo builds this one.
fn old_program() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_drbackup"))
        .parent()?
        .parent()?;
    let program = target.join("old/drbackup");
    program.exists().then_some(program)
}
