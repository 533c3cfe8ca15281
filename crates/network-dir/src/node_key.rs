//! `<node>.key`: the secp256k1 key that is a node's libp2p identity.

use std::{fmt, path::Path, str::FromStr};

use enr::{EnrKey, EnrPublicKey, k256::ecdsa::SigningKey};

use super::{NetworkFileError, NodeKeyError, read::read_text};

/// Bytes of a node key file: 64 hex digits, with room for `0x` and white space.
const NODE_KEY_FILE_BYTES_MAX: u64 = 1024;

/// A secp256k1 private key. Its `Debug` shows nothing secret.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeKey([u8; 32]);

impl NodeKey {
    /// Reads a key file: hex, `0x` optional, white space around it ignored.
    ///
    /// # Errors
    /// A [`NetworkFileError`].
    pub fn load(path: &Path) -> Result<Self, NetworkFileError> {
        let text = read_text(
            path,
            NODE_KEY_FILE_BYTES_MAX,
            "check the node id, or name the file with --node-key",
        )?;
        text.parse().map_err(|reason| NetworkFileError::NodeKey { path: path.into(), reason })
    }

    /// A new key: random bytes until they are one. The chance that the first are not is below 2^-127.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        loop {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes)?;
            if let Ok(key) = Self::from_bytes(bytes) {
                return Ok(key);
            }
        }
    }

    /// The compressed public key, 33 bytes.
    #[must_use]
    pub fn public_key(&self) -> [u8; 33] {
        EnrPublicKey::encode(&EnrKey::public(&self.signing_key())).into()
    }

    /// These bytes, if they are a private key.
    ///
    /// # Errors
    /// [`NodeKeyError::OutOfRange`].
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, NodeKeyError> {
        SigningKey::from_slice(&bytes).map_err(|_| NodeKeyError::OutOfRange)?;
        Ok(Self(bytes))
    }

    /// The 32 secret bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key as ENR signing wants it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "from_bytes accepted these very bytes")]
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_slice(&self.0).expect("checked when the key was made")
    }
}

impl FromStr for NodeKey {
    type Err = NodeKeyError;

    fn from_str(text: &str) -> Result<Self, NodeKeyError> {
        let text = text.trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let count = digits.chars().count();
        if count != 64 {
            return Err(NodeKeyError::Length { digits: count });
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NodeKeyError::NotHex)?;
        Self::from_bytes(bytes)
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_keys_are_accepted_and_errors_do_not_repeat_them() {
        let key = "2995".repeat(16);
        let parsed: NodeKey = format!(" 0x{key}\r\n").parse().unwrap();
        assert_eq!(hex::encode(parsed.as_bytes()), key);
        assert_eq!(format!("{parsed:?}"), "NodeKey(..)");
        for (text, error) in [
            (key[1..].to_owned(), NodeKeyError::Length { digits: 63 }),
            (String::new(), NodeKeyError::Length { digits: 0 }),
            ("é".repeat(64), NodeKeyError::NotHex),
            ("g".repeat(64), NodeKeyError::NotHex),
            ("0".repeat(64), NodeKeyError::OutOfRange),
            ("f".repeat(64), NodeKeyError::OutOfRange),
        ] {
            assert_eq!(text.parse::<NodeKey>(), Err(error), "{text:?}");
        }
    }
}
