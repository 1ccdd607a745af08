//! Who uses a thing right now; this file may not know why it is to go.
//!
//! | Kind | Who may hold it | Read from |
//! |---|---|---|
//! | volume | a server or host that it is attached to, or is being attached to; an offer to another project that is not ours | the volume, its attachments, the offers |
//! | port | the server, router, balancer … that it belongs to; the trunk whose parent or sub port it is | `device_id`, `device_owner`, `trunk_details`; the trunks |
//! | trunk | the server … that its parent port belongs to | the trunk, its parent port |
//! | server | its lock; a volume that Nova would delete with it | the server |
//! | security group | a group that names it in a rule; after a refusal the ports that have it | rules, ports |
//! | key pair | a server that was made with it | the servers |
//!
//! Who has made a snapshot of a volume is read after a refusal. Snapshots, volume backups, group snapshots
//! and images are guarded by their services: what uses them
//! gives them a status, or children, and makes their deletion a refusal.

use serde::Deserialize;

use super::{
    access::Access,
    call::Call,
    path::Path,
    port::TrunkDetails,
    security_group,
    thing::cinder,
    transfer, trunk,
    version::Microversion,
    wire::{flag, nullable, short},
};
use crate::domain::{
    fault::{Fault, FaultKind, Service},
    holder::{Holder, stranger},
    id::Tenant,
    sighting::{Thing, ThingKind},
};

/// From here on attachments are resources of their own.
const ATTACHMENTS: Microversion = Microversion(3, 27);
/// The lock (2.9), and what goes with the server (2.3).
const SERVER: [Microversion; 2] = [Microversion(2, 9), Microversion(2, 3)];

/// A thing as it is used.
pub(super) struct Use {
    /// Its name.
    name: String,
    holders: Vec<Holder>,
    /// It is held by something that may be ours: the service refuses its deletion for as long.
    pub(super) busy: Option<String>,
}

impl Use {
    fn of(name: String, holders: Vec<Holder>) -> Self {
        Self {
            name,
            holders,
            busy: None,
        }
    }
}

/// Reads who uses a thing, and refuses what somebody uses who is none of `ours`. Nothing where it is not
/// there, or has become the thing of another project.
pub(super) async fn check(
    access: &Access,
    tenant: &Tenant,
    thing: &Thing,
    ours: &[Thing],
) -> Result<Option<Use>, Fault> {
    let action = format!("delete the {thing}");
    let used = match thing.kind {
        ThingKind::Volume => of_volume(access, tenant, &thing.id).await?,
        ThingKind::Port => of_port(access, tenant, &thing.id).await?,
        ThingKind::Trunk => of_trunk(access, tenant, &thing.id).await?,
        ThingKind::Server => of_server(access, tenant, &thing.id).await?,
        ThingKind::SecurityGroup => {
            let holders = security_group::referring(access, &thing.id).await?;
            Some(Use::of(String::new(), holders))
        }
        ThingKind::KeyPair => {
            let holders = of_key_pair(access, &thing.id).await?;
            Some(Use::of(String::new(), holders))
        }
        ThingKind::Snapshot
        | ThingKind::VolumeBackup
        | ThingKind::GroupSnapshot
        | ThingKind::Image => Some(Use::of(String::new(), Vec::new())),
    };
    let Some(used) = used else { return Ok(None) };
    match stranger(&used.holders, ours) {
        None => Ok(Some(used)),
        Some(holder) => {
            let holder = introduce(access, holder).await;
            let service = super::thing::service(thing.kind);
            Err(holder.fault(service, action, &used.name))
        }
    }
}

