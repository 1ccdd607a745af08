//! The two kinds of backups: what each is called, which flags are its own, and its calls; it may not know
//! when a verb makes them.

use clap::Args;
use prost_types::Timestamp;

use super::{Cancel, Create, Delete, Update};
use crate::{
    api::pb,
    cli::{
        args::Capture,
        client::{Client, Opened, every_page},
        consistency::Consistency,
        failure::Failure,
        resolve::Candidate,
        shown,
        work::{Noun, Subject},
    },
};

/// What tells a kind from the other on the command line.
pub trait Kind: Noun {
    /// What is lost with one.
    const DATA: &'static str;
    /// What lies in the cloud for each volume.
    const PARTS: &'static str;
    /// How its data is taken.
    type How: Args + std::fmt::Debug;
}

/// How the data of a DR backup is taken.
#[derive(Debug, Args)]
pub struct DrHow {
    /// How to take the data
    #[arg(long, value_enum, default_value_t = Capture::Snapshot)]
    capture: Capture,
    /// How well the volumes have to agree at least; less is refused
    #[arg(long, value_enum)]
    consistency: Option<Consistency>,
    /// Only what changed since the last volume backup of each volume, where there is one
    #[arg(long)]
    incremental: bool,
}

/// How the data of a regular backup is taken.
#[derive(Debug, Args)]
pub struct RegularHow {
    /// How well the volumes have to agree at least; less is refused
    #[arg(long, value_enum)]
    consistency: Option<Consistency>,
}

impl Noun for pb::DrBackup {
    const NAME: &'static str = "DR backup";
    const COMMAND: &'static str = "backup";
}

impl Noun for pb::Backup {
    const NAME: &'static str = "regular backup";
    const COMMAND: &'static str = "regular-backup";
}

impl Kind for pb::DrBackup {
    const DATA: &'static str = "data";
    const PARTS: &'static str = "volume backups";
    type How = DrHow;
}

impl Kind for pb::Backup {
    const DATA: &'static str = "snapshots";
    const PARTS: &'static str = "snapshots";
    type How = RegularHow;
}

impl DrHow {
    fn request(&self) -> pb::CreateDrBackupRequest {
        pb::CreateDrBackupRequest {
            capture: self.capture.message().into(),
            incremental: self.incremental,
            minimum_consistency: at_least(self.consistency),
            ..pb::CreateDrBackupRequest::default()
        }
    }
}

impl RegularHow {
    fn request(&self) -> pb::CreateBackupRequest {
        pb::CreateBackupRequest {
            minimum_consistency: at_least(self.consistency),
            ..pb::CreateBackupRequest::default()
        }
    }
}

fn at_least(consistency: Option<Consistency>) -> i32 {
    let level = consistency.map(Consistency::message);
    level.unwrap_or_default().into()
}

/// Which backups to list.
#[derive(Debug, Default)]
pub(in crate::cli) struct Wanted {
    pub(in crate::cli) filter: String,
    pub(in crate::cli) order_by: String,
    pub(in crate::cli) view: pb::View,
    pub(in crate::cli) limit: Option<usize>,
}

/// A backup of one kind, and the calls about it.
pub(in crate::cli) trait Backup: Kind + Subject {
    /// Itself, as something that a name can mean.
    fn candidate(&self) -> Candidate;
    /// Its instance, the same way.
    fn instance(&self) -> Candidate;

    /// Makes one of the instance with this cloud, tenant and id.
    async fn create(
        client: &Client,
        of: [String; 3],
        create: &Create<Self>,
    ) -> Result<Self, Failure>;
    async fn get(client: &Client, id: String, include_sensitive: bool) -> Result<Self, Failure>;
    /// Every page up to a limit.
    async fn list(client: &Client, wanted: Wanted) -> Result<Vec<Self>, Failure>;
    /// Opens the stream of the events of all that fit a filter.
    async fn watch_all(client: &Client, filter: &str) -> Opened;
    async fn update(client: &Client, id: String, update: &Update) -> Result<Self, Failure>;
    async fn delete(client: &Client, id: String, delete: &Delete) -> Result<Self, Failure>;
    async fn cancel(client: &Client, id: String, cancel: &Cancel) -> Result<Self, Failure>;
}

