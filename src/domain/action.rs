//! What can be done to something, and the least role that it takes; it may not know who asks.

use super::caller::Role;

/// One thing that a caller may ask for, as far as rights tell it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// See backups of either kind, and their events.
    ReadPoint,
    /// See what a manifest keeps covered: user data.
    ReadSensitive,
    /// Make one.
    CreatePoint,
    /// Give one other words, keep it longer, hold it, or cancel what is under way with it.
    UpdatePoint,
    /// Let one go earlier: lift its hold, or shorten the time that it is kept.
    ReleasePoint,
    /// Delete one.
    DeletePoint,
    /// Restore from one, as far as its own tenant has a say.
    RestoreFrom,
    /// See restorations, their instances and their events.
    ReadRestoration,
    /// Restore into a tenant.
    RestoreInto,
    /// Cancel a restoration, or delete it with or without its instance.
    DeleteRestoration,
    /// See schedules and their runs.
    ReadSchedule,
    /// Make, change, start, stop or run one.
    ChangeSchedule,
    /// Delete one.
    DeleteSchedule,
    /// See what a tenant has in its cloud.
    ReadTenant,
    /// See what was left behind.
    ReadOrphan,
    /// Delete what was left behind.
    DeleteOrphan,
}

impl Action {
    /// The least role in the tenant of the object.
    pub fn least(self) -> Role {
        match self {
            Self::ReadPoint
            | Self::RestoreFrom
            | Self::ReadRestoration
            | Self::ReadSchedule
            | Self::ReadTenant => Role::Reader,
            Self::CreatePoint
            | Self::UpdatePoint
            | Self::RestoreInto
            | Self::DeleteRestoration
            | Self::ChangeSchedule
            | Self::ReadOrphan => Role::Operator,
            Self::ReadSensitive
            | Self::ReleasePoint
            | Self::DeletePoint
            | Self::DeleteSchedule
            | Self::DeleteOrphan => Role::Admin,
        }
    }

    /// As it is told, and written to the audit.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadPoint => "read a backup",
            Self::ReadSensitive => "read what a manifest keeps covered",
            Self::CreatePoint => "make a backup",
            Self::UpdatePoint => "change a backup",
            Self::ReleasePoint => "let a backup go earlier",
            Self::DeletePoint => "delete a backup",
            Self::RestoreFrom => "restore from a backup",
            Self::ReadRestoration => "read a restoration",
            Self::RestoreInto => "restore into a tenant",
            Self::DeleteRestoration => "end a restoration",
            Self::ReadSchedule => "read a schedule",
            Self::ChangeSchedule => "change a schedule",
            Self::DeleteSchedule => "delete a schedule",
            Self::ReadTenant => "read what a tenant has",
            Self::ReadOrphan => "read what was left behind",
            Self::DeleteOrphan => "delete what was left behind",
        }
    }
}
