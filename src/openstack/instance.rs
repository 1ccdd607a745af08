//! Everything about one instance, put together from five services; this file may not know what it is
//! read for.
//!
//! Three rounds, each side by side: the server (and what only an admin sees of it) with its volumes,
//! attachments and ports; then what those name; then the security groups that the rules of the first
//! ones refer to.

use std::collections::BTreeSet;

use futures::future::OptionFuture;
use serde::Deserialize;
use serde_json::json;

use super::{
    access::Access,
    attributes::Odd,
    call::Call,
    flavor::{self, Flavor},
    image, key_pair,
    network::is_refusal,
    path::Path,
    port::Port,
    root,
    security_group::SecurityGroup,
    server::{self, Server},
    server_group, server_state,
    trunk::{self, Wired},
    version::Microversion,
    volume::{self, Volume},
    volume_group,
    wire::cut,
    wiring,
};
use crate::domain::{
    difference::Difference,
    fault::{Fault, FaultKind, Service},
    id::{ServerId, Tenant, VolumeId},
    manifest::{
        CARD_ORDER_GAP, FlavorShape, ImageFacts, KeyFacts, Manifest, PortFacts, Properties,
        VolumeFacts,
    },
    user_data::UserData,
};

const NOVA: Service = Service::Compute;

/// What goes with the server (2.79), device tags (2.70).
const ATTACHMENTS: [Microversion; 2] = [Microversion(2, 79), Microversion(2, 70)];
#[derive(Debug, Deserialize)]
struct Attachments {
    #[serde(rename = "volumeAttachments")]
    attachments: Vec<Attachment>,
}

#[derive(Debug, Clone, Deserialize)]
struct Attachment {
    #[serde(rename = "volumeId")]
    volume: String,
    #[serde(default)]
    device: Option<String>,
    #[serde(default)]
    tag: Option<String>,
    #[serde(default)]
    delete_on_termination: Option<bool>,
}

/// The image of a server that boots from one.
#[derive(Deserialize)]
struct ImageName {
    id: String,
}

/// The admin's view, or why there is none.
pub(super) enum AdminView<'a> {
    /// An access that sees more.
    Of(&'a Access),
    /// The tenant's own user is an admin.
    Own,
    /// Nobody does, and why.
    None(String),
}

