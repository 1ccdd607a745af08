//! The commands about what is sealed in the database: a new key, what is sealed with which, and sealing it
//! again; it may not know how it is sealed.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use secrecy::ExposeSecret as _;

use super::{
    clock::SystemClock,
    config::{self, Flags},
    serve::{opened, store_config},
};
use crate::{
    cli::{failure::Failure, out::Out},
    openstack,
    port::clock::Clock,
    store::{
        self,
        seal::{SealKey, Sealer},
        sealing::{Counted, Standing},
    },
};

/// What to do about it.
#[derive(Debug, Subcommand)]
pub(super) enum Seal {
    /// Make a key, and print it
    Key,
    /// Seal with the first key of `seal.keys` whatever is plain or sealed with another one
    ///
    /// Replicas on `PostgreSQL` may be at work meanwhile, once each of them has that key as its first. Over
    /// `SQLite` the service has to be stopped. Harmless to repeat.
    Rotate(Database),
    /// Count what is sealed with which key
    Status(Database),
}

/// Which database.
#[derive(Debug, Args)]
pub(super) struct Database {
    /// File with the configuration of the service [env: `DRBACKUP_SERVER_CONFIG`] [default:
    /// `/etc/drbackup/server.toml`, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The database of the service: `sqlite:PATH` (the service must not run) or
    /// `postgres://USER@HOST/DATABASE` [env: `DRBACKUP_DATABASE`] [default: a file in the user's data
    /// directory]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// Does it.
pub(super) async fn run(seal: Seal, out: &mut Out) -> Result<(), Failure> {
    match seal {
        Seal::Key => key(out),
        Seal::Rotate(database) => rotate(database, out).await,
        Seal::Status(database) => status(database, out).await,
    }
}

fn key(out: &mut Out) -> Result<(), Failure> {
    let text = SealKey::random().map_err(Failure::Local)?;
    let key = SealKey::parse(text.expose_secret()).map_err(Failure::Local)?;
    out.line(text.expose_secret())?;
    out.remark(&format!(
        "a key with the id {}; keep a copy apart from the database: what it seals is lost with it",
        key.id()
    ));
    Ok(())
}

async fn rotate(database: Database, out: &mut Out) -> Result<(), Failure> {
    let (config, sealer) = database.store().await?;
    let Some(id) = sealer.sealing() else {
        return Err(Failure::Usage(
            "seal.keys names no key to seal with; `drbackup seal key` makes one".to_owned(),
        ));
    };
    let done = opened(store::sealing::rotate(config).await)?;
    for one in &done {
        out.line(&format!(
            "{}: sealed {} texts with {id}, {} left",
            one.column, one.texts, one.left
        ))?;
    }
    let left: u64 = done.iter().map(|one| one.left).sum();
    if left > 0 {
        return Err(Failure::Conflict(format!(
            "{left} texts stay as they were: a replica held them or wrote them meanwhile with another first key, or \
             they do not open with the keys of seal.keys; try again, and see `drbackup seal status`"
        )));
    }
    Ok(())
}

async fn status(database: Database, out: &mut Out) -> Result<(), Failure> {
    let (config, sealer) = database.store().await?;
    let counted = opened(store::sealing::status(config).await)?;
    for Counted {
        column,
        standing,
        texts,
    } in &counted
    {
        let standing = match standing {
            Standing::Plain => "plain".to_owned(),
            Standing::Sealed(id) => format!("sealed with {id}, {}", known(&sealer, id)),
        };
        out.line(&format!("{column}: {texts} {standing}"))?;
    }
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for one in &counted {
        let word = match &one.standing {
            Standing::Plain => "plain",
            Standing::Sealed(id) if sealer.sealing() == Some(id) => "sealed with the first key",
            Standing::Sealed(_) => "sealed with another key",
        };
        *sums.entry(word).or_default() += one.texts;
    }
    let sums: Vec<String> = sums
        .iter()
        .map(|(word, sum)| format!("{sum} {word}"))
        .collect();
    out.remark(&format!("in all: {}", sums.join(", ")));
    Ok(())
}

/// What a key of this id is here.
fn known(sealer: &Sealer, id: &str) -> &'static str {
    if sealer.sealing() == Some(id) {
        "the first key"
    } else if sealer.has(id) {
        "another key of seal.keys"
    } else {
        "which is not in seal.keys"
    }
}

impl Database {
    /// The configured database, and what seals it.
    async fn store(self) -> Result<(store::Config, Arc<Sealer>), Failure> {
        openstack::install_crypto();
        let config = config::load(Flags::opening(self.config, self.database, None))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = store_config(&config, &clock).await?;
        let sealer = Arc::clone(&store.sealer);
        Ok((store, sealer))
    }
}
