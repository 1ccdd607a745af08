//! What a restoration needs against what may still be made; it may not know how anything is chosen.

use std::collections::BTreeMap;

use super::{
    layout::{Findings, GroupLayout, VolumeLayout},
    target::Target,
};
use crate::domain::{
    error::Shortage,
    inventory::{Flavor, Headroom, Inventory, Quotas, Right, TypeQuotas},
    restoration::RestorePlanInput,
};

/// Rules that Neutron puts into a new group by itself, before ours replace them.
const RULES_OF_A_NEW_GROUP: usize = 2;

/// What was chosen, as far as it uses up quota.
pub(super) struct Choice<'a> {
    /// The flavor, where one fits.
    pub(super) flavor: Option<&'a Flavor>,
    /// How many ports.
    pub(super) ports: usize,
    /// The volumes.
    pub(super) volumes: &'a [VolumeLayout],
    /// The security groups.
    pub(super) groups: &'a [GroupLayout],
}

/// What is counted against one pool of quotas.
pub(super) struct Payer<'f> {
    findings: &'f mut Findings,
    /// Whose quotas they are, behind what is short.
    whose: String,
    guidance: &'static str,
}

/// Notes all shortages at once. What a donor makes needs room there and, when it is taken over, in the
/// target too; what is imported needs it in the project in which the records land.
pub(super) fn check(
    input: &RestorePlanInput,
    target: &Target<'_>,
    choice: &Choice<'_>,
    findings: &mut Findings,
) {
    let manifest = &input.manifest;
    let inventory = target.inventory;
    let quotas = &inventory.quotas;
    let (imports, import_gib) = target.to_import(input);
    let mut payer = Payer::new(
        findings,
        String::new(),
        "raise the quota of the target tenant or free some of it",
    );
    payer.volumes(choice.volumes.iter(), inventory);
    payer.needs("instances", 1, quotas.instances);
    if let Some(flavor) = choice.flavor {
        payer.needs("cores", flavor.shape.cores, quotas.cores);
        payer.needs("RAM MiB", flavor.shape.ram_mib, quotas.ram_mib);
    }
    payer.needs("ports", count(choice.ports), quotas.ports);
    let made: Vec<usize> = choice
        .groups
        .iter()
        .zip(&manifest.security_groups)
        .filter(|(group, _)| matches!(group, GroupLayout::Make { .. }))
        .map(|(_, facts)| {
            // A rule that is narrowed by what cannot be put back is left out.
            let rules = facts.rules.iter();
            let made = rules.filter(|rule| rule.restrictions.is_empty()).count();
            made.max(RULES_OF_A_NEW_GROUP)
        })
        .collect();
    payer.needs("security groups", count(made.len()), quotas.security_groups);
    let rules = count(made.iter().sum());
    payer.needs("security group rules", rules, quotas.security_group_rules);
    let mut metadata = manifest.metadata.clone();
    metadata.extend(input.options.metadata.clone());
    let pairs = count(metadata.len());
    payer.needs("metadata of a server", pairs, quotas.server_metadata);
    match &inventory.importer {
        None => payer.backups(imports, import_gib, quotas),
        Some(quotas) => {
            let project = &target.import_tenant(&manifest.tenant).project;
            Payer::new(
                findings,
                format!(" of project {project}, in which imported records land,"),
                "raise the quota of that project or free some of it, or give the admin entry a role in the target tenant",
            )
            .backups(imports, import_gib, quotas);
        }
    }
    if imports > 0
        && let Right::Refused(why) = target.import
    {
        findings.problem(
            "IMPORT_FORBIDDEN",
            format!("records of volume backups may not be imported: {why}"),
            "configure an admin entry for the target cloud, or let its policy `backup:backup-import` include our user",
        );
    }
    for (project, inventory) in target.donors() {
        let given = choice
            .volumes
            .iter()
            .filter(|one| one.donor.as_ref() == Some(project));
        Payer::new(
            findings,
            format!(" of project {project}, which holds the records,"),
            "raise the quota of that project or free some of it, or configure an admin entry",
        )
        .volumes(given, inventory);
    }
}

impl<'f> Payer<'f> {
    pub(super) fn new(findings: &'f mut Findings, whose: String, guidance: &'static str) -> Self {
        Self {
            findings,
            whose,
            guidance,
        }
    }

    /// So much is needed of something of which so much is left.
    pub(super) fn needs(&mut self, what: &str, needed: u64, left: Headroom) {
        let Some(available) = left.filter(|left| *left < needed) else {
            return;
        };
        let whose = &self.whose;
        let text =
            format!("the quota of {what}{whose} is short: {needed} needed, {available} left");
        let subject = format!("{what}{}", whose.trim_end_matches(','));
        let short = Shortage {
            subject,
            needed,
            available,
        };
        self.findings.short(short, text, self.guidance);
    }

    /// Volumes that are to be made, as Cinder counts them: all, by type, and each for itself.
    fn volumes<'v>(
        &mut self,
        volumes: impl Iterator<Item = &'v VolumeLayout>,
        inventory: &Inventory,
    ) {
        let mut types = inventory.volume_types.iter();
        let default = types.find(|one| one.is_default).map(|one| &one.name);
        let volumes = volumes.map(|one| (one.volume_type.as_ref().or(default), one.size_gib));
        let wanted: Vec<(Option<&String>, u64)> = volumes.collect();
        let quotas = &inventory.quotas;
        self.needs("volumes", count(wanted.len()), quotas.volumes);
        self.needs("volume GiB", gib(&wanted), quotas.gigabytes);
        let largest = wanted.iter().map(|(_, gib)| *gib).max().unwrap_or(0);
        self.needs("GiB of one volume", largest, quotas.per_volume_gigabytes);
        for (name, wanted, quotas) in by_type(&wanted, quotas) {
            let what = format!("volumes of type {name}");
            self.needs(&what, count(wanted.len()), quotas.volumes);
            let what = format!("volume GiB of type {name}");
            self.needs(&what, gib(&wanted), quotas.gigabytes);
        }
    }

    /// Volume backups that are to be made or imported.
    pub(super) fn backups(&mut self, number: u64, gib: u64, quotas: &Quotas) {
        self.needs("volume backups", number, quotas.backups);
        self.needs("volume backup GiB", gib, quotas.backup_gigabytes);
    }
}

/// The type of something and its size.
pub(super) type Sized<'t> = (Option<&'t String>, u64);

/// What is wanted of each type that has quotas of its own.
pub(super) fn by_type<'t>(
    wanted: &[Sized<'t>],
    quotas: &'t Quotas,
) -> Vec<(&'t String, Vec<Sized<'t>>, &'t TypeQuotas)> {
    let mut by_name: BTreeMap<&String, Vec<Sized<'t>>> = BTreeMap::new();
    for (name, gib) in wanted {
        if let Some(name) = name {
            by_name.entry(name).or_default().push((Some(name), *gib));
        }
    }
    let known = |(name, wanted)| Some((name, wanted, quotas.by_type.get(name)?));
    by_name.into_iter().filter_map(known).collect()
}

pub(super) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

pub(super) fn gib(wanted: &[Sized<'_>]) -> u64 {
    wanted.iter().map(|(_, gib)| gib).sum()
}
