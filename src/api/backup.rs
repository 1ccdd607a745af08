//! The door to regular backups; it may not know how one is made.

use tonic::{Request, Response, Status};

use super::{
    common::{answered, called},
    pb::{self, backup_service_server::BackupService},
    point::Points,
    watch::EventStream,
};

#[tonic::async_trait]
impl BackupService for Points<pb::Backup> {
    type WatchBackupStream = EventStream;
    type WatchBackupsStream = EventStream;

    async fn create_backup(
        &self,
        request: Request<pb::CreateBackupRequest>,
    ) -> Result<Response<pb::Backup>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.create(message.into()).await)
    }

    async fn get_backup(
        &self,
        request: Request<pb::GetBackupRequest>,
    ) -> Result<Response<pb::Backup>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.get(&message.id, message.include_sensitive).await)
    }

    async fn list_backups(
        &self,
        request: Request<pb::ListBackupsRequest>,
    ) -> Result<Response<pb::ListBackupsResponse>, Status> {
        let (call, message) = called(self, request)?;
        let listed = call.list(message.into()).await;
        let listed = listed.map(|(backups, next_page_token)| pb::ListBackupsResponse {
            backups,
            next_page_token,
        });
        answered(listed)
    }

    async fn update_backup(
        &self,
        request: Request<pb::UpdateBackupRequest>,
    ) -> Result<Response<pb::Backup>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.update(message.into()).await)
    }

    async fn delete_backup(
        &self,
        request: Request<pb::DeleteBackupRequest>,
    ) -> Result<Response<pb::Backup>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.delete(message.into()).await)
    }

    async fn cancel_backup(
        &self,
        request: Request<pb::CancelBackupRequest>,
    ) -> Result<Response<pb::Backup>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.cancel(&message.id, message.request_id).await)
    }

    async fn watch_backup(
        &self,
        request: Request<pb::WatchBackupRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let (call, message) = called(self, request)?;
        let (sequence, settled) = (message.from_sequence, message.until_settled);
        let stream = call.watch(&message.id, sequence, settled).await;
        stream.map(Response::new)
    }

    async fn watch_backups(
        &self,
        request: Request<pb::WatchBackupsRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let (call, message) = called(self, request)?;
        let stream = call.watch_all(&message.filter).await;
        stream.map(Response::new)
    }
}