/// Reads an instance.
pub(super) async fn read(
    access: &Access,
    admin: &AdminView<'_>,
    tenant: &Tenant,
    id: &ServerId,
) -> Result<Manifest, Fault> {
    let mut gaps = Vec::new();
    let ((server, volumes, admin_server), attachments, ports, cards) = futures::try_join!(
        read_server(access, admin, tenant, id),
        read_attachments(access, id),
        wiring::read_ports(access, tenant, id),
        wiring::read_cards(access, id),
    )?;
    // A cell that is down leaves hardly more than the id.
    let Some(name) = server.name.as_deref().map(cut) else {
        return Err(Fault::new(
            FaultKind::ServiceDown,
            NOVA,
            format!("read the server {id}"),
            "its cell of Nova is down",
        ));
    };
    let shown = shown_to_admin(admin, &server, admin_server.as_ref(), &mut gaps);
    let user_data = shown.and_then(|shown| user_data(shown, &mut gaps));
    let trunks = trunk::read(access, &ports, &mut gaps).await?;
    let sub_ports = trunks.iter().flat_map(|wired| &wired.sub_ports);
    let sub_ports = sub_ports.map(|(_, port)| port.clone());
    let every_port: Vec<Port> = ports.iter().cloned().chain(sub_ports).collect();
    let (volumes, wires, (groups, address_groups), flavor, key, server_group, state) = futures::try_join!(
        attached(access, tenant, &attachments, volumes),
        wiring::read_wires(access, &every_port),
        wiring::read_groups(access, groups_of(&every_port)),
        read_flavor(access, &server),
        read_key(access, admin, &server),
        server_group::of_server(access, &server),
        server_state::of(access, &server),
    )?;
    let volume_group = volume_group::of_volumes(access, admin, &volumes).await?;
    let mut pairs: Vec<(Attachment, Volume)> = attachments.into_iter().zip(volumes).collect();
    let root_device = shown.and_then(|shown| shown.root_device.as_deref());
    let root = root_first(access, &server, root_device, &mut pairs).await?;
    gaps.extend(root.doubt);
    let odd_of_volumes: Vec<Vec<Odd>> = pairs.iter().map(|(_, volume)| volume.odd()).collect();
    let volumes = volume_facts(&server, pairs, root.volume.is_some());
    let image = read_image(access, &server, &volumes).await?;
    gaps.extend(flavor.1);
    gaps.extend(key.1);
    gaps.extend(server_group.1);
    gaps.extend(image.1);
    let (ports, sure) = wiring::in_order(ports, &server, &wires);
    if !sure {
        gaps.push(format!(
            "{CARD_ORDER_GAP}: Nova tells it within each network only, so it was taken from the times at \
             which the ports were made"
        ));
    }
    let port_facts: Vec<PortFacts> = ports
        .iter()
        .map(|port| wires.facts_with_trunk(port, &cards, &trunks))
        .collect();
    let mut unrestored = told_of("server ", server_odd(&server, shown));
    for (facts, odd) in volumes.iter().zip(odd_of_volumes) {
        unrestored.extend(told_of(&facts.path(""), odd));
    }
    unrestored.extend(unrestored_of_network(&port_facts, &ports, &trunks, &groups));
    Ok(Manifest {
        tenant: tenant.clone(),
        server: id.clone(),
        name,
        description: server.description.clone(),
        status: server.status.clone(),
        state,
        root_is_volume: root.is_volume,
        flavor: flavor.0,
        image: image.0,
        volumes,
        volume_group,
        ports: port_facts,
        security_groups: groups
            .into_iter()
            .map(|group| group.facts(&address_groups))
            .collect(),
        key: key.0,
        availability_zone: server.zone.clone().filter(|zone| !zone.is_empty()),
        server_group: server_group.0,
        config_drive: server.config_drive,
        locked: server.locked,
        locked_reason: server.locked_reason.clone(),
        hostname: shown
            .unwrap_or(&server)
            .hostname
            .clone()
            .or(server.hostname.clone()),
        disk_config: server.disk_config.clone(),
        metadata: server.metadata,
        tags: server.tags,
        user_data: user_data.filter(|data| !data.is_empty()),
        gaps,
        unrestored,
    })
}

/// The security groups of ports, each once.
fn groups_of(ports: &[Port]) -> Vec<String> {
    let groups = ports.iter().flat_map(|port| &port.security_groups);
    let groups: BTreeSet<&String> = groups.collect();
    groups.into_iter().cloned().collect()
}

/// What of ports and security groups is read and not restored.
fn unrestored_of_network(
    facts: &[PortFacts],
    ports: &[Port],
    trunks: &[Wired],
    groups: &[SecurityGroup],
) -> Vec<Difference> {
    let mut unrestored = Vec::new();
    let mut next = ports.len();
    for (index, (facts, port)) in facts.iter().zip(ports).enumerate() {
        unrestored.extend(told_of(&facts.path(index, ""), port.odd()));
        let wired = trunks.iter().find(|wired| wired.trunk.port_id == port.id);
        let (Some(trunk), Some(wired)) = (&facts.trunk, wired) else {
            continue;
        };
        let odd = wired.trunk.odd.clone();
        unrestored.extend(told_of(&facts.path(index, "trunk "), odd));
        for (facts, (_, port)) in trunk.sub_ports.iter().zip(&wired.sub_ports) {
            unrestored.extend(told_of(&facts.port.path(next, ""), port.odd()));
            next += 1;
        }
    }
    for group in groups {
        for (path, odd) in group.unrestored() {
            let path = format!("security group {} {path}", group.name);
            unrestored.extend(told_of(&path, vec![odd]));
        }
    }
    unrestored
}

