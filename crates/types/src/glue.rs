//! What our packed leaf types owe `ssz_rs`, so that containers made of them can derive `SimpleSerialize`.

/// Implements the `ssz_rs` traits for a leaf type with `write_ssz`, `root` and a strict `Decode`.
macro_rules! ssz_leaf {
    ([$($generics:tt)*] $type:ty, fixed_bytes = $fixed:expr) => {
        impl<$($generics)*> ssz_rs::Sized for $type {
            fn is_variable_size() -> bool {
                let fixed: Option<usize> = $fixed;
                fixed.is_none()
            }
            fn size_hint() -> usize {
                let fixed: Option<usize> = $fixed;
                fixed.unwrap_or(0)
            }
        }
        impl<$($generics)*> ssz_rs::Serialize for $type {
            fn serialize(&self, buffer: &mut Vec<u8>) -> Result<usize, ssz_rs::SerializeError> {
                let before = buffer.len();
                self.write_ssz(buffer);
                Ok(buffer.len() - before)
            }
        }
        impl<$($generics)*> ssz_rs::Deserialize for $type {
            fn deserialize(encoding: &[u8]) -> Result<Self, ssz_rs::DeserializeError> {
                <Self as $crate::decode::Decode>::from_ssz(encoding).map_err(|_| {
                    ssz_rs::DeserializeError::AdditionalInput { provided: encoding.len(), expected: 0 }
                })
            }
        }
        impl<$($generics)*> ssz_rs::Merkleized for $type {
            fn hash_tree_root(&mut self) -> Result<ssz_rs::Node, ssz_rs::MerkleizationError> {
                ssz_rs::Node::try_from(self.root().as_bytes().as_slice())
                    .map_err(|_| ssz_rs::MerkleizationError::InputExceedsLimit(32))
            }
        }
        impl<$($generics)*> ssz_rs::SimpleSerialize for $type {}
    };
}

/// Implements the strict decoder of a container without variable parts: the exact size, then `ssz_rs`.
macro_rules! fixed_container {
    ($type:ty, $bytes:expr) => {
        impl $type {
            /// Bytes of the encoding.
            pub const SSZ_BYTES: usize = $bytes;
        }
        impl $crate::decode::Decode for $type {
            fn from_ssz(bytes: &[u8]) -> Result<Self, $crate::decode::DecodeError> {
                let what = stringify!($type);
                let bytes = $crate::decode::exact(what, bytes, $bytes)?;
                <Self as ssz_rs::Deserialize>::deserialize(bytes)
                    .map_err(|_| $crate::decode::DecodeError::Value { what })
            }
        }
    };
}

pub(crate) use {fixed_container, ssz_leaf};
