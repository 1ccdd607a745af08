//! The imported records of the volume backups of a DR backup; it may not know who imports.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Conn, dialect, link, point, prepared::Prepared};
use crate::{
    domain::{
        id::{PointId, Tenant, VolumeBackupId},
        volume_backup::BackupAt,
    },
    port::store::StoreError,
    store::{
        schema::{links, mirrors, points},
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
    seen: i64,
}

/// Keeps mirrors of what a DR backup holds, `seen` where they were there and not only asked for, each with the DR backup that made its bytes, and where that
/// is nobody's with this one. A DR backup that is gone keeps none: its bytes went with it.
pub(super) async fn keep(
    conn: &mut Conn,
    of: PointId,
    known: &[BackupAt],
    seen: bool,
) -> Result<(), StoreError> {
    if known.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = known.iter().map(|mirror| mirror.backup.as_str()).collect();
    let owners = link::owners(conn, &ids).await?;
    let holder = point::exists(conn, of).await?.then_some(of);
    let rows: Vec<Row> = known
        .iter()
        .filter_map(|mirror| {
            let owner = owners.get(mirror.backup.as_str()).copied();
            Some(Row {
                dr_backup: owner.or(holder)?.to_string(),
                backup: mirror.backup.as_str().to_owned(),
                cloud: mirror.tenant.cloud.as_str().to_owned(),
                project: mirror.tenant.project.as_str().to_owned(),
                seen: i64::from(seen),
            })
        })
        .collect();
    dialect::each!(conn, &rows, |row| Prepared(
        diesel::insert_into(mirrors::table)
            .values(row)
            .on_conflict_do_nothing()
    )
    .execute(conn));
    if seen {
        for row in &rows {
            mark_seen(conn, row).await?;
        }
    }
    Ok(())
}

async fn mark_seen(conn: &mut Conn, row: &Row) -> Result<(), StoreError> {
    let key = (&row.dr_backup, &row.backup, &row.cloud, &row.project);
    diesel::update(mirrors::table.find(key))
        .set(mirrors::seen.eq(1))
        .execute(conn)
        .await?;
    Ok(())
}

/// The mirrors of everything that a DR backup holds, whosever they are.
pub(super) async fn list(conn: &mut Conn, of: PointId) -> Result<Vec<BackupAt>, StoreError> {
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
        .map(|(backup, cloud, project)| BackupAt {
            backup: VolumeBackupId::new(backup),
            tenant: tenant(cloud, project),
        })
        .collect())
}

/// The mirrors of DR backups of instances of a tenant, each with whether it was ever seen.
pub(super) async fn of_tenant(
    conn: &mut Conn,
    home: &Tenant,
) -> Result<Vec<(BackupAt, bool)>, StoreError> {
    let rows: Vec<(String, String, String, i64)> = mirrors::table
        .inner_join(points::table.on(points::id.eq(mirrors::dr_backup)))
        .filter(points::cloud.eq(home.cloud.as_str()))
        .filter(points::project.eq(home.project.as_str()))
        .select((
            mirrors::backup,
            mirrors::cloud,
            mirrors::project,
            mirrors::seen,
        ))
        .load(conn)
        .await?;
    let mirrors = rows.into_iter().map(|(backup, cloud, project, seen)| {
        let mirror = BackupAt {
            backup: VolumeBackupId::new(backup),
            tenant: tenant(cloud, project),
        };
        (mirror, seen != 0)
    });
    Ok(mirrors.collect())
}

/// Notes that mirrors were seen, and forgets those that are there no more.
pub(super) async fn looked(
    conn: &mut Conn,
    seen: &[BackupAt],
    gone: &[BackupAt],
) -> Result<(), StoreError> {
    macro_rules! of {
        ($mirror:expr) => {
            mirrors::backup
                .eq($mirror.backup.as_str())
                .and(mirrors::cloud.eq($mirror.tenant.cloud.as_str()))
                .and(mirrors::project.eq($mirror.tenant.project.as_str()))
        };
    }
    for mirror in seen {
        diesel::update(mirrors::table.filter(of!(mirror)))
            .set(mirrors::seen.eq(1))
            .execute(conn)
            .await?;
    }
    for mirror in gone {
        diesel::delete(mirrors::table.filter(of!(mirror)))
            .execute(conn)
            .await?;
    }
    Ok(())
}
