//! Glance images, and what volumes remember of them; this file may not know which server uses one.

use serde_json::{Map, Value};

use super::{access::Access, call::Call, path::Path, wire::plain};
use crate::domain::{
    fault::{Fault, Service},
    manifest::{ImageFacts, Properties},
};

/// Keys that are not properties of the guest, in Glance and in a volume's image metadata.
const OWN_KEYS: [&str; 31] = [
    "checksum",
    "container_format",
    "created_at",
    "direct_url",
    "disk_format",
    "file",
    "id",
    "image_id",
    "image_name",
    "locations",
    "min_disk",
    "min_ram",
    "name",
    "os_hash_algo",
    "os_hash_value",
    "os_hidden",
    "owner",
    "protected",
    "schema",
    "self",
    "signature_verified",
    "size",
    "status",
    "stores",
    "tags",
    "updated_at",
    "virtual_size",
    "visibility",
    "base_image_ref",
    "block_device_mapping",
    "bdm_v2",
];

/// Reads an image; nothing when it is gone or not ours to see.
pub(super) async fn get(access: &Access, id: &str) -> Result<Option<ImageFacts>, Fault> {
    let call = Call::get(
        Service::Image,
        Path::of("images", &id),
        format!("read the image {id}"),
    );
    let image: Map<String, Value> = match access.read(&call).await {
        Ok(image) => image,
        // Glance says so on a page.
        Err(fault) if matches!(fault.status, Some(403 | 404)) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let number = |key: &str| image.get(key).and_then(Value::as_u64).unwrap_or(0);
    Ok(Some(ImageFacts {
        id: id.to_owned(),
        name: image
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        min_ram_mib: number("min_ram"),
        min_disk_gib: number("min_disk"),
        properties: image
            .iter()
            .filter(|(key, _)| !OWN_KEYS.contains(&key.as_str()))
            .filter_map(|(key, value)| Some((key.clone(), plain(value.clone())?)))
            .collect(),
    }))
}

/// What a volume remembers of the image that it was made from.
pub(super) fn remembered(metadata: &Properties) -> Option<ImageFacts> {
    let number = |key: &str| {
        metadata
            .get(key)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    Some(ImageFacts {
        id: metadata.get("image_id")?.clone(),
        name: metadata.get("image_name").cloned().unwrap_or_default(),
        min_ram_mib: number("min_ram"),
        min_disk_gib: number("min_disk"),
        properties: metadata
            .iter()
            .filter(|(key, _)| !OWN_KEYS.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volume_remembers_its_image() {
        let metadata: Properties = [
            ("image_id", "i"),
            ("image_name", "debian"),
            ("min_ram", "512"),
            ("hw_disk_bus", "scsi"),
            ("checksum", "c"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        let image = remembered(&metadata).unwrap();
        assert_eq!((image.min_ram_mib, image.properties.len()), (512, 1));
        assert_eq!(remembered(&Properties::new()), None);
    }
}
