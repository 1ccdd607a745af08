//! Whether a flavor is large enough for an instance; it may not know which cloud offers it.

use super::{
    error::Shortage,
    inventory::Flavor,
    manifest::{FlavorShape, Manifest},
};

/// What is short when the instance of `manifest` gets `flavor`, each by how much; empty when it fits.
pub fn shortages(manifest: &Manifest, flavor: &FlavorShape) -> Vec<Shortage> {
    let image_ram = manifest.image.as_ref().map_or(0, |image| image.min_ram_mib);
    // A flavor without a disk takes the root volume as large as it is.
    let root_gib = manifest.root_volume().map_or(0, |volume| volume.size_gib);
    let disk_short =
        flavor.disk_gib != 0 && flavor.disk_gib < root_gib.min(manifest.flavor.disk_gib);
    let mut short = Vec::new();
    let mut check = |subject: &str, needed: u64, available: u64| {
        if available < needed {
            short.push(Shortage {
                subject: subject.to_owned(),
                needed,
                available,
            });
        }
    };
    check("cores", manifest.flavor.cores, flavor.cores);
    check(
        "RAM (MiB)",
        manifest.flavor.ram_mib.max(image_ram),
        flavor.ram_mib,
    );
    if disk_short {
        check(
            "disk (GiB)",
            root_gib.min(manifest.flavor.disk_gib),
            flavor.disk_gib,
        );
    }
    short
}

/// The flavor to take when none is named: one of the same name that fits, else the smallest that fits.
pub fn best<'a>(manifest: &Manifest, flavors: &'a [Flavor]) -> Option<&'a Flavor> {
    let fitting = || {
        flavors
            .iter()
            .filter(|flavor| shortages(manifest, &flavor.shape).is_empty())
    };
    fitting()
        .find(|flavor| flavor.shape.name == manifest.flavor.name)
        .or_else(|| {
            fitting().min_by_key(|flavor| {
                (
                    flavor.shape.ram_mib,
                    flavor.shape.cores,
                    flavor.shape.disk_gib,
                    flavor.id.clone(),
                )
            })
        })
}
