//! Which disk a server boots from; this file may not know how its bytes are captured.
//!
//! `image` does not tell it. Nova keeps the image that a server was asked for, also where that image holds
//! no bytes and only names snapshots: the image of a volume-booted server (`block_device_mapping` among its
//! properties, seen on Zed and 2026.1). A server of such an image boots from a volume and shows an image.
//! What tells it is the devices:
//!
//! 1. No image: it boots from a volume. That is the one at the root device, where an admin may see which
//!    that is; otherwise the first one that is marked bootable, and otherwise the first.
//! 2. An image, and a volume at the root device as an admin sees it: that volume boots. No volume there:
//!    the root disk is the hypervisor's own.
//! 3. An image, and nobody may see the root device. An image that names volumes itself boots from a volume.
//!    One with bytes of its own does not. Where the image is gone, a bootable volume at the first device of
//!    its kind (`vda`, `sda` …) boots, for the hypervisor's own disk would be there; and as a bus of its own
//!    for one volume can look the same, it is told that this was concluded.

use serde_json::{Map, Value};

use super::{access::Access, call::Call, network::is_refusal, path::Path, server::Server};
use crate::domain::fault::{Fault, Service};

/// A volume of a server, as far as it counts here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk<'a> {
    pub(super) device: Option<&'a str>,
    pub(super) bootable: bool,
}

/// What the image of a server says of its disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mapping {
    /// It names a volume that boots.
    Volume,
    /// It has the bytes itself.
    Bytes,
    /// It is not there, or not to be seen.
    Unknown,
}

/// What is known beside the volumes.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) has_image: bool,
    /// As an admin sees it.
    pub(super) root_device: Option<&'a str>,
    pub(super) mapping: Mapping,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Root {
    /// Whether it boots from a volume.
    pub(super) is_volume: bool,
    /// The place of that volume.
    pub(super) volume: Option<usize>,
    /// What was only concluded.
    pub(super) doubt: Option<String>,
}

