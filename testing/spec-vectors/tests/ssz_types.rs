//! The types of the `ssz` vectors by name, each as one [`Codec`].

use lamella_testing_spec_vectors::{FormatError, FromJson, HexBytes, field};
use lamella_types::{
    AggregatedAttestation, Attestation, AttestationData, BitList, Block, BlockBody, BlockHeader,
    BlocksByRangeRequest, BlocksByRootRequest, Checkpoint, Decode, MultiMessageAggregate,
    ProofBytes, PublicKeyBytes, Root, SignedAggregatedAttestation, SignedAttestation, SignedBlock,
    SingleMessageAggregate, State, Status, Validator, Validators, hash_tree_root,
    merkle::{merkleize, merkleize_roots, mix_in_length},
    state::Config,
    to_ssz,
};
use lamella_xmss::{
    Digest, Fp, HashTreeLayer, HashTreeOpening, PRODUCTION, Parameters, PublicKey, Signature, TEST,
    decode_fp, encode_fp, hash_tree_root_fp,
};
use serde_json::Value;

/// A value as the vectors see it.
pub struct Encoded {
    pub bytes: Vec<u8>,
    pub root: Root,
}

type ReadJson = dyn Fn(&Value) -> Result<Encoded, FormatError>;
type DecodeBytes = dyn Fn(&[u8]) -> Result<Encoded, String>;
type Reencode = dyn Fn(&[u8]) -> Option<Vec<u8>>;

/// How one type is read and decoded.
pub struct Codec {
    pub from_json: Box<ReadJson>,
    pub decode: Box<DecodeBytes>,
    /// Decodes and encodes, without the root: the tests do it a million times.
    pub reencode: Box<Reencode>,
    /// Whether the encoding ends in a list of bytes, so that more of them may follow.
    pub ends_in_bytes: bool,
}

impl Codec {
    fn new<T: 'static>(
        from_json: impl Fn(&Value) -> Result<T, FormatError> + 'static,
        decode: impl Fn(&[u8]) -> Result<T, String> + Clone + 'static,
        encode: impl Fn(&T) -> Vec<u8> + Copy + 'static,
        root: impl Fn(&T) -> Root + Copy + 'static,
    ) -> Self {
        let decode_again = decode.clone();
        let encoded = move |value: T| Encoded { bytes: encode(&value), root: root(&value) };
        Self {
            from_json: Box::new(move |value| from_json(value).map(encoded)),
            decode: Box::new(move |bytes| decode(bytes).map(encoded)),
            reencode: Box::new(move |bytes| decode_again(bytes).ok().map(|value| encode(&value))),
            ends_in_bytes: false,
        }
    }

    fn ending_in_bytes(self) -> Self {
        Self { ends_in_bytes: true, ..self }
    }
}

/// The codec of a type of the vectors, with the production or the test signature scheme.
pub fn codec_for(type_name: &str, production: bool) -> Option<Codec> {
    let parameters = if production { &PRODUCTION } else { &TEST };
    container(type_name).or_else(|| basic(type_name)).or_else(|| scheme(type_name, parameters))
}

