//! Brings a database to the schema that this binary knows; it may not know what the tables mean.

use std::{collections::BTreeSet, fmt};

use diesel::{backend::Backend, migration::MigrationSource};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::OpenError;

/// The way to the present schema of SQLite.
pub(super) const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The way to the present schema of PostgreSQL.
pub(super) const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Applies what is missing, if it may; refuses a schema that a newer binary made, because writing
/// into it would break what the newer one relies on.
pub(super) fn bring_up<D: Backend>(
    connection: &mut impl MigrationHarness<D>,
    migrations: EmbeddedMigrations,
    may_migrate: bool,
) -> Result<(), OpenError> {
    let known: BTreeSet<String> = MigrationSource::<D>::migrations(&migrations)
        .map_err(failed)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied: BTreeSet<String> = connection
        .applied_migrations()
        .map_err(failed)?
        .into_iter()
        .map(|version| version.to_string())
        .collect();
    if let Some(version) = applied.difference(&known).next() {
        let version = version.clone();
        return Err(OpenError::Newer { version });
    }
    if !may_migrate {
        return match known.difference(&applied).next() {
            Some(version) => Err(OpenError::Older {
                version: version.clone(),
            }),
            None => Ok(()),
        };
    }
    connection
        .run_pending_migrations(migrations)
        .map(drop)
        .map_err(failed)
}

fn failed(error: impl fmt::Display) -> OpenError {
    OpenError::Migration(error.to_string())
}
