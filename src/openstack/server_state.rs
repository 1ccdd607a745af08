//! How a server stands at one moment, and whether it may have run since another; this file may not know
//! what is claimed of it.

use serde::Deserialize;

use super::{
    access::Access,
    call::Call,
    network::is_refusal,
    path::Path,
    server::{self, Server},
    wire::nullable,
};
use crate::domain::{
    consistency::ServerState,
    fault::{Fault, Service},
    id::{ServerId, Tenant, VolumeId},
    time::Timestamp,
};

/// Actions of Nova (`nova/compute/instance_actions.py`, 2023.1) by which a server that is off does not come
/// to run. Whatever else there is may have started it.
const HARMLESS: [&str; 9] = [
    "createImage",
    "createBackup",
    "stop",
    "lock",
    "unlock",
    "attach_volume",
    "detach_volume",
    "attach_interface",
    "detach_interface",
];

#[derive(Deserialize)]
struct Actions {
    #[serde(rename = "instanceActions")]
    actions: Vec<Action>,
}

/// One action; a list begins with the newest.
#[derive(Deserialize)]
struct Action {
    #[serde(default, rename = "action", deserialize_with = "nullable")]
    name: String,
    #[serde(default, deserialize_with = "nullable")]
    request_id: String,
    #[serde(default, deserialize_with = "nullable")]
    start_time: String,
}

/// The newest action after which a server may have run, if there is one.
struct Run(Option<String>);

/// Reads how a server stands now.
pub(super) async fn read(
    access: &Access,
    tenant: &Tenant,
    id: &ServerId,
) -> Result<ServerState, Fault> {
    let server = server::shown(access, tenant, id).await?;
    of(access, &server).await
}

/// How a server that was just read stands.
pub(super) async fn of(access: &Access, server: &Server) -> Result<ServerState, Fault> {
    let ran = if server.status.eq_ignore_ascii_case("SHUTOFF") {
        last_run(access, &server.id).await?
    } else {
        None
    };
    Ok(ServerState {
        status: server.status.clone(),
        task: server.task.clone(),
        changed: server.updated.as_deref().and_then(Timestamp::parse),
        told: ran.is_some(),
        ran: ran.and_then(|Run(action)| action),
        volumes: server
            .volumes
            .iter()
            .map(|one| VolumeId::new(&one.id))
            .collect(),
    })
}

/// The newest action after which a server may have run; nothing at all where a policy hides the actions.
async fn last_run(access: &Access, id: &str) -> Result<Option<Run>, Fault> {
    let call = Call::get(
        Service::Compute,
        Path::of("servers", &id).word("os-instance-actions"),
        format!("list what was done with the server {id}"),
    );
    let read: Result<Actions, Fault> = access.read(&call).await;
    let actions = match read {
        Ok(found) => found.actions,
        Err(fault) if is_refusal(&fault) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let ran = actions
        .into_iter()
        .find(|one| !HARMLESS.contains(&one.name.as_str()));
    Ok(Some(Run(ran.map(|one| {
        format!("{} {} {}", one.name, one.request_id, one.start_time)
    }))))
}
