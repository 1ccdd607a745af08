//! What of a port is to be as it was: wishes that fall one by one as they are refused; it may not know what
//! else a port is made with.
//!
//! Neutron answers one POST with one refusal: a single address that is taken, or that nobody may ask for,
//! takes all others and the MAC address with it. So the port is asked for again without the wish that the
//! refusal names, until it is there or nothing is wished for any more. The tries are rows of the ledger, so
//! what has fallen by now is read out of them.

use std::net::IpAddr;

use super::Kept;
use crate::{
    domain::{
        effect::{Effect, EffectState, key},
        fault::{Fault, FaultKind},
        id::EffectKey,
    },
    plan::decision_builder::DecisionBuilder,
};

/// How far the wishes of a port have come.
pub(super) struct Tried {
    /// The key of the port that is made now.
    pub(super) key: EffectKey,
    /// What is still wished for.
    pub(super) kept: Kept,
    /// What has fallen.
    pub(super) lost: Vec<Lost>,
}

/// A wish that fell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// The attribute of the port.
    pub(super) attribute: &'static str,
    /// What was wished for.
    pub(super) was: String,
    /// What the cloud said.
    pub(super) why: String,
}

/// What has become of the wishes of a port by now.
pub(super) fn tried(decision: &DecisionBuilder<'_>, index: usize, wishes: &Kept) -> Tried {
    let mut kept = wishes.clone();
    let mut lost = Vec::new();
    let mut number = 1;
    // Ends because each refusal takes one wish away at least.
    while !kept.is_empty() {
        let key = key::port(index).kept().try_no(number);
        let refused = decision
            .effect(&key)
            .filter(|effect| was_wish_refused(effect));
        match refused.and_then(|effect| effect.fault.as_ref()) {
            None => return Tried { key, kept, lost },
            Some(fault) => lost.extend(fall(&mut kept, fault)),
        }
        number += 1;
    }
    Tried {
        key: key::port(index).made(),
        kept,
        lost,
    }
}

/// Whether a port with wishes was refused, so that it is asked for with fewer. A quota, a login and what
/// passes are met by any port.
pub(super) fn was_wish_refused(effect: &Effect) -> bool {
    let of_any = effect.fault.as_ref().is_some_and(|fault| {
        let login = [FaultKind::Quota, FaultKind::Unauthenticated].contains(&fault.kind);
        login || fault.may_pass()
    });
    effect.state == EffectState::Failed && !of_any && effect.key.is_kept_port()
}

/// Takes away the wishes that a refusal names, or the last one where it names none.
fn fall(kept: &mut Kept, fault: &Fault) -> Vec<Lost> {
    let text = fault.message.to_lowercase();
    let lost = |attribute: &'static str, was: String| Lost {
        attribute,
        was,
        why: format!("it was refused: {}", fault.message),
    };
    let named: Vec<IpAddr> = text
        .split(|letter: char| !(letter.is_ascii_hexdigit() || letter == '.' || letter == ':'))
        .filter_map(|word| word.trim_matches('.').parse().ok())
        .collect();
    let all = text.contains("fixed_ips");
    let mut fallen = Vec::new();
    kept.fixed.retain(|wish| {
        let address = wish.address.clone().unwrap_or_default();
        let own = address.parse::<IpAddr>();
        let hit = all || own.is_ok_and(|own| named.contains(&own));
        if hit {
            fallen.push(lost("fixed_ips", address));
        }
        !hit
    });
    let mac = kept.mac.clone().map(|mac| mac.to_lowercase());
    let names_mac = ["mac_address", "mac address"]
        .iter()
        .any(|word| text.contains(word));
    if mac.is_some_and(|mac| names_mac || text.contains(&mac)) {
        fallen.extend(kept.mac.take().map(|mac| lost("mac_address", mac)));
    }
    if kept.bare && all {
        kept.bare = false;
        fallen.push(lost("fixed_ips", "none".to_owned()));
    }
    if !fallen.is_empty() {
        return fallen;
    }
    if let Some(wish) = kept.fixed.pop() {
        fallen.push(lost("fixed_ips", wish.address.unwrap_or_default()));
    } else if let Some(mac) = kept.mac.take() {
        fallen.push(lost("mac_address", mac));
    } else {
        kept.bare = false;
        fallen.push(lost("fixed_ips", "none".to_owned()));
    }
    fallen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{effect::FixedWish, fault::Service, id::SubnetId};

    fn kept() -> Kept {
        let wish = |address: &str| FixedWish {
            subnet: Some(SubnetId::new("s")),
            address: Some(address.to_owned()),
        };
        Kept {
            fixed: vec![wish("10.0.0.1"), wish("10.0.0.10"), wish("fd00::1")],
            mac: Some("FA:16:3e:00:00:01".to_owned()),
            bare: false,
        }
    }

    fn fallen(message: &str) -> Vec<String> {
        let fault = Fault::new(
            FaultKind::Conflict,
            Service::Network,
            "create a port",
            message,
        );
        fall(&mut kept(), &fault)
            .into_iter()
            .map(|lost| lost.was)
            .collect()
    }

    #[test]
    fn only_what_the_refusal_names_falls() {
        let taken = "IP address 10.0.0.10 already allocated in subnet 7.";
        assert_eq!(fallen(taken), ["10.0.0.10"]);
        let automatic = "IPv6 address fd00:0::1 cannot be directly assigned to a port on subnet 5";
        assert_eq!(fallen(automatic), ["fd00::1"]);
        let mac = "Unable to complete operation for network 7. The mac address fa:16:3e:00:00:01 is in use.";
        assert_eq!(fallen(mac), ["FA:16:3e:00:00:01"]);
        let policy = "((rule:create_port and rule:create_port:fixed_ips)) is disallowed by policy";
        assert_eq!(fallen(policy), ["10.0.0.1", "10.0.0.10", "fd00::1"]);
    }

    #[test]
    fn a_refusal_that_names_nothing_takes_one_wish_after_the_other() {
        let fault = Fault::new(FaultKind::Invalid, Service::Network, "create a port", "no");
        let mut kept = kept();
        let mut rounds = 0;
        while !kept.is_empty() {
            assert_eq!(fall(&mut kept, &fault).len(), 1);
            rounds += 1;
        }
        assert_eq!(rounds, 4);
    }
}