fn container(type_name: &str) -> Option<Codec> {
    Some(match type_name {
        "AggregatedAttestation" => derived::<AggregatedAttestation>(),
        "Attestation" => derived::<Attestation>(),
        "AttestationData" => derived::<AttestationData>(),
        "Block" => derived::<Block>(),
        "BlockBody" => derived::<BlockBody>(),
        "BlockHeader" => derived::<BlockHeader>(),
        "BlocksByRangeRequest" => derived::<BlocksByRangeRequest>(),
        "BlocksByRootRequest" => derived::<BlocksByRootRequest>(),
        "ByteList512KiB" => derived::<ProofBytes>().ending_in_bytes(),
        "Bytes32" => derived::<Root>(),
        "Bytes52" => derived::<PublicKeyBytes>(),
        "Checkpoint" => derived::<Checkpoint>(),
        "Config" | "GenesisConfig" => derived::<Config>(),
        "MultiMessageAggregate" => derived::<MultiMessageAggregate>().ending_in_bytes(),
        "SignedAggregatedAttestation" => derived::<SignedAggregatedAttestation>().ending_in_bytes(),
        "SignedBlock" => derived::<SignedBlock>().ending_in_bytes(),
        "SingleMessageAggregate" => derived::<SingleMessageAggregate>().ending_in_bytes(),
        "Status" => derived::<Status>(),
        "Validator" => derived::<Validator>(),
        "State" => Codec::new(FromJson::from_json, strict::<State>, State::to_ssz, State::root),
        "Validators" => Codec::new(
            FromJson::from_json,
            strict::<Validators>,
            |registry| registry.as_ssz().to_vec(),
            Validators::root,
        ),
        "SampleBitlist16" => derived::<BitList<16>>(),
        "BoundaryBitlist256" => derived::<BitList<256>>(),
        "DecodeBitlist8" | "SmokeBitlist8" => derived::<BitList<8>>(),
        _ => return None,
    })
}

fn basic(type_name: &str) -> Option<Codec> {
    Some(match type_name {
        "Boolean" => Codec::new(FromJson::from_json, ssz_rs_exact::<bool>, to_ssz, hash_tree_root),
        "Uint8" => uint::<u8>(),
        "Uint16" => uint::<u16>(),
        "Uint32" => uint::<u32>(),
        "Uint64" => uint::<u64>(),
        "Bytes4" => byte_vector(4),
        "Bytes64" => byte_vector(64),
        "AttestationSubnets" | "SampleBitvector64" => bit_vector(64),
        "SampleBitvector8" => bit_vector(8),
        "DecodeBitvector16" => bit_vector(16),
        "SampleUint16Vector3" => packed(2, 3, Length::Exact),
        "SampleUint64Vector4" => packed(8, 4, Length::Exact),
        "SampleUint32List16" => packed(4, 16, Length::Limit),
        "BoundaryUint64List32" => packed(8, 32, Length::Limit),
        "SampleBytes32List8" => packed(32, 8, Length::Limit),
        _ => bit_vector(type_name.strip_prefix("BoundaryBitvector")?.parse().ok()?),
    })
}

fn scheme(type_name: &str, parameters: &'static Parameters) -> Option<Codec> {
    Some(match type_name {
        "Fp" => Codec::new(
            read_fp,
            decode_one_fp,
            |fp| encode_fp(*fp).to_vec(),
            |fp| Root::new(hash_tree_root_fp(*fp)),
        ),
        "PublicKey" => Codec::new(
            |value| from_hex(value, PublicKey::decode),
            |bytes| PublicKey::decode(bytes).map_err(|error| error.to_string()),
            |key| key.encode().to_vec(),
            |key| Root::new(key.hash_tree_root()),
        ),
        "Signature" => Codec::new(
            |value| from_hex(value, |bytes| Signature::decode(parameters, bytes)),
            |bytes| Signature::decode(parameters, bytes).map_err(|error| error.to_string()),
            Signature::encode,
            |signature| Root::new(signature.hash_tree_root(parameters)),
        ),
        "HashTreeOpening" => Codec::new(
            |value| Ok(HashTreeOpening { siblings: read_digests(value, "siblings")? }),
            |bytes| HashTreeOpening::decode(parameters, bytes).map_err(|error| error.to_string()),
            HashTreeOpening::encode,
            |opening| Root::new(opening.hash_tree_root(parameters)),
        ),
        "HashTreeLayer" => Codec::new(
            |value| {
                let start_index = field(value, "startIndex")?;
                Ok(HashTreeLayer { start_index, nodes: read_digests(value, "nodes")? })
            },
            |bytes| HashTreeLayer::decode(parameters, bytes).map_err(|error| error.to_string()),
            HashTreeLayer::encode,
            |layer| Root::new(layer.hash_tree_root(parameters)),
        ),
        "SignedAttestation" => signed_attestation(parameters),
        _ => return None,
    })
}

