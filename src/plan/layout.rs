//! How an instance fits into another tenant: every choice of a restoration, computed before
//! anything is made; it may not know effects or the order of the work.
//!
//! One file because all that is in the way is told at once, out of one set of findings.

mod findings;
mod snapshot;

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

pub(super) use self::findings::Findings;
use self::findings::Named;
use super::{
    compare::{NOT_KEPT, UPLINK_STATUS},
    headroom,
    target::Target,
};
use crate::domain::{
    difference::Difference,
    effect::FixedWish,
    error::OperationError,
    flavor_fit,
    id::{FlavorId, NetworkId, ProjectId, SecurityGroupId, SnapshotId},
    inventory::{Inventory, Network},
    manifest::{FlavorShape, KeyFacts, Manifest, PortFacts, SecurityGroupFacts, VolumeFacts},
    restoration::RestorePlanInput,
    volume_backup::head_of,
};

/// Every choice of a restoration.
#[derive(Debug)]
pub(super) struct Layout {
    /// The flavor.
    pub(super) flavor: FlavorId,
    /// One per volume of the manifest.
    pub(super) volumes: Vec<VolumeLayout>,
    /// One per port of [`Manifest::every_port`], or of the network cards alone where there are no trunks.
    pub(super) ports: Vec<PortLayout>,
    /// Whether the target has no trunks.
    pub(super) without_trunks: bool,
    /// One per security group of the manifest.
    pub(super) groups: Vec<GroupLayout>,
    /// The key pair.
    pub(super) key: KeyLayout,
    /// Nova's zone.
    pub(super) availability_zone: Option<String>,
    /// What will not be exactly as it was.
    pub(super) differences: Vec<Difference>,
}

/// A volume to make.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct VolumeLayout {
    /// GiB.
    pub(super) size_gib: u64,
    /// The type; nothing means that of the snapshot, else the target's default.
    pub(super) volume_type: Option<String>,
    /// Cinder's zone.
    pub(super) availability_zone: Option<String>,
    /// The snapshot that it is made from; one without is restored from a volume backup.
    pub(super) snapshot: Option<SnapshotId>,
    /// The project that makes and fills it, where that is not the tenant itself.
    pub(super) donor: Option<ProjectId>,
}

/// A port to make.
#[derive(Debug)]
pub(super) struct PortLayout {
    /// The network.
    pub(super) network: NetworkId,
    /// What is to be as it was, or as the caller wishes, where that may be possible.
    pub(super) kept: Kept,
    /// Whether it follows the state of its uplink, where that has to be said.
    pub(super) uplink_status: Option<bool>,
}

/// What of a port is to be as it was, each by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// The addresses.
    pub(super) fixed: Vec<FixedWish>,
    /// The MAC address.
    pub(super) mac: Option<String>,
    /// That it has no address.
    pub(super) bare: bool,
}

impl Kept {
    /// Whether nothing is.
    pub(super) fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.mac.is_none() && !self.bare
    }
}

/// A security group to use.
#[derive(Debug)]
pub(super) enum GroupLayout {
    /// One of the same content is there.
    Found(SecurityGroupId),
    /// It is made.
    Make {
        /// The name that it gets in the end.
        name: String,
    },
}

/// The key pair to use.
#[derive(Debug)]
pub(super) enum KeyLayout {
    /// None.
    None,
    /// One of that name is there.
    Found(String),
    /// It is imported.
    Make {
        /// Its name.
        name: String,
        /// The key.
        public_key: String,
        /// Its type, where it is known.
        kind: Option<String>,
    },
}

