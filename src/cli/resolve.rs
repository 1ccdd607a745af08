//! Names in place of ids, asked of the service; an ambiguous name is refused with what it could mean;
//! it may not know what the id is wanted for.

use tonic::Code;

use super::{
    backup::{Backup, Wanted},
    client::Client,
    failure::Failure,
    work::Subject as _,
};
use crate::api::pb;

/// Something that a name can mean.
pub(super) struct Candidate {
    pub(super) id: String,
    pub(super) name: String,
    /// What tells it from others of the same name.
    pub(super) hint: String,
}

/// The id of a backup of one kind.
pub(super) async fn backup<B: Backup>(client: &Client, given: &str) -> Result<String, Failure> {
    if is_uuid(given) {
        return Ok(given.to_owned());
    }
    pick(B::NAME, given, backups::<B>(client, given).await?)
}

/// A backup of either kind.
pub(super) enum Source {
    /// A DR backup, by its id.
    DrBackup(String),
    /// A regular backup with all that it holds, which says where it can be restored.
    Regular(Box<pb::Backup>),
}

/// The backup of either kind.
pub(super) async fn source(client: &Client, given: &str) -> Result<Source, Failure> {
    let id = if is_uuid(given) {
        given.to_owned()
    } else {
        let mut candidates = backups::<pb::DrBackup>(client, given).await?;
        candidates.extend(backups::<pb::Backup>(client, given).await?);
        pick("backup", given, candidates)?
    };
    match pb::Backup::read(client, &id).await {
        Ok(backup) => Ok(Source::Regular(Box::new(backup))),
        // An older service has no regular backups.
        Err(Failure::Refused { status, .. })
            if [Code::NotFound, Code::Unimplemented].contains(&status.code()) =>
        {
            Ok(Source::DrBackup(id))
        }
        Err(failure) => Err(failure),
    }
}

/// The backups of a name that are of one kind.
async fn backups<B: Backup>(client: &Client, name: &str) -> Result<Vec<Candidate>, Failure> {
    let wanted = Wanted {
        filter: equals("name", name),
        limit: Some(CANDIDATES),
        ..Wanted::default()
    };
    let named = B::list(client, wanted).await?;
    Ok(named.iter().map(B::candidate).collect())
}

/// The id of a schedule.
pub(super) async fn schedule(client: &Client, given: &str) -> Result<String, Failure> {
    if is_uuid(given) {
        return Ok(given.to_owned());
    }
    let request = pb::ListSchedulesRequest {
        filter: equals("name", given),
        ..pb::ListSchedulesRequest::default()
    };
    let candidates = client.list_schedules(request, Some(CANDIDATES)).await?;
    let candidates = candidates.into_iter().map(|schedule| Candidate {
        hint: format!(
            "of instance {} in cloud {}, {} in {}",
            schedule.instance_id, schedule.cloud, schedule.schedule, schedule.time_zone,
        ),
        id: schedule.id,
        name: schedule.name,
    });
    pick("schedule", given, candidates.collect())
}

/// The id of a restoration, which has the name of the instance that it makes.
pub(super) async fn restoration(client: &Client, given: &str) -> Result<String, Failure> {
    if is_uuid(given) {
        return Ok(given.to_owned());
    }
    let request = pb::ListRestorationsRequest {
        filter: equals("name", given),
        ..pb::ListRestorationsRequest::default()
    };
    let candidates = client.list_restorations(request, Some(CANDIDATES)).await?;
    let candidates = candidates.into_iter().map(|restoration| Candidate {
        hint: format!(
            "into cloud {}, {}, made {}",
            restoration.cloud,
            super::shown::state(restoration.state),
            super::shown::time(restoration.create_time.as_ref()),
        ),
        id: restoration.id,
        name: restoration.instance.unwrap_or_default().name,
    });
    pick("restoration", given, candidates.collect())
}

/// The id of a tenant.
pub(super) async fn tenant(client: &Client, cloud: &str, given: &str) -> Result<String, Failure> {
    let candidates = client.list_tenants(cloud).await?;
    let candidates = candidates.into_iter().map(|tenant| Candidate {
        id: tenant.id,
        name: tenant.name,
        hint: format!("in domain {}", tenant.domain_id),
    });
    pick("tenant", given, candidates.collect())
}

/// The place that a list is narrowed to, as it was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct TenantFilter<'a> {
    pub(super) cloud: Option<&'a String>,
    pub(super) tenant: Option<&'a String>,
}

impl TenantFilter<'_> {
    /// The same, where empty words name nothing.
    pub(super) fn named(self) -> Self {
        Self {
            cloud: self.cloud.filter(|cloud| !cloud.is_empty()),
            tenant: self.tenant.filter(|tenant| !tenant.is_empty()),
        }
    }
}