/// The same holder with the name by which people know it, where that can be learnt.
pub(super) async fn introduce(access: &Access, holder: &Holder) -> Holder {
    #[derive(Deserialize)]
    struct One {
        server: Named,
    }
    #[derive(Deserialize)]
    struct Named {
        #[serde(default, deserialize_with = "nullable")]
        name: String,
    }
    if !holder.is_server() {
        return holder.clone();
    }
    let id = holder.id();
    let call = Call::get(
        Service::Compute,
        Path::of("servers", &id),
        format!("read the server {id}"),
    );
    match access.read_if_there::<One>(&call).await {
        Ok(Some(One { server })) => holder.clone().named(&server.name),
        Ok(None) => holder.clone().unknown(),
        // Its id says enough.
        Err(_) => holder.clone(),
    }
}

#[derive(Deserialize)]
struct OneVolume {
    volume: Volume,
}

#[derive(Deserialize)]
struct Volume {
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default, deserialize_with = "short")]
    status: String,
    /// Cinder shows those that have come to their end.
    #[serde(default, deserialize_with = "nullable")]
    attachments: Vec<Attached>,
}

#[derive(Deserialize)]
struct Attached {
    #[serde(default)]
    server_id: Option<String>,
    #[serde(default)]
    host_name: Option<String>,
}

/// The status of a volume that somebody uses, or is about to.
fn is_in_use(status: &str) -> bool {
    matches!(
        status,
        "in-use" | "attaching" | "detaching" | "reserved" | "error_attaching" | "error_detaching"
    )
}

async fn of_volume(access: &Access, tenant: &Tenant, id: &str) -> Result<Option<Use>, Fault> {
    let call = Call::get(
        Service::BlockStorage,
        Path::of("volumes", &id),
        format!("read who uses the volume {id}"),
    );
    // An admin sees it also when it has been given to somebody else.
    let read = access
        .read_of_if_there::<OneVolume>(tenant, id, &call)
        .await?;
    let Some(OneVolume { volume }) = read else {
        return Ok(None);
    };
    let status = volume.status.to_lowercase();
    let mut holders: Vec<Holder> = volume
        .attachments
        .iter()
        .map(|one| match (&one.server_id, &one.host_name) {
            (Some(server), _) => Holder::server(server),
            (None, Some(host)) => Holder::user("host", host),
            (None, None) => Holder::itself("is attached, and Cinder does not say to what"),
        })
        .collect();
    if holders.is_empty() && is_in_use(&status) {
        holders = attaching(access, tenant, id, &status).await?;
    }
    if status == transfer::OFFERED {
        holders.extend(transfer::foreign_offer(access, id).await?);
    }
    let busy = (!holders.is_empty()).then(|| format!("it is {status}"));
    Ok(Some(Use {
        name: volume.name,
        holders,
        busy: busy.filter(|_| status != transfer::OFFERED),
    }))
}

/// For whom a volume is kept whose attachments have not come to their end.
async fn attaching(
    access: &Access,
    tenant: &Tenant,
    volume: &str,
    status: &str,
) -> Result<Vec<Holder>, Fault> {
    #[derive(Deserialize)]
    struct All {
        #[serde(default, deserialize_with = "nullable")]
        attachments: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        instance: Option<String>,
        #[serde(default, deserialize_with = "nullable")]
        volume_id: String,
    }
    let nobody = || {
        vec![Holder::itself(&format!(
            "is {status}, and Cinder does not say for whom"
        ))]
    };
    let version = access
        .first_of(Service::BlockStorage, &[ATTACHMENTS])
        .await?;
    if version.is_none() {
        return Ok(nobody());
    }
    let action = format!("read for whom the volume {volume} is {status}");
    let call = cinder(access, tenant, "attachments", &action)
        .query("volume_id", volume)
        .at(version);
    let All { attachments } = access.read(&call).await?;
    let holders: Vec<Holder> = attachments
        .into_iter()
        .filter(|one| one.volume_id == volume)
        .filter_map(|one| Some(Holder::server(&one.instance?)))
        .collect();
    Ok(if holders.is_empty() {
        nobody()
    } else {
        holders
    })
}

