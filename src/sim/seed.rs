//! Instances made by hand, at once and ready, for tests and demonstrations; they may not do what an API
//! could not.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cinder::{Blueprint, volume_make};
use super::cloud::{CloudError, missing};
use super::content::{Content, GIB};
use super::glance::{Sketch, make as image_make};
use super::keystone::Who;
use super::neutron::{
    PortSketch, RuleSketch, add_rule, group_make, network_make, port_make, subnet_make, text,
};
use super::nova::{DiskWish, Nic, ServerWish, keypair_make, server_build};
use super::world::World;

/// What an instance is to be like.
#[derive(Clone, Debug)]
pub struct InstanceSpec {
    /// The name of its project.
    pub project: String,
    /// The name of the user who makes it.
    pub user: String,
    /// Its name, and the beginning of the names of all that belongs to it.
    pub name: String,
    /// The sizes of its volumes in GiB; the first one boots.
    pub volumes: Vec<u64>,
    /// How many KiB of random bytes each volume gets, spread over it.
    pub kib_of_data: usize,
    /// The name of its flavor.
    pub flavor: String,
    /// The image properties of its root volume, or of the image that it boots from.
    pub properties: BTreeMap<String, String>,
    /// Whether it boots from an image: its root disk is then no volume, and all volumes hold data.
    pub from_image: bool,
    /// Its network, made if the project has none of this name.
    pub network: String,
}

impl InstanceSpec {
    /// An instance of `demo` in the project `demo` with volumes of these sizes.
    pub fn new(name: &str, volumes: &[u64]) -> Self {
        Self {
            project: "demo".to_owned(),
            user: "demo".to_owned(),
            name: name.to_owned(),
            volumes: volumes.to_vec(),
            kib_of_data: 256,
            flavor: "m1.tiny".to_owned(),
            properties: BTreeMap::new(),
            from_image: false,
            network: "internal".to_owned(),
        }
    }
}

impl InstanceSpec {
    /// The same with a guest agent that Nova has to ask to hold still.
    #[must_use]
    pub fn quiesced(mut self) -> Self {
        for key in ["hw_qemu_guest_agent", "os_require_quiesce"] {
            self.properties.insert(key.to_owned(), "yes".to_owned());
        }
        self
    }

    /// The same, booted from an image.
    #[must_use]
    pub fn booted_from_image(mut self) -> Self {
        self.from_image = true;
        self
    }
}

/// An instance that was made by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The id of the server.
    pub server: String,
    /// The ids of its volumes; the first one boots.
    pub volumes: Vec<String>,
    /// The id of its network.
    pub network: String,
    /// The id of its port.
    pub port: String,
    /// The id of its security group.
    pub security_group: String,
    /// The name of its key pair.
    pub keypair: String,
}

pub(crate) fn create_instance(
    world: &mut World,
    spec: &InstanceSpec,
) -> Result<Instance, CloudError> {
    let project = world
        .keystone
        .project_named(&spec.project)
        .map(|one| one.id.clone());
    let project = project.ok_or_else(|| missing("project", &spec.project))?;
    let user = world
        .keystone
        .user_named(&spec.user)
        .map(|one| one.id.clone());
    let user = user.ok_or_else(|| missing("user", &spec.user))?;
    let flavor = world
        .nova
        .flavors
        .iter()
        .find(|one| one.name == spec.flavor)
        .map(|one| one.id.clone());
    let flavor = flavor.ok_or_else(|| missing("flavor", &spec.flavor))?;
    let who = Who {
        user: user.clone(),
        user_name: spec.user.clone(),
        project: project.clone(),
        roles: Vec::new(),
    };

    let volumes: Vec<String> = (0..spec.volumes.len())
        .map(|number| put_volume(world, spec, &project, &user, number))
        .collect();
    let network = network(world, &project, &spec.network);
    let security_group = security_group(world, &project, &spec.name);
    let sketch = PortSketch {
        name: format!("{}-port", spec.name),
        network: network.clone(),
        security_groups: vec![security_group.clone()],
        ..PortSketch::default()
    };
    let port = port_make(world, &project, &sketch)
        .map_err(|_| missing("free address in network", &spec.network))?;
    let keypair = format!("{}-key", spec.name);
    if !world
        .nova
        .keypairs
        .iter()
        .any(|one| one.user == user && one.name == keypair)
    {
        keypair_make(
            world,
            &user,
            &keypair,
            &format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} sim", spec.name),
        );
    }
    let disks = volumes
        .iter()
        .enumerate()
        .map(|(number, id)| DiskWish::volume(id, number == 0 && !spec.from_image))
        .collect();
    let wish = ServerWish {
        name: spec.name.clone(),
        description: Some(format!("the instance {}", spec.name)),
        flavor,
        image: spec.from_image.then(|| put_image(world, spec, &project)),
        key_name: Some(keypair.clone()),
        metadata: BTreeMap::from([
            ("tier".to_owned(), "gold".to_owned()),
            ("app".to_owned(), spec.name.clone()),
        ]),
        tags: vec!["sim".to_owned(), spec.name.clone()],
        user_data: Some(STANDARD.encode(format!("#cloud-config\nhostname: {}\n", spec.name))),
        config_drive: false,
        disks,
        nics: vec![(Nic::Port(port.clone()), None)],
        hints: serde_json::json!({}),
        ..ServerWish::default()
    };
    let server = server_build(world, &who, wish).map_err(|_| missing("server", &spec.name))?;
    ready(world, &server, &volumes);
    Ok(Instance {
        server,
        volumes,
        network,
        port,
        security_group,
        keypair,
    })
}

