//! A Cinder volume on its way from one project to another; this file may not know why it goes there.
//!
//! One project offers the volume and gets a key for it, the other one accepts the offer with that key.
//! The key lives in one call only: an offer whose key is lost is withdrawn and made anew.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::{
    access::Access, call::Call, path::Path, version::Microversion, volume, wire::nullable,
};
use crate::domain::{
    fault::{Fault, FaultKind, Service},
    holder::Holder,
    id::VolumeId,
    operation::NAME_MARK,
};

const CINDER: Service = Service::BlockStorage;

/// From here on transfers have this path; the older one is an extension.
const TRANSFERS: Microversion = Microversion(3, 55);
/// From here on encrypted volumes are transferred together with their keys.
const ENCRYPTED: Microversion = Microversion(3, 70);
/// The status of a volume that is offered.
pub(super) const OFFERED: &str = "awaiting-transfer";

#[derive(Deserialize)]
struct Offer {
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    /// Told only to the one who makes it.
    #[serde(default)]
    auth_key: Option<SecretString>,
}

#[derive(Deserialize)]
struct One {
    transfer: Offer,
}

#[derive(Deserialize)]
struct All {
    transfers: Vec<Offer>,
}

/// Transfers a volume of `donor` into the project of `taker`. Harmless to repeat: one that is there
/// already stays, and an offer that was left over is withdrawn before the next one is made.
pub(super) async fn accept(
    donor: &Access,
    taker: &Access,
    volume: &VolumeId,
    name: &str,
) -> Result<(), Fault> {
    if is_there(taker, volume).await? {
        return Ok(());
    }
    match hand_over(donor, taker, volume, name).await {
        // An earlier request of ours may have been under way still, and have moved it meanwhile.
        Err(fault) if fault.kind == FaultKind::NotFound && is_there(taker, volume).await? => Ok(()),
        outcome => outcome,
    }
}

/// Whether a volume belongs to the project; an admin sees those of others too.
async fn is_there(access: &Access, volume: &VolumeId) -> Result<bool, Fault> {
    match volume::get(access, volume).await {
        Ok(found) => Ok(found
            .project
            .is_none_or(|project| project == access.project.as_str())),
        Err(fault) if fault.kind == FaultKind::NotFound => Ok(false),
        Err(fault) => Err(fault),
    }
}

async fn hand_over(
    donor: &Access,
    taker: &Access,
    volume: &VolumeId,
    name: &str,
) -> Result<(), Fault> {
    let found = volume::get(donor, volume).await?;
    if found.status.eq_ignore_ascii_case(OFFERED) {
        if let Some(holder) = foreign_offer(donor, volume.as_str()).await? {
            let action = format!("offer the volume {volume} to another project");
            let message = format!("it {holder}");
            return Err(Fault::new(FaultKind::Conflict, CINDER, action, message));
        }
        withdraw(donor, volume.as_str()).await?;
    }
    let version = version(donor).await?;
    let action = format!("offer the volume {volume} to another project");
    if found.encrypted && version != Some(ENCRYPTED) {
        return Err(Fault::new(
            FaultKind::Unconfigured,
            CINDER,
            action,
            format!(
                "the volume is encrypted, and this Cinder transfers only plain ones: that takes \
                 microversion {ENCRYPTED}, or an admin entry, which needs no transfer"
            ),
        ));
    }
    let body = json!({"transfer": {"volume_id": volume, "name": name}});
    let call = Call::post(CINDER, path(version), action.as_str(), body).at(version);
    let One { transfer } = donor.read(&call).await?;
    let Some(key) = transfer.auth_key else {
        return Err(Fault::new(
            FaultKind::Unanswered,
            CINDER,
            action,
            "the answer has no usable `auth_key`",
        ));
    };
    let accept = Call::post(
        CINDER,
        Path::of(path(version), &transfer.id).word("accept"),
        format!("accept the volume {volume} from another project"),
        json!({"accept": {"auth_key": key.expose_secret()}}),
    )
    .hiding(key.expose_secret())
    .at(version);
    taker.send(&accept).await?;
    Ok(())
}

/// Whether we made an offer: its name is that of the effect that did.
fn is_ours(offer: &Offer) -> bool {
    offer.name.starts_with(NAME_MARK)
}

/// An offer of a volume that somebody else made, who is giving it away.
pub(super) async fn foreign_offer(donor: &Access, volume: &str) -> Result<Option<Holder>, Fault> {
    let offers = offers(donor, volume).await?;
    let foreign = offers.iter().find(|offer| !is_ours(offer));
    Ok(foreign.map(|offer| Holder::user("transfer", &offer.id)))
}

/// Withdraws every offer of a volume that we made, so that it is a plain volume of its project again;
/// whether there was one.
pub(super) async fn withdraw(donor: &Access, volume: &str) -> Result<bool, Fault> {
    let offers = offers(donor, volume).await?;
    let version = version(donor).await?;
    let ours: Vec<&Offer> = offers.iter().filter(|offer| is_ours(offer)).collect();
    for offer in &ours {
        let call = Call::delete(
            CINDER,
            Path::of(path(version), &offer.id),
            format!("withdraw the offer of the volume {volume}"),
        )
        .at(version);
        match donor.send(&call).await {
            Ok(_) => {}
            // Accepted or withdrawn meanwhile.
            Err(fault) if fault.kind == FaultKind::NotFound => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(!ours.is_empty())
}

async fn offers(donor: &Access, volume: &str) -> Result<Vec<Offer>, Fault> {
    let version = version(donor).await?;
    // Before 3.59 any other key in the query, a limit above all, makes this an empty list.
    let mut list = Call::get(
        CINDER,
        path(version),
        format!("list the offers of the volume {volume}"),
    )
    .query("volume_id", volume)
    .at(version);
    if donor.foreign {
        list = list.query("all_tenants", "1");
    }
    let All { transfers } = donor.read(&list).await?;
    Ok(transfers)
}

async fn version(access: &Access) -> Result<Option<Microversion>, Fault> {
    access.first_of(CINDER, &[ENCRYPTED, TRANSFERS]).await
}

fn path(version: Option<Microversion>) -> &'static str {
    match version {
        Some(_) => "volume-transfers",
        None => "os-volume-transfer",
    }
}