/// Finds the disk that boots, among volumes in the order of their devices.
pub(super) fn find(disks: &[Disk<'_>], evidence: &Evidence<'_>) -> Root {
    let at_root = |root: &str| disks.iter().position(|disk| disk.device == Some(root));
    let named = evidence.root_device.and_then(at_root);
    let volume = |volume: usize| Root {
        is_volume: true,
        volume: Some(volume),
        doubt: None,
    };
    let none = Root {
        is_volume: false,
        volume: None,
        doubt: None,
    };
    let bootable = || disks.iter().position(|disk| disk.bootable);
    if let Some(named) = named {
        return volume(named);
    }
    if !evidence.has_image {
        let first = bootable().or((!disks.is_empty()).then_some(0));
        return Root {
            is_volume: true,
            volume: first,
            doubt: None,
        };
    }
    let first = disks
        .iter()
        .position(|disk| disk.bootable && disk.device.is_some_and(is_first));
    match (evidence.root_device, evidence.mapping, first) {
        // An admin sees where the root disk is, and no volume is there.
        (Some(_), _, _) | (None, Mapping::Bytes, _) | (None, Mapping::Unknown, None) => none,
        (None, Mapping::Volume, first) => first.or_else(bootable).map_or(none, volume),
        (None, Mapping::Unknown, Some(first)) => Root {
            doubt: Some(format!(
                "the disk that boots: the image of the instance cannot be seen, and a bootable volume is \
                 at {}, so that one was taken",
                disks[first].device.unwrap_or_default()
            )),
            ..volume(first)
        },
    }
}

/// Whether a device is the first of its kind.
fn is_first(device: &str) -> bool {
    let name = device.trim_start_matches("/dev/");
    matches!(name, "vda" | "sda" | "hda" | "xvda")
}

/// What the image of a server says of its disks; not asked where there is none.
pub(super) async fn read_mapping(access: &Access, server: &Server) -> Result<Mapping, Fault> {
    let Some(id) = server.image.get("id").and_then(Value::as_str) else {
        return Ok(Mapping::Unknown);
    };
    let call = Call::get(
        Service::Image,
        Path::of("images", &id),
        format!("read the image {id}"),
    );
    match access.read::<Map<String, Value>>(&call).await {
        Ok(image) => Ok(mapping_of(&image)),
        Err(fault) if is_refusal(&fault) => Ok(Mapping::Unknown),
        Err(fault) => Err(fault),
    }
}

fn mapping_of(image: &Map<String, Value>) -> Mapping {
    // Older releases of Glance hand out a text with the list in it.
    let list = match image.get("block_device_mapping") {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
        Some(list) => list.clone(),
        None => Value::Null,
    };
    let boots = |one: &Value| {
        let index = &one["boot_index"];
        index.as_i64() == Some(0) || index.as_str() == Some("0")
    };
    if list.as_array().is_some_and(|list| list.iter().any(boots)) {
        return Mapping::Volume;
    }
    match image.get("size").and_then(Value::as_u64) {
        Some(1..) => Mapping::Bytes,
        Some(0) | None => Mapping::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn disk(device: &str, bootable: bool) -> Disk<'_> {
        Disk {
            device: Some(device),
            bootable,
        }
    }

    /// Image, root device, what the image says, volumes: which boots, whether it is in doubt.
    type Row<'a> = (
        bool,
        Option<&'a str>,
        Mapping,
        &'a [Disk<'a>],
        Option<usize>,
        bool,
    );

    #[test]
    fn every_evidence_has_its_answer() {
        let volumes = [disk("/dev/vda", true), disk("/dev/vdb", true)];
        let data = [disk("/dev/vdb", true)];
        let other_bus = [disk("/dev/sda", true)];
        let (there, bytes, gone) = (Mapping::Volume, Mapping::Bytes, Mapping::Unknown);
        let rows: [Row<'_>; 12] = [
            (false, None, gone, &volumes, Some(0), false),
            (false, Some("/dev/vdb"), gone, &volumes, Some(1), false),
            (false, Some("/dev/vdz"), gone, &data, Some(0), false),
            (true, Some("/dev/vda"), gone, &volumes, Some(0), false),
            (true, Some("/dev/vda"), there, &volumes, Some(0), false),
            (true, Some("/dev/vda"), gone, &data, None, false),
            (true, Some("/dev/vda"), gone, &other_bus, None, false),
            (true, None, there, &volumes, Some(0), false),
            (true, None, bytes, &other_bus, None, false),
            (true, None, gone, &volumes, Some(0), true),
            (true, None, gone, &data, None, false),
            (true, None, bytes, &volumes, None, false),
        ];
        for (has_image, root_device, mapping, disks, boots, doubtful) in rows {
            let evidence = Evidence {
                has_image,
                root_device,
                mapping,
            };
            let found = find(disks, &evidence);
            assert_eq!(found.volume, boots, "{evidence:?} {disks:?}");
            assert_eq!(found.doubt.is_some(), doubtful, "{evidence:?} {disks:?}");
            assert_eq!(found.is_volume, boots.is_some(), "{evidence:?} {disks:?}");
        }
    }

    #[test]
    fn an_image_tells_whether_it_names_the_volume_that_boots() {
        let read = |image: Value| mapping_of(image.as_object().unwrap());
        let list = json!([{"boot_index": 0, "snapshot_id": "s"}]);
        assert_eq!(
            read(json!({"block_device_mapping": list, "size": 0})),
            Mapping::Volume
        );
        assert_eq!(
            read(json!({"block_device_mapping": list.to_string()})),
            Mapping::Volume
        );
        let data = json!([{"boot_index": null, "snapshot_id": "s"}]);
        assert_eq!(
            read(json!({"block_device_mapping": data, "size": 5})),
            Mapping::Bytes
        );
        assert_eq!(read(json!({"size": null})), Mapping::Unknown);
    }
}
