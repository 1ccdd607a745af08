//! What a restoration holds by now, field by field, with every difference that is known; it may not know what
//! is done next.

use super::{Optional, groups, is_missing, kept, trunks};
use crate::{
    domain::{
        decision::Detail,
        difference::Difference,
        effect::{Disposal, Effect, EffectKind, EffectState, Fact, Make, Request, key::Single},
        id::{PortId, ServerId, Tenant, VolumeBackupId, VolumeId},
        manifest::{Manifest, TrunkFacts},
        restoration::{RestorationDetail, RestorePlanInput, RestoredVolume},
        sighting::Thing,
        volume_backup::BackupAt,
    },
    plan::{
        compare,
        decision_builder::DecisionBuilder,
        layout::{Kept, Layout},
        placed::Volume,
        server,
        target::Held,
        volumes,
    },
};

const ORDER_OF_DISKS: &str = "order of data disks";

/// What people read of the look at the instance that came of it.
const COMPARISON: &str = "comparison with the original";

/// What the restoration holds by now.
pub(super) fn hold(
    decision: &mut DecisionBuilder<'_>,
    input: &RestorePlanInput,
    live: &[&Held],
    layout: Option<&Layout>,
) {
    let volumes = layout.and_then(|layout| volumes::known(decision, &input.manifest, layout));
    let volumes = volumes.unwrap_or_default();
    let server = server::newest(decision);
    let status = server.and_then(|server| server.status.clone());
    let mut detail = RestorationDetail {
        server: server.and_then(|server| server.cloud_id.as_ref().map(ServerId::new)),
        server_status: status.unwrap_or_default().to_uppercase(),
        volumes: volumes.iter().map(restored).collect(),
        mirrors: mirrors(decision, input, live),
        made: made(decision),
        differences: differences(decision, input, layout, &volumes),
        former_adjustments: Vec::new(),
    };
    if let Some(layout) = layout {
        compare(decision, input, layout, &mut detail);
    }
    decision.hold(Detail::Restoration(Box::new(detail)));
}

fn restored(volume: &Volume<'_>) -> RestoredVolume {
    RestoredVolume {
        source: volume.facts.id.clone(),
        volume: VolumeId::new(volume.effect.id()),
        name: volume.facts.name.clone(),
        size_gib: volume.layout.size_gib,
    }
}

/// The imported records that it restores from.
fn mirrors(
    decision: &DecisionBuilder<'_>,
    input: &RestorePlanInput,
    live: &[&Held],
) -> Vec<BackupAt> {
    // An import that was asked for may have worked whatever we heard, so it counts as a mirror.
    let imported = decision
        .effects()
        .filter(|effect| effect.request.kind() == EffectKind::Import)
        .filter_map(|effect| {
            let backup = VolumeBackupId::new(effect.request.known_id()?);
            Some(BackupAt {
                backup,
                tenant: effect.tenant.clone(),
            })
        });
    let live = live.iter().map(|(backup, project)| BackupAt {
        backup: backup.clone(),
        tenant: Tenant {
            cloud: decision.tenant().cloud.clone(),
            project: project.clone(),
        },
    });
    // The original itself may be what is live here.
    let is_original = |mirror: &BackupAt| {
        let mut originals = input.volume_backups.iter();
        originals.any(|one| one.id == mirror.backup && one.tenant == mirror.tenant)
    };
    let mirrors = imported.chain(live);
    mirrors.filter(|mirror| !is_original(mirror)).collect()
}

/// What it made that is there. What a donor made is the tenant's by its own row once it was taken over.
fn made(decision: &DecisionBuilder<'_>) -> Vec<Thing> {
    decision
        .effects()
        .filter(|effect| effect.disposal == Disposal::Product && effect.state != EffectState::Gone)
        .filter(|effect| effect.tenant == *decision.tenant())
        .filter_map(Effect::thing)
        .collect()
}