/// A type of `lamella-types` with a strict decoder.
fn derived<T>() -> Codec
where
    T: Decode + FromJson + ssz_rs::Serialize + ssz_rs::Merkleized + Clone + 'static,
{
    Codec::new(T::from_json, strict::<T>, to_ssz, hash_tree_root)
}

fn strict<T: Decode>(bytes: &[u8]) -> Result<T, String> {
    T::from_ssz(bytes).map_err(|error| error.to_string())
}

/// An integer, written as a decimal string at the top level of a vector.
fn uint<T>() -> Codec
where
    T: ssz_rs::SimpleSerialize + std::str::FromStr + Clone + 'static,
{
    let from_json = |value: &Value| {
        let text = String::from_json(value)?;
        text.parse::<T>().map_err(|_| FormatError::new(format!("{text} is out of range")))
    };
    Codec::new(from_json, ssz_rs_exact::<T>, to_ssz, hash_tree_root)
}

/// The decoder that the fixed containers are derived with.
fn ssz_rs_exact<T: ssz_rs::Deserialize>(bytes: &[u8]) -> Result<T, String> {
    T::deserialize(bytes).map_err(|error| format!("{error:?}"))
}

/// `BytesN`.
fn byte_vector(length: usize) -> Codec {
    let checked = move |bytes: &[u8]| exact_length(bytes, length);
    Codec::new(
        move |value| {
            let HexBytes(bytes) = HexBytes::from_json(value)?;
            checked(&bytes).map_err(FormatError::new)
        },
        checked,
        Clone::clone,
        move |bytes| merkleize(bytes, depth_for(length)),
    )
}

/// `Bitvector[length]`: no length bit, and the bits past the end are zero.
fn bit_vector(length: usize) -> Codec {
    let decode = move |bytes: &[u8]| {
        let bytes = exact_length(bytes, length.div_ceil(8))?;
        let used = length % 8;
        let padded = used != 0 && bytes.last().is_some_and(|last| last >> used != 0);
        if padded { Err("padding bits are set".to_owned()) } else { Ok(bytes) }
    };
    let from_json = move |value: &Value| {
        let mut bytes = vec![0; length.div_ceil(8)];
        let bits = Vec::<bool>::from_json(value)?;
        if bits.len() != length {
            return Err(FormatError::new(format!("{} bits, the vector has {length}", bits.len())));
        }
        for (index, _) in bits.iter().enumerate().filter(|(_, bit)| **bit) {
            bytes[index / 8] |= 1 << (index % 8);
        }
        Ok(bytes)
    };
    let root = move |bytes: &Vec<u8>| merkleize(bytes, depth_for(length.div_ceil(8)));
    Codec::new(from_json, decode, Clone::clone, root)
}

#[derive(Clone, Copy, PartialEq)]
enum Length {
    /// A vector of this many elements.
    Exact,
    /// A list of at most this many.
    Limit,
}

/// A vector or list of fixed-size elements: integers of up to eight bytes, or longer byte vectors.
fn packed(element_bytes: usize, count: usize, length: Length) -> Codec {
    let checked = move |bytes: Vec<u8>| {
        let elements = bytes.len() / element_bytes;
        let fits = if length == Length::Exact { elements == count } else { elements <= count };
        let whole = bytes.len().is_multiple_of(element_bytes);
        if fits && whole { Ok(bytes) } else { Err(format!("{} bytes do not fit", bytes.len())) }
    };
    let from_json = move |value: &Value| {
        let mut bytes = Vec::new();
        for element in Vec::<Value>::from_json(value)? {
            if element_bytes > 8 {
                bytes.extend(HexBytes::from_json(&element)?.0);
            } else {
                let number = u64::from_json(&element)?;
                bytes.extend_from_slice(&number.to_le_bytes()[..element_bytes]);
            }
        }
        checked(bytes).map_err(FormatError::new)
    };
    let root = move |bytes: &Vec<u8>| {
        let data = merkleize(bytes, depth_for(element_bytes * count));
        if length == Length::Exact {
            data
        } else {
            mix_in_length(&data, bytes.len() / element_bytes)
        }
    };
    Codec::new(from_json, move |bytes| checked(bytes.to_vec()), Clone::clone, root)
}