/// Chooses everything, or says all that is in the way.
pub(super) fn choose(
    input: &RestorePlanInput,
    target: &Target<'_>,
) -> Result<Layout, Box<OperationError>> {
    let inventory = target.inventory;
    let mut findings = Findings::default();
    let flavor = flavor(input, inventory, &mut findings);
    let volumes: Vec<VolumeLayout> = input
        .manifest
        .volumes
        .iter()
        .map(|one| volume(one, input, target, &mut findings))
        .collect();
    let every_port = if inventory.without_trunks {
        input.manifest.ports.len()
    } else {
        input.manifest.every_port().len()
    };
    let ports: Vec<PortLayout> = (0..every_port)
        .filter_map(|index| port(index, input, inventory, &mut findings))
        .collect();
    let groups = groups(input, inventory, &mut findings);
    let key = key(input, inventory, &mut findings);
    let availability_zone = zone(input, inventory, &mut findings);
    let chosen = inventory
        .flavors
        .iter()
        .find(|one| Some(&one.id) == flavor.as_ref());
    if let Some(chosen) = chosen {
        compare_flavors(&input.manifest.flavor, &chosen.shape, &mut findings);
    }
    what_stays_behind(&input.manifest, &mut findings);
    if inventory.without_trunks {
        trunks_stay_behind(&input.manifest, &mut findings);
    }
    security_groups(input, inventory, &mut findings);
    let choice = headroom::Choice {
        flavor: chosen,
        ports: every_port,
        volumes: &volumes,
        groups: &groups,
    };
    headroom::check(input, target, &choice, &mut findings);
    let refusal = findings.refusal();
    match (refusal, flavor) {
        (None, Some(flavor)) => {
            let differences = findings.differences;
            Ok(Layout {
                flavor,
                volumes,
                ports,
                without_trunks: inventory.without_trunks,
                groups,
                key,
                availability_zone,
                differences,
            })
        }
        (Some(refusal), _) => Err(refusal),
        (None, None) => Err(Box::new(OperationError::new(
            "FLAVOR_TOO_SMALL",
            "no flavor of the target fits the instance",
            "name a flavor that fits",
        ))),
    }
}

fn flavor(
    input: &RestorePlanInput,
    inventory: &Inventory,
    findings: &mut Findings,
) -> Option<FlavorId> {
    const GUIDANCE: &str = "name a flavor with at least what the manifest asks for";
    let manifest = &input.manifest;
    let Some(wished) = &input.options.flavor else {
        let best = flavor_fit::best(manifest, &inventory.flavors);
        match best {
            None => findings.problem(
                "FLAVOR_TOO_SMALL",
                format!(
                    "no flavor of the target has the {} cores, {} MiB of RAM and {} GiB of disk that the instance had",
                    manifest.flavor.cores, manifest.flavor.ram_mib, manifest.flavor.disk_gib
                ),
                GUIDANCE,
            ),
            Some(best) if best.shape.name != manifest.flavor.name => findings.differs(
                Difference::new("flavor", "another flavor that fits was taken")
                    .was(&manifest.flavor.name)
                    .is(&best.shape.name),
            ),
            Some(_) => {}
        }
        return best.map(|flavor| flavor.id.clone());
    };
    let Some(flavor) = inventory.flavors.iter().find(|one| one.id == *wished) else {
        findings.field(
            "flavor_id",
            "FLAVOR_NOT_FOUND",
            &format!("the target has no flavor {wished}"),
            "list the flavors of the target and name one of them",
        );
        return None;
    };
    for short in flavor_fit::shortages(manifest, &flavor.shape) {
        findings.field(
            "flavor_id",
            "FLAVOR_TOO_SMALL",
            &format!(
                "flavor `{}` is short of {} {}: the instance needs {}, it has {}",
                flavor.shape.name,
                short.needed - short.available,
                short.subject,
                short.needed,
                short.available
            ),
            GUIDANCE,
        );
    }
    Some(flavor.id.clone())
}