async fn of_port(access: &Access, tenant: &Tenant, id: &str) -> Result<Option<Use>, Fault> {
    #[derive(Deserialize)]
    struct One {
        port: Port,
    }
    #[derive(Deserialize)]
    struct Port {
        #[serde(default, deserialize_with = "nullable")]
        name: String,
        #[serde(default, deserialize_with = "nullable")]
        device_id: String,
        #[serde(default, deserialize_with = "nullable")]
        device_owner: String,
        #[serde(default)]
        trunk_details: Option<TrunkDetails>,
    }
    let call = Call::get(
        Service::Network,
        Path::of("ports", &id),
        format!("read who uses the port {id}"),
    );
    let read = access.read_of_if_there::<One>(tenant, id, &call).await?;
    let Some(One { port }) = read else {
        return Ok(None);
    };
    let (device, owner) = (port.device_id.as_str(), port.device_owner.as_str());
    let holder = match (device, owner) {
        ("", "") => None,
        // Nova owns a port from the moment on at which it names a server.
        (id, owner) if owner.is_empty() || owner.starts_with("compute:") => {
            Some(Holder::server(id))
        }
        (id, owner) if owner.starts_with("network:router") => Some(Holder::user("router", id)),
        // What is in `device_id` then differs by driver, and it may have been left there.
        (_, SUB_PORT) => trunk_with(access, id).await?,
        (id, owner) => Some(Holder::user(owner, id)),
    };
    let trunk = port.trunk_details;
    let trunk = trunk.map(|trunk| Holder::user("trunk", &trunk.trunk_id));
    let holders = holder.into_iter().chain(trunk).collect();
    Ok(Some(Use::of(port.name, holders)))
}

/// What Neutron calls the owner of a sub port whose trunk is wired up; of any other it knows none.
const SUB_PORT: &str = "trunk:subport";

/// The trunk that a port is the parent or a sub port of.
async fn trunk_with(access: &Access, port: &str) -> Result<Option<Holder>, Fault> {
    let action = format!("look for the trunk of the port {port}");
    let trunks = trunk::list(access, Call::get(Service::Network, "trunks", action)).await?;
    let mut with_it = trunks.iter().filter(|trunk| trunk.has(port));
    Ok(with_it.next().map(|trunk| Holder::user("trunk", &trunk.id)))
}

/// Who has the parent port of a trunk.
async fn of_trunk(access: &Access, tenant: &Tenant, id: &str) -> Result<Option<Use>, Fault> {
    let call = Call::get(
        Service::Network,
        Path::of("trunks", &id),
        format!("read who uses the trunk {id}"),
    );
    let read = access
        .read_of_if_there::<trunk::One>(tenant, id, &call)
        .await?;
    let Some(trunk::One { trunk }) = read else {
        return Ok(None);
    };
    let parent = of_port(access, tenant, &trunk.port_id).await?;
    let holders = parent.map(|parent| parent.holders).unwrap_or_default();
    // The trunk is no stranger to itself.
    let others = holders.into_iter().filter(|holder| holder.id() != id);
    Ok(Some(Use::of(trunk.name, others.collect())))
}

async fn of_server(access: &Access, tenant: &Tenant, id: &str) -> Result<Option<Use>, Fault> {
    #[derive(Deserialize)]
    struct One {
        server: Server,
    }
    #[derive(Deserialize)]
    struct Server {
        #[serde(default, deserialize_with = "nullable")]
        name: String,
        #[serde(default, deserialize_with = "flag")]
        locked: bool,
        #[serde(
            default,
            rename = "os-extended-volumes:volumes_attached",
            deserialize_with = "nullable"
        )]
        volumes: Vec<Disk>,
    }
    #[derive(Deserialize)]
    struct Disk {
        id: String,
        #[serde(default, deserialize_with = "flag")]
        delete_on_termination: bool,
    }
    let version = access.first_of(Service::Compute, &SERVER).await?;
    let call = Call::get(
        Service::Compute,
        Path::of("servers", &id),
        format!("read what the server {id} has"),
    );
    let call = call.at(version);
    let read = access.read_of_if_there::<One>(tenant, id, &call).await?;
    let Some(One { server }) = read else {
        return Ok(None);
    };
    let locked = server.locked.then(|| {
        // Nova asks an admin no further, so that this has to be asked here.
        Holder::itself("is locked, so that nobody deletes it by mistake")
    });
    let taken = server
        .volumes
        .iter()
        .filter(|disk| disk.delete_on_termination);
    let taken = taken.map(|disk| Holder::goes_along(&disk.id));
    let holders = locked.into_iter().chain(taken).collect();
    Ok(Some(Use::of(server.name, holders)))
}

