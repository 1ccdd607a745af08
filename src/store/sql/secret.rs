//! What a database alone knows; it may not know what it is used for.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use crate::{
    domain::page::PageKey,
    port::store::StoreError,
    store::{schema::secrets, text::unreadable},
};

/// What the tokens of pages are sealed with. A migration made it.
pub(super) async fn page_key(conn: &mut Conn) -> Result<PageKey, StoreError> {
    let found: Option<String> = secrets::table
        .find("page_tokens")
        .select(secrets::value)
        .first(conn)
        .await
        .optional()?;
    let found = found.filter(|secret| !secret.is_empty());
    found
        .map(PageKey::new)
        .ok_or_else(|| unreadable("the key of page tokens", "it is not there"))
}
