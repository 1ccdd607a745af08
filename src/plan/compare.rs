//! A restored instance beside the original, attribute by attribute: whatever is not the same is told; it
//! may not know how either came about.
//!
//! What is told before the work is a promise, and what an effect was refused is a part of the story. Only
//! a look at what came of it all is the truth, so both manifests are read by the same code and compared
//! here. An attribute that either cloud does not tell says nothing about the other.

use std::collections::BTreeSet;

use crate::domain::{
    difference::Difference,
    id::{PortId, SecurityGroupId},
    manifest::{
        CARD_ORDER_GAP, Manifest, PortFacts, Properties, SecurityGroupFacts, TrunkFacts,
        VolumeFacts,
    },
    restoration::{RestoreOptions, RestoredVolume, Start},
};

const WISHED: &str = "it was wished for";
/// Why what the target chooses anew may be another one: told beforehand, and withdrawn where it is the same.
pub(super) const NOT_KEPT: &str = "it was not asked to be kept";
/// What Neutron calls it that a port follows the state of its uplink.
pub(super) const UPLINK_STATUS: &str = "propagate_uplink_status";

const SO: &str = "the cloud has it so";

/// Which thing of the one is which of the other.
pub(super) struct Pairs<'a> {
    /// The restored volumes.
    pub(super) volumes: &'a [RestoredVolume],
    /// The ports, in the order of the original's [`Manifest::every_port`].
    pub(super) ports: Vec<PortId>,
    /// The groups, in the order of the original's; empty where others were wished for.
    pub(super) groups: Vec<SecurityGroupId>,
}

/// What differs.
pub(super) fn differences(
    was: &Manifest,
    is: &Manifest,
    pairs: &Pairs<'_>,
    options: &RestoreOptions,
) -> Vec<Difference> {
    let mut sheet = Sheet::default();
    server(&mut sheet, was, is, options);
    for pair in pairs.volumes {
        let one = was.volumes.iter().find(|one| one.id == pair.source);
        let other = is.volumes.iter().find(|one| one.id == pair.volume);
        match (one, other) {
            (Some(one), Some(other)) => volume(&mut sheet, one, other, options),
            (Some(one), None) => sheet.say(one.path("attached"), "True", "False", SO),
            (None, _) => {}
        }
    }
    let others = is.every_port();
    for (index, (one, id)) in was.every_port().into_iter().zip(&pairs.ports).enumerate() {
        match others.iter().find(|port| port.id.as_ref() == Some(id)) {
            Some(other) => port(&mut sheet, (index, one), other, (was, is), pairs, options),
            None => sheet.say(one.path(index, "attached"), "True", "False", SO),
        }
    }
    order_of_cards(&mut sheet, is, pairs);
    for (one, id) in was.security_groups.iter().zip(&pairs.groups) {
        if let Some(other) = is.security_groups.iter().find(|group| group.id == *id) {
            group(&mut sheet, (one, was), (other, pairs));
        }
    }
    sheet.differences
}

/// What of the original was told not to come back and is there all the same: the target has it so.
pub(super) fn came_back(was: &Manifest, is: &Manifest) -> Vec<Difference> {
    let there = |one: &&Difference| is.unrestored.contains(one);
    was.unrestored.iter().filter(there).cloned().collect()
}

/// Puts what was found beside what was told already: of one attribute the reason that was told stands.
/// What was only expected to differ, and does not, is not told any more.
pub(super) fn merge(told: &mut Vec<Difference>, found: Vec<Difference>) {
    told.retain(|one| {
        one.why != NOT_KEPT || found.iter().any(|found| found.attribute == one.attribute)
    });
    for one in found {
        let known = told
            .iter_mut()
            .find(|known| known.attribute == one.attribute);
        match known {
            Some(known) if known.is.is_empty() => known.is = one.is,
            Some(_) => {}
            None => told.push(one),
        }
    }
}

#[derive(Default)]
struct Sheet {
    differences: Vec<Difference>,
}

impl Sheet {
    fn say(&mut self, attribute: impl Into<String>, was: &str, is: &str, why: &str) {
        if was != is {
            let difference = Difference::new(attribute, why).was(was).is(is);
            self.differences.push(difference);
        }
    }