/// The calls about one kind: they differ in the names of methods and messages, which a type cannot spell.
macro_rules! calls {
    (
        $message:ident as $item:ident and $items:ident of $service:ident,
        create: $create:ident($create_request:ident),
        get: $get:ident($get_request:ident),
        list: $list:ident($list_request:ident),
        watch: $watch:ident($watch_request:ident),
        watch_all: $watch_all:ident($watch_all_request:ident),
        update: $update:ident($update_request:ident),
        delete: $delete:ident($delete_request:ident),
        cancel: $cancel:ident($cancel_request:ident),
    ) => {
        impl Subject for pb::$message {
            fn title(&self) -> String {
                format!("{} {}", Self::NAME, self.name)
            }

            fn standing(&self) -> i32 {
                self.state
            }

            fn failure(&self) -> Option<&pb::OperationError> {
                self.error.as_ref()
            }

            fn updated(&self) -> Option<Timestamp> {
                self.update_time
            }

            fn gone(self) -> Self {
                Self {
                    state: pb::State::Deleted.into(),
                    runtime_state: "Deleted".to_owned(),
                    progress: None,
                    recoverable: false,
                    ..self
                }
            }

            async fn read(client: &Client, id: &str) -> Result<Self, Failure> {
                Self::get(client, id.to_owned(), false).await
            }

            async fn watch(client: &Client, id: &str, from: i64, until_settled: bool) -> Opened {
                let request = pb::$watch_request {
                    id: id.to_owned(),
                    from_sequence: from,
                    until_settled,
                };
                client.streaming().$service().$watch(request).await
            }
        }

        impl Backup for pb::$message {
            fn candidate(&self) -> Candidate {
                Candidate {
                    id: self.id.clone(),
                    name: self.name.clone(),
                    hint: format!(
                        "{} of instance {} in cloud {}, {}, made {}",
                        Self::NAME,
                        self.instance_name,
                        self.cloud,
                        shown::state(self.state),
                        shown::time(self.create_time.as_ref()),
                    ),
                }
            }

            fn instance(&self) -> Candidate {
                Candidate {
                    id: self.instance_id.clone(),
                    name: self.instance_name.clone(),
                    hint: format!("in cloud {}", self.cloud),
                }
            }

            async fn create(
                client: &Client,
                [cloud, tenant, instance_id]: [String; 3],
                create: &Create<Self>,
            ) -> Result<Self, Failure> {
                let request_id = create.work.request_id();
                let request = pb::$create_request {
                    cloud,
                    tenant,
                    instance_id,
                    name: create.name.clone().unwrap_or_default(),
                    description: create.description.clone().unwrap_or_default(),
                    time_limit: create.time_limit.and_then(|limit| limit.0.try_into().ok()),
                    request_id: request_id.clone(),
                    validate_only: create.validate_only,
                    kept_until: create.keep.keep_until,
                    held: create.keep.hold,
                    ..create.how.request()
                };
                let mut service = client.$service();
                client.start(&request_id, service.$create(request)).await
            }

            async fn get(
                client: &Client,
                id: String,
                include_sensitive: bool,
            ) -> Result<Self, Failure> {
                let request = pb::$get_request {
                    id,
                    include_sensitive,
                };
                client.ask(client.$service().$get(request)).await
            }

            async fn list(client: &Client, wanted: Wanted) -> Result<Vec<Self>, Failure> {
                let request = pb::$list_request {
                    filter: wanted.filter,
                    order_by: wanted.order_by,
                    view: wanted.view.into(),
                    ..pb::$list_request::default()
                };
                every_page!(client, $service, $list, request, $items, wanted.limit)
            }

            async fn watch_all(client: &Client, filter: &str) -> Opened {
                let filter = filter.to_owned();
                let request = pb::$watch_all_request { filter };
                client.streaming().$service().$watch_all(request).await
            }

            async fn update(client: &Client, id: String, update: &Update) -> Result<Self, Failure> {
                let request_id = update.work.request_id();
                let request = pb::$update_request {
                    $item: Some(Self {
                        id,
                        name: update.name.clone().unwrap_or_default(),
                        description: update.description.clone().unwrap_or_default(),
                        kept_until: update.keep.keep_until,
                        held: update.keep.hold,
                        etag: update.etag.clone().unwrap_or_default(),
                        ..Self::default()
                    }),
                    update_mask: Some(update.mask()),
                    request_id: request_id.clone(),
                };
                let mut service = client.$service();
                let call = Box::pin(service.$update(request));
                client.start(&request_id, call).await
            }

            async fn delete(client: &Client, id: String, delete: &Delete) -> Result<Self, Failure> {
                let request_id = delete.work.request_id();
                let request = pb::$delete_request {
                    id,
                    etag: delete.etag.clone().unwrap_or_default(),
                    allow_missing_cloud: delete.allow_missing_cloud,
                    request_id: request_id.clone(),
                };
                let mut service = client.$service();
                client.start(&request_id, service.$delete(request)).await
            }

            async fn cancel(client: &Client, id: String, cancel: &Cancel) -> Result<Self, Failure> {
                let request_id = cancel.work.request_id();
                let request = pb::$cancel_request {
                    id,
                    request_id: request_id.clone(),
                };
                let mut service = client.$service();
                client.start(&request_id, service.$cancel(request)).await
            }
        }
    };
}

calls! {
    DrBackup as dr_backup and dr_backups of dr_backups,
    create: create_dr_backup(CreateDrBackupRequest),
    get: get_dr_backup(GetDrBackupRequest),
    list: list_dr_backups(ListDrBackupsRequest),
    watch: watch_dr_backup(WatchDrBackupRequest),
    watch_all: watch_dr_backups(WatchDrBackupsRequest),
    update: update_dr_backup(UpdateDrBackupRequest),
    delete: delete_dr_backup(DeleteDrBackupRequest),
    cancel: cancel_dr_backup(CancelDrBackupRequest),
}

calls! {
    Backup as backup and backups of regular_backups,
    create: create_backup(CreateBackupRequest),
    get: get_backup(GetBackupRequest),
    list: list_backups(ListBackupsRequest),
    watch: watch_backup(WatchBackupRequest),
    watch_all: watch_backups(WatchBackupsRequest),
    update: update_backup(UpdateBackupRequest),
    delete: delete_backup(DeleteBackupRequest),
    cancel: cancel_backup(CancelBackupRequest),
}