/// The conditions of a filter that narrow a list of ours to a place. Ids are taken as they are, so that
/// what is kept about a cloud that is down can be listed; the service refuses those that mean nothing.
pub(super) async fn conditions(
    client: &Client,
    place: TenantFilter<'_>,
    instance: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let mut conditions = Vec::new();
    if let Some(cloud) = place.cloud {
        conditions.push(equals("cloud", cloud));
    }
    let tenant = match place.tenant {
        Some(given) if !is_uuid(given) => Some(tenant_of(client, place.cloud, given).await?),
        other => other.cloned(),
    };
    if let Some(tenant) = &tenant {
        conditions.push(equals("tenant", tenant));
    }
    let instance = match instance {
        Some(given) if !is_uuid(given) => {
            let home = place.cloud.zip(tenant.as_ref());
            Some(backed_up_instance(client, &conditions.join(" AND "), home, given).await?)
        }
        other => other.map(str::to_owned),
    };
    if let Some(instance) = &instance {
        conditions.push(equals("instance_id", instance));
    }
    Ok(conditions)
}

/// The id of a tenant of this cloud, or of any where none is named.
async fn tenant_of(
    client: &Client,
    cloud: Option<&String>,
    given: &str,
) -> Result<String, Failure> {
    let clouds = if let Some(cloud) = cloud {
        vec![cloud.clone()]
    } else {
        let clouds = client.list_clouds().await?;
        clouds.into_iter().map(|cloud| cloud.name).collect()
    };
    let mut candidates = Vec::new();
    let mut unasked = None;
    for cloud in &clouds {
        match client.list_tenants(cloud).await {
            Ok(tenants) => candidates.extend(tenants.into_iter().map(|tenant| Candidate {
                id: tenant.id,
                name: tenant.name,
                hint: format!("in cloud {cloud}, domain {}", tenant.domain_id),
            })),
            Err(failure) => unasked = Some(failure),
        }
    }
    match (pick("tenant", given, candidates), unasked) {
        // It may be one of the cloud that did not answer.
        (Err(Failure::NotFound(_)), Some(failure)) => Err(failure),
        (picked, _) => picked,
    }
}

/// The instances of which backups of one kind are kept.
async fn instances<B: Backup>(client: &Client, place: &str) -> Result<Vec<Candidate>, Failure> {
    let wanted = Wanted {
        filter: place.to_owned(),
        ..Wanted::default()
    };
    let kept = B::list(client, wanted).await?;
    Ok(kept.iter().map(B::instance).collect())
}

/// The id of an instance of which backups are kept, or that is there to be backed up.
async fn backed_up_instance(
    client: &Client,
    place: &str,
    home: Option<(&String, &String)>,
    given: &str,
) -> Result<String, Failure> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut kept = instances::<pb::DrBackup>(client, place).await?;
    kept.extend(instances::<pb::Backup>(client, place).await?);
    for one in kept {
        if !candidates
            .iter()
            .any(|known| known.id == one.id && known.name == one.name)
        {
            candidates.push(one);
        }
    }
    let Some((cloud, tenant)) = home else {
        return pick("backed-up instance", given, candidates);
    };
    match client.list_instances(cloud, tenant).await {
        Ok(instances) => {
            for one in instances {
                if candidates.iter().all(|known| known.id != one.id) {
                    candidates.push(Candidate {
                        id: one.id,
                        name: one.name,
                        hint: one.status,
                    });
                }
            }
            pick("instance", given, candidates)
        }
        Err(failure) => pick("instance", given, candidates).map_err(|_| failure),
    }
}

/// The id of an instance.
pub(super) async fn instance(
    client: &Client,
    cloud: &str,
    tenant: &str,
    given: &str,
) -> Result<String, Failure> {
    if is_uuid(given) {
        // An instance that cannot be listed because its cloud is down can still be asked for.
        return Ok(given.to_owned());
    }
    let candidates = client.list_instances(cloud, tenant).await?;
    let candidates = candidates.into_iter().map(|instance| Candidate {
        id: instance.id,
        name: instance.name,
        hint: instance.status,
    });
    pick("instance", given, candidates.collect())
}

/// The id of a flavor.
pub(super) async fn flavor(
    client: &Client,
    cloud: &str,
    tenant: &str,
    given: &str,
) -> Result<String, Failure> {
    let request = pb::ListFlavorsRequest {
        cloud: cloud.to_owned(),
        tenant: tenant.to_owned(),
        ..pb::ListFlavorsRequest::default()
    };
    let candidates = client.list_flavors(request).await?;
    let candidates = candidates.into_iter().map(|flavor| Candidate {
        id: flavor.id,
        name: flavor.name,
        hint: format!("{} cores, {} MiB", flavor.cores, flavor.ram_mib),
    });
    pick("flavor", given, candidates.collect())
}

/// The id of a network of a tenant, among those that were listed.
pub(super) fn network(given: &str, networks: &[pb::Network]) -> Result<String, Failure> {
    let candidates = networks.iter().map(|network| Candidate {
        id: network.id.clone(),
        name: network.name.clone(),
        hint: network
            .subnets
            .iter()
            .map(|subnet| subnet.cidr.as_str())
            .collect::<Vec<_>>()
            .join(", "),
    });
    pick("network", given, candidates.collect())
}

