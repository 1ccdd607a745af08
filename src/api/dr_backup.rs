//! The door to DR backups; it may not know how one is made.

use tonic::{Request, Response, Status};

use super::{
    common::{answered, called},
    pb::{self, dr_backup_service_server::DrBackupService},
    point::Points,
    watch::EventStream,
};

#[tonic::async_trait]
impl DrBackupService for Points<pb::DrBackup> {
    type WatchDRBackupStream = EventStream;
    type WatchDRBackupsStream = EventStream;

    async fn create_dr_backup(
        &self,
        request: Request<pb::CreateDrBackupRequest>,
    ) -> Result<Response<pb::DrBackup>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.create(message).await)
    }

    async fn get_dr_backup(
        &self,
        request: Request<pb::GetDrBackupRequest>,
    ) -> Result<Response<pb::DrBackup>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.get(&message.id, message.include_sensitive).await)
    }

    async fn list_dr_backups(
        &self,
        request: Request<pb::ListDrBackupsRequest>,
    ) -> Result<Response<pb::ListDrBackupsResponse>, Status> {
        let (call, message) = called(self, request)?;
        let listed = call.list(message).await;
        let listed = listed.map(|(dr_backups, next_page_token)| pb::ListDrBackupsResponse {
            dr_backups,
            next_page_token,
        });
        answered(listed)
    }

    async fn update_dr_backup(
        &self,
        request: Request<pb::UpdateDrBackupRequest>,
    ) -> Result<Response<pb::DrBackup>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.update(message).await)
    }

    async fn delete_dr_backup(
        &self,
        request: Request<pb::DeleteDrBackupRequest>,
    ) -> Result<Response<pb::DrBackup>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.delete(message).await)
    }

    async fn cancel_dr_backup(
        &self,
        request: Request<pb::CancelDrBackupRequest>,
    ) -> Result<Response<pb::DrBackup>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.cancel(&message.id, message.request_id).await)
    }

    async fn watch_dr_backup(
        &self,
        request: Request<pb::WatchDrBackupRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let (call, message) = called(self, request)?;
        let (sequence, settled) = (message.from_sequence, message.until_settled);
        let stream = call.watch(&message.id, sequence, settled).await;
        stream.map(Response::new)
    }

    async fn watch_dr_backups(
        &self,
        request: Request<pb::WatchDrBackupsRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let (call, message) = called(self, request)?;
        let stream = call.watch_all(&message.filter).await;
        stream.map(Response::new)
    }
}
