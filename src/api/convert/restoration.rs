//! Restorations and what is asked about them; it may not know whether it may be done.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use uuid::Uuid;

use super::{
    dr_backup::mirror,
    fields::{Fields, Times as _, tenant},
    number,
    point::ids,
    progress, text, time,
};
use crate::{
    api::pb,
    domain::{
        difference::Difference,
        error::Error,
        id::{FlavorId, NetworkId, PointId, RestorationId, SecurityGroupId, VolumeId},
        manifest::Properties,
        restoration::{
            NetworkOptions, Restoration, RestoreOptions, RestoredVolume, Start, VolumeOptions,
        },
        text::Text,
    },
    service::{
        request::etag,
        restoration::{CreateRestoration, DeleteRestoration},
        settings::RequestSettings,
    },
};

/// A restoration.
pub(in crate::api) fn restoration(restoration: Restoration) -> pb::Restoration {
    let (dr_backup_id, backup_id) = ids(restoration.source);
    let adjustments = restoration.detail.adjustments();
    let differences = restoration.detail.differences.clone();
    pb::Restoration {
        id: restoration.id.to_string(),
        dr_backup_id,
        backup_id,
        cloud: restoration.tenant.cloud.to_string(),
        tenant: restoration.tenant.project.to_string(),
        instance: Some(instance(&restoration)),
        state: progress::state(restoration.head.state).into(),
        runtime_state: restoration.head.runtime_state,
        progress: Some(progress::progress(restoration.head.progress)),
        error: restoration.head.error.map(progress::error),
        volumes: restoration.detail.volumes.into_iter().map(volume).collect(),
        mirrors: restoration.detail.mirrors.iter().map(mirror).collect(),
        adjustments,
        differences: differences.into_iter().map(difference).collect(),
        flavor_id: text(restoration.options.flavor.as_ref()),
        create_time: Some(time(restoration.head.created)),
        update_time: Some(time(restoration.head.updated)),
        etag: etag(restoration.head.revision),
    }
}

fn difference(difference: Difference) -> pb::Difference {
    pb::Difference {
        attribute: difference.attribute,
        was: difference.was,
        is: difference.is,
        why: difference.why,
    }
}

/// What is to be restored: one id of the two says so.
fn source(fields: &mut Fields<'_>, dr_backup: &str, backup: &str) -> PointId {
    if !dr_backup.is_empty() && !backup.is_empty() {
        fields.bad("backup_id", "cannot be given beside dr_backup_id");
    }
    match (dr_backup.is_empty(), backup.is_empty()) {
        (true, true) => {
            fields.bad("dr_backup_id", "is required where backup_id is not given");
            PointId::dr(Uuid::nil())
        }
        (true, false) => PointId::regular(fields.id("backup_id", backup)),
        (false, _) => PointId::dr(fields.id("dr_backup_id", dr_backup)),
    }
}

/// The instance that a restoration makes.
pub(in crate::api) fn instance(restoration: &Restoration) -> pb::RestoredInstance {
    let server = restoration.detail.server.as_ref();
    let (dr_backup_id, backup_id) = ids(restoration.source);
    pb::RestoredInstance {
        id: restoration.instance.to_string(),
        server_id: text(server),
        name: restoration.instance_name.clone(),
        state: progress::state(restoration.instance_state()).into(),
        cloud: restoration.tenant.cloud.to_string(),
        tenant: restoration.tenant.project.to_string(),
        restoration_id: restoration.id.to_string(),
        dr_backup_id,
        backup_id,
        status: restoration.detail.server_status.clone(),
        manifest: None,
    }
}

fn volume(volume: RestoredVolume) -> pb::RestoredVolume {
    pb::RestoredVolume {
        source_volume_id: volume.source.to_string(),
        volume_id: volume.volume.to_string(),
        name: volume.name,
        size_gib: number(volume.size_gib),
    }
}

