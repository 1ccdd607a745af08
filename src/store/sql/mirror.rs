//! The imported records of the volume backups of a DR backup; it may not know who imports.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Conn, dialect, dr_backup};
use crate::{
    domain::{
        dr_backup::Mirror,
        id::{DrBackupId, VolumeBackupId},
    },
    port::store::StoreError,
    store::{schema::mirrors, text::tenant},
};

#[derive(Insertable)]
#[diesel(table_name = mirrors)]
struct Row {
    dr_backup: String,
    backup: String,
    cloud: String,
    project: String,
}

/// Keeps mirrors of a DR backup. A DR backup that is gone keeps none: its bytes went with it.
pub(super) async fn keep(
    conn: &mut Conn,
    of: DrBackupId,
    known: &[Mirror],
) -> Result<(), StoreError> {
    if known.is_empty() || !dr_backup::exists(conn, of).await? {
        return Ok(());
    }
    let rows: Vec<Row> = known
        .iter()
        .map(|mirror| Row {
            dr_backup: of.to_string(),
            backup: mirror.backup.as_str().to_owned(),
            cloud: mirror.tenant.cloud.as_str().to_owned(),
            project: mirror.tenant.project.as_str().to_owned(),
        })
        .collect();
    dialect::write_rows!(conn, rows, |rows| diesel::insert_into(mirrors::table)
        .values(rows)
        .on_conflict_do_nothing());
    Ok(())
}

/// The mirrors of a DR backup.
pub(super) async fn list(conn: &mut Conn, of: DrBackupId) -> Result<Vec<Mirror>, StoreError> {
    let rows: Vec<(String, String, String)> = mirrors::table
        .filter(mirrors::dr_backup.eq(of.to_string()))
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
