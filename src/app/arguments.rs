//! The command line as a whole; it may not know what the commands do.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use super::{demo::Demo, import::Import, serve::Serve, sim::Sim};
use crate::cli::{self, failure::Exit};

/// Disaster-recovery backups of OpenStack instances, restored in another OpenStack.
#[derive(Debug, Parser)]
#[command(name = "drbackup", version, after_help = Exit::manual())]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What the binary can be.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the service
    Serve(Box<Serve>),
    /// Lose an instance and bring it back, with two simulated clouds, in under a minute
    Demo(Demo),
    /// Take in DR backups and schedules of the system that came before, out of an export of its tables
    Import(Import),
    /// Run simulated clouds to try things on
    Sim(Sim),
    #[command(flatten)]
    Ask(Box<cli::Verb>),
    /// Write a completion script for a shell
    Completion {
        /// Which shell
        shell: Shell,
    },
}