/// What is asked for by `CreateRestoration`.
pub(in crate::api) fn create(
    message: pb::CreateRestorationRequest,
    limits: &RequestSettings,
) -> Result<CreateRestoration, Error> {
    let mut fields = Fields::new(limits);
    let source = source(&mut fields, &message.dr_backup_id, &message.backup_id);
    let tenant = tenant(&mut fields, message.cloud, message.tenant);
    let options = RestoreOptions {
        name: fields.instance_name("name", message.name),
        flavor: fields
            .optional("flavor_id", message.flavor_id)
            .map(FlavorId::new),
        volumes: volume_options(&mut fields, message.volumes),
        networks: network_options(&mut fields, message.networks),
        keep_fixed_addresses: message.keep_fixed_addresses,
        keep_mac_addresses: message.keep_mac_addresses,
        security_groups: security_groups(&mut fields, message.security_group_ids),
        key_name: fields.optional("key_name", message.key_name),
        availability_zone: fields.optional("availability_zone", message.availability_zone),
        volume_availability_zone: fields
            .optional("volume_availability_zone", message.volume_availability_zone),
        volume_type: fields.optional("volume_type", message.volume_type),
        user_data: message
            .user_data
            .map(|data| fields.user_data("user_data", data)),
        config_drive: message.config_drive,
        metadata: metadata(&mut fields, message.metadata),
        keep_volumes: message.keep_volumes,
        no_key: message.no_key_pair,
        start: start(&mut fields, message.start),
    };
    if options.no_key && options.key_name.is_some() {
        fields.bad("key_name", "cannot be given beside no_key_pair");
    }
    let ask = CreateRestoration {
        source,
        tenant,
        options,
        deadline: fields.time_limit("time_limit", message.time_limit),
        validate_only: message.validate_only,
        request_id: fields.request_id(message.request_id),
    };
    fields.done().map(|()| ask)
}

fn start(fields: &mut Fields<'_>, number: i32) -> Start {
    match pb::Start::try_from(number) {
        Ok(pb::Start::Unspecified | pb::Start::AsCaptured) => Start::AsCaptured,
        Ok(pb::Start::Running) => Start::Running,
        Ok(pb::Start::Stopped) => Start::Stopped,
        Err(_) => {
            fields.bad("start", "is not a Start");
            Start::AsCaptured
        }
    }
}

fn volume_options(
    fields: &mut Fields<'_>,
    messages: Vec<pb::VolumeOverride>,
) -> Vec<VolumeOptions> {
    let mut wishes: Vec<VolumeOptions> = Vec::with_capacity(messages.len());
    let mut named = HashSet::new();
    for (index, message) in messages.into_iter().enumerate() {
        let field = |name: &str| format!("volumes[{index}].{name}");
        let size = u64::try_from(message.size_gib).map_err(|_| "is negative");
        let options = VolumeOptions {
            volume: VolumeId::new(
                fields.required(&field("source_volume_id"), message.source_volume_id),
            ),
            volume_type: fields.optional(&field("volume_type"), message.volume_type),
            availability_zone: fields
                .optional(&field("availability_zone"), message.availability_zone),
            size_gib: Some(fields.take(&field("size_gib"), size)).filter(|size| *size > 0),
        };
        if !named.insert(options.volume.clone()) {
            fields.bad(&field("source_volume_id"), "is there twice");
        }
        wishes.push(options);
    }
    wishes
}

fn network_options(
    fields: &mut Fields<'_>,
    messages: Vec<pb::NetworkMapping>,
) -> Vec<NetworkOptions> {
    let mut wishes: Vec<NetworkOptions> = Vec::with_capacity(messages.len());
    let mut named = HashSet::new();
    for (index, message) in messages.into_iter().enumerate() {
        let field = |name: &str| format!("networks[{index}].{name}");
        let address = Some(message.fixed_address).filter(|address| !address.is_empty());
        if address
            .as_ref()
            .is_some_and(|address| address.parse::<IpAddr>().is_err())
        {
            fields.bad(&field("fixed_address"), "is not an IPv4 or IPv6 address");
        }
        let options = NetworkOptions {
            source: NetworkId::new(
                fields.required(&field("source_network_id"), message.source_network_id),
            ),
            target: NetworkId::new(
                fields.required(&field("target_network_id"), message.target_network_id),
            ),
            fixed_address: address,
        };
        if !named.insert(options.source.clone()) {
            fields.bad(&field("source_network_id"), "is there twice");
        }
        wishes.push(options);
    }
    wishes
}