/// The server as an admin is shown it, or a gap that says why nobody is.
fn shown_to_admin<'a>(
    admin: &AdminView<'_>,
    server: &'a Server,
    seen: Option<&'a Result<Server, Fault>>,
    gaps: &mut Vec<String>,
) -> Option<&'a Server> {
    let why = match (admin, seen) {
        _ if server.user_data.is_some() => return Some(server),
        (AdminView::Own, _) => return Some(server),
        (AdminView::Of(_), Some(Ok(seen))) => return Some(seen),
        (AdminView::Of(_), Some(Err(fault))) => fault.to_string(),
        (AdminView::Of(_), None) => return None,
        (AdminView::None(why), _) => why.clone(),
    };
    gaps.push(format!("the user data could not be read: {why}"));
    None
}

/// Puts the volumes in the order of their devices, and the one that boots first.
async fn root_first(
    access: &Access,
    server: &Server,
    root_device: Option<&str>,
    pairs: &mut Vec<(Attachment, Volume)>,
) -> Result<root::Root, Fault> {
    // Stable, so that volumes without a device stay in Nova's order, at the end.
    pairs.sort_by_key(|(attachment, _)| device_order(attachment.device.as_deref()));
    let mapping = match root_device {
        Some(_) => root::Mapping::Unknown,
        None => root::read_mapping(access, server).await?,
    };
    let disks = pairs.iter().map(|(attachment, volume)| root::Disk {
        device: attachment.device.as_deref(),
        bootable: volume.bootable,
    });
    let evidence = root::Evidence {
        has_image: !server.has_no_image(),
        root_device,
        mapping,
    };
    let root = root::find(&disks.collect::<Vec<_>>(), &evidence);
    if let Some(place) = root.volume {
        let pair = pairs.remove(place);
        pairs.insert(0, pair);
    }
    Ok(root)
}

/// What is not restored of the thing at this path.
fn told_of(path: &str, odd: Vec<Odd>) -> Vec<Difference> {
    let told =
        |odd: Odd| Difference::new(format!("{path}{}", odd.name), "is not restored").was(odd.value);
    odd.into_iter().map(told).collect()
}

/// What says something and is not restored, of both views of a server.
fn server_odd(server: &Server, shown: Option<&Server>) -> Vec<Odd> {
    let mut odd = server.odd.clone();
    let further = shown.into_iter().flat_map(|shown| &shown.odd);
    for one in further {
        if !odd.iter().any(|known| known.name == one.name) {
            odd.push(one.clone());
        }
    }
    odd
}

/// The user data of a server that was read by an admin.
fn user_data(server: &Server, gaps: &mut Vec<String>) -> Option<UserData> {
    if server.user_data.is_none() {
        gaps.push(
            "the user data could not be read: the policy of this cloud does not show it to the \
             admin entry"
                .to_owned(),
        );
    }
    server.user_data.clone()
}

/// What the admin sees of the server, where the policy does not show it to the tenant; a refusal is a gap, a
/// cloud that does not answer is a fault.
async fn read_admin_view(
    admin: &AdminView<'_>,
    tenant: &Tenant,
    server: &Server,
    id: &ServerId,
) -> Result<Option<Result<Server, Fault>>, Fault> {
    let AdminView::Of(admin) = admin else {
        return Ok(None);
    };
    if server.user_data.is_some() {
        return Ok(None);
    }
    match server::shown_to_admin(admin, tenant, id).await {
        Ok(server) => Ok(Some(Ok(server))),
        Err(fault) if is_refusal(&fault) => Ok(Some(Err(fault))),
        Err(fault) => Err(fault),
    }
}

/// Has volumes go with their server (Nova 2.85 and later). Asked for when the server is up: until then a
/// server that does not come up is deleted without them.
pub(super) async fn tie_volumes(
    access: &Access,
    server: &ServerId,
    volumes: &[VolumeId],
) -> Result<(), Fault> {
    let version = access.first_of(NOVA, &[Microversion(2, 85)]).await?;
    for volume in volumes {
        let action = format!("have the volume {volume} go with the server {server}");
        if version.is_none() {
            let why = "Nova knows this only from microversion 2.85 on";
            return Err(Fault::new(FaultKind::Invalid, NOVA, action, why));
        }
        let call = Call::put(
            NOVA,
            Path::of("servers", &server)
                .word("os-volume_attachments")
                .id(&volume),
            action,
            json!({"volumeAttachment": {"volumeId": volume, "delete_on_termination": true}}),
        );
        access.send(&call.at(version)).await?;
    }
    Ok(())
}

