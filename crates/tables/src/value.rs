//! Values: their bytes, and for those that hash to their own key, the proof that they do.

use lamella_types::{
    BlockBody, BlockHeader, Decode, DecodeError, Root, Segment, Slot, Validators,
    history::SEGMENT_BYTES, to_ssz,
};

use crate::{
    body,
    fault::Fault,
    key::{SegmentKey, SlotRoot},
};

/// A typed table value.
pub trait Value: Sized {
    /// The value's bytes, without checksum.
    fn encode(&self) -> Vec<u8>;

    /// The value that these bytes encode.
    ///
    /// # Errors
    /// Any bytes that [`Value::encode`] would not have written.
    fn decode(bytes: &[u8]) -> Result<Self, Fault>;

    /// The value that these bytes encode, which may keep them.
    ///
    /// # Errors
    /// As [`Value::decode`].
    fn decode_owned(bytes: Vec<u8>) -> Result<Self, Fault> {
        Self::decode(&bytes)
    }
}

/// A value whose key contains its hash.
pub trait SelfAuthenticating<K>: Value {
    /// The hash that the value has, and the one that its key says.
    fn hashes(&self, key: &K) -> (Root, Root);
}

/// Opaque bytes; the crate that owns the table's format reads them. [`put_slice`](crate::WriteTxn::put_slice) writes
/// them without making one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Value for Bytes {
    fn encode(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        Ok(Self(bytes.to_vec()))
    }

    fn decode_owned(bytes: Vec<u8>) -> Result<Self, Fault> {
        Ok(Self(bytes))
    }
}

impl Value for Root {
    fn encode(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        <Self as Decode>::from_ssz(bytes).map_err(Fault::Decode)
    }
}

impl Value for Slot {
    fn encode(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let error = DecodeError::Length { what: "slot", got: bytes.len(), expected: 8 };
        bytes.try_into().map(Self::from_be_bytes).map_err(|_| Fault::Decode(error))
    }
}

impl Value for BlockBody {
    fn encode(&self) -> Vec<u8> {
        body::encode(self)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        body::decode(bytes).map_err(Fault::Format)
    }
}

impl Value for BlockHeader {
    fn encode(&self) -> Vec<u8> {
        to_ssz(self)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        Self::from_ssz(bytes).map_err(Fault::Decode)
    }
}

impl SelfAuthenticating<SlotRoot> for BlockHeader {
    // The slot is part of what is hashed, but the key repeats it: a mismatch there must not pass.
    fn hashes(&self, key: &SlotRoot) -> (Root, Root) {
        (if self.slot == key.slot { self.root() } else { Root::ZERO }, key.root)
    }
}

impl Value for Segment {
    fn encode(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        Self::decode_owned(bytes.to_vec())
    }

    fn decode_owned(bytes: Vec<u8>) -> Result<Self, Fault> {
        let (what, got, expected) = ("history segment", bytes.len(), SEGMENT_BYTES);
        Self::new(bytes).ok_or(Fault::Decode(DecodeError::Length { what, got, expected }))
    }
}

impl SelfAuthenticating<SegmentKey> for Segment {
    fn hashes(&self, key: &SegmentKey) -> (Root, Root) {
        (self.root(), key.root)
    }
}

impl Value for Validators {
    fn encode(&self) -> Vec<u8> {
        self.as_ssz().to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        Self::from_ssz(bytes).map_err(Fault::Decode)
    }
}

impl SelfAuthenticating<Root> for Validators {
    fn hashes(&self, key: &Root) -> (Root, Root) {
        (self.root(), *key)
    }
}