fn volume(
    source: &VolumeFacts,
    input: &RestorePlanInput,
    target: &Target<'_>,
    findings: &mut Findings,
) -> VolumeLayout {
    if let Some(taken) = input.snapshot_of(&source.id) {
        return snapshot::volume(source, taken, input, target.inventory, findings);
    }
    let options = &input.options;
    let own = options.volumes.iter().find(|one| one.volume == source.id);
    let named = Named::of(options, &source.id);
    let backed_up = head_of(&input.volume_backups, &source.id);
    let least = source
        .size_gib
        .max(backed_up.map_or(0, |backup| backup.size_gib));
    let donor = backed_up.and_then(|backup| target.donor_of(&backup.id));
    let wished = own
        .and_then(|one| one.volume_type.as_ref())
        .or(options.volume_type.as_ref());
    let offers = |inventory: &Inventory, name: &str| {
        let mut types = inventory.volume_types.iter();
        types.any(|one| one.name == name)
    };
    // It is made with the donor and lives in the target, so both have to have the type.
    let lacking = |name: &str| match donor {
        _ if !offers(target.inventory, name) => Some("the target".to_owned()),
        Some((project, inventory)) if !offers(inventory, name) => {
            Some(format!("project {project}, which holds the record,"))
        }
        Some(_) | None => None,
    };
    let volume_type = match (wished, &source.volume_type) {
        (Some(name), _) => match lacking(name) {
            Some(place) => {
                findings.field(
                    named.volume_type(),
                    "VOLUME_TYPE_NOT_FOUND",
                    &format!("{place} has no volume type `{name}`"),
                    "list the volume types of the target and name one of them",
                );
                None
            }
            None => Some(name.clone()),
        },
        (None, Some(name)) => match lacking(name) {
            Some(place) => {
                let why = format!("it gets the default type: {place} has no type `{name}`");
                findings.differs(Difference::new(source.path("volume_type"), why).was(name));
                None
            }
            None => Some(name.clone()),
        },
        (None, None) => None,
    };
    let zone = own
        .and_then(|one| one.availability_zone.as_ref())
        .or(options.volume_availability_zone.as_ref());
    if let Some(zone) = zone
        && !target.inventory.volume_zones.contains(zone)
    {
        findings.field(
            named.zone(),
            "AVAILABILITY_ZONE_NOT_FOUND",
            &format!("the target has no zone `{zone}` for volumes"),
            "name one of the target's zones, or none",
        );
    }
    if source.encrypted && donor.is_some() {
        findings.differs(Difference::new(
            source.path("encrypted"),
            "its transfer takes its key along, for which Cinder needs microversion 3.70",
        ));
    }
    let size_gib = own.and_then(|one| one.size_gib).unwrap_or(least).max(least);
    VolumeLayout {
        size_gib,
        volume_type,
        availability_zone: zone.cloned().or_else(|| {
            of_same_name(
                source.availability_zone.as_ref(),
                &target.inventory.volume_zones,
            )
        }),
        snapshot: None,
        donor: donor.map(|(project, _)| project.clone()),
    }
}

fn port(
    index: usize,
    input: &RestorePlanInput,
    inventory: &Inventory,
    findings: &mut Findings,
) -> Option<PortLayout> {
    let every_port = input.manifest.every_port();
    let source = every_port[index];
    let mut mapped = input.options.networks.iter().enumerate();
    let mapped = mapped.find(|(_, one)| one.source == source.network);
    let network = match mapped {
        Some((index, options)) => inventory
            .networks
            .iter()
            .find(|one| one.id == options.target)
            .or_else(|| {
                findings.field(
                    format!("networks[{index}].target_network_id"),
                    "NETWORK_NOT_FOUND",
                    &format!("the target has no network {}", options.target),
                    "list the networks of the target and name one of them",
                );
                None
            })?,
        None => by_name(source, inventory, findings)?,
    };
    check_subnets(network, mapped.map(|(index, _)| index), findings);
    // The demanded address goes to the first port on that network.
    let first = every_port
        .iter()
        .position(|port| port.network == source.network);
    let demanded = mapped
        .filter(|_| first == Some(index))
        .and_then(|(at, options)| Some((at, options.fixed_address.clone()?)));
    if !input.options.keep_mac_addresses && !source.mac.is_empty() {
        let difference = Difference::new(source.path(index, "mac_address"), NOT_KEPT);
        findings.differs(difference.was(source.mac.to_lowercase()));
    }
    let mut kept = Kept {
        mac: input.options.keep_mac_addresses.then(|| source.mac.clone()),
        ..Kept::default()
    };
    if let Some((at, address)) = demanded {
        check_address(&address, network, at, findings);
        let address = Some(address);
        kept.fixed = vec![FixedWish {
            subnet: None,
            address,
        }];
    } else {
        kept.bare = source.fixed.is_empty() && source.id.is_some();
        if input.options.keep_fixed_addresses {
            kept.fixed = kept_addresses(index, source, network, findings);
        } else if !source.fixed.is_empty() {
            let difference = Difference::new(source.path(index, "fixed_ips"), NOT_KEPT);
            findings.differs(difference.was(source.addresses()));
        }
    }
    if source.security_groups.is_empty() && source.id.is_none() && source.port_security {
        let what = source.path(index, "security_groups");
        let why = "the backup does not tell which they were, so it gets the tenant's default group";
        findings.differs(Difference::new(what, why));
    }
    for address in &source.floating {
        let what = source.path(index, "floating address");
        findings.differs(Difference::new(what, "it belongs to the source cloud").was(address));
    }
    let follows = source.settings.uplink_status;
    if follows == Some(true)
        && source.vnic_type != "normal"
        && inventory.uplink_status == Some(false)
    {
        let what = source.path(index, UPLINK_STATUS);
        let why = "the target's Neutron does not have it follow its uplink";
        findings.differs(Difference::new(what, why).was("true").is("false"));
    }
    Some(PortLayout {
        network: network.id.clone(),
        kept,
        // Where it is known it is the usual way.
        uplink_status: follows.filter(|follows| !follows && inventory.uplink_status == Some(true)),
    })
}

