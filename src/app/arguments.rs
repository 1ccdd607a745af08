//! The command line as a whole; it may not know what the commands do.

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use super::{
    audit::Audit, demo::Demo, import::Import, seal::Seal, serve::Serve, sim::Sim, token::Token,
};
use crate::cli::{self, config::Flags, failure::Exit};

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
    /// Verify or export who did what, as the service has entered it
    #[command(subcommand)]
    Audit(Audit),
    /// Run simulated clouds to try things on
    Sim(Sim),
    /// Seal what is sensitive in the database
    Seal {
        #[command(subcommand)]
        seal: Seal,
    },
    /// Make a token that the service lets in without a Keystone
    Token(Token),
    #[command(flatten)]
    Ask(Box<cli::Verb>),
    /// Tell which version this is
    Version,
    /// Write a completion script for a shell
    Completion {
        /// Which shell
        shell: Shell,
    },
}

/// The flags of the client where they stand before the noun, and what stands behind them.
#[derive(Debug, Parser)]
#[command(
    name = "drbackup",
    disable_help_flag = true,
    disable_version_flag = true
)]
struct Before {
    #[command(flatten)]
    _flags: Flags,
    #[command(subcommand)]
    behind: Behind,
}

#[derive(Debug, Subcommand)]
enum Behind {
    #[command(external_subcommand)]
    All(Vec<OsString>),
}

/// The arguments with the flags of the client behind the noun, where clap knows them: `-a URL backup list` is
/// `backup -a URL list`.
pub(super) fn in_order(mut given: Vec<OsString>) -> Vec<OsString> {
    let Ok(Before {
        behind: Behind::All(behind),
        ..
    }) = Before::try_parse_from(&given)
    else {
        return given;
    };
    let noun = given.len() - behind.len();
    // The first is the program itself.
    if noun > 1 {
        given[1..=noun].rotate_right(1);
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_the_client_may_stand_before_the_noun() {
        let ordered = |line: &str| {
            let given = line.split(' ').map(OsString::from).collect();
            let ordered = in_order(given)
                .into_iter()
                .map(|one| one.into_string().unwrap());
            ordered.collect::<Vec<_>>().join(" ")
        };
        for (given, wanted) in [
            (
                "drbackup -a http://x:1 backup list",
                "drbackup backup -a http://x:1 list",
            ),
            (
                "drbackup -q -o json backup get friday -a y",
                "drbackup backup -q -o json get friday -a y",
            ),
            (
                "drbackup backup list -o json",
                "drbackup backup list -o json",
            ),
            ("drbackup --help", "drbackup --help"),
            ("drbackup --version", "drbackup --version"),
            ("drbackup", "drbackup"),
        ] {
            assert_eq!(ordered(given), wanted);
        }
        let early = in_order(
            ["drbackup", "-o", "id", "backup", "list"]
                .map(OsString::from)
                .to_vec(),
        );
        assert!(Arguments::try_parse_from(early).is_ok());
    }
}