fn security_groups(fields: &mut Fields<'_>, ids: Vec<String>) -> Vec<SecurityGroupId> {
    let ids = ids.into_iter().enumerate();
    ids.map(|(index, id)| {
        SecurityGroupId::new(fields.required(&format!("security_group_ids[{index}]"), id))
    })
    .collect()
}

fn metadata(fields: &mut Fields<'_>, given: HashMap<String, String>) -> Properties {
    // Sorted first, so that bad ones are told in the same order every time.
    let sorted: Properties = given.into_iter().collect();
    for (key, value) in &sorted {
        let field = format!("metadata[{}]", super::fields::brief(key));
        fields.fits(&field, Text::MetadataKey, key);
        fields.fits(&field, Text::MetadataValue, value);
    }
    sorted
}

/// What is asked for by `DeleteRestoration`.
pub(in crate::api) fn delete(
    message: pb::DeleteRestorationRequest,
    limits: &RequestSettings,
) -> Result<DeleteRestoration, Error> {
    let mut fields = Fields::new(limits);
    let ask = DeleteRestoration {
        allow_missing_cloud: message.allow_missing_cloud,
        id: RestorationId(fields.id("id", &message.id)),
        delete_instance: message.delete_instance,
        etag: message.etag,
        request_id: fields.request_id(message.request_id),
    };
    fields.done().map(|()| ask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{error::ErrorKind, user_data::UserData};

    fn asked() -> pb::CreateRestorationRequest {
        pb::CreateRestorationRequest {
            dr_backup_id: Uuid::nil().to_string(),
            cloud: "two".to_owned(),
            tenant: "t".to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn what_is_not_said_is_left_to_the_manifest() {
        let ask = create(asked(), &RequestSettings::default()).expect("good");
        assert_eq!(ask.options, RestoreOptions::default());
    }

    #[test]
    fn exactly_one_backup_is_restored() {
        let named = |dr_backup: &str, backup: &str| {
            let message = pb::CreateRestorationRequest {
                dr_backup_id: dr_backup.to_owned(),
                backup_id: backup.to_owned(),
                ..asked()
            };
            create(message, &RequestSettings::default()).map(|ask| ask.source)
        };
        let id = Uuid::nil().to_string();
        assert_eq!(named(&id, ""), Ok(PointId::dr(Uuid::nil())));
        assert_eq!(named("", &id), Ok(PointId::regular(Uuid::nil())));
        for (dr_backup, backup, fields) in [
            ("", "", vec!["dr_backup_id"]),
            (&id, &id, vec!["backup_id"]),
            ("x", "", vec!["dr_backup_id"]),
            ("", "x", vec!["backup_id"]),
            ("x", "x", vec!["backup_id", "dr_backup_id"]),
        ] {
            let error = named(dr_backup, backup).expect_err("not one backup");
            let ErrorKind::Invalid(bad) = error.kind else {
                panic!("{error}")
            };
            let told: Vec<&str> = bad.iter().map(|one| one.field.as_str()).collect();
            assert_eq!(told, fields);
        }
    }

    #[test]
    fn empty_user_data_means_none_and_not_the_original() {
        let message = pb::CreateRestorationRequest {
            user_data: Some(String::new()),
            ..asked()
        };
        let ask = create(message, &RequestSettings::default()).expect("good");
        assert_eq!(ask.options.user_data, Some(UserData::default()));
    }

    #[test]
    fn every_bad_part_is_named_with_its_place() {
        let twice = pb::NetworkMapping {
            source_network_id: "n".to_owned(),
            target_network_id: "m".to_owned(),
            fixed_address: "10.0.0.300".to_owned(),
        };
        let message = pb::CreateRestorationRequest {
            networks: vec![twice.clone(), twice],
            volumes: vec![pb::VolumeOverride {
                size_gib: -1,
                ..Default::default()
            }],
            security_group_ids: vec![String::new()],
            ..asked()
        };
        let error = create(message, &RequestSettings::default()).expect_err("bad");
        let ErrorKind::Invalid(bad) = error.kind else {
            panic!("{error}")
        };
        let names: Vec<&str> = bad.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(
            names,
            [
                "volumes[0].source_volume_id",
                "volumes[0].size_gib",
                "networks[0].fixed_address",
                "networks[1].fixed_address",
                "networks[1].source_network_id",
                "security_group_ids[0]",
            ]
        );
    }
}
