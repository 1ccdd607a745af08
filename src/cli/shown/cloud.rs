//! How the things of a cloud look; it may not know where they are written.

use super::{Page, Shown, inside, needs, yes};
use crate::api::pb;

impl Shown for pb::Cloud {
    const MESSAGE: &'static str = "drbackup.v1.Cloud";
    const COLUMNS: &'static [&'static str] = &[
        "NAME",
        "REACHABLE",
        "ADMIN",
        "REGION",
        "AUTH URL",
        "PROBLEM",
    ];

    fn id(&self) -> &str {
        &self.name
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            yes(self.reachable),
            yes(self.admin_configured),
            self.region.clone(),
            self.auth_url.clone(),
            self.problem.clone(),
        ]
    }
}

impl Shown for pb::Tenant {
    const MESSAGE: &'static str = "drbackup.v1.Tenant";
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "DOMAIN", "CLOUD"];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.domain_id.clone(),
            self.cloud.clone(),
        ]
    }
}

impl Shown for pb::Instance {
    const MESSAGE: &'static str = "drbackup.v1.Instance";
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "STATUS", "VOLUMES", "ROOT IS VOLUME", "CLOUD"];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.status.clone(),
            self.volume_count.to_string(),
            yes(self.root_is_volume),
            self.cloud.clone(),
        ]
    }

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.fact("ID", &self.id);
        page.fact("Name", &self.name);
        page.fact("Status", &self.status);
        page.fact(
            "In",
            format!("cloud {}, tenant {}", self.cloud, self.tenant),
        );
        page.fact("Root is a volume", yes(self.root_is_volume));
        if let Some(manifest) = &self.manifest {
            page.fact("Needs", needs(manifest));
            page.fact(
                "Flavor",
                manifest
                    .flavor
                    .as_ref()
                    .map_or("", |flavor| flavor.name.as_str()),
            );
            page.fact(
                "Image",
                manifest
                    .image
                    .as_ref()
                    .map_or("", |image| image.name.as_str()),
            );
            page.fact(
                "Key",
                manifest
                    .key_pair
                    .as_ref()
                    .map_or("", |key| key.name.as_str()),
            );
            page.fact("Zone", &manifest.availability_zone);
            page.fact("Tags", manifest.tags.join(", "));
            let mut metadata: Vec<String> = manifest
                .metadata
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            metadata.sort_unstable();
            page.fact("Metadata", metadata.join(", "));
            inside(&mut page, manifest);
        }
        page
    }
}

impl Shown for pb::Flavor {
    const MESSAGE: &'static str = "drbackup.v1.Flavor";
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "CORES", "RAM MIB", "DISK GIB", "TOO SMALL BY"];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        let shortages = self
            .shortages
            .iter()
            .map(|short| format!("{} {}", short.needed - short.available, short.subject));
        vec![
            self.id.clone(),
            self.name.clone(),
            self.cores.to_string(),
            self.ram_mib.to_string(),
            self.disk_gib.to_string(),
            shortages.collect::<Vec<_>>().join(", "),
        ]
    }
}

impl Shown for pb::Network {
    const MESSAGE: &'static str = "drbackup.v1.Network";
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "SUBNETS", "OWNED", "SHARED", "EXTERNAL"];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        let subnets: Vec<&str> = self.subnets.iter().map(|one| one.cidr.as_str()).collect();
        vec![
            self.id.clone(),
            self.name.clone(),
            subnets.join(", "),
            yes(self.owned),
            yes(self.shared),
            yes(self.external),
        ]
    }
}

impl Shown for pb::VolumeType {
    const MESSAGE: &'static str = "drbackup.v1.VolumeType";
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "DEFAULT", "PUBLIC"];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            yes(self.is_default),
            yes(self.is_public),
        ]
    }
}
