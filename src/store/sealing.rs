//! Sealing a whole database again with another key, and what it is sealed with now; it may not know what the
//! texts say.
//!
//! Which keys have sealed something here is noted in the database, so that a start without them is refused at
//! once, and not a manifest later.

use std::sync::Arc;

use super::{
    Config, OpenError, Place, postgres,
    seal::{Column, Sealer},
    sqlite,
};
use crate::port::store::StoreError;

/// What became of one column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Table and name of the column.
    pub column: String,
    /// Texts that are sealed with the first key from now on.
    pub texts: u64,
    /// Texts that stay as they were: they do not open, or a replica held them or wrote them meanwhile.
    pub left: u64,
}

/// How a text stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Anybody can read it.
    Plain,
    /// It is sealed with the key of this id.
    Sealed(String),
}

/// Texts of one column that stand alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Table and name of the column.
    pub column: String,
    /// How they stand.
    pub standing: Standing,
    /// How many.
    pub texts: u64,
}

impl Resealed {
    pub(super) fn of(column: Column) -> Self {
        Self {
            column: column.told(),
            ..Self::default()
        }
    }

    /// Notes how many of the column stand otherwise than sealed with this key.
    fn note(&mut self, counted: &[Counted], id: &str) {
        let others = counted.iter().filter(|one| one.column == self.column);
        let others = others.filter(|one| one.key() != Some(id));
        self.left = others.map(|one| one.texts).sum();
    }
}

impl Counted {
    /// The id of the key.
    pub(super) fn key(&self) -> Option<&str> {
        match &self.standing {
            Standing::Plain => None,
            Standing::Sealed(id) => Some(id),
        }
    }
}

/// Seals everything in a database with the first key. Of a file of SQLite nothing that was plain stays in pages
/// that are free now, however long they have been: it is written anew.
pub async fn rotate(config: Config) -> Result<Vec<Resealed>, OpenError> {
    let mut done;
    let counted;
    match config.place()? {
        Place::File(path) => {
            let db = sqlite::Db::open(&path, &config).await?;
            (done, counted) = db.sealing_rotate().await?;
            db.written_anew(&path).await?;
        }
        Place::Server => {
            let db = postgres::Db::open(&config).await?;
            (done, counted) = db.sealing_rotate().await?;
        }
    }
    let id = config.sealer.sealing().unwrap_or_default();
    for one in &mut done {
        one.note(&counted, id);
    }
    Ok(done)
}

/// What is sealed with which key; none is needed for that.
pub async fn status(config: Config) -> Result<Vec<Counted>, OpenError> {
    let counted = match config.place()? {
        Place::File(path) => {
            let db = sqlite::Db::open(&path, &config).await?;
            db.sealing_status().await
        }
        Place::Server => postgres::Db::open(&config).await?.sealing_status().await,
    };
    Ok(counted?)
}

/// Refuses to begin with no key where there is something that needs one; of a single one that is missing it
/// is said once, and what it sealed is set aside where it is met.
pub(super) fn check(sealer: &Arc<Sealer>, used: Vec<String>) -> Result<(), OpenError> {
    let missing: Vec<String> = used.into_iter().filter(|id| !sealer.has(id)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    if sealer.sealing().is_none() {
        return Err(OpenError::Sealed { missing });
    }
    tracing::error!(
        missing,
        "keys that have sealed something in the database are not configured (seal.keys); what they sealed \
         cannot be read until they are"
    );
    Ok(())
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
