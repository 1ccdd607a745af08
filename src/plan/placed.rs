//! What belongs together of one volume or port of a restoration; it may not know how it came about.

use super::layout::{PortLayout, VolumeLayout};
use crate::domain::{
    effect::Effect,
    manifest::{PortFacts, VolumeFacts},
};

/// What stands in a place of the manifest.
pub(super) struct Placed<'p, F, L> {
    /// The place.
    pub(super) place: usize,
    /// What it was.
    pub(super) facts: &'p F,
    /// What it is to become.
    pub(super) layout: &'p L,
    /// What was made.
    pub(super) effect: &'p Effect,
}

/// A volume.
pub(super) type Volume<'p> = Placed<'p, VolumeFacts, VolumeLayout>;

/// A port, a card of the server or a sub port of a trunk.
pub(super) type Port<'p> = Placed<'p, PortFacts, PortLayout>;
