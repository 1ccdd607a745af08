//! The door to regular backups; it may not know how one is made.

use tonic::{Request, Response, Status};

use super::{
    common::answered,
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
        answered(self.create(request.into_inner().into()).await)
    }

    async fn get_backup(
        &self,
        request: Request<pb::GetBackupRequest>,
    ) -> Result<Response<pb::Backup>, Status> {
        let message = request.into_inner();
        answered(self.get(&message.id, message.include_sensitive).await)
    }

    async fn list_backups(
        &self,
        request: Request<pb::ListBackupsRequest>,
    ) -> Result<Response<pb::ListBackupsResponse>, Status> {
        let listed = self.list(request.into_inner().into()).await;
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
        answered(self.update(request.into_inner().into()).await)
    }

    async fn delete_backup(
        &self,
        request: Request<pb::DeleteBackupRequest>,
    ) -> Result<Response<pb::Backup>, Status> {
        answered(self.delete(request.into_inner().into()).await)
    }

    async fn cancel_backup(
        &self,
        request: Request<pb::CancelBackupRequest>,
    ) -> Result<Response<pb::Backup>, Status> {
        let message = request.into_inner();
        answered(self.cancel(&message.id, message.request_id).await)
    }

    async fn watch_backup(
        &self,
        request: Request<pb::WatchBackupRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let message = request.into_inner();
        let (sequence, settled) = (message.from_sequence, message.until_settled);
        let stream = self.watch(&message.id, sequence, settled).await;
        stream.map(Response::new)
    }

    async fn watch_backups(
        &self,
        request: Request<pb::WatchBackupsRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let stream = self.watch_all(&request.into_inner().filter).await;
        stream.map(Response::new)
    }
}