/// The servers of the tenant that were made with a key pair; those that its user has in other projects
/// cannot be seen from here.
async fn of_key_pair(access: &Access, name: &str) -> Result<Vec<Holder>, Fault> {
    #[derive(Deserialize)]
    struct Server {
        id: String,
        #[serde(default)]
        key_name: Option<String>,
    }
    let action = format!("look for servers with the key pair {name}");
    let call = Call::get(Service::Compute, "servers/detail", action);
    let servers: Vec<Server> = access.pages(call, "servers").await?;
    let mut with_it = servers
        .iter()
        .filter(|server| server.key_name.as_deref() == Some(name));
    let holders = with_it.by_ref().map(|server| Holder::server(&server.id));
    Ok(holders.collect())
}

/// The holder of a port that Neutron did not delete because a trunk has it: before the trunk is wired up
/// its sub ports do not show it.
pub(super) async fn of_refused_port(
    access: &Access,
    id: &str,
    ours: &[Thing],
    refusal: Fault,
) -> Fault {
    if refusal.kind != FaultKind::Busy {
        return refusal;
    }
    // Why it was refused is known; who it was tells only more.
    let Ok(Some(holder)) = trunk_with(access, id).await else {
        return refusal;
    };
    told_instead(&[holder], ours, refusal)
}

/// The holder of a group that Neutron did not delete because ports have it.
pub(super) async fn of_refused_group(
    access: &Access,
    id: &str,
    ours: &[Thing],
    refusal: Fault,
) -> Fault {
    if refusal.kind != FaultKind::Busy {
        return refusal;
    }
    // Why it was refused is known; who it was tells only more.
    let Ok(holders) = security_group::members(access, id).await else {
        return refusal;
    };
    told_instead(&holders, ours, refusal)
}

/// The first stranger among the holders, in place of the refusal that it caused.
fn told_instead(holders: &[Holder], ours: &[Thing], refusal: Fault) -> Fault {
    match stranger(holders, ours) {
        None => refusal,
        Some(holder) => Fault {
            status: refusal.status,
            code: refusal.code,
            request_id: refusal.request_id,
            ..holder.fault(refusal.service, refusal.action, "")
        },
    }
}

/// Snapshots, as they tell of a volume that it has them.
#[derive(Deserialize)]
struct Snapshots {
    snapshots: Vec<Snapshot>,
}

#[derive(Deserialize)]
struct Snapshot {
    id: String,
}

/// The holder of a volume that Cinder did not delete because somebody has made a snapshot of it
/// (`cinder/volume/api.py`: delete; Zed to 2026.1). Asked only then, so that it costs no other deletion
/// anything.
pub(super) async fn of_refused_volume(
    access: &Access,
    tenant: &Tenant,
    id: &str,
    ours: &[Thing],
    refusal: Fault,
) -> Fault {
    if refusal.kind == FaultKind::NotFound {
        return refusal;
    }
    let action = format!("list the snapshots of volume {id}");
    let call = cinder(access, tenant, "snapshots", &action).query("volume_id", id);
    // Why it was refused is known; who it was tells only more.
    let Ok(found) = access.read::<Snapshots>(&call).await else {
        return refusal;
    };
    let snapshots = found.snapshots.iter();
    let holders: Vec<Holder> = snapshots
        .map(|one| Holder::user("snapshot", &one.id))
        .collect();
    told_instead(&holders, ours, refusal)
}