/// Neutron refuses an address that is in no subnet of the network, when all bytes are restored.
fn check_address(address: &str, network: &Network, mapping: usize, findings: &mut Findings) {
    let mut subnets = network.subnets.iter();
    if subnets.any(|subnet| holds(&subnet.cidr, address)) {
        return;
    }
    findings.field(
        format!("networks[{mapping}].fixed_address"),
        "ADDRESS_OUTSIDE_NETWORK",
        &format!("{address} is in no subnet of network `{}`", network.name),
        "name an address of one of its subnets, or none",
    );
}

/// Nova makes no server with a port that has no address (Zed and 2026.1: 400 "requires a `FixedIP`").
fn check_subnets(network: &Network, mapping: Option<usize>, findings: &mut Findings) {
    if network.subnets.is_empty() {
        let field = match mapping {
            Some(index) => format!("networks[{index}].target_network_id"),
            None => "networks".to_owned(),
        };
        findings.field(
            field,
            "NETWORK_WITHOUT_SUBNET",
            &format!("network `{}` of the target has no subnet", network.name),
            "map the source network to one that has a subnet, or give it one",
        );
    }
}

fn by_name<'a>(
    source: &PortFacts,
    inventory: &'a Inventory,
    findings: &mut Findings,
) -> Option<&'a Network> {
    const GUIDANCE: &str = "map the source network to a network of the target";
    let name = &source.network_name;
    let named: Vec<&Network> = inventory
        .networks
        .iter()
        .filter(|network| network.name == *name && !network.external)
        .collect();
    // Of several with the name the tenant's own one is meant.
    let owned: Vec<&&Network> = named.iter().filter(|network| network.owned).collect();
    match (named.as_slice(), owned.as_slice()) {
        ([one], _) => Some(one),
        (_, [one]) => Some(one),
        ([], _) => {
            findings.field(
                "networks",
                "NETWORK_NOT_MAPPED",
                &format!(
                    "the target has no network named `{name}` for source network {}",
                    source.network
                ),
                GUIDANCE,
            );
            None
        }
        _ => {
            findings.field(
                "networks",
                "NETWORK_AMBIGUOUS",
                &format!("the target has {} networks named `{name}`", named.len()),
                GUIDANCE,
            );
            None
        }
    }
}

