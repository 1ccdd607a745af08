//! What has to be in a cloud before a claim can be made about it, made by plain HTTP; this file may
//! not know the client that is under test.

use std::{path::Path, time::Duration};

use drbackup::domain::id::{CloudName, ProjectId, Tenant};
use serde_json::{Value, json};

/// One user of one cloud, logged in.
pub(crate) struct Ground {
    http: reqwest::Client,
    token: String,
    catalogue: Value,
    pub(crate) tenant: Tenant,
}

impl Ground {
    /// Logs in with an entry of a `clouds.yaml`.
    pub(crate) async fn of_entry(file: &Path, cloud: &str, entry: &str) -> Self {
        let text = std::fs::read_to_string(file).expect("clouds.yaml is readable");
        let document: Value = serde_norway::from_str(&text).expect("clouds.yaml is YAML");
        let auth = &document["clouds"][entry]["auth"];
        let text = |key: &str| auth[key].as_str().unwrap_or_default().to_owned();
        let domain = json!({"name": text("user_domain_name")});
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": text("username"), "domain": domain, "password": text("password"),
            }}},
            "scope": {"project": {"name": text("project_name"), "domain": domain}},
        }});
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(90))
            .no_proxy()
            .build()
            .expect("a client");
        let reply = http
            .post(format!("{}/auth/tokens", text("auth_url")))
            .json(&body)
            .send()
            .await
            .unwrap_or_else(|error| {
                panic!("cloud {cloud} is asked for and does not answer: {error}")
            });
        assert!(
            reply.status().is_success(),
            "login to {cloud}: {}",
            reply.status()
        );
        let token = reply.headers()["x-subject-token"]
            .to_str()
            .expect("a token")
            .to_owned();
        let mut answer: Value = reply.json().await.expect("JSON");
        let project = answer["token"]["project"]["id"]
            .as_str()
            .expect("a project");
        Self {
            http,
            token,
            tenant: Tenant {
                cloud: CloudName::new(cloud),
                project: ProjectId::new(project),
            },
            catalogue: answer["token"]["catalog"].take(),
        }
    }

    fn url(&self, kind: &str, path: &str) -> String {
        let services = self.catalogue.as_array().expect("a catalogue");
        let endpoints = services
            .iter()
            .find(|service| service["type"] == kind)
            .unwrap_or_else(|| panic!("no {kind} in the catalogue"));
        let url = endpoints["endpoints"]
            .as_array()
            .expect("endpoints")
            .iter()
            .find(|endpoint| endpoint["interface"] == "public")
            .and_then(|endpoint| endpoint["url"].as_str())
            .expect("a public endpoint");
        let version = if kind == "network" && !url.contains("/v2.0") {
            "/v2.0"
        } else {
            ""
        };
        format!("{}{version}/{path}", url.trim_end_matches('/'))
    }

    /// Sends a request; an answer that is no success is given with its status.
    pub(crate) async fn ask(
        &self,
        method: &str,
        kind: &str,
        path: &str,
        version: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self
            .http
            .request(method, self.url(kind, path))
            .header("X-Auth-Token", &self.token);
        if !version.is_empty() {
            request = request.header("OpenStack-API-Version", version);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let reply = request.send().await.expect("an answer");
        let status = reply.status().as_u16();
        let text = reply.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Makes something and gives what is below `key` of the answer.
    pub(crate) async fn make(
        &self,
        kind: &str,
        path: &str,
        version: &str,
        key: &str,
        body: Value,
    ) -> Value {
        let (status, mut answer) = self
            .ask("POST", kind, path, version, Some(json!({ key: body })))
            .await;
        assert!(
            (200..300).contains(&status),
            "POST {path}: {status} {answer}"
        );
        answer[key].take()
    }

    /// Deletes and waits until it is gone.
    pub(crate) async fn remove(&self, kind: &str, path: &str) {
        super::until(&format!("{path} is gone"), async || {
            let (status, _) = self.ask("DELETE", kind, path, "", None).await;
            (status == 404).then_some(())
        })
        .await;
    }

    /// Waits for a status.
    pub(crate) async fn wait(&self, kind: &str, path: &str, key: &str, status: &str) -> Value {
        super::until(&format!("{path} is {status}"), async || {
            let (_, mut answer) = self.ask("GET", kind, path, "", None).await;
            let now = answer[key]["status"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            assert!(!now.to_lowercase().starts_with("error"), "{path}: {answer}");
            (now == status).then(|| answer[key].take())
        })
        .await
    }
}

/// An instance with everything that a manifest can tell.
pub(crate) struct Specimen {
    pub(crate) server: String,
    pub(crate) name: String,
    pub(crate) volumes: Vec<String>,
    pub(crate) ports: Vec<(String, String)>,
    pub(crate) network: String,
    pub(crate) group: String,
    pub(crate) friend: String,
    pub(crate) key_name: String,
}

/// The public key of all tests; nobody has the private one.
pub(crate) const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSL2Z8G6cRIvTQ4W5fQ5V0a2pQ5h8s2y7kZgqf3Vq1C ostest";

impl Ground {
    pub(crate) async fn flavor(&self) -> String {
        let (_, flavors) = self.ask("GET", "compute", "flavors/detail", "", None).await;
        let flavors = flavors["flavors"].as_array().expect("flavors").clone();
        let smallest = flavors
            .iter()
            .min_by_key(|flavor| flavor["ram"].as_u64())
            .expect("a flavor");
        smallest["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn network(&self, name: &str, cidr: &str) -> String {
        let network = self
            .make("network", "networks", "", "network", json!({"name": name}))
            .await;
        let id = text(&network["id"]);
        let subnet = json!({"network_id": id, "cidr": cidr, "ip_version": 4, "name": name});
        self.make("network", "subnets", "", "subnet", subnet).await;
        id
    }

    pub(crate) async fn volume(&self, name: &str) -> String {
        let body = json!({"name": name, "size": 1, "metadata": {"purpose": "test"}});
        let volume = self.make("volumev3", "volumes", "", "volume", body).await;
        let id = text(&volume["id"]);
        self.wait("volumev3", &format!("volumes/{id}"), "volume", "available")
            .await;
        id
    }

    /// Makes an instance with two volumes and two ports.
    pub(crate) async fn specimen(&self, name: &str) -> Specimen {
        let network = self.network(name, "10.77.0.0/24").await;
        let group = |name: String| async move {
            let body = json!({"name": name, "description": "of a test"});
            let made = self
                .make("network", "security-groups", "", "security_group", body)
                .await;
            text(&made["id"])
        };
        let friend = group(format!("{name}-friend")).await;
        let group = group(format!("{name}-group")).await;
        let rules = [
            json!({"security_group_id": group, "direction": "ingress", "ethertype": "IPv4",
                "protocol": "tcp", "port_range_min": 22, "port_range_max": 22,
                "remote_ip_prefix": "10.0.0.0/8", "description": "ssh"}),
            json!({"security_group_id": group, "direction": "ingress", "ethertype": "IPv4",
                "remote_group_id": friend}),
        ];
        for rule in rules {
            self.make(
                "network",
                "security-group-rules",
                "",
                "security_group_rule",
                rule,
            )
            .await;
        }
        let mut ports = Vec::new();
        for number in 0..2 {
            let body = json!({"network_id": network, "name": format!("{name}-{number}"),
                "security_groups": [group]});
            let port = self.make("network", "ports", "", "port", body).await;
            ports.push((text(&port["id"]), text(&port["mac_address"])));
        }
        let key_name = format!("{name}-key");
        let key = json!({"name": key_name, "public_key": PUBLIC_KEY});
        self.make("compute", "os-keypairs", "", "keypair", key)
            .await;
        let volumes = vec![
            self.volume(&format!("{name}-root")).await,
            self.volume(&format!("{name}-data")).await,
        ];
        let bootable = json!({"os-set_bootable": {"bootable": true}});
        let path = format!("volumes/{}/action", volumes[0]);
        self.ask("POST", "volumev3", &path, "", Some(bootable))
            .await;
        let image = json!({"os-set_image_metadata": {"metadata": {"hw_disk_bus": "virtio",
            "image_id": "6f4f2e7e-0000-4000-8000-000000000001", "image_name": "debian", "min_ram": "64"}}});
        self.ask("POST", "volumev3", &path, "", Some(image)).await;
        let flavor = self.flavor().await;
        let disks: Vec<Value> = volumes
            .iter()
            .enumerate()
            .map(|(number, volume)| {
                json!({"uuid": volume, "source_type": "volume", "destination_type": "volume",
                    "boot_index": if number == 0 { 0 } else { -1 },
                    "delete_on_termination": number == 1, "tag": format!("disk{number}")})
            })
            .collect();
        let networks: Vec<Value> = ports
            .iter()
            .map(|(port, _)| json!({"port": port}))
            .collect();
        let body = json!({"name": name, "description": "a specimen", "flavorRef": flavor,
            "block_device_mapping_v2": disks, "networks": networks, "key_name": key_name,
            "config_drive": true, "user_data": "I2Nsb3VkLWNvbmZpZwo=",
            "metadata": {"role": "web"}, "tags": ["blue", "green"]});
        let server = self
            .make("compute", "servers", "compute 2.52", "server", body)
            .await;
        let server = text(&server["id"]);
        self.wait("compute", &format!("servers/{server}"), "server", "ACTIVE")
            .await;
        Specimen {
            server,
            name: name.to_owned(),
            volumes,
            ports,
            network,
            group,
            friend,
            key_name,
        }
    }

    /// Removes a specimen.
    pub(crate) async fn clear(&self, specimen: &Specimen) {
        self.remove("compute", &format!("servers/{}", specimen.server))
            .await;
        for volume in &specimen.volumes {
            self.remove("volumev3", &format!("volumes/{volume}")).await;
        }
        for (port, _) in &specimen.ports {
            self.remove("network", &format!("ports/{port}")).await;
        }
        for group in [&specimen.group, &specimen.friend] {
            self.remove("network", &format!("security-groups/{group}"))
                .await;
        }
        self.remove("network", &format!("networks/{}", specimen.network))
            .await;
        self.remove("compute", &format!("os-keypairs/{}", specimen.key_name))
            .await;
    }
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}
