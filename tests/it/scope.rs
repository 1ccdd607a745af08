//! Places that do not exist, at every door: an empty answer means that there is nothing, never that there
//! is no such place.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use drbackup::{
    api::pb::{self, DESCRIPTORS},
    sim::{InstanceSpec, Service, Times},
};
use http::uri::PathAndQuery;
use prost::{
    Message as _,
    bytes::{Buf as _, BufMut as _},
};
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, MethodDescriptor};
use serde_json::{Value, json};
use tonic::{
    Code, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tonic_types::StatusExt as _;

use crate::house::House;

/// Messages as the bytes that travel.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

/// The fields that name a place.
const SCOPE: [&str; 3] = ["cloud", "tenant", "instance_id"];

/// The fields that name something of ours, by which a list is filtered.
const OURS: [&str; 3] = ["dr_backup_id", "backup_id", "schedule_id"];

/// What a request needs beside its place to be good, by its message.
fn beside(message: &str, backup: &str) -> Value {
    match message {
        "CreateRestorationRequest" => json!({"drBackupId": backup}),
        "CreateScheduleRequest" => {
            json!({"schedule": {"schedule": "@daily", "timeZone": "UTC", "backupType": "BACKUP_TYPE_DR"}})
        }
        "DeleteOrphansRequest" => json!({"ids": ["x"]}),
        _ => json!({}),
    }
}

/// What the proto says about a field.
fn comment(field: &FieldDescriptor) -> String {
    let file = field.parent_file();
    let source = file.file_descriptor_proto().source_code_info.clone();
    let mut locations = source.unwrap_or_default().location.into_iter();
    let found = locations.find(|one| one.path == field.path());
    found
        .and_then(|one| one.leading_comments)
        .unwrap_or_default()
}

/// The fields of a request that name a place: its own, those of a message within, and those that its
/// filter may name.
fn places(method: &MethodDescriptor) -> BTreeMap<String, Vec<&'static str>> {
    let mut found: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for field in method.input().fields() {
        let name = field.name().to_owned();
        if let Some(scope) = SCOPE.iter().find(|scope| **scope == name) {
            found.entry(String::new()).or_default().push(scope);
        }
        if name == "filter" {
            let comment = comment(&field);
            let fields = comment.split("Fields:").nth(1).unwrap_or_default();
            // A stream takes the filter of its list.
            let fields = if method.is_server_streaming() {
                "cloud, tenant, instance_id"
            } else {
                fields
            };
            let words = fields.split(|one: char| !one.is_alphanumeric() && one != '_');
            let words: BTreeSet<&str> = words.collect();
            let named = SCOPE.into_iter().chain(OURS);
            let named = named.filter(|field| words.contains(field));
            found.entry(name.clone()).or_default().extend(named);
        }
        let kind = field.kind();
        // A change is about what is there already.
        if name == "schedule"
            && method.input().get_field_by_name("update_mask").is_none()
            && let Some(inner) = kind.as_message()
        {
            let named = SCOPE
                .into_iter()
                .filter(|scope| inner.get_field_by_name(scope).is_some());
            found.entry(name).or_default().extend(named);
        }
    }
    // Of a restored instance that is ours to know, and in no tenant that the caller names.
    if method.input().name() == "GetRestoredInstanceRequest" {
        found.remove("");
    }
    found.retain(|_, fields| !fields.is_empty());
    found
}

/// A request with these values for the fields of a place.
fn request(
    method: &MethodDescriptor,
    at: &str,
    fields: &[&str],
    values: &BTreeMap<&str, String>,
    backup: &str,
) -> Vec<u8> {
    let mut message = beside(method.input().name(), backup);
    let camel = |name: &str| {
        if name == "instance_id" {
            "instanceId"
        } else {
            name
        }
        .to_owned()
    };
    match at {
        "filter" => {
            let terms: Vec<String> = fields
                .iter()
                .filter_map(|name| Some(format!("{name} = \"{}\"", values.get(name)?)))
                .collect();
            message["filter"] = json!(terms.join(" AND "));
        }
        "" => {
            for name in fields {
                message[camel(name)] = json!(values.get(name).cloned().unwrap_or_default());
            }
        }
        inner => {
            for name in fields {
                message[inner][camel(name)] = json!(values.get(name).cloned().unwrap_or_default());
            }
        }
    }
    let text = message.to_string();
    let mut reader = serde_json::Deserializer::from_str(&text);
    let message = DynamicMessage::deserialize(method.input(), &mut reader);
    message.expect("a message").encode_to_vec()
}

