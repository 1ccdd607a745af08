//! Addresses and subnets as numbers, of either version of IP; it may not know who has which.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    base: u128,
    bits: u32,
    six: bool,
}

impl Block {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (number, six) = number(address)?;
        let bits: u32 = bits.parse().ok()?;
        let width = if six { 128 } else { 32 };
        if bits > width {
            return None;
        }
        let host = u128::MAX.checked_shl(width - bits).unwrap_or(0);
        Some(Self {
            base: number & host,
            bits,
            six,
        })
    }

    pub(super) fn is_six(self) -> bool {
        self.six
    }

    fn size(self) -> u128 {
        let width = if self.six { 128 } else { 32 };
        1_u128.checked_shl(width - self.bits).unwrap_or(u128::MAX)
    }

    pub(super) fn contains(self, address: &str) -> bool {
        number(address).is_some_and(|(number, six)| {
            six == self.six && number >= self.base && number - self.base < self.size()
        })
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.six == other.six
            && self.base < other.base.saturating_add(other.size())
            && other.base < self.base.saturating_add(self.size())
    }

    /// The address so far from the beginning.
    pub(super) fn nth(self, n: u128) -> String {
        written(self.base + n, self.six)
    }

    /// The address of the gateway: the first one, which in version 6 is that of the block itself.
    pub(super) fn gateway(self) -> String {
        self.nth(u128::from(!self.six))
    }

    /// The first and last address that a port may get by itself.
    pub(super) fn pool(self) -> (String, String) {
        let (first, kept) = if self.six { (1, 1) } else { (2, 2) };
        let last = self.size().saturating_sub(kept);
        (self.nth(first.min(last)), self.nth(last))
    }

    /// The address that a card with this MAC address gives itself here (EUI-64).
    pub(super) fn of_card(self, mac: &str) -> Option<String> {
        let mut bytes = [0_u8; 6];
        let mut parts = mac.split(':');
        for byte in &mut bytes {
            *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
        }
        let [one, two, three, four, five, six] = bytes;
        let own = u64::from_be_bytes([one ^ 2, two, three, 0xff, 0xfe, four, five, six]);
        Some(self.nth(u128::from(own)))
    }

    pub(super) fn written(self) -> String {
        format!("{}/{}", self.nth(0), self.bits)
    }
}

/// All addresses from one to another, both included.
pub(super) fn between(first: &str, last: &str) -> impl Iterator<Item = String> + use<> {
    let (start, six) = number(first).unwrap_or((1, false));
    let (end, _) = number(last).unwrap_or((0, false));
    (start..=end).map(move |number| written(number, six))
}

fn number(text: &str) -> Option<(u128, bool)> {
    match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(four) => Some((u128::from(u32::from(four)), false)),
        IpAddr::V6(six) => Some((u128::from(six), true)),
    }
}

fn written(number: u128, six: bool) -> String {
    if six {
        return Ipv6Addr::from(number).to_string();
    }
    Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_knows_its_addresses() {
        let block = Block::parse("10.0.0.7/24").unwrap();
        assert_eq!(block.written(), "10.0.0.0/24");
        assert_eq!(
            block.pool(),
            ("10.0.0.2".to_owned(), "10.0.0.254".to_owned())
        );
        assert!(block.contains("10.0.0.200") && !block.contains("10.0.1.1"));
        assert!(block.overlaps(Block::parse("10.0.0.128/25").unwrap()));
        let six = Block::parse("fd00::/64").unwrap();
        assert!(six.contains("fd00::1"));
        assert_eq!(six.gateway(), "fd00::");
        assert_eq!(
            six.of_card("fa:16:3e:11:22:33").as_deref(),
            Some("fd00::f816:3eff:fe11:2233")
        );
    }
}
