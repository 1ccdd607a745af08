//! The composition root: puts the rooms together and runs what was asked for; the only room that
//! knows all the others; it may not know how any of them works.

mod arguments;
mod audit;
mod clock;
mod compare;
mod config;
mod credentials;
mod demo;
mod entrance;
mod import;
mod log;
mod login;
#[cfg(test)]
mod manual;
mod metrics;
mod ops;
mod process;
mod reload;
mod requests;
mod seal;
mod serve;
mod sim;
mod tls;
mod token;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use self::arguments::{Arguments, Command, in_order};
use crate::cli::{
    self,
    failure::{Exit, Failure},
    out::Out,
};

/// Runs the process: reads its arguments, does what they say, and tells how it ended.
pub fn main() -> ExitCode {
    let given = std::env::args_os().collect();
    let arguments = match Arguments::try_parse_from(in_order(given)) {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let mut out = Out::standard();
    let ended = run(arguments, &mut out);
    let Err(failure) = ended else {
        return Exit::Done.into();
    };
    out.failed(&failure);
    failure.exit().into()
}

fn run(arguments: Arguments, out: &mut Out) -> Result<(), Failure> {
    match arguments.command {
        Command::Serve(serve) => runtime()?.block_on(serve::run(*serve, out)),
        Command::Demo(demo) => runtime()?.block_on(Box::pin(demo::run(demo, out))),
        Command::Audit(audit) => runtime()?.block_on(audit::run(audit, out)),
        Command::Import(import) => runtime()?.block_on(import::run(import, out)),
        Command::Sim(sim) => runtime()?.block_on(sim::run(sim, out)),
        Command::Ask(verb) => runtime()?.block_on(Box::pin(cli::run(*verb, out))),
        Command::Seal { seal } => runtime()?.block_on(seal::run(seal, out)),
        Command::Token(token) => token::run(&token, out),
        Command::Version => out.line(concat!("drbackup ", env!("CARGO_PKG_VERSION"))),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "drbackup", &mut script);
            out.document(&String::from_utf8_lossy(&script))
        }
    }
}

/// What clap has to say: help and versions are answers, the rest is a mistake of the caller.
fn explain(error: &clap::Error) -> ExitCode {
    let exit = if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    };
    // Whoever reads the help may have gone.
    let _printed = error.print();
    exit.into()
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Local(format!("starting: {error}")))
}