fn kept_addresses(
    index: usize,
    source: &PortFacts,
    network: &Network,
    findings: &mut Findings,
) -> Vec<FixedWish> {
    let mut kept = Vec::new();
    for fixed in &source.fixed {
        let subnet = network
            .subnets
            .iter()
            .find(|subnet| holds(&subnet.cidr, &fixed.address));
        match subnet {
            // One wish for such an address takes all others of the port with it.
            Some(subnet) if subnet.makes_addresses() => {
                let why = format!(
                    "subnet `{}` makes addresses out of MAC addresses, so none can be asked for",
                    subnet.name
                );
                let what = source.path(index, "fixed_ips");
                findings.differs(Difference::new(what, why).was(&fixed.address));
            }
            Some(subnet) => kept.push(FixedWish {
                subnet: Some(subnet.id.clone()),
                address: Some(fixed.address.clone()),
            }),
            None => {
                let why = format!("no subnet of network `{}` holds it", network.name);
                let what = source.path(index, "fixed_ips");
                findings.differs(Difference::new(what, why).was(&fixed.address));
            }
        }
    }
    kept
}

/// Whether an address lies in a range (`10.0.0.0/24`).
fn holds(cidr: &str, address: &str) -> bool {
    let range = cidr.parse::<IpNet>();
    range.is_ok_and(|range| {
        address
            .parse()
            .is_ok_and(|one: IpAddr| range.contains(&one))
    })
}

/// The name that a group gets when it is made. Every project has a group of its own named `default`, and
/// Neutron lets no other one have that name in any case of its letters, neither in POST nor in PUT (409
/// `SecurityGroupDefaultAlreadyExists`, `_validate_name_not_default`, Zed to 2026.1). The name of the
/// instance tells whose default it was.
fn name_of_made(group: &SecurityGroupFacts, instance: &str) -> String {
    const CHARACTERS_MAX: usize = 255;
    if !group.name.eq_ignore_ascii_case("default") {
        return group.name.clone();
    }
    let name = format!("{} ({instance})", group.name);
    name.chars().take(CHARACTERS_MAX).collect()
}

/// Finds each group by its content, or has it made. Groups that another restoration is still
/// making carry our mark in their name and are left alone: they may go with its failure.
fn groups(
    input: &RestorePlanInput,
    inventory: &Inventory,
    findings: &mut Findings,
) -> Vec<GroupLayout> {
    if !input.options.security_groups.is_empty() {
        return Vec::new();
    }
    let name_in = |groups: &[SecurityGroupFacts], id: &SecurityGroupId| {
        groups
            .iter()
            .find(|group| group.id == *id)
            .map_or_else(String::new, |one| one.name.clone())
    };
    let instance = &input.manifest.name;
    let same = |one: &SecurityGroupFacts, other: &SecurityGroupFacts| {
        (one.name == other.name || name_of_made(one, instance) == other.name)
            && one.stateful == other.stateful
            && one.content(|id| name_in(&input.manifest.security_groups, id))
                == other.content(|id| name_in(&inventory.security_groups, id))
    };
    input
        .manifest
        .security_groups
        .iter()
        .map(|wanted| {
            let mut there = inventory.security_groups.iter();
            if let Some(found) = there.find(|there| same(wanted, there)) {
                return GroupLayout::Found(found.id.clone());
            }
            let name = name_of_made(wanted, instance);
            tell_made_group(wanted, &name, findings);
            GroupLayout::Make { name }
        })
        .collect()
}

/// What differs in a group that is made: its name, and the rules that no rule of the target can be.
fn tell_made_group(wanted: &SecurityGroupFacts, name: &str, findings: &mut Findings) {
    let path = |attribute: &str| format!("security group {} {attribute}", wanted.name);
    if *name != wanted.name {
        let why = "Neutron lets no other group have the name of a project's default group";
        findings.differs(
            Difference::new(path("name"), why)
                .was(&wanted.name)
                .is(name),
        );
    }
    let mut told = Vec::new();
    for rule in &wanted.rules {
        if !rule.restrictions.is_empty() {
            let why = "it was left out: it is narrowed by what cannot be put back, and without that it would \
                       let in or out more than before";
            let was = format!("{}, {}", rule.words(), rule.restrictions.join(", "));
            findings.differs(Difference::new(path("rule"), why).was(was));
            continue;
        }
        let words = (rule.words(), rule.address_group.clone());
        if let (words, Some(group)) = &words
            && !told.contains(&(words.clone(), group.clone()))
        {
            told.push((words.clone(), group.clone()));
            let why = "each address of the address group is a rule of its own, and does not follow the group";
            findings.differs(
                Difference::new(path("rule"), why).was(format!("{words}, address group {group}")),
            );
        }
    }
}