/// The id of a network that the backed-up instance was in.
pub(super) fn source_network(given: &str, manifest: &pb::Manifest) -> Result<String, Failure> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for port in ports(manifest) {
        if candidates.iter().all(|known| known.id != port.network_id) {
            candidates.push(Candidate {
                id: port.network_id.clone(),
                name: port.network_name.clone(),
                hint: port.mac_address.clone(),
            });
        }
    }
    pick("network of the backed-up instance", given, candidates)
}

/// The ports of the backed-up instance, the sub ports of trunks after their parent.
pub(super) fn ports(manifest: &pb::Manifest) -> Vec<&pb::SourcePort> {
    let with_sub_ports = |port| {
        let port: &pb::SourcePort = port;
        let sub_ports = port.trunk.iter().flat_map(|trunk| &trunk.sub_ports);
        std::iter::once(port).chain(sub_ports.filter_map(|sub| sub.port.as_ref()))
    };
    manifest.ports.iter().flat_map(with_sub_ports).collect()
}

/// The id of a volume of the backed-up instance, by id, name or device.
pub(super) fn source_volume(given: &str, manifest: &pb::Manifest) -> Result<String, Failure> {
    if let Some(volume) = manifest
        .volumes
        .iter()
        .find(|volume| !volume.device.is_empty() && is_device(&volume.device, given))
    {
        return Ok(volume.volume_id.clone());
    }
    let candidates = manifest.volumes.iter().map(|volume| Candidate {
        id: volume.volume_id.clone(),
        name: volume.name.clone(),
        hint: format!("{}, {} GiB", volume.device, volume.size_gib),
    });
    pick(
        "volume of the backed-up instance",
        given,
        candidates.collect(),
    )
}

/// How many things of one name are told of at most.
const CANDIDATES: usize = 20;

fn is_uuid(given: &str) -> bool {
    uuid::Uuid::parse_str(given).is_ok()
}

fn is_device(device: &str, given: &str) -> bool {
    device == given || device.strip_prefix("/dev/") == Some(given)
}

/// A condition of a filter, with the value quoted.
pub(super) fn equals(field: &str, value: &str) -> String {
    let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{field} = \"{quoted}\"")
}

/// The one that is meant: an id wins over a name.
fn pick(noun: &str, given: &str, candidates: Vec<Candidate>) -> Result<String, Failure> {
    if candidates.iter().any(|candidate| candidate.id == given) {
        return Ok(given.to_owned());
    }
    let known: Vec<String> = candidates.iter().map(|one| one.name.clone()).collect();
    let mut named = candidates
        .into_iter()
        .filter(|candidate| candidate.name == given);
    let Some(first) = named.next() else {
        return Err(Failure::NotFound(nothing(noun, given, known)));
    };
    let others: Vec<Candidate> = named.collect();
    if others.is_empty() {
        return Ok(first.id);
    }
    let lines: Vec<String> = std::iter::once(&first)
        .chain(&others)
        .map(|candidate| format!("  {}  {}", candidate.id, candidate.hint))
        .collect();
    Err(Failure::Usage(format!(
        "several {noun}s are called `{given}`; name one by its id:\n{}",
        lines.join("\n")
    )))
}

/// What there is when there is nothing of that name.
fn nothing(noun: &str, given: &str, mut known: Vec<String>) -> String {
    let message = format!("there is no {noun} `{given}`");
    known.sort_unstable();
    known.dedup();
    known.retain(|name| !name.is_empty());
    if known.is_empty() {
        return message;
    }
    let more = known.len().saturating_sub(CANDIDATES);
    known.truncate(CANDIDATES);
    let list = known.join(", ");
    if more == 0 {
        return format!("{message}; there are: {list}");
    }
    format!("{message}; there are: {list} and {more} more")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: &str, name: &str) -> Candidate {
        Candidate {
            id: id.to_owned(),
            name: name.to_owned(),
            hint: format!("hint of {id}"),
        }
    }

    #[test]
    fn an_id_wins_over_a_name() {
        let found = pick(
            "flavor",
            "1",
            vec![candidate("7", "1"), candidate("1", "tiny")],
        );
        assert_eq!(found.unwrap(), "1");
    }

    #[test]
    fn an_ambiguous_name_is_refused_with_what_it_could_mean() {
        let two = vec![candidate("a", "web"), candidate("b", "web")];
        let Err(Failure::Usage(text)) = pick("instance", "web", two) else {
            panic!("not refused");
        };
        assert!(
            text.contains("a  hint of a") && text.contains("b  hint of b"),
            "{text}"
        );
    }

    #[test]
    fn a_name_that_means_nothing_is_told_with_what_there_is() {
        let Err(Failure::NotFound(text)) = pick("tenant", "x", vec![candidate("a", "demo")]) else {
            panic!("found");
        };
        assert_eq!(text, "there is no tenant `x`; there are: demo");
    }

    #[test]
    fn quotes_in_a_name_stay_inside_the_filter() {
        assert_eq!(equals("name", r#"a"b\c"#), r#"name = "a\"b\\c""#);
    }
}