    fn flag(&mut self, attribute: impl Into<String>, was: bool, is: bool, why: &str) {
        let text = |flag: bool| if flag { "True" } else { "False" };
        self.say(attribute, text(was), text(is), why);
    }

    /// Nothing on either side means that it is not told there.
    fn known(&mut self, attribute: String, was: Option<&str>, is: Option<&str>, why: &str) {
        if let (Some(was), Some(is)) = (was, is) {
            self.say(attribute, was, is, why);
        }
    }

    fn properties(
        &mut self,
        path: impl Fn(&str) -> String,
        was: &Properties,
        is: &Properties,
        why: impl Fn(&str) -> &'static str,
    ) {
        let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        for key in keys {
            let value = |all: &Properties| all.get(key).cloned();
            let (was, is) = (value(was), value(is));
            if was != is {
                let (was, is) = (was.unwrap_or_default(), is.unwrap_or_default());
                self.differences
                    .push(Difference::new(path(key), why(key)).was(was).is(is));
            }
        }
    }
}

fn server(sheet: &mut Sheet, was: &Manifest, is: &Manifest, options: &RestoreOptions) {
    let or_wished = |wished: bool| if wished { WISHED } else { SO };
    sheet.say(
        "name",
        &was.name,
        &is.name,
        or_wished(!options.name.is_empty()),
    );
    sheet.say("description", &was.description, &is.description, SO);
    let started = if options.start != Start::AsCaptured {
        WISHED
    } else if ["ACTIVE", "SHUTOFF"].contains(&was.status.as_str()) {
        SO
    } else {
        "a restored instance runs or is stopped, and nothing else"
    };
    sheet.say("status", &was.status, &is.status, started);
    sheet.say(
        "flavor",
        &was.flavor.name,
        &is.flavor.name,
        or_wished(options.flavor.is_some()),
    );
    let key = |manifest: &Manifest| {
        manifest
            .key
            .as_ref()
            .map_or_else(String::new, |key| key.name.clone())
    };
    sheet.say(
        "key pair",
        &key(was),
        &key(is),
        or_wished(options.key_name.is_some() || options.no_key),
    );
    sheet.known(
        "availability_zone".to_owned(),
        was.availability_zone.as_deref(),
        is.availability_zone.as_deref(),
        or_wished(options.availability_zone.is_some()),
    );
    let drive = or_wished(options.config_drive.is_some());
    sheet.flag("config_drive", was.config_drive, is.config_drive, drive);
    sheet.flag("locked", was.locked, is.locked, SO);
    if was.locked && is.locked {
        let reason = |manifest: &Manifest| manifest.locked_reason.clone().unwrap_or_default();
        sheet.say("locked_reason", &reason(was), &reason(is), SO);
    }
    sheet.known(
        "hostname".to_owned(),
        was.hostname.as_deref(),
        is.hostname.as_deref(),
        if options.name.is_empty() {
            SO
        } else {
            "Nova makes it of the name, and another name was wished for"
        },
    );
    let disks = [&was.disk_config, &is.disk_config].map(Option::as_deref);
    sheet.known("OS-DCF:diskConfig".to_owned(), disks[0], disks[1], SO);
    let tags = |manifest: &Manifest| sorted(&manifest.tags);
    sheet.say("tags", &tags(was), &tags(is), SO);
    sheet.properties(
        |key| format!("metadata {key}"),
        &was.metadata,
        &is.metadata,
        |key| or_wished(options.metadata.contains_key(key)),
    );
    // It may hold secrets, so only that it differs is told.
    if let (Some(was), Some(is)) = (&was.user_data, &is.user_data)
        && was != is
    {
        let why = or_wished(options.user_data.is_some());
        sheet.differences.push(Difference::new("user_data", why));
    }
}

