//! Glance: images, their properties and their bytes; it may not know what boots from them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};

use super::call::Call;
use super::clock::zulu;
use super::content::{Content, GIB};
use super::keystone::{Who, unauthorised};
use super::nova;
use super::reply::{Answer, Body, Reply};
use super::world::{Kind, World};

const PAGE: usize = 25;
/// The keys that are no properties of their own.
const BASE: [&str; 9] = [
    "id",
    "name",
    "visibility",
    "container_format",
    "disk_format",
    "min_disk",
    "min_ram",
    "tags",
    "protected",
];

#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) id: String,
    sequence: u64,
    pub(crate) owner: String,
    pub(crate) name: Option<String>,
    pub(crate) status: String,
    visibility: String,
    container_format: Option<String>,
    disk_format: Option<String>,
    min_disk: u64,
    min_ram: u64,
    protected: bool,
    tags: Vec<String>,
    pub(crate) properties: BTreeMap<String, String>,
    created: DateTime<Utc>,
    updated: DateTime<Utc>,
    size: Option<u64>,
    virtual_size: Option<u64>,
    /// The SHA-512 of its bytes; there is no MD5, as Glance may leave it out.
    digest: Option<String>,
    pub(crate) content: Content,
}

impl Image {
    /// The bytes are there.
    pub(crate) fn fill(&mut self) {
        self.size = self.virtual_size;
        "active".clone_into(&mut self.status);
    }

    /// The smallest volume that it fits into, GiB.
    pub(crate) fn least_gib(&self) -> u64 {
        let bytes = self.virtual_size.or(self.size).unwrap_or(0);
        self.min_disk.max(bytes.div_ceil(GIB))
    }

    /// What a volume that is made from this image remembers of it.
    pub(crate) fn volume_metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = self.properties.clone();
        metadata.insert("image_id".to_owned(), self.id.clone());
        metadata.insert(
            "image_name".to_owned(),
            self.name.clone().unwrap_or_default(),
        );
        metadata.insert("min_disk".to_owned(), self.min_disk.to_string());
        metadata.insert("min_ram".to_owned(), self.min_ram.to_string());
        for (key, value) in [
            ("container_format", &self.container_format),
            ("disk_format", &self.disk_format),
        ] {
            metadata.insert(key.to_owned(), value.clone().unwrap_or_default());
        }
        metadata.insert("size".to_owned(), self.size.unwrap_or(0).to_string());
        metadata
    }
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) images: BTreeMap<String, Image>,
}

impl State {
    pub(crate) fn visible(&self, id: &str, who: &Who) -> Option<&Image> {
        self.images.get(id).filter(|image| sees(who, image))
    }
}

fn sees(who: &Who, image: &Image) -> bool {
    who.is_admin() || image.owner == who.project || image.visibility == "public"
}

pub(crate) fn answer(world: &mut World, call: &Call) -> Answer {
    let parts = call.parts();
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", []) => return Ok(Reply::new(300, versions(world, call))),
        ("GET", ["versions"]) => return Ok(Reply::ok(versions(world, call))),
        _ => {}
    }
    let Some(who) = world.keystone.who(call.header("x-auth-token"), world.now) else {
        return Err(unauthorised(call));
    };
    let writes = !matches!(call.method.as_str(), "GET" | "HEAD");
    if writes && world.config.release.is_newer() && !who.is_member() {
        return Err(Reply::page(
            403,
            "You are not authorized to complete add_image action.",
        ));
    }
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", ["v2", "images"]) => Ok(list(world, call, &who)),
        ("POST", ["v2", "images"]) => create(world, call, &who),
        ("GET", ["v2", "images", id]) => Ok(Reply::ok(view(see(world, &who, id)?))),
        ("PATCH", ["v2", "images", id]) => patch(world, call, &who, id),
        ("DELETE", ["v2", "images", id]) => {
            if see(world, &who, id)?.protected {
                return Err(Reply::page(
                    403,
                    &format!("Image {id} is protected and cannot be deleted."),
                ));
            }
            if let Some(image) = world.glance.images.remove(*id) {
                nova::image_gone(world, &image.properties);
            }
            world.forget(id);
            Ok(Reply::empty(204))
        }
        ("PUT", ["v2", "images", id, "file"]) => {
            see(world, &who, id)?;
            upload(world, call, id)
        }
        ("GET", ["v2", "images", id, "file"]) => {
            let image = see(world, &who, id)?;
            let bytes = image.content.read(0, image.size.unwrap_or(0));
            Ok(Reply::with(
                if bytes.is_empty() { 204 } else { 200 },
                Body::Bytes(bytes),
            ))
        }
        ("GET", ["v2", "schemas", name]) => Ok(Reply::ok(json!({"name": name, "properties": {}}))),
        _ => Err(Reply::page(404, "The resource could not be found.")),
    }
}

