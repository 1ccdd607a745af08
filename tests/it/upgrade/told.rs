//! What a service tells of all that its database holds, through the API, and that it still tells what another
//! one told; it may not know what any of it means.

use std::{collections::BTreeMap, sync::OnceLock};

use drbackup::{
    api::pb::{
        self, backup_service_client::BackupServiceClient,
        dr_backup_service_client::DrBackupServiceClient,
        orphan_service_client::OrphanServiceClient,
        restoration_service_client::RestorationServiceClient,
        schedule_service_client::ScheduleServiceClient,
    },
    domain::id::{PointKind, ResourceId},
};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use tonic::{Response, Status, Streaming, transport::Channel};

use crate::house::House;

/// Answers by what was asked.
pub(super) type Told = BTreeMap<String, Value>;

/// More than a database of before holds.
const ALL: i32 = 1000;

/// Of every resource that was ever told of, what it is and what became of it; and all lists.
pub(super) async fn told(house: &House) -> Told {
    let mut callers = Callers::of(house).await;
    let mut told = callers.lists().await;
    let (resources, _) = house.store.changes_list(0, 10_000).await.expect("listed");
    for resource in resources {
        let events = house.store.events_list(resource, 0, 10_000).await;
        let events = events.expect("listed").len();
        let (one, stream) = callers.one(resource).await;
        told.insert(resource.to_string(), one);
        let stream = stream.expect("a stream").into_inner();
        let events = read(stream, events).await;
        told.insert(format!("events of {resource}"), events);
        if let ResourceId::Schedule(id) = resource {
            let runs = callers.runs(id.to_string()).await;
            told.insert(format!("runs of {resource}"), runs);
        }
    }
    told
}

struct Callers {
    dr_backups: DrBackupServiceClient<Channel>,
    backups: BackupServiceClient<Channel>,
    restorations: RestorationServiceClient<Channel>,
    schedules: ScheduleServiceClient<Channel>,
    orphans: OrphanServiceClient<Channel>,
}

impl Callers {
    async fn of(house: &House) -> Self {
        Self {
            dr_backups: house.dr_backups().await,
            backups: house.backups().await,
            restorations: house.restorations().await,
            schedules: house.schedules().await,
            orphans: house.orphans().await,
        }
    }

    async fn lists(&mut self) -> Told {
        let request = pb::ListDrBackupsRequest {
            page_size: ALL,
            ..Default::default()
        };
        let dr_backups = self.dr_backups.list_dr_backups(request).await;
        let request = pb::ListBackupsRequest {
            page_size: ALL,
            ..Default::default()
        };
        let backups = self.backups.list_backups(request).await;
        let request = pb::ListRestorationsRequest {
            page_size: ALL,
            ..Default::default()
        };
        let restorations = self.restorations.list_restorations(request).await;
        let request = pb::ListSchedulesRequest {
            page_size: ALL,
            ..Default::default()
        };
        let schedules = self.schedules.list_schedules(request).await;
        let request = pb::ListOrphanSweepsRequest {
            page_size: ALL,
            ..Default::default()
        };
        let sweeps = self.orphans.list_orphan_sweeps(request).await;
        [
            ("DR backups", json("ListDRBackupsResponse", dr_backups)),
            ("regular backups", json("ListBackupsResponse", backups)),
            (
                "restorations",
                json("ListRestorationsResponse", restorations),
            ),
            ("schedules", json("ListSchedulesResponse", schedules)),
            ("sweeps", json("ListOrphanSweepsResponse", sweeps)),
        ]
        .map(|(asked, answer)| (asked.to_owned(), answer))
        .into()
    }

    /// What a resource is, and a stream of what became of it.
    async fn one(
        &mut self,
        resource: ResourceId,
    ) -> (Value, Result<Response<Streaming<pb::Event>>, Status>) {
        let id = resource.uuid().to_string();
        let (from_sequence, until_settled) = (1, false);
        match resource {
            ResourceId::Point(point) if point.kind == PointKind::Dr => {
                let request = pb::GetDrBackupRequest {
                    id: id.clone(),
                    include_sensitive: true,
                };
                let one = self.dr_backups.get_dr_backup(request).await;
                let request = pb::WatchDrBackupRequest {
                    id,
                    from_sequence,
                    until_settled,
                };
                let stream = self.dr_backups.watch_dr_backup(request).await;
                (json("DRBackup", one), stream)
            }
            ResourceId::Point(_) => {
                let request = pb::GetBackupRequest {
                    id: id.clone(),
                    include_sensitive: true,
                };
                let one = self.backups.get_backup(request).await;
                let request = pb::WatchBackupRequest {
                    id,
                    from_sequence,
                    until_settled,
                };
                let stream = self.backups.watch_backup(request).await;
                (json("Backup", one), stream)
            }
            ResourceId::Restoration(_) => {
                let request = pb::GetRestorationRequest { id: id.clone() };
                let one = self.restorations.get_restoration(request).await;
                let request = pb::WatchRestorationRequest {
                    id,
                    from_sequence,
                    until_settled,
                };
                let stream = self.restorations.watch_restoration(request).await;
                (json("Restoration", one), stream)
            }
            ResourceId::Schedule(_) => {
                let request = pb::GetScheduleRequest { id: id.clone() };
                let one = self.schedules.get_schedule(request).await;
                let request = pb::WatchScheduleRequest { id, from_sequence };
                let stream = self.schedules.watch_schedule(request).await;
                (json("Schedule", one), stream)
            }
        }
    }

    async fn runs(&mut self, schedule_id: String) -> Value {
        let request = pb::ListScheduleRunsRequest {
            schedule_id,
            page_size: ALL,
            ..Default::default()
        };
        let runs = self.schedules.list_schedule_runs(request).await;
        json("ListScheduleRunsResponse", runs)
    }
}

/// So many events of a stream that goes on.
async fn read(mut stream: Streaming<pb::Event>, events: usize) -> Value {
    let mut read = Vec::new();
    while read.len() < events {
        let event = stream.message().await.expect("it goes on");
        read.push(spelled("Event", &event.expect("one more")));
    }
    Value::Array(read)
}

/// An answer, or how it was refused.
fn json(name: &str, answer: Result<Response<impl Message>, Status>) -> Value {
    match answer {
        Ok(answer) => spelled(name, answer.get_ref()),
        Err(status) => format!("{:?}: {}", status.code(), status.message()).into(),
    }
}

/// A message as JSON, without fields that hold nothing.
pub(super) fn spelled(name: &str, message: &impl Message) -> Value {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    let pool = POOL.get_or_init(|| DescriptorPool::decode(pb::DESCRIPTORS).expect("descriptors"));
    let descriptor = pool.get_message_by_name(&format!("drbackup.v1.{name}"));
    let bytes = message.encode_to_vec();
    let message = DynamicMessage::decode(descriptor.expect("a message"), bytes.as_slice());
    message
        .expect("readable")
        .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
        .expect("JSON")
}

/// Notes where `now` does not tell what `before` told; more may be told than before.
pub(super) fn lost(place: &str, before: &Value, now: &Value, lost: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            for (name, before) in before {
                let now = now.get(name).unwrap_or(&Value::Null);
                self::lost(&format!("{place}.{name}"), before, now, lost);
            }
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            for (index, (before, now)) in before.iter().zip(now).enumerate() {
                self::lost(&format!("{place}[{index}]"), before, now, lost);
            }
        }
        _ if before == now => {}
        _ => lost.push(format!("{place}: {before} became {now}")),
    }
}