async fn read_attachments(access: &Access, id: &ServerId) -> Result<Vec<Attachment>, Fault> {
    let version = access.first_of(NOVA, &ATTACHMENTS).await?;
    let call = Call::get(
        NOVA,
        Path::of("servers", &id).word("os-volume_attachments"),
        format!("list the volumes of the server {id}"),
    );
    let found: Attachments = access.read(&call.at(version)).await?;
    Ok(found.attachments)
}

/// The server, and the volumes that it names itself.
async fn read_server(
    access: &Access,
    admin: &AdminView<'_>,
    tenant: &Tenant,
    id: &ServerId,
) -> Result<(Server, Vec<Volume>, Option<Result<Server, Fault>>), Fault> {
    // What Cinder speaks is asked once, and while Nova answers.
    let (server, _) = futures::try_join!(
        server::shown(access, tenant, id),
        volume_group::version(access)
    )?;
    let ids: Vec<String> = server.volumes.iter().map(|one| one.id.clone()).collect();
    let (volumes, shown) = futures::try_join!(
        volume::get_all(access, tenant, &ids),
        read_admin_view(admin, tenant, &server, id)
    )?;
    Ok((server, volumes, shown))
}

/// The volumes in the order of the attachments. These count: a volume that came to the server between
/// the two answers is read now, and one that went is left out.
async fn attached(
    access: &Access,
    tenant: &Tenant,
    attachments: &[Attachment],
    mut volumes: Vec<Volume>,
) -> Result<Vec<Volume>, Fault> {
    let named = |volume: &Volume| attachments.iter().position(|one| one.volume == volume.id);
    let lacking: Vec<String> = attachments
        .iter()
        .filter(|one| volumes.iter().all(|volume| volume.id != one.volume))
        .map(|one| one.volume.clone())
        .collect();
    volumes.extend(volume::get_all(access, tenant, &lacking).await?);
    volumes.retain(|volume| named(volume).is_some());
    volumes.sort_by_key(named);
    Ok(volumes)
}

/// The volumes in this order; whether the first one boots.
fn volume_facts(
    server: &Server,
    pairs: Vec<(Attachment, Volume)>,
    first_boots: bool,
) -> Vec<VolumeFacts> {
    pairs
        .into_iter()
        .enumerate()
        .map(|(index, (attachment, volume))| VolumeFacts {
            delete_on_termination: attachment.delete_on_termination.unwrap_or_else(|| {
                server
                    .volumes
                    .iter()
                    .any(|attached| attached.id == volume.id && attached.delete_on_termination)
            }),
            boot_index: (index == 0 && first_boots).then_some(0),
            id: VolumeId::new(volume.id),
            name: volume.name,
            description: volume.description,
            size_gib: volume.size,
            volume_type: volume.volume_type,
            availability_zone: volume.availability_zone,
            bootable: volume.bootable,
            device: attachment.device,
            encrypted: volume.encrypted,
            multiattach: volume.multiattach,
            tag: attachment.tag,
            metadata: volume::own_metadata(volume.metadata),
            image_metadata: volume.volume_image_metadata,
            from_image: false,
            status: Some(volume.status.to_lowercase()).filter(|status| !status.is_empty()),
        })
        .collect()
}

/// `vdb` before `vdc` before `vdaa`; no device last.
fn device_order(device: Option<&str>) -> (bool, usize, String) {
    let letters = device
        .unwrap_or_default()
        .trim_start_matches("/dev/")
        .trim_start_matches("xv")
        .trim_start_matches(['v', 's', 'h'])
        .to_owned();
    (letters.is_empty(), letters.len(), letters)
}