/// Newer releases do not sort their versions: nobody may rely on the first.
fn versions(world: &World, call: &Call) -> Value {
    let (current, mut supported) = if world.config.release.is_newer() {
        (
            "v2.17",
            vec![
                "v2.15", "v2.16", "v2.13", "v2.9", "v2.7", "v2.2", "v2.1", "v2.0",
            ],
        )
    } else {
        (
            "v2.15",
            vec!["v2.13", "v2.12", "v2.9", "v2.7", "v2.2", "v2.1", "v2.0"],
        )
    };
    supported.insert(0, current);
    let views: Vec<Value> = supported
        .into_iter()
        .map(|id| {
            let status = if id == current {
                "CURRENT"
            } else {
                "SUPPORTED"
            };
            json!({"id": id, "status": status,
                "links": [{"rel": "self", "href": format!("{}/image/v2/", call.base)}]})
        })
        .collect();
    json!({"versions": views})
}

fn see<'world>(world: &'world World, who: &Who, id: &str) -> Result<&'world Image, Reply> {
    let found = world.glance.visible(id, who);
    found.ok_or_else(|| Reply::page(404, &format!("No image found with ID {id}")))
}

fn view(image: &Image) -> Value {
    let mut view = json!({
        "id": image.id, "name": image.name, "status": image.status, "visibility": image.visibility,
        "owner": image.owner, "container_format": image.container_format,
        "disk_format": image.disk_format, "min_disk": image.min_disk, "min_ram": image.min_ram,
        "protected": image.protected, "tags": image.tags, "size": image.size, "virtual_size": image.virtual_size,
        "checksum": null, "os_hash_algo": image.digest.as_ref().map(|_| "sha512"), "os_hash_value": image.digest,
        "os_hidden": false, "created_at": zulu(image.created), "updated_at": zulu(image.updated),
        "self": format!("/v2/images/{}", image.id), "file": format!("/v2/images/{}/file", image.id),
        "schema": "/v2/schemas/image",
    });
    for (key, value) in &image.properties {
        view[key] = json!(value);
    }
    view
}

fn list(world: &World, call: &Call, who: &Who) -> Reply {
    let same = |image: &&Image| {
        call.query.iter().all(|(key, value)| match key.as_str() {
            "name" => image.name.as_deref() == Some(value),
            "status" => image.status == *value,
            "visibility" => image.visibility == *value,
            "owner" => image.owner == *value,
            "id" => image.id == *value,
            "tag" => image.tags.contains(value),
            _ => true,
        })
    };
    let mut images: Vec<&Image> = world
        .glance
        .images
        .values()
        .filter(|image| sees(who, image))
        .filter(same)
        .collect();
    images.sort_by_key(|image| std::cmp::Reverse(image.sequence));
    if let Some(marker) = call.param("marker")
        && let Some(position) = images.iter().position(|image| image.id == marker)
    {
        images.drain(..=position);
    }
    let limit = call
        .param("limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(PAGE);
    let more = images.len() > limit;
    images.truncate(limit);
    let mut body = json!({"images": images.iter().map(|image| view(image)).collect::<Vec<_>>(),
        "first": "/v2/images", "schema": "/v2/schemas/images"});
    if let Some(last) = images.last().filter(|_| more) {
        body["next"] = json!(format!("/v2/images?marker={}&limit={limit}", last.id));
    }
    Reply::ok(body)
}

/// What is known of an image before it has bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sketch {
    pub(crate) name: Option<String>,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) active: bool,
    /// Bytes that it will have, of a disk of this size.
    pub(crate) content: Option<Content>,
    pub(crate) virtual_size: Option<u64>,
    pub(crate) min_disk: u64,
}