fn exact_length(bytes: &[u8], length: usize) -> Result<Vec<u8>, String> {
    if bytes.len() == length {
        Ok(bytes.to_vec())
    } else {
        Err(format!("{} bytes, the type has {length}", bytes.len()))
    }
}

/// Depth of the tree over this many bytes.
fn depth_for(bytes: usize) -> usize {
    bytes.div_ceil(32).next_power_of_two().trailing_zeros() as usize
}

fn signed_attestation(parameters: &'static Parameters) -> Codec {
    // The signature is opaque to `lamella-types`; its structure is what the root is over, and what makes it valid.
    let signature = |attestation: &SignedAttestation| {
        Signature::decode(parameters, &attestation.signature).map_err(|error| error.to_string())
    };
    let decode = move |bytes: &[u8]| {
        let attestation = SignedAttestation::from_ssz(bytes, parameters.signature_bytes())
            .map_err(|error| error.to_string())?;
        signature(&attestation).map(|_| attestation)
    };
    // A signature that does not decode has the zero root, which no vector names.
    let signature_root = move |attestation: &SignedAttestation| {
        let signature = signature(attestation);
        signature.map_or(Root::ZERO, |signature| Root::new(signature.hash_tree_root(parameters)))
    };
    let root = move |attestation: &SignedAttestation| {
        let fields = [
            hash_tree_root(&attestation.validator_index),
            hash_tree_root(&attestation.data),
            signature_root(attestation),
        ];
        merkleize_roots(&fields, 2)
    };
    Codec::new(SignedAttestation::from_json, decode, SignedAttestation::to_ssz, root)
}

fn from_hex<T, E: ToString>(
    value: &Value,
    decode: impl Fn(&[u8]) -> Result<T, E>,
) -> Result<T, FormatError> {
    let HexBytes(bytes) = HexBytes::from_json(value)?;
    decode(&bytes).map_err(|error| FormatError::new(error.to_string()))
}

/// `"Fp(value=123)"`, as pydantic prints it.
fn read_fp(value: &Value) -> Result<Fp, FormatError> {
    let text = String::from_json(value)?;
    let digits = text.strip_prefix("Fp(value=").and_then(|rest| rest.strip_suffix(')'));
    let number = digits.and_then(|digits| digits.parse::<u32>().ok());
    let number = number.ok_or_else(|| FormatError::new(format!("{text} is not an element")))?;
    decode_fp(number.to_le_bytes()).map_err(|error| FormatError::new(error.to_string()))
}

fn decode_one_fp(bytes: &[u8]) -> Result<Fp, String> {
    let bytes = bytes.try_into().map_err(|_| "an element has four bytes".to_owned())?;
    decode_fp(bytes).map_err(|error| error.to_string())
}

fn read_digests(object: &Value, name: &str) -> Result<Vec<Digest>, FormatError> {
    let digest = |numbers: Vec<u64>| {
        let mut elements = Vec::new();
        for number in numbers {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let element = decode_fp(number.to_le_bytes());
            elements.push(element.map_err(|error| FormatError::new(error.to_string()))?);
        }
        elements.try_into().map_err(|_| FormatError::new("a digest has eight elements"))
    };
    field::<Vec<Vec<u64>>>(object, name)?.into_iter().map(digest).collect()
}