fn put_volume(
    world: &mut World,
    spec: &InstanceSpec,
    project: &str,
    user: &str,
    number: usize,
) -> String {
    let size = spec.volumes.get(number).copied().unwrap_or(1);
    let content = content(world, spec, size);
    let is_root = number == 0 && !spec.from_image;
    let role = if is_root { "root" } else { "data" };
    let plan = Blueprint {
        name: Some(format!("{}-{role}-{number}", spec.name)),
        description: Some(format!("volume {number} of {}", spec.name)),
        size,
        metadata: BTreeMap::from([("role".to_owned(), role.to_owned())]),
        bootable: is_root,
        image_metadata: if is_root {
            spec.properties.clone()
        } else {
            BTreeMap::new()
        },
        content,
        ..Blueprint::default()
    };
    volume_make(world, project, user, plan)
}

/// Random bytes in a disk of this size.
fn content(world: &mut World, spec: &InstanceSpec, size: u64) -> Content {
    let mut content = Content::default();
    let pieces = (spec.kib_of_data / 64).max(1) as u64;
    for piece in 0..pieces {
        let bytes = world.random_bytes(64 * 1024);
        // Spread evenly, and never quite on a chunk's edge.
        content.write(size * GIB / pieces * piece + 512 * piece, &bytes);
    }
    content
}

/// The image that the instance boots from, with all that will be on its root disk.
fn put_image(world: &mut World, spec: &InstanceSpec, project: &str) -> String {
    let content = content(world, spec, 1);
    let sketch = Sketch {
        name: Some(format!("{}-image", spec.name)),
        properties: spec.properties.clone(),
        active: true,
        content: Some(content),
        virtual_size: Some(GIB),
        ..Sketch::default()
    };
    image_make(world, project, sketch)
}

pub(crate) fn create_network(
    world: &mut World,
    project: &str,
    name: &str,
) -> Result<String, CloudError> {
    let id = world
        .keystone
        .project_named(project)
        .map(|one| one.id.clone());
    let id = id.ok_or_else(|| missing("project", project))?;
    Ok(network(world, &id, name))
}

fn network(world: &mut World, project: &str, name: &str) -> String {
    let own = world.neutron.owned("networks", project);
    if let Some(row) = own.into_iter().find(|row| text(row, "name") == name) {
        return text(row, "id").to_owned();
    }
    let id = network_make(world, project, name);
    subnet_make(world, project, &id, name, "10.10.0.0/16");
    id
}

fn security_group(world: &mut World, project: &str, name: &str) -> String {
    let id = group_make(
        world,
        project,
        &format!("{name}-group"),
        &format!("what may reach {name}"),
    );
    for port in [22, 443] {
        let rule = RuleSketch {
            direction: "ingress".to_owned(),
            protocol: Some("tcp".to_owned()),
            ports: Some((port, port)),
            remote_prefix: Some("0.0.0.0/0".to_owned()),
            remote_group: None,
        };
        add_rule(world, project, &id, &rule);
    }
    let inside = RuleSketch {
        direction: "ingress".to_owned(),
        remote_group: Some(id.clone()),
        ..RuleSketch::default()
    };
    add_rule(world, project, &id, &inside);
    id
}

/// Makes a server ready without waiting for it to boot.
fn ready(world: &mut World, server: &str, volumes: &[String]) {
    world
        .events
        .retain(|_, event| !matches!(event, super::world::Event::ServerReady(id) if id == server));
    let now = world.date();
    if let Some(server) = world.nova.servers.get_mut(server) {
        "ACTIVE".clone_into(&mut server.status);
        server.launched = Some(now);
    }
    for volume in volumes {
        world.set_status(volume, "in-use");
    }
}