fn volume(sheet: &mut Sheet, was: &VolumeFacts, is: &VolumeFacts, options: &RestoreOptions) {
    let own = options.volumes.iter().find(|one| one.volume == was.id);
    let or_wished = |wished: bool| if wished { WISHED } else { SO };
    sheet.say(was.path("name"), &was.name, &is.name, SO);
    sheet.say(
        was.path("description"),
        &was.description,
        &is.description,
        SO,
    );
    let size = |volume: &VolumeFacts| format!("{} GiB", volume.size_gib);
    let wished = or_wished(own.is_some_and(|one| one.size_gib.is_some()));
    sheet.say(was.path("size"), &size(was), &size(is), wished);
    let wished = options.volume_type.is_some() || own.is_some_and(|one| one.volume_type.is_some());
    sheet.known(
        was.path("volume_type"),
        was.volume_type.as_deref(),
        is.volume_type.as_deref(),
        or_wished(wished),
    );
    let wished = options.volume_availability_zone.is_some()
        || own.is_some_and(|one| one.availability_zone.is_some());
    sheet.known(
        was.path("availability_zone"),
        was.availability_zone.as_deref(),
        is.availability_zone.as_deref(),
        or_wished(wished),
    );
    sheet.flag(was.path("bootable"), was.bootable, is.bootable, SO);
    sheet.flag(was.path("encrypted"), was.encrypted, is.encrypted, SO);
    sheet.flag(was.path("multiattach"), was.multiattach, is.multiattach, SO);
    let goes = |volume: &VolumeFacts| volume.delete_on_termination;
    sheet.flag(was.path("delete_on_termination"), goes(was), goes(is), SO);
    let devices = [&was.device, &is.device].map(Option::as_deref);
    sheet.known(
        was.path("device"),
        devices[0],
        devices[1],
        "the hypervisor names devices",
    );
    let tag = |volume: &VolumeFacts| volume.tag.clone().unwrap_or_default();
    sheet.say(was.path("tag"), &tag(was), &tag(is), SO);
    let boots = |volume: &VolumeFacts| volume.boot_index == Some(0);
    sheet.flag(was.path("boots"), boots(was), boots(is), SO);
    let path = |key: &str| was.path(&format!("metadata {key}"));
    sheet.properties(path, &was.metadata, &is.metadata, |_| SO);
    let path = |key: &str| was.path(&format!("image metadata {key}"));
    sheet.properties(path, &was.image_metadata, &is.image_metadata, |_| SO);
}

fn port(
    sheet: &mut Sheet,
    (index, was): (usize, &PortFacts),
    is: &PortFacts,
    manifests: (&Manifest, &Manifest),
    pairs: &Pairs<'_>,
    options: &RestoreOptions,
) {
    let path = |attribute: &str| was.path(index, attribute);
    let kept = |kept: bool| if kept { SO } else { NOT_KEPT };
    sheet.say(path("name"), &was.name, &is.name, SO);
    let mapped = "the networks of the target are others";
    sheet.say(path("network"), &was.network_name, &is.network_name, mapped);
    let mac = |port: &PortFacts| port.mac.to_lowercase();
    // A manifest of somebody else's making knows no ids, and an empty list in it is no word.
    let knows = |is_empty: bool| was.id.is_some() || !is_empty;
    if knows(was.mac.is_empty()) {
        sheet.say(
            path("mac_address"),
            &mac(was),
            &mac(is),
            kept(options.keep_mac_addresses),
        );
    }
    if knows(was.fixed.is_empty()) {
        let mapping = options
            .networks
            .iter()
            .find(|one| one.source == was.network);
        let other = mapping.is_some_and(|one| one.fixed_address.is_some());
        let why = if other {
            WISHED
        } else {
            kept(options.keep_fixed_addresses)
        };
        sheet.say(path("fixed_ips"), &was.addresses(), &is.addresses(), why);
    }
    if !knows(was.security_groups.is_empty()) {
        // Told already.
    } else if pairs.groups.is_empty() {
        let names = |port: &PortFacts, manifest: &Manifest| {
            let of =
                |id: &SecurityGroupId| manifest.security_groups.iter().find(|one| one.id == *id);
            let names = port.security_groups.iter();
            let names =
                names.map(|id| of(id).map_or_else(|| id.to_string(), |one| one.name.clone()));
            sorted(&names.collect::<Vec<_>>())
        };
        let (was, is) = (names(was, manifests.0), names(is, manifests.1));
        let wished = !options.security_groups.is_empty();
        let why = if wished { "others were wished for" } else { SO };
        sheet.say(path("security_groups"), &was, &is, why);
    } else {
        let groups = &manifests.0.security_groups;
        let place = |id: &SecurityGroupId| groups.iter().position(|one| one.id == *id);
        let names = |places: BTreeSet<Option<usize>>| {
            let names = places.into_iter().map(|place| {
                place.map_or_else(
                    || "another one".to_owned(),
                    |place| groups[place].name.clone(),
                )
            });
            sorted(&names.collect::<Vec<_>>())
        };
        let was = was.security_groups.iter().map(place).collect();
        let is = is.security_groups.iter();
        let is = is.map(|id| pairs.groups.iter().position(|one| one == id));
        sheet.say(
            path("security_groups"),
            &names(was),
            &names(is.collect()),
            SO,
        );
    }
    sheet.flag(
        path("port_security_enabled"),
        was.port_security,
        is.port_security,
        SO,
    );
    sheet.say(path("binding:vnic_type"), &was.vnic_type, &is.vnic_type, SO);
    let follows = |port: &PortFacts| port.settings.uplink_status;
    match (follows(was), follows(is)) {
        (Some(was), Some(is)) => sheet.flag(path(UPLINK_STATUS), was, is, SO),
        // Where nobody says it none does, which only a virtual function of a network card could tell.
        (Some(true), None) if was.vnic_type != "normal" => {
            sheet.flag(path(UPLINK_STATUS), true, false, SO);
        }
        (Some(_) | None, None) | (None, Some(_)) => {}
    }
    settings(sheet, path, was, is);
    match (&was.trunk, &is.trunk) {
        (None, None) => {}
        (Some(was), None) => sheet.say(path("trunk"), &was.words(), "", SO),
        (None, Some(is)) => sheet.say(path("trunk"), "", &is.words(), SO),
        (Some(was), Some(is)) => trunk(sheet, path, was, is),
    }
}