pub(crate) fn make(world: &mut World, project: &str, sketch: Sketch) -> String {
    let id = world.uuid();
    let now = world.date();
    let image = Image {
        id: id.clone(),
        sequence: world.next(),
        owner: project.to_owned(),
        name: sketch.name,
        status: if sketch.active { "active" } else { "queued" }.to_owned(),
        visibility: "shared".to_owned(),
        container_format: sketch.content.is_some().then(|| "bare".to_owned()),
        disk_format: sketch.content.is_some().then(|| "raw".to_owned()),
        min_disk: sketch.min_disk,
        min_ram: 0,
        protected: false,
        tags: Vec::new(),
        properties: sketch.properties,
        created: now,
        updated: now,
        size: sketch.active.then_some(0),
        virtual_size: sketch.virtual_size,
        digest: None,
        content: sketch.content.unwrap_or_default(),
    };
    world.remember(
        Kind::Image,
        &id,
        image.name.as_deref().unwrap_or_default(),
        project,
    );
    world.glance.images.insert(id.clone(), image);
    id
}

fn create(world: &mut World, call: &Call, who: &Who) -> Answer {
    let body = call.json();
    let Some(wanted) = body.as_object() else {
        return Err(Reply::page(400, "Body expected in request."));
    };
    let text = |key: &str| wanted.get(key).and_then(Value::as_str).map(str::to_owned);
    let sketch = Sketch {
        name: text("name"),
        properties: properties(wanted),
        ..Sketch::default()
    };
    let id = make(world, &who.project, sketch);
    if let Some(image) = world.glance.images.get_mut(&id) {
        image.container_format = text("container_format");
        image.disk_format = text("disk_format");
        image.visibility = text("visibility").unwrap_or_else(|| "shared".to_owned());
        image.min_disk = wanted.get("min_disk").and_then(Value::as_u64).unwrap_or(0);
        image.min_ram = wanted.get("min_ram").and_then(Value::as_u64).unwrap_or(0);
        image.protected = wanted
            .get("protected")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let tags = wanted
            .get("tags")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        image.tags = tags
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
    }
    let image = see(world, who, &id)?;
    let location = format!("{}/image/v2/images/{id}", call.base);
    Ok(Reply::new(201, view(image))
        .header("location", location)
        .touching(&id))
}

fn properties(wanted: &Map<String, Value>) -> BTreeMap<String, String> {
    wanted
        .iter()
        .filter(|(key, _)| !BASE.contains(&key.as_str()))
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The JSON patches that clients send: one level deep.
fn patch(world: &mut World, call: &Call, who: &Who, id: &str) -> Answer {
    see(world, who, id)?;
    let body = call.json();
    let now = world.date();
    let Some(image) = world.glance.images.get_mut(id) else {
        return Err(Reply::page(404, &format!("No image found with ID {id}")));
    };
    for change in body.as_array().into_iter().flatten() {
        let key = change["path"]
            .as_str()
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned();
        let value = change["value"].as_str().map(str::to_owned);
        match (change["op"].as_str(), key.as_str()) {
            (Some("remove"), key) => {
                image.properties.remove(key);
            }
            (_, "name") => image.name = value,
            (_, "visibility") => image.visibility = value.unwrap_or_default(),
            (_, "min_disk") => image.min_disk = change["value"].as_u64().unwrap_or(0),
            (_, "min_ram") => image.min_ram = change["value"].as_u64().unwrap_or(0),
            (_, "protected") => image.protected = change["value"].as_bool().unwrap_or(false),
            (_, key) => {
                image
                    .properties
                    .insert(key.to_owned(), value.unwrap_or_default());
            }
        }
    }
    image.updated = now;
    Ok(Reply::ok(view(image)))
}

fn upload(world: &mut World, call: &Call, id: &str) -> Answer {
    let newer = world.config.release.is_newer();
    let now = world.date();
    let Some(image) = world.glance.images.get_mut(id) else {
        return Err(Reply::page(404, &format!("No image found with ID {id}")));
    };
    if image.status != "queued" {
        return Err(Reply::page(
            409,
            &format!(
                "Image status transition from {} to saving is not allowed",
                image.status
            ),
        ));
    }
    let format = image.disk_format.as_deref().unwrap_or("raw");
    if newer && format == "qcow2" && !call.body.starts_with(b"QFI\xfb") {
        return Err(Reply::page(415, "Image content does not match disk_format"));
    }
    image.content.write(0, &call.body);
    image.size = Some(call.body.len() as u64);
    let hash = Sha512::digest(&call.body);
    image.digest = Some(
        hash.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .concat(),
    );
    "active".clone_into(&mut image.status);
    image.updated = now;
    Ok(Reply::empty(204))
}