async fn read_flavor(
    access: &Access,
    server: &Server,
) -> Result<(FlavorShape, Option<String>), Fault> {
    let embedded: Option<Flavor> = serde_json::from_value(server.flavor.clone()).ok();
    let id = embedded.as_ref().and_then(|flavor| flavor.id.clone());
    let found = match &id {
        // Before 2.47 there is nothing but the id.
        Some(id) => flavor::get(access, id).await?,
        None => embedded.clone(),
    };
    if let Some(flavor) = found {
        return Ok((flavor.shape(), None));
    }
    let gap = format!(
        "the flavor {} of the instance is not there any more, so its size is not known",
        id.unwrap_or_default()
    );
    let shape = embedded.map_or_else(
        || FlavorShape {
            id: None,
            name: String::new(),
            cores: 0,
            ram_mib: 0,
            disk_gib: 0,
            ephemeral_gib: 0,
            swap_mib: 0,
            properties: Properties::new(),
        },
        Flavor::shape,
    );
    Ok((shape, Some(gap)))
}

/// The key pair. Names are unique within a user only, so a key of the same name that is ours says
/// nothing about a server of somebody else.
async fn read_key(
    access: &Access,
    admin: &AdminView<'_>,
    server: &Server,
) -> Result<(Option<KeyFacts>, Option<String>), Fault> {
    let Some(name) = server.key_name.clone().filter(|name| !name.is_empty()) else {
        return Ok((None, None));
    };
    let owner = server.user_id.as_deref();
    let is_own = owner == Some(access.token().await?.user.as_str());
    let asked = match (is_own, admin) {
        (true, _) => Some((access, None)),
        (false, AdminView::Of(admin)) => Some((*admin, owner)),
        (false, AdminView::Own) => Some((access, owner)),
        (false, AdminView::None(_)) => None,
    };
    let found = OptionFuture::from(asked.map(|(access, user)| {
        let name = name.clone();
        async move { key_pair::get(access, &name, user).await }
    }))
    .await;
    let found = match found {
        Some(Err(fault)) if !is_refusal(&fault) => return Err(fault),
        Some(Ok(found)) => found,
        Some(Err(_)) | None => None,
    };
    let gap = found.is_none().then(|| {
        format!("the key pair {name} could not be read: it belongs to another user, or was deleted")
    });
    let facts = match found {
        Some(pair) => KeyFacts {
            name,
            public_key: Some(pair.public_key),
            fingerprint: Some(pair.fingerprint),
            kind: pair.kind,
        },
        None => KeyFacts {
            name,
            ..KeyFacts::default()
        },
    };
    Ok((Some(facts), gap))
}

/// The image, as Glance knows it, or else as the root volume remembers it.
async fn read_image(
    access: &Access,
    server: &Server,
    volumes: &[VolumeFacts],
) -> Result<(Option<ImageFacts>, Option<String>), Fault> {
    let remembered = volumes
        .iter()
        .find(|volume| volume.boot_index == Some(0))
        .and_then(|volume| image::remembered(&volume.image_metadata));
    let named = serde_json::from_value::<ImageName>(server.image.clone()).ok();
    let Some(id) = named
        .map(|image| image.id)
        .or_else(|| remembered.as_ref().map(|image| image.id.clone()))
    else {
        return Ok((None, None));
    };
    match image::get(access, &id).await {
        Ok(Some(image)) => Ok((Some(image), None)),
        Ok(None) => Ok((remembered, None)),
        // What the volume remembers will do when Glance is away.
        Err(fault) if remembered.is_some() => {
            tracing::info!(%fault, "using what the root volume remembers of its image");
            Ok((remembered, None))
        }
        Err(fault) => Ok((None, Some(format!("the image could not be read: {fault}")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_in_the_order_of_their_letters() {
        let mut devices = [
            None,
            Some("/dev/vdaa"),
            Some("/dev/vdc"),
            Some("/dev/sda"),
            Some("/dev/vdb"),
        ];
        devices.sort_by_key(|device| device_order(*device));
        assert_eq!(
            devices,
            [
                Some("/dev/sda"),
                Some("/dev/vdb"),
                Some("/dev/vdc"),
                Some("/dev/vdaa"),
                None
            ]
        );
    }
}