/// What a call is told first: its only answer, or the first of a stream.
async fn told(house: &House, method: &MethodDescriptor, message: Vec<u8>) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(house.channel().await);
    grpc.ready().await.expect("up");
    let service = method.parent_service().full_name().to_owned();
    let path = format!("/{service}/{}", method.name());
    let path = PathAndQuery::try_from(path).expect("a path");
    let request = tonic::Request::new(message);
    if method.is_server_streaming() {
        let answer = grpc.server_streaming(request, path, Bytes).await?;
        let mut stream = answer.into_inner();
        let first = tokio::time::timeout(std::time::Duration::from_secs(5), stream.message()).await;
        return first.expect("a stream says something").map(drop);
    }
    grpc.unary(request, path, Bytes).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rpc_answers_about_a_place_that_does_not_exist() {
    let house = House::open(Times::fast()).await;
    let spec = InstanceSpec::new("shop", &[1]);
    let server = house.source.create_instance(&spec).expect("made").server;
    let backup = house.back_up_to_end(&server).await.id;
    let second = house.source.project_id("second").expect("a project");
    let good: BTreeMap<&str, String> = BTreeMap::from([
        ("cloud", "source".to_owned()),
        ("tenant", house.home()),
        ("instance_id", server.clone()),
    ]);
    let nobody = "00000000-0000-4000-8000-000000000000".to_owned();
    let wrong: [(&str, String); 9] = [
        ("cloud", "nowhere".to_owned()),
        ("tenant", "f".repeat(32)),
        ("tenant", "demo".to_owned()),
        // It exists, and the instance is not in it.
        ("instance_id", second),
        ("instance_id", nobody.clone()),
        ("instance_id", "shop".to_owned()),
        ("dr_backup_id", nobody.clone()),
        ("backup_id", nobody.clone()),
        ("schedule_id", nobody),
    ];
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("descriptors");
    let (mut asked, mut failures) = (0, Vec::new());
    for method in pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
    {
        for (at, fields) in places(&method) {
            for (index, (field, value)) in wrong.iter().enumerate() {
                if !fields.contains(field) {
                    continue;
                }
                let mut values = good.clone();
                let changed = if index == 3 { "tenant" } else { field };
                values.insert(changed, value.clone());
                let message = request(&method, &at, &fields, &values, &backup);
                let name = format!("{} {at} {field} = {value}", method.name());
                asked += 1;
                match told(&house, &method, message).await {
                    Ok(()) => failures.push(format!("{name}: answered")),
                    Err(status) => failures
                        .extend(misjudged(&status, &at, field).map(|why| format!("{name}: {why}"))),
                }
            }
        }
    }
    assert!(failures.is_empty(), "of {asked}:\n{}", failures.join("\n"));
    assert!(asked >= 60, "only {asked} were asked");
}

