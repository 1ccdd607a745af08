//! The client that a person uses: verbs, tables, progress bars, exit codes;
//! it may not know more than the messages of the API and how to call it, never what is behind it.
//!
//! | file | what |
//! |---|---|
//! | `backup`, `restoration`, `schedule`, `cloud`, `orphan` | the verbs, one file per noun |
//! | `health` | whether the service is well, as a probe asks |
//! | `config` | flags, environment and file; the only place that reads the surroundings |
//! | `client`, `tls` | the calls; the encryption of their connection |
//! | `resolve` | names in place of ids |
//! | `work` | work that was started: to its end, and how it ended |
//! | `follow`, `progress` | a stream of events until it rests, through broken connections; and its pictures |
//! | `shown`, `present`, `json` | how a message looks as a table, as a page, as JSON |
//! | `out` | the only place that writes to standard output |
//! | `failure` | what can go wrong, and the exit code of each |

mod args;
mod backup;
mod client;
mod cloud;
pub mod config;
mod consistency;
pub mod failure;
mod follow;
mod health;
mod json;
mod orphan;
pub mod out;
mod present;
mod progress;
mod resolve;
mod restoration;
mod schedule;
mod shown;
mod tls;
mod work;

use clap::{Args, Subcommand};

use self::{
    client::Client,
    config::{ClientSettings, Flags},
    failure::Failure,
    health::Health,
    out::Out,
};
use crate::api::pb;

/// What a person asks a running service.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// DR backups: make, look at, follow, change, delete
    Backup(Group<backup::Verb<pb::DrBackup>>),
    /// Regular backups, which are snapshots in the tenant of the instance: the same
    #[command(visible_alias = "regular")]
    RegularBackup(Group<backup::Verb<pb::Backup>>),
    /// Restorations: bring an instance back from a backup, look at it, follow it
    Restoration(Group<restoration::Verb>),
    /// Schedules: back instances up on time, and keep what retention asks for
    Schedule(Group<schedule::Verb>),
    /// The configured clouds: what a request can name
    Cloud(Group<cloud::Verb>),
    /// What was left behind in the clouds: find it, delete it
    Orphan(Group<orphan::Verb>),
    /// Whether the service is well, for probes: one line, and 0 or 1
    Health(Health),
}

/// The verbs of one noun, with the flags that all of them take.
#[derive(Debug, Args)]
pub struct Group<V: Subcommand> {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    verb: V,
}

/// What every verb works with.
struct Context<'out> {
    settings: ClientSettings,
    client: Client,
    out: &'out mut Out,
}

/// Does what was asked and writes the answer.
pub async fn run(verb: Verb, out: &mut Out) -> Result<(), Failure> {
    match verb {
        Verb::Backup(group) => {
            Box::pin(backup::run(group.verb, &mut open(group.flags, out)?)).await
        }
        Verb::RegularBackup(group) => {
            Box::pin(backup::run(group.verb, &mut open(group.flags, out)?)).await
        }
        Verb::Restoration(group) => {
            restoration::run(group.verb, &mut open(group.flags, out)?).await
        }
        Verb::Schedule(group) => {
            Box::pin(schedule::run(group.verb, &mut open(group.flags, out)?)).await
        }
        Verb::Cloud(group) => cloud::run(group.verb, &mut open(group.flags, out)?).await,
        Verb::Orphan(group) => orphan::run(group.verb, &mut open(group.flags, out)?).await,
        Verb::Health(health) => health::run(health, out).await,
    }
}

fn open(flags: Flags, out: &mut Out) -> Result<Context<'_>, Failure> {
    if let Some(output) = flags.output() {
        out.speak(output);
    }
    let settings = config::load(flags)?;
    out.speak(settings.output);
    let client = Client::new(&settings)?;
    Ok(Context {
        settings,
        client,
        out,
    })
}