fn key(input: &RestorePlanInput, inventory: &Inventory, findings: &mut Findings) -> KeyLayout {
    let there = |name: &str| inventory.key_pairs.iter().find(|pair| pair.name == name);
    if input.options.no_key {
        if let Some(key) = &input.manifest.key {
            findings.differs(Difference::new("key pair", "none was wished for").was(&key.name));
        }
        return KeyLayout::None;
    }
    if let Some(name) = &input.options.key_name {
        if there(name).is_none() {
            findings.field(
                "key_name",
                "KEY_PAIR_NOT_FOUND",
                &format!("the acting user has no key pair `{name}` in the target"),
                "import the key pair for that user, or name none",
            );
        }
        return KeyLayout::Found(name.clone());
    }
    let Some(KeyFacts {
        name,
        public_key,
        fingerprint,
        kind,
    }) = &input.manifest.key
    else {
        return KeyLayout::None;
    };
    let same = |pair: &str| fingerprint.as_deref() == Some(pair);
    let make = |name: String, public_key: &String| KeyLayout::Make {
        name,
        public_key: public_key.clone(),
        kind: kind.clone(),
    };
    // A key is optional, so there is no reason to refuse anything else for it.
    let full = inventory.quotas.key_pairs == Some(0);
    let mut none_more = || {
        let why = "the acting user may have no more key pairs: import it when there is room, and let it into \
                   the guest by other means";
        findings.differs(Difference::new("key pair", why).was(name));
        KeyLayout::None
    };
    match (there(name), public_key) {
        (Some(pair), _) if same(&pair.fingerprint) => KeyLayout::Found(name.clone()),
        (Some(_), _) if fingerprint.is_none() => {
            let why = "the acting user has a key pair of this name; whether it is the same key is not known, \
                       because that of the source could not be read";
            findings.differs(Difference::new("key pair", why).was(name).is(name));
            KeyLayout::Found(name.clone())
        }
        (None, Some(_)) if full => none_more(),
        (None, Some(public_key)) => make(name.clone(), public_key),
        (Some(_), Some(public_key)) => {
            let print = fingerprint.as_deref().unwrap_or_default().replace(':', "");
            let own: String = format!("{name}-{}", print.chars().take(8).collect::<String>());
            let of_own_name = there(&own);
            if of_own_name.is_some_and(|pair| !same(&pair.fingerprint)) {
                let why = format!("the acting user has other keys named `{name}` and `{own}`");
                findings.differs(Difference::new("key pair", why).was(name));
                return KeyLayout::None;
            }
            if full && of_own_name.is_none() {
                return none_more();
            }
            let why = format!("the acting user has another key named `{name}`");
            findings.differs(Difference::new("key pair", why).was(name).is(&own));
            if of_own_name.is_some() {
                KeyLayout::Found(own)
            } else {
                make(own, public_key)
            }
        }
        (_, None) => {
            let why = "its public key could not be read in the source";
            findings.differs(Difference::new("key pair", why).was(name));
            KeyLayout::None
        }
    }
}

/// Groups that are wished for have to be there: Neutron refuses the first port otherwise.
fn security_groups(input: &RestorePlanInput, inventory: &Inventory, findings: &mut Findings) {
    let there = inventory.security_groups.iter().map(|one| &one.id);
    let there: BTreeSet<&SecurityGroupId> = there.collect();
    for (index, wished) in input.options.security_groups.iter().enumerate() {
        if !there.contains(wished) {
            findings.field(
                format!("security_group_ids[{index}]"),
                "SECURITY_GROUP_NOT_FOUND",
                &format!("the target tenant has no security group {wished}"),
                "list the security groups of the target tenant and name one of them, or none",
            );
        }
    }
}

