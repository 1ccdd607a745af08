//! The imported records of the volume backups of a DR backup; it may not know who imports.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Conn, dialect, dr_backup, link, prepared::Prepared};
use crate::{
    domain::{
        dr_backup::Mirror,
        id::{DrBackupId, VolumeBackupId},
    },
    port::store::StoreError,
    store::{
        schema::{links, mirrors},
        text::tenant,
    },
};

#[derive(Insertable)]
#[diesel(table_name = mirrors)]
struct Row {
    dr_backup: String,
    backup: String,
    cloud: String,
    project: String,
}

/// Keeps mirrors of what a DR backup holds, each with the DR backup that made its bytes, and where that
/// is nobody's with this one. A DR backup that is gone keeps none: its bytes went with it.
pub(super) async fn keep(
    conn: &mut Conn,
    of: DrBackupId,
    known: &[Mirror],
) -> Result<(), StoreError> {
    if known.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = known.iter().map(|mirror| mirror.backup.as_str()).collect();
    let owners = link::owners(conn, &ids).await?;
    let holder = dr_backup::exists(conn, of).await?.then_some(of);
    let rows: Vec<Row> = known
        .iter()
        .filter_map(|mirror| {
            let owner = owners.get(mirror.backup.as_str()).copied();
            Some(Row {
                dr_backup: owner.or(holder)?.to_string(),
                backup: mirror.backup.as_str().to_owned(),
                cloud: mirror.tenant.cloud.as_str().to_owned(),
                project: mirror.tenant.project.as_str().to_owned(),
            })
        })
        .collect();
    dialect::each!(conn, &rows, |row| Prepared(
        diesel::insert_into(mirrors::table)
            .values(row)
            .on_conflict_do_nothing()
    )
    .execute(conn));
    Ok(())
}

/// The mirrors of everything that a DR backup holds, whosever they are.
pub(super) async fn list(conn: &mut Conn, of: DrBackupId) -> Result<Vec<Mirror>, StoreError> {
    let rows: Vec<(String, String, String)> = mirrors::table
        .filter(
            mirrors::dr_backup
                .eq(of.to_string())
                .or(mirrors::backup.eq_any(
                    links::table
                        .filter(links::dr_backup.eq(of.to_string()))
                        .select(links::backup),
                )),
        )
        .distinct()
        .order((mirrors::backup, mirrors::cloud, mirrors::project))
        .select((mirrors::backup, mirrors::cloud, mirrors::project))
        .load(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(backup, cloud, project)| Mirror {
            backup: VolumeBackupId::new(backup),
            tenant: tenant(cloud, project),
        })
        .collect())
}