/// What is wrong with the refusal of a field.
fn misjudged(status: &Status, at: &str, field: &str) -> Option<String> {
    let codes = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::PermissionDenied,
    ];
    let details = status.get_error_details();
    let violations = details
        .bad_request()
        .map(|bad| bad.field_violations.clone());
    let violations = violations.unwrap_or_default();
    let named = |wanted: &str| violations.iter().any(|one| one.field == wanted);
    let wanted = match at {
        "" => field.to_owned(),
        "filter" => "filter".to_owned(),
        inner => format!("{inner}.{field}"),
    };
    let word = field.trim_start_matches("dr_").trim_end_matches("_id");
    let told = codes.contains(&status.code()) && named(&wanted) && status.message().contains(word);
    (!told).then(|| format!("{:?} {} {violations:?}", status.code(), status.message()))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_list_takes_a_token_that_nobody_was_handed() {
    let house = House::open(Times::fast()).await;
    let nobody = "00000000-0000-4000-8000-000000000000";
    // As tokens were before they had a seal, with a name that would write a line of its own into a log.
    let place = json!({"x": ["a\n\u{1b}[31mERROR", nobody]}).to_string();
    let forged = URL_SAFE_NO_PAD.encode([[7_u8; 8].as_slice(), place.as_bytes()].concat());
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("descriptors");
    let services = pool.services();
    let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
    let mut asked = 0;
    for method in methods {
        let input = method.input();
        if input.get_field_by_name("page_token").is_none() {
            continue;
        }
        let mut message = json!({"pageToken": forged});
        for (field, value) in [
            ("cloud", "source"),
            ("tenant", &house.home()),
            ("schedule_id", nobody),
        ] {
            if let Some(field) = input.get_field_by_name(field) {
                message[field.json_name()] = json!(value);
            }
        }
        let text = message.to_string();
        let mut reader = serde_json::Deserializer::from_str(&text);
        let message = DynamicMessage::deserialize(input, &mut reader).expect("a message");
        let status = told(&house, &method, message.encode_to_vec()).await;
        let status = status.expect_err(method.name());
        assert_eq!(
            status.code(),
            Code::InvalidArgument,
            "{}: {status:?}",
            method.name()
        );
        let details = status.get_error_details();
        let bad = details.bad_request().expect("bad fields");
        let fields: Vec<&str> = bad
            .field_violations
            .iter()
            .map(|one| one.field.as_str())
            .collect();
        assert_eq!(fields, ["page_token"], "{}", method.name());
        asked += 1;
    }
    assert!(asked >= 10, "only {asked} lists have pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_is_down_is_not_unknown() {
    let house = House::open(Times::fast()).await;
    let spec = InstanceSpec::new("shop", &[1]);
    let server = house.source.create_instance(&spec).expect("made").server;
    let backup = house.back_up_to_end(&server).await;
    house.source.stop().await;
    let list = |filter: String| async {
        let request = pb::ListDrBackupsRequest {
            filter,
            ..Default::default()
        };
        let answer = house.dr_backups().await.list_dr_backups(request).await;
        answer.expect("an answer").into_inner().dr_backups
    };
    let home = house.home();
    let filter = format!("cloud = source AND tenant = {home} AND instance_id = {server}");
    let listed = list(filter).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id, backup.id);
    // Whoever could tell whether it is there is down.
    let stranger = "f".repeat(32);
    assert!(
        list(format!("cloud = source AND tenant = {stranger}"))
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_a_restoration_tells_everything_that_is_in_the_way() {
    let house = House::open(Times::fast()).await;
    house.prepare_refuge();
    let spec = InstanceSpec::new("shop", &[1, 1]);
    let server = house.source.create_instance(&spec).expect("made").server;
    let backup = house.back_up_to_end(&server).await;
    let possible = pb::CreateRestorationRequest {
        validate_only: true,
        ..house.wish(&backup.id)
    };
    let answer = house
        .restorations()
        .await
        .create_restoration(possible.clone())
        .await;
    let answer = answer.expect("it is possible").into_inner();
    assert!(answer.id.is_empty(), "{answer:?}");
    // What the target chooses anew is told beforehand too.
    let told = |attribute: &str| {
        let mut differences = answer.differences.iter();
        differences.any(|one| one.attribute.ends_with(attribute) && !one.was.is_empty())
    };
    assert!(told("mac_address") && told("fixed_ips"), "{answer:#?}");
    for validate_only in [true, false] {
        house.dr.clear_requests();
        let wish = pb::CreateRestorationRequest {
            flavor_id: "no-such-flavor".to_owned(),
            key_name: "nokey".to_owned(),
            volume_type: "nope".to_owned(),
            volume_availability_zone: "mars".to_owned(),
            availability_zone: "venus".to_owned(),
            security_group_ids: vec!["nogroup".to_owned()],
            networks: vec![pb::NetworkMapping {
                source_network_id: network_of(&backup),
                target_network_id: "nonet".to_owned(),
                ..Default::default()
            }],
            validate_only,
            ..possible.clone()
        };
        let refused = house.restorations().await.create_restoration(wish).await;
        let refused = refused.expect_err("nothing of it is there");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        let details = refused.get_error_details();
        let violations = &details.bad_request().expect("bad fields").field_violations;
        let told: BTreeSet<(&str, &str)> = violations
            .iter()
            .map(|one| {
                (
                    one.field.as_str(),
                    one.description.split(':').next().unwrap_or(""),
                )
            })
            .collect();
        let expected = BTreeSet::from([
            ("availability_zone", "AVAILABILITY_ZONE_NOT_FOUND"),
            ("flavor_id", "FLAVOR_NOT_FOUND"),
            ("key_name", "KEY_PAIR_NOT_FOUND"),
            ("networks[0].target_network_id", "NETWORK_NOT_FOUND"),
            ("security_group_ids[0]", "SECURITY_GROUP_NOT_FOUND"),
            ("volume_availability_zone", "AVAILABILITY_ZONE_NOT_FOUND"),
            ("volume_type", "VOLUME_TYPE_NOT_FOUND"),
        ]);
        assert_eq!(told, expected);
        let requests = house.dr.requests();
        let mut writes = requests
            .iter()
            .filter(|one| one.method != "GET" && one.service != Service::Identity);
        assert!(writes.next().is_none(), "{requests:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_had_is_told_beforehand_or_falls_alone() {
    let house = House::open(Times::fast()).await;
    house.prepare_refuge();
    let spec = InstanceSpec::new("shop", &[1]);
    let server = house.source.create_instance(&spec).expect("made").server;
    let backup = house.back_up_to_end(&server).await;
    // Its first address is that of the resident.
    let resident = InstanceSpec::new("resident", &[1]);
    house.dr.create_instance(&resident).expect("made");
    let ports = house.dr.state()["projects"]["demo"]["ports"].clone();
    let taken = ports[0]["fixed_ips"][0]["ip_address"]
        .as_str()
        .expect("an address");
    let network = ports[0]["network_id"].as_str().expect("a network");
    let wish = |address: &str, validate_only: bool| pb::CreateRestorationRequest {
        networks: vec![pb::NetworkMapping {
            source_network_id: network_of(&backup),
            target_network_id: network.to_owned(),
            fixed_address: address.to_owned(),
        }],
        validate_only,
        ..house.wish(&backup.id)
    };
    for outside in ["192.168.9.9", "2001:db8::1"] {
        let client = &mut house.restorations().await;
        let refused = client.create_restoration(wish(outside, true)).await;
        let refused = refused.expect_err("it is in no subnet");
        let details = refused.get_error_details();
        let bad = &details.bad_request().expect("a bad field").field_violations;
        assert_eq!(bad[0].field, "networks[0].fixed_address", "{refused:?}");
        assert!(refused.message().contains(outside), "{refused:?}");
    }
    let restoration = house.restore_as(wish(taken, false)).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        restoration.state(),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    let told = restoration.adjustments.join("; ");
    assert!(told.contains(taken) && told.contains("refused"), "{told}");
}

fn network_of(backup: &pb::DrBackup) -> String {
    let manifest = backup.metadata.clone().expect("a manifest");
    manifest.ports[0].network_id.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_export_nothing_is_copied() {
    let mut house = House::open(Times::fast()).await;
    let spec = InstanceSpec::new("shop", &[1, 1]);
    let server = house.source.create_instance(&spec).expect("made").server;
    house.dismiss_admins();
    house.source.clear_requests();
    let backup = house.back_up_to_end(&server).await;
    let error = backup.error.expect("it failed");
    assert_eq!(error.reason, "EXPORT_FORBIDDEN", "{error:?}");
    let requests = house.source.requests();
    let mut writes = requests
        .iter()
        .filter(|one| one.method != "GET" && one.service != Service::Identity);
    assert!(writes.next().is_none(), "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_short_is_met_before_anything_is_made() {
    let house = House::open(Times::fast()).await;
    let spec = InstanceSpec::new("shop", &[1, 1, 1, 1]);
    let server = house.source.create_instance(&spec).expect("made").server;
    let plenty = drbackup::sim::Quotas::default();
    for (quotas, what) in [
        (
            drbackup::sim::Quotas {
                backups: 3,
                ..plenty.clone()
            },
            "volume backups",
        ),
        (
            drbackup::sim::Quotas {
                backup_gigabytes: 3,
                ..plenty.clone()
            },
            "volume backup GiB",
        ),
        (
            drbackup::sim::Quotas {
                snapshots: 3,
                ..plenty.clone()
            },
            "snapshots",
        ),
        (
            drbackup::sim::Quotas {
                gigabytes: 7,
                ..plenty.clone()
            },
            "volume and snapshot GiB",
        ),
    ] {
        house.source.set_quotas(quotas);
        house.source.clear_requests();
        let backup = house.back_up_to_end(&server).await;
        let error = backup.error.expect("it failed");
        assert_eq!(error.reason, "QUOTA_SHORT", "{error:?}");
        assert!(
            error.message.contains(&format!("quota of {what} is short")),
            "{error:?}"
        );
        let requests = house.source.requests();
        let mut writes = requests
            .iter()
            .filter(|one| one.method != "GET" && one.service != Service::Identity);
        assert!(writes.next().is_none(), "{what}: {requests:?}");
    }
    house.source.set_quotas(plenty);
    let backup = house.back_up_to_end(&server).await;
    assert!(backup.error.is_none(), "{backup:?}");
}