/// What is known to differ before anybody has looked at the instance that came of it.
fn differences(
    decision: &DecisionBuilder<'_>,
    input: &RestorePlanInput,
    layout: Option<&Layout>,
    volumes: &[Volume<'_>],
) -> Vec<Difference> {
    let mut differences = Vec::new();
    if let Some(layout) = layout {
        differences.extend(layout.differences.iter().cloned());
    }
    differences.extend(order_of_disks(&input.manifest, volumes));
    if let Some(layout) = layout {
        differences.extend(fallen_wishes(decision, input, layout));
    }
    differences.extend(fallen_key(decision));
    let late = decision.is_late();
    let asked = decision.asked();
    differences.extend(
        asked.filter_map(|(request, effect)| lacking(&input.manifest, request, effect, late)),
    );
    differences
}

/// Whether disks may come up in another order than they had.
fn order_of_disks(manifest: &Manifest, volumes: &[Volume<'_>]) -> Option<Difference> {
    let disks = volumes::data_disks(manifest);
    let disks = disks.iter().filter_map(|place| volumes.get(*place));
    let may_differ = !disks.is_sorted_by_key(|volume| volume.effect.id());
    may_differ.then(|| {
        Difference::new(
            ORDER_OF_DISKS,
            "disks that are not alike may come up in another order, where the hypervisor names \
             devices itself",
        )
    })
}

/// What ports were to keep, and could not.
fn fallen_wishes(
    decision: &DecisionBuilder<'_>,
    input: &RestorePlanInput,
    layout: &Layout,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let every_port = input.manifest.every_port();
    for (index, wished) in wishes(decision, input, layout) {
        let facts = every_port[index];
        let lost = kept::tried(decision, index, &wished).lost;
        differences.extend(lost.into_iter().map(|lost| {
            Difference::new(facts.path(index, lost.attribute), lost.why).was(lost.was)
        }));
    }
    differences
}

/// The key pair that was there when it was looked for, and not any more when the server was made.
fn fallen_key(decision: &DecisionBuilder<'_>) -> Option<Difference> {
    let refused = decision
        .effects()
        .find(|one| server::was_key_refused(one))?;
    let Request::Make(Make::Server(plan)) = &refused.request else {
        return None;
    };
    let why = format!("could not be put back: {}", refused.fault.as_ref()?);
    Some(Difference::new("key pair", why).was(plan.key_name.as_deref()?))
}

/// What is wished for each port, with its place.
fn wishes(
    decision: &DecisionBuilder<'_>,
    input: &RestorePlanInput,
    layout: &Layout,
) -> Vec<(usize, Kept)> {
    let wished = |index| {
        (
            index,
            trunks::kept(decision, &input.manifest, layout, index),
        )
    };
    (0..layout.ports.len()).map(wished).collect()
}

/// What is lacking of something optional that was refused, or that it is too late for.
fn lacking(
    manifest: &Manifest,
    request: &Request,
    effect: Option<&Effect>,
    late: bool,
) -> Option<Difference> {
    let optional = Optional::of(request)?;
    let why = match effect.map(|effect| effect.state) {
        Some(EffectState::Failed) => {
            format!("could not be put back: {}", effect?.fault.as_ref()?)
        }
        // Whether it was asked for or not, `compare` tells that it is lacking.
        None | Some(EffectState::Requested | EffectState::Accepted)
            if matches!(optional, Optional::Look) =>
        {
            return None;
        }
        None | Some(EffectState::Requested | EffectState::Accepted) if late => {
            "could not be put back before the deadline passed".to_owned()
        }
        None
        | Some(
            EffectState::Requested
            | EffectState::Accepted
            | EffectState::Done
            | EffectState::Dropping
            | EffectState::Leaving
            | EffectState::Gone,
        ) => return None,
    };
    let place = effect.and_then(|effect| effect.key.place());
    let volume = || place.and_then(|place| manifest.volumes.get(place));
    let group = || place.and_then(|place| manifest.security_groups.get(place));
    let every_port = manifest.every_port();
    let port = || place.and_then(|place| Some((place, *every_port.get(place)?)));
    let words;
    let (attribute, was) = match optional {
        Optional::KeyPair(name) => ("key pair".to_owned(), name),
        Optional::Volume => {
            let path = volume().map(|volume| volume.path("properties"));
            (path.unwrap_or_else(|| "volume properties".to_owned()), "")
        }
        Optional::GroupName => {
            let path = group().map(|group| format!("security group {} name", group.name));
            (path.unwrap_or_else(|| "security group name".to_owned()), "")
        }
        Optional::Port(attribute) => {
            let path = port().map(|(place, port)| port.path(place, attribute));
            (path.unwrap_or_else(|| format!("port {attribute}")), "")
        }
        Optional::Trunk => {
            let path = port().map(|(place, port)| port.path(place, "trunk"));
            words = port()
                .and_then(|(_, port)| port.trunk.as_ref())
                .map_or_else(String::new, TrunkFacts::words);
            (path.unwrap_or_else(|| "trunk".to_owned()), words.as_str())
        }
        Optional::Server(attribute) => (attribute.to_owned(), ""),
        Optional::Look => (COMPARISON.to_owned(), ""),
    };
    Some(Difference::new(attribute, why).was(was))
}

/// What the look at the instance brought to light.
fn compare(
    decision: &DecisionBuilder<'_>,
    input: &RestorePlanInput,
    layout: &Layout,
    detail: &mut RestorationDetail,
) {
    let look = decision
        .effect(&Single::Compared.into())
        .and_then(|look| look.fact.as_ref());
    let Some(Fact::Instance(is)) = look else {
        if decision.is_late() && detail.server.is_some() {
            let why = "was not made before the deadline passed: more may differ than is told";
            detail.differences.push(Difference::new(COMPARISON, why));
        }
        if is_missing(decision) {
            // What it was when it came up is not what it is.
            "UNKNOWN".clone_into(&mut detail.server_status);
            let why = "it was not found when it was compared: somebody may have deleted it";
            detail.differences.push(Difference::new("server", why));
        }
        return;
    };
    let was = &input.manifest;
    detail.server_status.clone_from(&is.status);
    let ports = wishes(decision, input, layout).into_iter();
    let ports = ports.map(|(index, wished)| {
        let made = decision.effect(&kept::tried(decision, index, &wished).key);
        PortId::new(made.map(Effect::id).unwrap_or_default())
    });
    let pairs = compare::Pairs {
        volumes: &detail.volumes.clone(),
        ports: ports.collect(),
        groups: groups::ids(decision, layout),
    };
    let found = compare::differences(was, is, &pairs, &input.options);
    let came_back = compare::came_back(was, is);
    detail.differences.retain(|one| !came_back.contains(one));
    if !found.iter().any(|one| one.attribute.ends_with(" device")) {
        // It might have been; now it is seen that it is not.
        detail
            .differences
            .retain(|one| one.attribute != ORDER_OF_DISKS);
    }
    compare::merge(&mut detail.differences, found);
}
