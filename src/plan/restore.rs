//! Rebuilds an instance from a backup, of the one kind in any tenant, of the other in its own; it may not know how the backup was made.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Looking at the target | read inventory, read presence; read the inventory of a donor | keep | it only reads; the first answer stays |
//! | Creating security groups | make, apply rules; import the key pair | product (key pair: keep) | found by name |
//! | Importing records and creating volumes | apply that what a failed import has left is gone; read presence again | keep | it is looked at right before: what has bytes by then stays |
//! | | import, oldest links first, where the id is not live yet | **keep** | looked up by the record's id |
//! | | make, in the project of the donor where there is one | product | found by name |
//! | Creating volumes from snapshots | make, in place of the two above, where the backup is a regular one | product | found by name |
//! | Restoring volumes | fill what is empty | | the same bytes again |
//! | | drop a volume whose restore failed, and make another | product | found by name |
//! | Transferring volumes | take over from the donor | product | one that is there already stays; an offer that was left over is withdrawn first |
//! | Preparing volumes | apply name, metadata, bootable, image metadata | | idempotent |
//! | Creating ports | make, with fewer wishes where one is refused; apply what else is set on them | product | found by name |
//! | Creating trunks | make; drop the sub ports of one that is refused | product | found by name |
//! | Creating the server | make; drop one that did not come up, and make another | product | found by tag |
//! | Finishing | apply final names, tags, DNS names and what goes with the server | | idempotent |
//! | | switch off what was switched off, then switch on its ports, then lock | | seen before it is asked for |
//! | Comparing | read the instance that came of it | keep | it only reads |
//!
//! What it does not go back for:
//!
//! | From | What is in the way | Then |
//! |---|---|---|
//! | the first volume that is being filled on | a login, a right, a quota, a server that does not come up | it is held until the deadline, and asked for again |
//! | the same, where volumes are to be kept | a cancel, the deadline, any failure | what has its bytes stays |
//! | always | what is optional is refused (see `is_optional`) | it is told as a difference |
//! | the server is up | the deadline | it ends well; what is unfinished is told |
//!
//! A donor is a project that holds a record out of which nobody else may restore (see `target`). Its
//! volume is made and filled there, and taken over after that: two rows, one for each project, and each
//! lets go of what is there. So whatever moment a transfer ends in, the volume is found and deleted.
//!
//! What is optional falls alone: where it is refused the rest goes on, and the refusal is told as a
//! difference. What is to be switched off comes up once, because Nova makes no server that is off; its
//! ports are off meanwhile, so that it never speaks with an address that may be its twin's. (Nova does not
//! wait for the wiring of a port that is off: `_build_vif_model` of Zed and 2026.1.)
//!
//! An imported record shares its bytes with the original, so nothing here ever lets one go.
//! The key pair stays too: other restorations may boot with it, and a public key harms nobody.

mod detail;
mod finish;
mod groups;
mod kept;
mod ports;
mod server_plan;
mod trunks;

use self::{detail::hold, finish::finish, kept::was_wish_refused, server_plan::server_plan};
use super::{
    PatienceSettings,
    decision_builder::{DecisionBuilder, Step, Stop, both},
    layout::{self, Kept},
    server, target, volumes,
};
use crate::domain::{
    effect::{
        Apply, Disposal, Effect, EffectState, Make, Read, Request,
        key::{self, Single},
    },
    fault::FaultKind,
    id::ServerId,
    restoration::RestorePlanInput,
    verification::Verification,
};

/// The steps, in order.
pub(super) fn steps(decision: &mut DecisionBuilder<'_>, input: &RestorePlanInput) -> Step<()> {
    let manifest = &input.manifest;
    decision.tell_volumes(manifest, |index| key::volume(index).properties());
    if volumes::hold_bytes(decision) {
        decision.holds();
    }
    if input.options.keep_volumes || decision.cancel_keeps_volumes() {
        volumes::keep(decision);
    }
    hold(decision, input, &[], None);

    decision.phase("Looking at the target");
    let target = target::look(decision, input)?;
    let layout = layout::choose(input, &target).map_err(Stop::GiveUp)?;
    hold(decision, input, &target.live, Some(&layout));

    // These need nothing of each other, so all are asked for before any is awaited.
    decision.phase("Creating security groups");
    let groups = groups::create(decision, input, &layout);
    let key_name = groups::create_key(decision, &layout);
    decision.phase(if input.snapshots.is_empty() {
        "Importing records and creating volumes"
    } else {
        "Creating volumes from snapshots"
    });
    let imports = volumes::import_records(decision, input, &target);
    let volumes = volumes::create(decision, manifest, &layout);
    let ((), volumes) = both(imports, volumes)?;

    decision.phase("Restoring volumes");
    let volumes = volumes::restore(decision, input, &target, &layout, volumes)?;

    if layout.volumes.iter().any(|volume| volume.donor.is_some()) {
        decision.phase("Transferring volumes");
        volumes::take_over(decision, &volumes)?;
    }

    decision.phase("Preparing volumes");
    volumes::prepare(decision, &volumes)?;

    decision.phase("Creating ports");
    let (groups, key_name) = both(groups, key_name)?;
    let ports = ports::create(decision, input, &layout, &groups)?;
    ports::set(decision, &ports)?;
    if !layout.without_trunks && !manifest.trunks().is_empty() {
        decision.phase("Creating trunks");
        trunks::create(decision, input, &layout, &ports)?;
    }

    decision.phase("Creating the server");
    let plan = server_plan(input, &layout, &volumes, &ports, key_name);
    let server = server::create(decision, &plan, input.options.availability_zone.is_some())?;

    decision.phase("Finishing");
    let finished = finish(decision, input, &layout, &groups, &ports, &volumes, server);
    let finished = finished.and_then(|()| {
        decision.phase("Comparing");
        let request = Read::Instance {
            server: ServerId::new(server.id()),
        };
        let look = decision.wish(Single::Compared, request, Disposal::Keep);
        decision.all_that_can(vec![look])
    });
    if finished.is_err() {
        if !decision.is_late() {
            return finished;
        }
        // The server is up, which is worth more than what is left to do.
        decision.phase("Restored, not finished");
        prove(decision);
        hold(decision, input, &target.live, Some(&layout));
        return Ok(());
    }

    hold(decision, input, &target.live, Some(&layout));

    decision.phase(if is_missing(decision) {
        "Restored, and not found any more"
    } else {
        "Restored"
    });
    prove(decision);
    Ok(())
}

