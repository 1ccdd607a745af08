//! Which volume backups the DR backups hold, and whose they are; it may not know what a chain is.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Conn, dialect, prepared::Prepared};
use crate::{
    domain::{id::PointId, point::PointDetail},
    port::store::StoreError,
    store::{aside, schema::links, text::uuid},
};

#[derive(Insertable)]
#[diesel(table_name = links)]
struct Row {
    dr_backup: String,
    backup: String,
    own: i64,
}

/// Writes what these DR backups hold from now on.
pub(super) async fn put(
    conn: &mut Conn,
    details: &[(PointId, &PointDetail)],
) -> Result<(), StoreError> {
    if details.is_empty() {
        return Ok(());
    }
    let holders: Vec<String> = details.iter().map(|(id, _)| id.to_string()).collect();
    diesel::delete(links::table.filter(links::dr_backup.eq_any(holders)))
        .execute(conn)
        .await?;
    let rows: Vec<Row> = details
        .iter()
        .flat_map(|(id, detail)| {
            detail.volume_backups().iter().map(|link| Row {
                dr_backup: id.to_string(),
                backup: link.id.as_str().to_owned(),
                own: i64::from(!link.inherited),
            })
        })
        .collect();
    dialect::each!(conn, &rows, |row| Prepared(
        diesel::insert_into(links::table)
            .values(row)
            .on_conflict_do_nothing()
    )
    .execute(conn));
    Ok(())
}

/// Which DR backups made these volume backups; what another tool made has no owner.
pub(super) async fn owners(
    conn: &mut Conn,
    backups: &[&str],
) -> Result<HashMap<String, PointId>, StoreError> {
    let rows: Vec<(String, String)> = links::table
        .filter(links::backup.eq_any(backups))
        .filter(links::own.eq(1))
        .select((links::backup, links::dr_backup))
        .load(conn)
        .await?;
    let named = rows.into_iter().filter_map(|(backup, owner)| {
        let read = uuid(&owner).inspect_err(|problem| aside::set_aside("link", &backup, problem));
        Some((backup, PointId::dr(read.ok()?)))
    });
    Ok(named.collect())
}

/// The DR backups that hold what another one made.
pub(super) async fn heirs(conn: &mut Conn, of: PointId) -> Result<Vec<PointId>, StoreError> {
    let own: Vec<String> = links::table
        .filter(links::dr_backup.eq(of.to_string()))
        .filter(links::own.eq(1))
        .select(links::backup)
        .load(conn)
        .await?;
    let ids: Vec<String> = links::table
        .filter(links::backup.eq_any(own))
        .filter(links::own.eq(0))
        .select(links::dr_backup)
        .distinct()
        .order(links::dr_backup)
        .load(conn)
        .await?;
    ids.iter().map(|id| uuid(id).map(PointId::dr)).collect()
}
