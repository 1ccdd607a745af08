//! What a database alone knows; it may not know what it is used for.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use crate::{
    domain::page::PageKey,
    port::store::StoreError,
    store::{schema::secrets, seal, text::unreadable},
};

/// The name of that secret.
const PAGE_TOKENS: &str = "page_tokens";

/// What the tokens of pages are sealed with. A migration made it.
pub(super) async fn page_key(conn: &mut Conn) -> Result<PageKey, StoreError> {
    let found: Option<String> = secrets::table
        .find(PAGE_TOKENS)
        .select(secrets::value)
        .first(conn)
        .await
        .optional()?;
    let found = found.filter(|secret| !secret.is_empty());
    let found = found.ok_or_else(|| unreadable("the key of page tokens", "it is not there"))?;
    // Where it cannot be opened it serves as it lies there: nobody's lists may end for it, and a token of a page
    // is good among those who lack the same key.
    let opened = seal::SECRET.open(&[PAGE_TOKENS], found.clone());
    Ok(PageKey::new(opened.unwrap_or(found)))
}
