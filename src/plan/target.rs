//! What was seen of the target of a restoration, and by whom each record there is restored; it may not
//! know what is made.
//!
//! A record that is live in the target cloud cannot be imported again. In the tenant itself, or under
//! an admin, it is restored straight into a volume of the tenant. Without one only the project that
//! holds it may restore it: that project becomes the donor of the volume.

use super::decision_builder::{DecisionBuilder, Step, found};
use crate::domain::{
    effect::{
        Disposal, Presence, Read,
        key::{List, Single},
    },
    id::{ProjectId, Tenant, VolumeBackupId},
    inventory::{AdminReach, Inventory, Right},
    restoration::RestorePlanInput,
};

/// A volume backup in the target cloud, and its project.
pub(super) type Held = (VolumeBackupId, ProjectId);

/// What was seen of the target.
pub(super) struct Target<'a> {
    /// What it offers.
    pub(super) inventory: &'a Inventory,
    /// Which records are live there, or will be soon.
    pub(super) live: Vec<&'a Held>,
    /// Which records a failed import has left there, of no use and in the way.
    failed_imports: &'a [Held],
    /// Which records are there whose import has not ended, and would be asked for again.
    pending_imports: Vec<&'a Held>,
    /// Whether records may be imported, where one has to be.
    pub(super) import: &'a Right,
    /// What the donors offer.
    donors: Vec<(&'a ProjectId, &'a Inventory)>,
}

/// Looks at the target, and at the donors if there are any.
pub(super) fn look<'a>(
    decision: &mut DecisionBuilder<'a>,
    input: &RestorePlanInput,
) -> Step<Target<'a>> {
    let tenant = decision.tenant();
    let mut wishes = vec![decision.wish(Single::Inventory, Read::Inventory, Disposal::Keep)];
    // Snapshots are where the volumes are to be made, so nobody else can have them.
    if !input.volume_backups.is_empty() {
        let presence = presence_wanted(tenant, input);
        wishes.push(decision.wish(Single::Presence, presence, Disposal::Keep));
    }
    let looks = decision.all(wishes)?;
    let inventory = found(looks[0])?;
    let presence = looks.get(1).map(|look| found(look)).transpose()?;
    let Presence {
        live,
        failed_imports,
        pending_imports,
        import,
    } = presence.unwrap_or(NOTHING_LIVE);
    // What is being imported where we would import it is adopted by asking for it too; anywhere else it
    // is somebody's, and waited for.
    let importer = importer(inventory, tenant);
    let (pending_imports, others) = pending_imports
        .iter()
        .partition(|(_, project)| *project == importer.project);
    let live: Vec<&Held> = live.iter().chain::<Vec<_>>(others).collect();
    let mut projects: Vec<&ProjectId> = match inventory.admin {
        AdminReach::Tenant | AdminReach::Other(_) => Vec::new(),
        AdminReach::None => live
            .iter()
            .map(|(_, project)| project)
            .filter(|project| **project != tenant.project)
            .collect(),
    };
    projects.sort();
    projects.dedup();
    let wishes = projects.iter().enumerate().map(|(index, project)| {
        let donor = tenant_of(tenant, project);
        let key = List::Donor.at(index);
        DecisionBuilder::wish_in(donor, key, Read::Inventory, Disposal::Keep)
    });
    let offers = decision.all(wishes.collect())?;
    let donors = projects.into_iter().zip(offers);
    let donors = donors.map(|(project, effect)| Ok((project, found(effect)?)));
    Ok(Target {
        inventory,
        live,
        failed_imports,
        pending_imports,
        import,
        donors: donors.collect::<Step<_>>()?,
    })
}

/// The look for the records of a backup.
pub(super) fn presence_wanted(tenant: &Tenant, input: &RestorePlanInput) -> Read {
    let backups = input.volume_backups.iter();
    Read::Presence {
        backups: backups.map(|backup| backup.id.clone()).collect(),
        projects: known_holders(tenant, input),
    }
}

/// Other projects of the cloud in which a record may be live: where it was made, where it was imported.
fn known_holders(tenant: &Tenant, input: &RestorePlanInput) -> Vec<ProjectId> {
    let made = input.volume_backups.iter().map(|backup| &backup.tenant);
    let imported = input.mirrors.iter().map(|mirror| &mirror.tenant);
    let mut projects: Vec<ProjectId> = made
        .chain(imported)
        .filter(|holder| holder.cloud == tenant.cloud && holder.project != tenant.project)
        .map(|holder| holder.project.clone())
        .collect();
    projects.sort();
    projects.dedup();
    projects
}

/// Another project of the same cloud.
pub(super) fn tenant_of(tenant: &Tenant, project: &ProjectId) -> Tenant {
    Tenant {
        cloud: tenant.cloud.clone(),
        project: project.clone(),
    }
}

impl<'a> Target<'a> {
    #[cfg(test)]
    pub(super) fn of(inventory: &'a Inventory, live: &'a [Held]) -> Self {
        Self {
            inventory,
            live: live.iter().collect(),
            failed_imports: &[],
            pending_imports: Vec::new(),
            import: &Right::Granted,
            donors: Vec::new(),
        }
    }

    /// The project in which a record is live.
    pub(super) fn project_of(&self, backup: &VolumeBackupId) -> Option<&'a ProjectId> {
        self.live
            .iter()
            .find(|(id, _)| id == backup)
            .map(|(_, project)| project)
    }

    /// The project in which a failed import has left a row in the way.
    pub(super) fn failed_import_in(&self, backup: &VolumeBackupId) -> Option<&'a ProjectId> {
        let mut failed_imports = self.failed_imports.iter();
        failed_imports
            .find(|(id, _)| id == backup)
            .map(|(_, project)| project)
    }

    /// The donor of a volume whose bytes are in this backup, and what it offers.
    pub(super) fn donor_of(
        &self,
        backup: &VolumeBackupId,
    ) -> Option<(&'a ProjectId, &'a Inventory)> {
        let holder = self.project_of(backup)?;
        self.donors
            .iter()
            .copied()
            .find(|(project, _)| *project == holder)
    }

    /// The donors and what they offer.
    pub(super) fn donors(&self) -> &[(&'a ProjectId, &'a Inventory)] {
        &self.donors
    }

    /// How many records have to be imported, and how many GiB; one that takes the place of another, or
    /// whose import has begun, is counted already.
    pub(super) fn to_import(&self, input: &RestorePlanInput) -> (u64, u64) {
        let counted = |wanted: &VolumeBackupId| {
            let held = self.live.iter().chain(&self.pending_imports).copied();
            held.chain(self.failed_imports).any(|(id, _)| id == wanted)
        };
        let all = input.volume_backups.iter();
        let absent = all.filter(|one| !counted(&one.id));
        absent.fold((0, 0), |(count, gib), one| (count + 1, gib + one.size_gib))
    }

    /// The project in which an import lands.
    pub(super) fn import_tenant(&self, tenant: &Tenant) -> Tenant {
        importer(self.inventory, tenant)
    }
}

/// The project in which an import lands: that of the token that the admin entry can get.
fn importer(inventory: &Inventory, tenant: &Tenant) -> Tenant {
    match &inventory.admin {
        AdminReach::Tenant | AdminReach::None => tenant.clone(),
        AdminReach::Other(project) => tenant_of(tenant, project),
    }
}

/// Of snapshots, which nobody else can have.
const NOTHING_LIVE: &Presence = &Presence {
    live: Vec::new(),
    failed_imports: Vec::new(),
    pending_imports: Vec::new(),
    import: Right::Unknown,
};
