//! The binary: hands the process to the composition root; it may not know anything else.

use std::process::ExitCode;

fn main() -> ExitCode {
    drbackup::app::main()
}