/// What Nova and Cinder call the zone of whatever nobody has put into one (`default_availability_zone`).
const NO_ZONE: &str = "nova";

/// The zone of the target that is called as that of the original. Nobody chose [`NO_ZONE`], and Nova's
/// guide to zones warns against asking for it.
fn of_same_name(was: Option<&String>, zones: &[String]) -> Option<String> {
    was.filter(|name| *name != NO_ZONE && zones.contains(name))
        .cloned()
}

fn zone(
    input: &RestorePlanInput,
    inventory: &Inventory,
    findings: &mut Findings,
) -> Option<String> {
    let zones = &inventory.compute_zones;
    let Some(zone) = &input.options.availability_zone else {
        return of_same_name(input.manifest.availability_zone.as_ref(), zones);
    };
    if !zones.contains(zone) {
        findings.field(
            "availability_zone",
            "AVAILABILITY_ZONE_NOT_FOUND",
            &format!("the target has no zone `{zone}`"),
            "name one of the target's zones, or none",
        );
    }
    Some(zone.clone())
}

/// What the chosen flavor gives otherwise than the original's.
fn compare_flavors(was: &FlavorShape, is: &FlavorShape, findings: &mut Findings) {
    let sizes = [
        ("ephemeral disk", was.ephemeral_gib, is.ephemeral_gib, "GiB"),
        ("swap disk", was.swap_mib, is.swap_mib, "MiB"),
    ];
    for (what, was, is, unit) in sizes {
        let text = |size: u64| match size {
            0 => String::new(),
            size => format!("{size} {unit}"),
        };
        let why = match (was, is) {
            (0, 0) => continue,
            (0, _) => "the flavor gives one, which is empty",
            (_, 0) => "the flavor gives none, and its bytes are on no volume",
            (_, _) => "it comes back empty: its bytes are on no volume",
        };
        findings.differs(Difference::new(what, why).was(text(was)).is(text(is)));
    }
    let mut names: Vec<&String> = was.properties.keys().chain(is.properties.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let value = |shape: &FlavorShape| shape.properties.get(name).cloned();
        let (was, is) = (value(was), value(is));
        if was != is {
            let what = format!("flavor extra spec {name}");
            let why = "the chosen flavor has it otherwise";
            let difference = Difference::new(what, why).was(was.unwrap_or_default());
            findings.differs(difference.is(is.unwrap_or_default()));
        }
    }
}

fn trunks_stay_behind(manifest: &Manifest, findings: &mut Findings) {
    for (parent, trunk, _) in manifest.trunks() {
        let what = manifest.ports[parent].path(parent, "trunk");
        let why = "the Neutron of the target has no trunks, so it comes without its sub ports";
        findings.differs(Difference::new(what, why).was(trunk.words()));
    }
}

fn what_stays_behind(manifest: &Manifest, findings: &mut Findings) {
    // No server group is made and none is joined, so Nova's quotas of groups and of their members are never
    // asked for.
    if let Some(group) = &manifest.server_group {
        let why = "a group means nothing without its other members";
        let was = format!("{} ({})", group.name, group.policy);
        findings.differs(Difference::new("server group", why).was(was));
    }
    if let Some(root) = manifest.volumes.iter().find(|one| one.from_image) {
        let why = "the instance was booted from an image and comes back booted from a volume";
        findings.differs(Difference::new("root disk", why).is(&root.name));
    }
    for gap in &manifest.gaps {
        findings.differs(Difference::new("not in the backup", gap));
    }
    for lost in &manifest.unrestored {
        findings.differs(lost.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn an_address_is_found_in_its_range_only() {
        assert!(holds("10.0.0.0/24", "10.0.0.77"));
        assert!(!holds("10.0.0.0/24", "10.0.1.77"));
        assert!(holds("0.0.0.0/0", "10.0.1.77"));
        assert!(holds("fd00::/64", "fd00::1"));
        assert!(!holds("fd00::/64", "10.0.0.1"));
        assert!(!holds("nonsense", "10.0.0.1"));
        assert!(!holds("10.0.0.0/40", "10.0.0.1"));
    }
}
