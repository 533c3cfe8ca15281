//! `nodes.yaml`: the nodes to dial, as ENR text.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use enr::{Enr, EnrPublicKey, k256::ecdsa::SigningKey};

use super::{
    NetworkFileError,
    read::{parse_yaml, read_yaml_text},
};

/// A node of `nodes.yaml`. Its record's signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootnode {
    /// The record as written.
    pub enr: String,
    /// Where it listens: IPv4 if the record has one. A record may have none.
    pub ip: Option<IpAddr>,
    /// UDP port of QUIC.
    pub quic_port: Option<u16>,
    /// UDP port of discovery, where such a record names no other for QUIC.
    pub udp_port: Option<u16>,
    /// Compressed secp256k1 public key: the libp2p identity.
    pub public_key: [u8; 33],
}

impl Bootnode {
    /// Reads `nodes.yaml`: a list of ENR strings. An empty file is an empty list.
    ///
    /// # Errors
    /// A [`NetworkFileError`].
    pub fn load_all(path: &Path) -> Result<Vec<Self>, NetworkFileError> {
        let text = read_yaml_text(
            path,
            "a node that only waits to be dialled does not need it: leave it out",
        )?;
        let records: Option<Vec<String>> = parse_yaml(path, &text)?;
        (1..)
            .zip(records.unwrap_or_default())
            .map(|(position, record)| {
                Self::parse(&record).map_err(|reason| NetworkFileError::Enr {
                    path: path.into(),
                    position,
                    reason,
                })
            })
            .collect()
    }

    /// Reads one record.
    ///
    /// # Errors
    /// What the decoder found wrong.
    pub fn parse(record: &str) -> Result<Self, String> {
        let enr: Enr<SigningKey> = record.trim().parse()?;
        let port = |key| enr.get_decodable::<u16>(key).and_then(Result::ok);
        let (ip4, ip6) = (enr.ip4().map(IpAddr::from), enr.ip6().map(IpAddr::from));
        // `quic6` is the port of `ip6`; generators that know one port only write `quic`.
        let of_ip = |ip4_key, ip6_key| {
            if ip4.is_some() { port(ip4_key) } else { port(ip6_key).or_else(|| port(ip4_key)) }
        };
        Ok(Self {
            enr: enr.to_base64(),
            ip: ip4.or(ip6),
            quic_port: of_ip("quic", "quic6"),
            udp_port: of_ip("udp", "udp6"),
            public_key: enr.public_key().encode().into(),
        })
    }

    /// Where to dial it: its port of QUIC, else that of discovery, as leanSpec does. A record without address and port is
    /// of a node that only dials.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.ip?, self.quic_port.or(self.udp_port)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "enr:-IW4QGGifTt9ypyMtChDISUNX3z4z5iPdiEPOmBoILvnDuWIKbWVmKXxZERPnw0piQyaBNCENFEPoIi-\
                          vxsnsrBig9MBgmlkgnY0gmlwhH8AAAGEcXVpY4IjKYlzZWNwMjU2azGhAhMMnGF1rmIPQ9tWgqfkNmvsG-aIyc9\
                          EJU5JFo3Tegys";

    #[test]
    fn a_record_of_the_networks_generator_is_understood() {
        let node = Bootnode::parse(SAMPLE).unwrap();
        assert_eq!(node.enr, SAMPLE);
        assert_eq!(node.ip, Some(IpAddr::from([127, 0, 0, 1])));
        assert_eq!(node.quic_port, Some(9001));
        assert_eq!(node.address(), Some("127.0.0.1:9001".parse().unwrap()));
        assert_eq!(
            hex::encode(node.public_key),
            "02130c9c6175ae620f43db5682a7e4366bec1be688c9cf44254e49168dd37a0cac"
        );
    }

    #[test]
    fn no_prefix_or_altered_character_of_a_record_is_one() {
        for end in 0..SAMPLE.len() {
            assert!(Bootnode::parse(&SAMPLE[..end]).is_err(), "first {end} characters");
            let mut altered = SAMPLE.to_owned();
            altered.replace_range(end..=end, if &SAMPLE[end..=end] == "A" { "B" } else { "A" });
            assert!(Bootnode::parse(&altered).is_err(), "character {end} altered");
        }
    }

    #[test]
    fn a_bad_entry_is_named_by_its_position_and_an_empty_file_is_no_entry() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nodes.yaml");
        std::fs::write(&path, format!("- {SAMPLE}\n- enr:-IW4Q\n")).unwrap();
        let error = Bootnode::load_all(&path).unwrap_err();
        assert!(matches!(error, NetworkFileError::Enr { position: 2, .. }), "{error}");
        for empty in ["", "# nobody\n", "[]"] {
            std::fs::write(&path, empty).unwrap();
            assert_eq!(Bootnode::load_all(&path).unwrap(), [], "{empty:?}");
        }
    }
}
