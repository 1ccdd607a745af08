//! Statements that a connection prepares once although diesel would not; it may not know what they say.
//!
//! diesel prepares every UPDATE, every upsert and whatever has a piece of SQL in it anew, because each time
//! it may be another text. Here each has one text, or a few: so it is kept like that of a query. For PostgreSQL that
//! is one way there and back less for each, for SQLite the compiling of the statement.

use diesel::{
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::QueryResult,
};

use super::Engine;

/// A statement whose text is one of a few, whatever its values.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Prepared<S>(pub(in super::super) S);

impl<S: QueryFragment<Engine>> QueryFragment<Engine> for Prepared<S> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, Engine>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _: &Engine) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<S> QueryId for Prepared<S> {
    type QueryId = ();

    // It is known by its text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<S: Query> Query for Prepared<S> {
    type SqlType = S::SqlType;
}
