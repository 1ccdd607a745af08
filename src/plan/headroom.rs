//! What a restoration needs against what may still be made; it may not know how anything is chosen.

use super::{
    layout::{Findings, GroupLayout, VolumeLayout},
    target::Target,
};
use crate::domain::{inventory::Headroom, restoration::RestorePlanInput};

/// Notes all shortages at once. What a giver makes needs room there and, when it is taken over, in the
/// target too.
pub(super) fn check(
    input: &RestorePlanInput,
    target: &Target<'_>,
    volumes: &[VolumeLayout],
    groups: &[GroupLayout],
    findings: &mut Findings,
) {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let made = groups
        .iter()
        .filter(|group| matches!(group, GroupLayout::Make { .. }))
        .count();
    let manifest = &input.manifest;
    let imports = target.to_import(input);
    let quotas = &target.inventory.quotas;
    let mut need = |what: &str, needed: u64, left: Headroom| {
        let guidance = "raise the quota of the target tenant or free some of it";
        short(findings, what, needed, left, guidance);
    };
    need("volumes", count(volumes.len()), quotas.volumes);
    need("volume GiB", gib(volumes.iter()), quotas.gigabytes);
    need("volume backups", imports.0, quotas.backups);
    need("volume backup GiB", imports.1, quotas.backup_gigabytes);
    need("instances", 1, quotas.instances);
    need("cores", manifest.flavor.cores, quotas.cores);
    need("RAM MiB", manifest.flavor.ram_mib, quotas.ram_mib);
    need("ports", count(manifest.ports.len()), quotas.ports);
    need("security groups", count(made), quotas.security_groups);
    for (project, inventory) in target.givers() {
        let given = || {
            volumes
                .iter()
                .filter(|one| one.giver.as_ref() == Some(project))
        };
        let quotas = &inventory.quotas;
        let mut need = |what: &str, needed: u64, left: Headroom| {
            let what = format!("{what} of project {project}, which holds the records,");
            let guidance =
                "raise the quota of that project or free some of it, or configure an admin entry";
            short(findings, &what, needed, left, guidance);
        };
        need("volumes", count(given().count()), quotas.volumes);
        need("volume GiB", gib(given()), quotas.gigabytes);
    }
}

fn gib<'a>(volumes: impl Iterator<Item = &'a VolumeLayout>) -> u64 {
    volumes.map(|volume| volume.size_gib).sum()
}

fn short(findings: &mut Findings, what: &str, needed: u64, left: Headroom, guidance: &'static str) {
    if let Some(left) = left
        && left < needed
    {
        findings.problem(
            "QUOTA_SHORT",
            format!("the quota of {what} is short: {needed} needed, {left} left"),
            guidance,
        );
    }
}
