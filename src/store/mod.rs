//! The adapter that keeps everything in SQLite or PostgreSQL; it may not know clouds, planners or
//! callers.
//!
//! SQLite is built in and the default: one file, one process. PostgreSQL takes any number of
//! replicas. The queries are written once, in `sql`, and compiled once for each of the two.
//!
//! This room spawns although it is none of those that may: SQLite's connections block, so each one
//! lives on a thread of its own, and a transaction of PostgreSQL runs in a task, because a caller
//! whose future is dropped halfway would leave it open.

mod aside;
mod lock;
mod migrate;
mod notifier;
mod postgres;
mod schema;
pub mod seal;
pub mod sealing;
mod sqlite;
mod text;
mod tls;

use std::{fmt, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use self::seal::Sealer;
use crate::port::{audit::Audit, clock::Clock, store::Store};

/// The counter of the positions of events.
const POSITIONS: &str = "events";

/// Where the store is and how much of it may be used at once.
#[derive(Clone)]
pub struct Config {
    /// `sqlite:PATH`, or `postgres://USER@HOST/DATABASE` with the options of libpq: `sslmode` is
    /// `disable`, `prefer`, `require` or `verify-full`, the last with `sslrootcert` or the roots
    /// of the system.
    pub url: String,
    /// How much of it is used.
    pub settings: StoreSettings,
    /// The clock of what the store dates itself.
    pub clock: Arc<dyn Clock>,
    /// What seals what is sensitive, before it is written.
    pub sealer: Arc<Sealer>,
}

/// Where a database is.
enum Place {
    /// In a file of SQLite.
    File(PathBuf),
    /// On a server of PostgreSQL.
    Server,
}

impl Config {
    /// A store with the usual limits.
    pub fn new(url: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            url: url.into(),
            settings: StoreSettings::default(),
            clock,
            sealer: Arc::default(),
        }
    }

    fn place(&self) -> Result<Place, OpenError> {
        if let Some(path) = self.url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(Place::File(PathBuf::from(path)));
        }
        if self.url.starts_with("postgres://") || self.url.starts_with("postgresql://") {
            return Ok(Place::Server);
        }
        Err(OpenError::Url(
            "it begins with neither sqlite: nor postgres://".to_owned(),
        ))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The url may hold a password, so it stays out of logs.
        formatter
            .debug_struct("Config")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// How much of the database is used at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// Connections to the database at most.
    // With SQLite those that read side by side, beside the one that writes; with PostgreSQL those
    // that do anything, beside the one that listens.
    pub connections: usize,
    /// Rows that one query answers at most.
    pub page_limit: u32,
    /// Whether a start may bring an older schema up. With `false` it is refused, until a start with
    /// `true` has done so.
    pub migrate: bool,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            connections: 8,
            page_limit: 1000,
            migrate: true,
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The url says nothing that we know.
    #[error("the store's url is not usable: {0}")]
    Url(String),
    /// Another process has it.
    #[error(
        "{path} is in use by another drbackup{holder}; stop that one, or use PostgreSQL to run several"
    )]
    InUse {
        /// The database.
        path: PathBuf,
        /// Who it is, as far as that is known.
        holder: String,
    },
    /// A newer binary has changed the schema.
    #[error(
        "the database was changed by a newer drbackup (migration {version}); run that version, or \
         restore the copy from before its upgrade"
    )]
    Newer {
        /// The first migration that is not known here.
        version: String,
    },
    /// The schema is older than this binary, which may not bring it up.
    #[error(
        "the database lacks migration {version}, and this drbackup may not bring it up; start one \
         that may (store.migrate = true, DRBACKUP_STORE__MIGRATE=true), or run the older version"
    )]
    Older {
        /// The first migration that is missing.
        version: String,
    },
    /// The schema could not be brought up.
    #[error("cannot bring the database to the present schema: {0}")]
    Migration(String),
    /// Something in it was sealed, and there is no key to open anything with.
    #[error(
        "the database was sealed with keys that are not configured: {missing}; name them in seal.keys, or \
         nothing that was sealed can be read"
    )]
    Sealed {
        /// The ids of the keys.
        missing: String,
    },
    /// The database cannot be reached or used.
    #[error("cannot open the database: {0}")]
    Unavailable(String),
}

/// Opens the store, and brings its schema up if it may.
pub async fn open(config: Config) -> Result<Arc<dyn Store>, OpenError> {
    match config.place()? {
        Place::File(path) => {
            let db = sqlite::Db::open(&path, &config).await?;
            let used = db.sealing_begin().await?;
            sealing::check(&config.sealer, used)?;
            Ok(Arc::new(db))
        }
        Place::Server => {
            let db = postgres::Db::open(&config).await?;
            let used = db.sealing_begin().await?;
            sealing::check(&config.sealer, used)?;
            Ok(Arc::new(db))
        }
    }
}

/// Opens the audit of a store to read it, also beside a service that has the store.
pub async fn open_audit(mut config: Config) -> Result<Arc<dyn Audit>, OpenError> {
    config.settings.migrate = false;
    match config.place()? {
        Place::File(path) => Ok(Arc::new(sqlite::Db::open_reading(&path, &config).await?)),
        Place::Server => Ok(Arc::new(postgres::Db::open(&config).await?)),
    }
}