fn trunk(sheet: &mut Sheet, path: impl Fn(&str) -> String, was: &TrunkFacts, is: &TrunkFacts) {
    let path = |attribute: &str| path(&format!("trunk {attribute}"));
    sheet.say(path("name"), &was.name, &is.name, SO);
    sheet.say(path("description"), &was.description, &is.description, SO);
    sheet.flag(path("admin_state_up"), !was.down, !is.down, SO);
    sheet.say(path("tags"), &sorted(&was.tags), &sorted(&is.tags), SO);
    sheet.say(path("sub_ports"), &was.sub_words(), &is.sub_words(), SO);
}

fn settings(sheet: &mut Sheet, path: impl Fn(&str) -> String, was: &PortFacts, is: &PortFacts) {
    let (was, is) = (&was.settings, &is.settings);
    sheet.say(path("description"), &was.description, &is.description, SO);
    let pairs = |settings: &crate::domain::manifest::PortSettings| {
        let pairs = settings.address_pairs.iter().map(|pair| match &pair.mac {
            Some(mac) => format!("{} with {}", pair.address, mac.to_lowercase()),
            None => pair.address.clone(),
        });
        sorted(&pairs.collect::<Vec<_>>())
    };
    sheet.say(path("allowed_address_pairs"), &pairs(was), &pairs(is), SO);
    let options = |settings: &crate::domain::manifest::PortSettings| {
        let options = settings.dhcp_options.iter().map(|option| {
            let value = option.value.as_deref().unwrap_or_default();
            format!("{}={value} (IPv{})", option.name, option.ip_version)
        });
        sorted(&options.collect::<Vec<_>>())
    };
    sheet.say(path("extra_dhcp_opts"), &options(was), &options(is), SO);
    sheet.say(path("dns_name"), &was.dns_name, &is.dns_name, SO);
    sheet.say(path("dns_domain"), &was.dns_domain, &is.dns_domain, SO);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    sheet.say(
        path("qos_policy"),
        &text(&was.qos_policy),
        &text(&is.qos_policy),
        SO,
    );
    sheet.say(path("tags"), &sorted(&was.tags), &sorted(&is.tags), SO);
    sheet.flag(path("admin_state_up"), !was.down, !is.down, SO);
    sheet.say(path("tag"), &text(&was.card_tag), &text(&is.card_tag), SO);
}

