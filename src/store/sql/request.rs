//! The keys by which repeated requests are recognised; it may not know what was asked.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use crate::{
    domain::{id::ResourceId, time::Timestamp},
    port::store::{RequestKey, StoreError},
    store::{
        schema::requests,
        seal,
        text::{resource, resource_kind},
    },
};

#[derive(Insertable)]
#[diesel(table_name = requests)]
struct Row {
    method: &'static str,
    id: String,
    digest: String,
    resource_kind: &'static str,
    resource_id: String,
    created: i64,
}

/// What became of a key.
pub(super) enum Claim {
    /// It was new, or there was none.
    New,
    /// It was used before, with the same content.
    Before(Before),
}

/// An earlier request of the same key and content.
pub(super) struct Before {
    /// The resource that it was about.
    pub(super) about: ResourceId,
    /// The resource as it left it, as the rows of that kind of resource spell it.
    pub(super) answer: Option<Result<String, StoreError>>,
}

/// Takes a key for a resource. A concurrent request with the same key waits here for the first one.
pub(super) async fn claim(
    conn: &mut Conn,
    key: Option<&RequestKey>,
    about: ResourceId,
    now: Timestamp,
) -> Result<Claim, StoreError> {
    let Some(key) = key else {
        return Ok(Claim::New);
    };
    let row = Row {
        method: key.method,
        id: key.id.clone(),
        digest: key.digest.clone(),
        resource_kind: resource_kind(about),
        resource_id: about.uuid().to_string(),
        created: now.0,
    };
    let written = diesel::insert_into(requests::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    if written == 1 {
        return Ok(Claim::New);
    }
    match find(conn, key).await? {
        Some(before) => Ok(Claim::Before(before)),
        None => Err(StoreError::Unavailable(
            "a request key came and went".to_owned(),
        )),
    }
}

/// Keeps what the request of a key was answered, because its repeat may come when the resource is
/// gone.
pub(super) async fn keep(
    conn: &mut Conn,
    key: Option<&RequestKey>,
    answer: impl FnOnce() -> Result<String, StoreError>,
) -> Result<(), StoreError> {
    let Some(key) = key else {
        return Ok(());
    };
    diesel::update(requests::table.find((key.method, &key.id)))
        .set(requests::answer.eq(seal::ANSWER.seal(&[key.method, &key.id], answer()?)?))
        .execute(conn)
        .await?;
    Ok(())
}

/// The earlier request of a key; refuses other content.
pub(super) async fn find(conn: &mut Conn, key: &RequestKey) -> Result<Option<Before>, StoreError> {
    let row: Option<(String, String, String, Option<String>)> = requests::table
        .find((key.method, &key.id))
        .select((
            requests::digest,
            requests::resource_kind,
            requests::resource_id,
            requests::answer,
        ))
        .first(conn)
        .await
        .optional()?;
    let Some((digest, kind, id, answer)) = row else {
        return Ok(None);
    };
    if !key.repeats(&digest) {
        return Err(StoreError::RequestReused);
    }
    let about = resource(&kind, &id)?;
    let answer = answer.map(|text| seal::ANSWER.open(&[key.method, &key.id], text));
    Ok(Some(Before { about, answer }))
}
