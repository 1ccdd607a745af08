//! Brings a database to the schema that this binary knows; it may not know what the tables mean.

use std::{collections::BTreeSet, fmt};

use diesel::{backend::Backend, migration::MigrationSource};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::OpenError;

/// The way to the present schema of SQLite.
pub(super) const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The way to the present schema of PostgreSQL.
pub(super) const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Applies what is missing; refuses a schema that a newer binary made, because writing into it
/// would break what the newer one relies on.
pub(super) fn bring_up<D: Backend>(
    connection: &mut impl MigrationHarness<D>,
    migrations: EmbeddedMigrations,
) -> Result<(), OpenError> {
    let known: BTreeSet<String> = MigrationSource::<D>::migrations(&migrations)
        .map_err(failed)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let newer = connection
        .applied_migrations()
        .map_err(failed)?
        .into_iter()
        .map(|version| version.to_string())
        .find(|version| !known.contains(version));
    if let Some(version) = newer {
        return Err(OpenError::Newer { version });
    }
    connection
        .run_pending_migrations(migrations)
        .map(drop)
        .map_err(failed)
}

fn failed(error: impl fmt::Display) -> OpenError {
    OpenError::Migration(error.to_string())
}
