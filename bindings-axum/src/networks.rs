//! Addresses and networks.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::StatusCode;

use crate::error::{Error, Result};

/// The addresses that may see or say something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks(Option<Vec<Network>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    is_v4: bool,
    /// The address, whose other bits are zero.
    bits: u128,
    mask: u128,
}

impl Networks {
    /// The addresses of this machine itself: `127.0.0.0/8` and `::1`.
    pub fn loopback() -> Self {
        let v4 = Network::new([127, 0, 0, 0].into(), 8);
        let v6 = Network::new(Ipv6Addr::LOCALHOST.into(), 128);
        Self(Some(v4.into_iter().chain(v6).collect()))
    }

    /// Everybody, and who has no address: where something in front keeps the public out.
    pub fn everybody() -> Self {
        Self(None)
    }

    /// These addresses and networks, such as `10.0.0.0/8` or `::1`.
    ///
    /// # Errors
    /// An [`Error`] that names the one that cannot be read.
    pub fn parse<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let read = networks.into_iter().map(|network| {
            Network::parse(network.trim()).ok_or_else(|| {
                let expected = "expected an address or a network such as 10.0.0.0/8, not";
                Error::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("{expected} {network:?}"),
                )
            })
        });
        Ok(Self(Some(read.collect::<Result<_>>()?)))
    }

    /// Whether an address is one of them.
    pub fn contains(&self, address: Option<IpAddr>) -> bool {
        match (&self.0, address) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(networks), Some(address)) => networks.iter().any(|network| network.contains(address)),
        }
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        match (address.to_canonical(), prefix) {
            (address, None) => Self::new(address, if address.is_ipv4() { 32 } else { 128 }),
            // A prefix counts the bits of the address as it is written.
            (_, Some(prefix)) => Self::new(address, prefix),
        }
    }

    fn new(address: IpAddr, prefix: u32) -> Option<Self> {
        let (bits, length) = bits(address);
        let host = length.checked_sub(prefix)?;
        let mask = u128::MAX.checked_shl(host).unwrap_or_default();
        Some(Self {
            is_v4: address.is_ipv4(),
            bits: bits & mask,
            mask,
        })
    }

    fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.is_v4 && bits(address).0 & self.mask == self.bits
    }
}

/// The bits of an address, and how many there are.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../tests/vectors/kits/kits.json")).unwrap()
    }

    fn texts(list: &Value) -> Vec<&str> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap())
            .collect()
    }

    #[test]
    fn an_address_belongs_to_the_networks_that_the_shared_vectors_say() {
        for case in vectors()["networks"].as_array().unwrap() {
            let networks = Networks::parse(texts(&case[0])).unwrap();
            let address = case[1].as_str().map(|text| text.parse().unwrap());
            assert_eq!(networks.contains(address), case[2], "{case}");
        }
        assert!(Networks::everybody().contains(None));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in texts(&vectors()["not_networks"]) {
            let refusal = Networks::parse(["10.0.0.0/8", text]).unwrap_err().to_string();
            assert!(refusal.contains(&format!("{text:?}")), "{refusal}");
        }
    }

    #[test]
    fn this_machine_is_the_one_of_the_vectors() {
        assert_eq!(
            Networks::loopback(),
            Networks::parse(["127.0.0.0/8", "::1"]).unwrap()
        );
    }
}