/// Whether the last look did not find the server: somebody may have deleted it while it was finished. One answer
/// is not enough to undo anything, so it is told, and nothing goes.
fn is_missing(decision: &DecisionBuilder<'_>) -> bool {
    let look = decision.effect(&Single::Compared.into());
    let fault = look.and_then(|look| look.fault.as_ref());
    fault.is_some_and(|fault| fault.kind == FaultKind::NotFound)
}

/// Says that the bytes are there, which nothing but this proves.
fn prove(decision: &mut DecisionBuilder<'_>) {
    let time = Some(decision.now());
    decision.claim(Verification { time, doubt: None });
}

/// What is optional; a port with wishes that may fall; a server and what is restored into a volume, where
/// another one is the way around.
pub(super) fn forgives(limits: &PatienceSettings, effect: &Effect) -> bool {
    is_optional(&effect.request)
        || was_wish_refused(effect)
        || server::forgives(effect)
        || volumes::forgives(limits, effect)
}

/// What a restoration is whole without: refused, it is told, and everything else goes on.
pub(super) fn is_optional(request: &Request) -> bool {
    Optional::of(request).is_some()
}

/// What is optional, by what is told of it.
enum Optional<'a> {
    KeyPair(&'a str),
    Volume,
    GroupName,
    Port(&'static str),
    Trunk,
    Server(&'static str),
    Look,
}

impl<'a> Optional<'a> {
    fn of(request: &'a Request) -> Option<Self> {
        match request {
            Request::Make(make) => Self::of_make(make),
            Request::Apply(apply) => Self::of_apply(apply),
            Request::Read(Read::Instance { .. }) => Some(Self::Look),
            Request::Read(_)
            | Request::Import { .. }
            | Request::RestoreInto { .. }
            | Request::Drop { .. } => None,
        }
    }

    fn of_make(make: &'a Make) -> Option<Self> {
        match make {
            Make::KeyPair { name, .. } => Some(Self::KeyPair(name)),
            Make::Trunk(_) => Some(Self::Trunk),
            Make::Snapshot { .. }
            | Make::Image { .. }
            | Make::GroupSnapshot { .. }
            | Make::TakeSnapshot { .. }
            | Make::VolumeBackup { .. }
            | Make::Volume(_)
            | Make::AcceptTransfer { .. }
            | Make::SecurityGroup { .. }
            | Make::Port(_)
            | Make::Server(_) => None,
        }
    }

    fn of_apply(apply: &Apply) -> Option<Self> {
        match apply {
            Apply::Volume(_) => Some(Self::Volume),
            Apply::SecurityGroupName { .. } => Some(Self::GroupName),
            Apply::PortName { .. } => Some(Self::Port("name")),
            Apply::PortSetting { setting, .. } => Some(Self::Port(setting.attribute())),
            Apply::Trunk { .. } => Some(Self::Port("trunk name")),
            Apply::ServerSetting { setting, .. } => Some(Self::Server(setting.attribute())),
            Apply::ServerTags { .. } => Some(Self::Server("tags")),
            Apply::DeleteOnTermination { .. } => Some(Self::Server("delete_on_termination")),
            Apply::Bootable { .. }
            | Apply::SecurityGroupRules { .. }
            | Apply::VolumeBackup { .. }
            | Apply::Snapshot { .. }
            | Apply::ErrorStatus { .. }
            | Apply::ResetBackupStatus { .. }
            | Apply::SnapshotFreed { .. }
            | Apply::SnapshotsGone { .. }
            | Apply::FailedImportGone { .. } => None,
        }
    }
}

fn was_refused(effect: &Effect) -> bool {
    effect.state == EffectState::Failed
}

/// Whether the instance is switched off in the end.
fn stops(input: &RestorePlanInput) -> bool {
    input.options.start.stops(&input.manifest.status)
}