/// Whether the cards come up in the order that they had; where nobody tells the order, Nova's word counts
/// that it keeps the one in which they were asked for.
fn order_of_cards(sheet: &mut Sheet, is: &Manifest, pairs: &Pairs<'_>) {
    if is.gaps.iter().any(|gap| gap.starts_with(CARD_ORDER_GAP)) {
        return;
    }
    let place = |id: &PortId| {
        is.ports
            .iter()
            .position(|port| port.id.as_ref() == Some(id))
    };
    let places: Vec<usize> = pairs.ports.iter().filter_map(place).collect();
    if !places.is_sorted() {
        let text = |places: &[usize]| {
            let numbers: Vec<String> = places.iter().map(ToString::to_string).collect();
            numbers.join(", ")
        };
        let was: Vec<usize> = (0..places.len()).collect();
        sheet.say(CARD_ORDER_GAP, &text(&was), &text(&places), SO);
    }
}

fn group(
    sheet: &mut Sheet,
    (was, manifest): (&SecurityGroupFacts, &Manifest),
    (is, pairs): (&SecurityGroupFacts, &Pairs<'_>),
) {
    let path = |attribute: &str| format!("security group {} {attribute}", was.name);
    sheet.say(path("name"), &was.name, &is.name, SO);
    sheet.say(path("description"), &was.description, &is.description, SO);
    sheet.flag(path("stateful"), was.stateful, is.stateful, SO);
    // A group that a rule refers to is named by its place: its name may be another one.
    let named = |place: Option<usize>| match place {
        Some(place) => manifest.security_groups[place].name.clone(),
        None => "another one".to_owned(),
    };
    let groups = &manifest.security_groups;
    let before = SecurityGroupFacts {
        // What narrows a rule and cannot be put back was told with its reason.
        rules: (was.rules.iter().filter(|rule| rule.restrictions.is_empty()))
            .cloned()
            .collect(),
        ..was.clone()
    };
    let before: BTreeSet<String> = before
        .content(|id| named(groups.iter().position(|one| one.id == *id)))
        .into_iter()
        .collect();
    let after: BTreeSet<String> = is
        .content(|id| named(pairs.groups.iter().position(|one| one == id)))
        .into_iter()
        .collect();
    for lost in before.difference(&after) {
        let why = "the target has no such rule";
        sheet.say(path(&format!("rule {}", lost.trim())), lost.trim(), "", why);
    }
    for more in after.difference(&before) {
        let why = "the target has a rule more";
        sheet.say(path(&format!("rule {}", more.trim())), "", more.trim(), why);
    }
}

fn sorted(texts: &[String]) -> String {
    let mut texts = texts.to_vec();
    texts.sort();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            id::VolumeId,
            manifest::{AddressPair, DhcpOption},
            user_data::UserData,
        },
        plan::tests::world,
    };

    fn pairs(
        manifest: &Manifest,
        volumes: &[RestoredVolume],
    ) -> (Vec<PortId>, Vec<SecurityGroupId>) {
        let _ = volumes;
        let ports = manifest.every_port().into_iter();
        let ports = ports.filter_map(|port| port.id.clone());
        let groups = manifest
            .security_groups
            .iter()
            .map(|group| group.id.clone());
        (ports.collect(), groups.collect())
    }

    fn told(was: &Manifest, is: &Manifest) -> Vec<String> {
        let volumes: Vec<RestoredVolume> = was
            .volumes
            .iter()
            .map(|one| RestoredVolume {
                source: one.id.clone(),
                volume: one.id.clone(),
                name: one.name.clone(),
                size_gib: one.size_gib,
            })
            .collect();
        let (ports, groups) = pairs(was, &volumes);
        let pairs = Pairs {
            volumes: &volumes,
            ports,
            groups,
        };
        let found = differences(was, is, &pairs, &RestoreOptions::default());
        found.into_iter().map(|one| one.attribute).collect()
    }

    fn manifest() -> Manifest {
        let mut manifest = world::manifest(2);
        manifest.ports[0].id = Some(PortId::new("p"));
        manifest.ports[0].name = "eth".to_owned();
        let trunk = manifest.ports[0].trunk.as_mut().unwrap();
        for sub in &mut trunk.sub_ports {
            sub.port.id = Some(PortId::new(sub.port.name.clone()));
        }
        manifest.hostname = Some("web".to_owned());
        manifest.disk_config = Some("MANUAL".to_owned());
        manifest.availability_zone = Some("a".to_owned());
        manifest.user_data = Some(UserData::new("I2Nsb3Vk"));
        manifest.ports[0].settings.uplink_status = Some(false);
        manifest.volumes[1].availability_zone = Some("a".to_owned());
        manifest
    }

    #[test]
    fn the_same_has_no_differences() {
        assert_eq!(told(&manifest(), &manifest()), Vec::<String>::new());
    }

    /// One change of each attribute of the manifest, and the path that it is told under.
    #[test]
    fn whatever_changes_is_told_under_its_name() {
        type Change = fn(&mut Manifest);
        let changes: [(&str, Change); 38] = [
            ("name", |m| m.name.push('x')),
            ("description", |m| m.description.push('x')),
            ("status", |m| m.status = "SHUTOFF".to_owned()),
            ("flavor", |m| m.flavor.name.push('x')),
            ("key pair", |m| m.key = None),
            ("availability_zone", |m| {
                m.availability_zone = Some("b".to_owned());
            }),
            ("config_drive", |m| m.config_drive = true),
            ("locked", |m| m.locked = true),
            ("hostname", |m| m.hostname = Some("x".to_owned())),
            ("OS-DCF:diskConfig", |m| {
                m.disk_config = Some("AUTO".to_owned());
            }),
            ("tags", |m| m.tags.push("x".to_owned())),
            ("metadata x", |m| {
                drop(m.metadata.insert("x".to_owned(), "y".to_owned()));
            }),
            ("user_data", |m| m.user_data = Some(UserData::new("x"))),
            ("volume disk 1 name", |m| m.volumes[1].name.push('x')),
            ("volume disk 1 description", |m| {
                m.volumes[1].description.push('x');
            }),
            ("volume disk 1 size", |m| m.volumes[1].size_gib += 1),
            ("volume disk 1 volume_type", |m| {
                m.volumes[1].volume_type = Some("x".to_owned());
            }),
            ("volume disk 1 availability_zone", |m| {
                m.volumes[1].availability_zone = Some("x".to_owned());
            }),
            ("volume disk 1 bootable", |m| m.volumes[1].bootable = true),
            ("volume disk 1 encrypted", |m| m.volumes[1].encrypted = true),
            ("volume disk 1 multiattach", |m| {
                m.volumes[1].multiattach = true;
            }),
            ("volume disk 1 delete_on_termination", |m| {
                m.volumes[1].delete_on_termination = true;
            }),
            ("volume disk 1 device", |m| {
                m.volumes[1].device = Some("/dev/vdz".to_owned());
            }),
            ("volume disk 1 tag", |m| {
                m.volumes[1].tag = Some("x".to_owned());
            }),
            ("volume disk 1 boots", |m| m.volumes[1].boot_index = Some(0)),
            ("volume disk 1 metadata x", |m| {
                m.volumes[1].metadata.insert("x".to_owned(), "y".to_owned());
            }),
            ("volume disk 1 image metadata x", |m| {
                m.volumes[1]
                    .image_metadata
                    .insert("x".to_owned(), "y".to_owned());
            }),
            ("volume disk 1 attached", |m| {
                m.volumes[1].id = VolumeId::new("other");
            }),
            ("port 0 (eth) network", |m| {
                m.ports[0].network_name.push('x');
            }),
            ("port 0 (eth) mac_address", |m| m.ports[0].mac.push('x')),
            ("port 0 (eth) fixed_ips", |m| m.ports[0].fixed.clear()),
            ("port 0 (eth) security_groups", |m| {
                m.ports[0].security_groups.clear();
            }),
            ("port 0 (eth) port_security_enabled", |m| {
                m.ports[0].port_security = false;
            }),
            ("port 0 (eth) binding:vnic_type", |m| {
                m.ports[0].vnic_type.push('x');
            }),
            ("port 0 (eth) attached", |m| m.ports[0].id = None),
            ("security group web name", |m| {
                m.security_groups[0].name.push('x');
            }),
            ("security group web description", |m| {
                m.security_groups[0].description.push('x');
            }),
            ("security group web stateful", |m| {
                m.security_groups[0].stateful = false;
            }),
        ];
        for (path, change) in changes {
            let mut is = manifest();
            change(&mut is);
            assert_eq!(told(&manifest(), &is), [path]);
        }
    }

    #[test]
    fn whatever_is_set_on_a_port_is_told_under_its_name() {
        type Change = fn(&mut crate::domain::manifest::PortSettings);
        let changes: [(&str, Change); 10] = [
            ("description", |s| s.description.push('x')),
            ("allowed_address_pairs", |s| {
                s.address_pairs.push(AddressPair {
                    address: "10.0.0.9".to_owned(),
                    mac: None,
                });
            }),
            ("extra_dhcp_opts", |s| {
                s.dhcp_options.push(DhcpOption {
                    name: "mtu".to_owned(),
                    value: None,
                    ip_version: 4,
                });
            }),
            ("dns_name", |s| s.dns_name.push('x')),
            ("dns_domain", |s| s.dns_domain.push('x')),
            ("qos_policy", |s| s.qos_policy = Some("x".to_owned())),
            ("tags", |s| s.tags.push("x".to_owned())),
            ("admin_state_up", |s| s.down = true),
            ("tag", |s| s.card_tag = Some("x".to_owned())),
            ("propagate_uplink_status", |s| s.uplink_status = Some(true)),
        ];
        for (path, change) in changes {
            let mut is = manifest();
            change(&mut is.ports[0].settings);
            assert_eq!(told(&manifest(), &is), [format!("port 0 (eth) {path}")]);
        }
    }

    #[test]
    fn a_link_that_no_longer_follows_its_uplink_is_told_where_a_guest_could_tell() {
        let follows = |vnic_type: &str, status| {
            let mut manifest = manifest();
            manifest.ports[0].vnic_type = vnic_type.to_owned();
            manifest.ports[0].settings.uplink_status = status;
            manifest
        };
        let path = "port 0 (eth) propagate_uplink_status";
        for (vnic_type, was, is, tells) in [
            ("direct", Some(true), None, true),
            ("direct", Some(false), None, false),
            ("direct", Some(false), Some(true), true),
            ("normal", Some(true), None, false),
            ("normal", Some(false), Some(true), true),
        ] {
            let found = told(&follows(vnic_type, was), &follows(vnic_type, is));
            let expected = if tells { vec![path] } else { Vec::new() };
            assert_eq!(found, expected, "{vnic_type} {was:?} {is:?}");
        }
    }

    #[test]
    fn whatever_changes_of_a_trunk_is_told_under_its_name() {
        type Change = fn(&mut TrunkFacts);
        let changes: [(&str, Change); 6] = [
            ("port 0 (eth) trunk name", |t| t.name.push('x')),
            ("port 0 (eth) trunk description", |t| {
                t.description.push('x');
            }),
            ("port 0 (eth) trunk admin_state_up", |t| t.down = true),
            ("port 0 (eth) trunk tags", |t| t.tags.push("x".to_owned())),
            ("port 0 (eth) trunk sub_ports", |t| {
                t.sub_ports[1].segmentation_id = 7;
            }),
            ("port 2 (lane-102) mac_address", |t| {
                t.sub_ports[1].port.mac.push('x');
            }),
        ];
        for (path, change) in changes {
            let mut is = manifest();
            change(is.ports[0].trunk.as_mut().unwrap());
            assert_eq!(told(&manifest(), &is), [path]);
        }
        let mut is = manifest();
        is.ports[0].trunk = None;
        let lost = told(&manifest(), &is);
        assert_eq!(
            lost,
            [
                "port 0 (eth) trunk",
                "port 1 (lane-101) attached",
                "port 2 (lane-102) attached"
            ]
        );
    }

    #[test]
    fn a_rule_that_is_lost_or_more_is_told_each_by_itself() {
        let mut is = manifest();
        is.security_groups[0].rules[0].port_max = Some(23);
        assert_eq!(told(&manifest(), &is).len(), 2);
    }

    #[test]
    fn what_was_told_keeps_its_reason_and_learns_what_came_of_it() {
        let mut all = vec![Difference::new("port 0 fixed_ips", "in use").was("10.0.0.7")];
        let found = vec![
            Difference::new("port 0 fixed_ips", SO)
                .was("10.0.0.7")
                .is("10.0.0.9"),
            Difference::new("tags", SO).is("x"),
        ];
        merge(&mut all, found);
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].why.as_str(), all[0].is.as_str()),
            ("in use", "10.0.0.9")
        );
    }
}
