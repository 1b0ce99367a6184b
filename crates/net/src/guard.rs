//! Which addresses may be connected to.
//!
//! Names and URLs come from strangers. A name that leads to this machine or its neighbours would make the server a key to
//! doors that are closed from outside, so the guard looks at the address that is connected to, after resolution and for every
//! connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// IPv4 networks that are not the public internet, by the [IANA
/// registry](https://www.iana.org/assignments/iana-ipv4-special-registry/), and multicast.
const SPECIAL_V4: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::UNSPECIFIED, 8),           // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // carriers' address translation
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // this machine
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local; clouds' metadata
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved; broadcast
];

/// The only IPv6 network with public addresses, `2000::/3`, but for the one that translates IPv4.
const PUBLIC_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Special networks within [`PUBLIC_V6`], by the [IANA
/// registry](https://www.iana.org/assignments/iana-ipv6-special-registry/).
const SPECIAL_V6: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments; Teredo
    (Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x3FFF, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// IPv4 addresses in IPv6 by 6to4, from bit 16 on.
const SIX_TO_FOUR: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16);

/// IPv4 addresses in IPv6 by NAT64, in the last 32 bits.
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xFF9B, 0, 0, 0, 0, 0, 0), 96);

/// A text of the configuration is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network such as 10.0.0.0/8 or fd00::/8")]
pub struct RangeError(pub String);

/// Decides which addresses may be connected to: public ones, and those in the ranges that are allowed beside them.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Vec<IpNet>,
}

impl Guard {
    /// A guard with exceptions in CIDR notation; an address alone is a network of one.
    pub fn new<S: AsRef<str>>(allow_ranges: impl IntoIterator<Item = S>) -> Result<Self, RangeError> {
        let allowed = allow_ranges
            .into_iter()
            .map(|range| {
                let range = range.as_ref().trim();
                range
                    .parse::<IpNet>()
                    .or_else(|_| range.parse::<IpAddr>().map(IpNet::from))
                    .map_err(|_| RangeError(range.to_owned()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { allowed })
    }

    /// Whether this address may be connected to.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        // `::ffff:10.0.0.1` is 10.0.0.1 to the kernel.
        let address = address.to_canonical();
        if self.allows(address) {
            return true;
        }
        match address {
            IpAddr::V4(address) => is_public_v4(address),
            IpAddr::V6(address) => match translated(address) {
                Some(inside) => is_public_v4(inside) || self.allows(inside.into()),
                None => is_public_v6(address),
            },
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|range| range.contains(&address))
    }
}

/// The IPv4 address that a translator would make of an IPv6 address.
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    // Of the shifted bits the last 32 are the address.
    let tail = |bits: u128| u32::try_from(bits & u128::from(u32::MAX)).map(Ipv4Addr::from_bits).ok();
    if contains_v6(SIX_TO_FOUR, address) {
        tail(bits >> 80)
    } else if contains_v6(NAT64, address) {
        tail(bits)
    } else {
        None
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|(network, length)| Ipv4Net::new(*network, *length).is_ok_and(|net| net.contains(&address)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    contains_v6(PUBLIC_V6, address) && !SPECIAL_V6.iter().any(|network| contains_v6(*network, address))
}

fn contains_v6((network, length): (Ipv6Addr, u8), address: Ipv6Addr) -> bool {
    Ipv6Net::new(network, length).is_ok_and(|net| net.contains(&address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn permits(guard: &Guard, address: &str) -> bool {
        guard.permits(address.parse().expect("an address"))
    }

    #[test]
    fn public_addresses_may_be_connected_to() {
        let guard = Guard::default();
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1",
            "2a00:1450::5",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert!(permits(&guard, address), "{address}");
        }
    }

    #[test]
    fn private_and_special_addresses_may_not_be_connected_to() {
        let guard = Guard::default();
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
        ] {
            assert!(!permits(&guard, address), "{address}");
        }
    }

    #[test]
    fn private_ipv4_addresses_do_not_pass_in_the_clothes_of_ipv6() {
        let guard = Guard::default();
        for address in [
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "::10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::10.0.0.1",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "2002:c0a8:101::1",
            "::ffff:0:10.0.0.1",
        ] {
            assert!(!permits(&guard, address), "{address}");
        }
    }

    #[test]
    fn allowed_ranges_are_exceptions_in_every_form_of_the_address() {
        let guard = Guard::new(["127.0.0.0/8", "fd00::/8", "10.1.2.3", " 192.168.0.0/16 "]).expect("ranges");
        for address in [
            "127.0.0.1",
            "::ffff:127.0.0.1",
            "fd00::1",
            "10.1.2.3",
            "192.168.7.7",
            "64:ff9b::10.1.2.3",
            "2002:a01:203::1",
        ] {
            assert!(permits(&guard, address), "{address}");
        }
        for address in ["10.1.2.4", "fc00::1", "::1", "64:ff9b::10.1.2.4"] {
            assert!(!permits(&guard, address), "{address}");
        }
    }

    #[test]
    fn a_range_that_is_none_is_refused_by_name() {
        for wrong in ["", "10.0.0.0/33", "localhost", "10.0.0/8", "::/129"] {
            assert_eq!(Guard::new([wrong]).unwrap_err(), RangeError(wrong.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn an_ipv4_address_is_judged_alike_bare_mapped_translated_and_by_6to4(bits: u32) {
            let guard = Guard::default();
            let bare = Ipv4Addr::from_bits(bits);
            let verdict = guard.permits(bare.into());
            let [a, b, c, d] = bare.octets();
            let pairs = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            prop_assert_eq!(guard.permits(bare.to_ipv6_mapped().into()), verdict);
            prop_assert_eq!(guard.permits(Ipv6Addr::new(0x64, 0xFF9B, 0, 0, 0, 0, pairs.0, pairs.1).into()), verdict);
            prop_assert_eq!(guard.permits(Ipv6Addr::new(0x2002, pairs.0, pairs.1, 0, 0, 0, 0, 1).into()), verdict);
        }
    }
}
