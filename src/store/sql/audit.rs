//! The chain of the audit in its tables; it may not know what its entries say.
//!
//! The row of the two ends is held from the first entry of a transaction to its commit, as one of the last
//! things that it does, and always before the row that counts events: so numbers have no gap, and nobody who
//! holds it waits for another who does.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Conn, dialect};
use crate::{
    domain::{
        audit::{Digest, Ends, Entry, Link, Note},
        time::Timestamp,
    },
    port::store::StoreError,
    store::{
        schema::{audit, audit_ends},
        text::{column, number, unreadable},
    },
};

/// The name of the one row of the ends.
pub(in super::super) const ENDS: &str = "audit";

/// An entry.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = audit)]
struct Row {
    number: i64,
    time: i64,
    text: String,
    digest: String,
}

/// The ends.
#[derive(Queryable, Selectable)]
#[diesel(table_name = audit_ends)]
pub(in super::super) struct EndsRow {
    head: i64,
    head_digest: String,
    anchor: i64,
    anchor_digest: String,
}

impl EndsRow {
    fn ends(self) -> Result<Ends, StoreError> {
        Ok(Ends {
            anchor: link(self.anchor, self.anchor_digest)?,
            head: link(self.head, self.head_digest)?,
        })
    }
}

fn link(place: i64, digest: String) -> Result<Link, StoreError> {
    Ok(Link {
        number: number("the number of an entry", place)?,
        digest: Digest(digest),
    })
}

impl Row {
    fn entry(self) -> Result<Entry, StoreError> {
        let Link { number, digest } = link(self.number, self.digest)?;
        Ok(Entry {
            number,
            time: Timestamp(self.time),
            text: self.text,
            digest,
        })
    }
}

/// Writes entries behind the last one; answers each with its number.
pub(in super::super) async fn append(
    conn: &mut Conn,
    notes: Vec<Note>,
) -> Result<Vec<(u64, Note)>, StoreError> {
    if notes.is_empty() {
        return Ok(Vec::new());
    }
    let mut last = dialect::audit_hold(conn).await?.ends()?.head;
    let mut written = Vec::with_capacity(notes.len());
    for note in notes {
        let entry = Entry::behind(&last, &note);
        let entry = entry.map_err(|error| StoreError::Defect(error.to_string()))?;
        last = entry.link();
        // The end first: an entry is taken at the end alone.
        diesel::update(audit_ends::table.find(ENDS))
            .set((
                audit_ends::head.eq(column(last.number)),
                audit_ends::head_digest.eq(&last.digest.0),
            ))
            .execute(conn)
            .await?;
        diesel::insert_into(audit::table)
            .values(Row {
                number: column(entry.number),
                time: entry.time.0,
                text: entry.text,
                digest: entry.digest.0,
            })
            .execute(conn)
            .await?;
        written.push((entry.number, note));
    }
    Ok(written)
}

/// The ends, and the entries behind a number.
pub(super) async fn page(
    conn: &mut Conn,
    after: u64,
    limit: i64,
) -> Result<(Ends, Vec<Entry>), StoreError> {
    let ends: Option<EndsRow> = audit_ends::table
        .find(ENDS)
        .select(EndsRow::as_select())
        .first(conn)
        .await
        .optional()?;
    let ends = ends.ok_or_else(|| unreadable("the ends of the audit", "they are not there"))?;
    let rows: Vec<Row> = audit::table
        .filter(audit::number.gt(column(after)))
        .order(audit::number)
        .limit(limit)
        .select(Row::as_select())
        .load(conn)
        .await?;
    let entries: Result<Vec<Entry>, StoreError> = rows.into_iter().map(Row::entry).collect();
    Ok((ends.ends()?, entries?))
}

/// Lets go the oldest entries, as far as they are from before `before`; answers how many.
pub(super) async fn prune(
    conn: &mut Conn,
    before: Timestamp,
    limit: i64,
) -> Result<u64, StoreError> {
    // Held before it is looked: the anchor of whoever looked earlier would go back behind that of another.
    dialect::audit_hold(conn).await?;
    let oldest: Vec<(i64, i64, String)> = audit::table
        .order(audit::number)
        .limit(limit)
        .select((audit::number, audit::time, audit::digest))
        .load(conn)
        .await?;
    let old = oldest.iter().take_while(|(_, time, _)| *time < before.0);
    let Some((place, _, digest)) = old.last() else {
        return Ok(0);
    };
    // First the anchor, behind which nothing can be deleted.
    diesel::update(audit_ends::table.find(ENDS))
        .set((
            audit_ends::anchor.eq(place),
            audit_ends::anchor_digest.eq(digest),
        ))
        .execute(conn)
        .await?;
    let gone = diesel::delete(audit::table.filter(audit::number.le(place)))
        .execute(conn)
        .await?;
    u64::try_from(gone).map_err(|error| StoreError::Defect(error.to_string()))
}
