//! The JSON form of the protocol's containers: for the HTTP API and the database tools.
//!
//! Keys are leanSpec's names in snake case, numbers are numbers, roots and keys are `0x` hex. A bit list is `0x`
//! hex of its SSZ bytes (its last set bit marks the length), because a state's lists run to millions of bits.
//! A checkpoint is `{slot, root}`, in leanSpec's HTTP order. Nothing is collected first: a state goes to the
//! writer entry by entry. A whole state has up to 2^18 roots, which [`state_to_vec`] writes past the serializer: it would
//! look at each digit of them for what JSON must escape.

use lamella_types::{
    AggregatedAttestation, AttestationData, BitList, Block, BlockBody, BlockHashes, BlockHeader,
    Checkpoint, PublicKeyBytes, Root, State, Validator, Validators, state::Config,
};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

/// A container as JSON.
#[derive(Debug, Clone, Copy)]
pub struct Json<'a, T: ?Sized>(pub &'a T);

/// An object of a container's fields, named as they are.
macro_rules! object {
    ($($type:ident { $($field:ident),+ })+) => {
        $(impl Serialize for Json<'_, $type> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let fields = [$(stringify!($field)),+].len();
                let mut object = serializer.serialize_struct(stringify!($type), fields)?;
                $(object.serialize_field(stringify!($field), &Json(&self.0.$field))?;)+
                object.end()
            }
        })+
    };
}

object! {
    Checkpoint { slot, root }
    AttestationData { slot, head, target, source }
    AggregatedAttestation { aggregation_bits, data }
    BlockHeader { slot, proposer_index, parent_root, state_root, body_root }
    Block { slot, proposer_index, parent_root, state_root, body }
    Config { genesis_time }
    Validator { attestation_public_key, proposal_public_key, index }
}

impl Serialize for Json<'_, u64> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(*self.0)
    }
}

impl Serialize for Json<'_, Root> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(const_hex::Buffer::<32, true>::new().format(self.0.as_bytes()))
    }
}

impl Serialize for Json<'_, PublicKeyBytes> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(const_hex::Buffer::<52, true>::new().format(&self.0.0))
    }
}

impl<const LIMIT: usize> Serialize for Json<'_, BitList<LIMIT>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(self.0.len() / 8 + 1);
        self.0.write_ssz(&mut bytes);
        serialize_hex(&bytes, serializer)
    }
}

impl Serialize for Json<'_, BlockBody> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("BlockBody", 1)?;
        let attestations: Vec<_> = self.0.attestations.iter().map(Json).collect();
        object.serialize_field("attestations", &attestations)?;
        object.end()
    }
}

impl Serialize for Json<'_, BlockHashes> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let roots = (0..self.0.len() as u64).filter_map(|slot| self.0.get(slot));
        serializer.collect_seq(roots.map(Owned))
    }
}

impl Serialize for Json<'_, Validators> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Owned))
    }
}

impl Serialize for Json<'_, State> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let state = self.0;
        let roots: Vec<_> = state.justifications.roots().iter().map(Json).collect();
        let mut object = serializer.serialize_struct("State", 10)?;
        object.serialize_field("config", &Json(&state.config))?;
        object.serialize_field("slot", &state.slot)?;
        object.serialize_field("latest_block_header", &Json(&state.latest_block_header))?;
        object.serialize_field("latest_justified", &Json(&state.latest_justified))?;
        object.serialize_field("latest_finalized", &Json(&state.latest_finalized))?;
        object.serialize_field("historical_block_hashes", &Json(&state.historical_block_hashes))?;
        object.serialize_field("justified_slots", &Json(&state.justified_slots))?;
        object.serialize_field("validators", &Json(&state.validators))?;
        object.serialize_field("justifications_roots", &roots)?;
        object.serialize_field("justifications_validators", &Json(state.justifications.votes()))?;
        object.end()
    }
}

/// A field of a struct of ours that is a container, for `serialize_with`.
pub(crate) fn field<'a, T, S: Serializer>(value: &'a T, serializer: S) -> Result<S::Ok, S::Error>
where
    Json<'a, T>: Serialize,
{
    Json(value).serialize(serializer)
}

/// Bytes of a root as JSON, and of the comma before it.
const ROOT_JSON_BYTES: usize = 1 + 2 + 2 + 2 * 32;

/// Bytes of a validator as JSON, and of the comma before it: two keys and an index.
const VALIDATOR_JSON_BYTES: usize = 320;

/// Bytes of a state's other fields as JSON, its bit lists aside.
const REST_JSON_BYTES: usize = 2_048;

/// The JSON of a state: what serializing [`Json`] of it gives.
///
/// # Errors
/// The serializer's.
pub fn state_to_vec(state: &State) -> serde_json::Result<Vec<u8>> {
    let (history, justifications) = (&state.historical_block_hashes, &state.justifications);
    let mut out = Vec::with_capacity(
        REST_JSON_BYTES
            + ROOT_JSON_BYTES * (history.len() + justifications.roots().len())
            + VALIDATOR_JSON_BYTES * state.validators.len()
            + (state.justified_slots.len() + justifications.votes().len()) / 4,
    );
    let mut object = Object(&mut out);
    object.field("config", &Json(&state.config))?;
    object.field("slot", &state.slot)?;
    object.field("latest_block_header", &Json(&state.latest_block_header))?;
    object.field("latest_justified", &Json(&state.latest_justified))?;
    object.field("latest_finalized", &Json(&state.latest_finalized))?;
    let roots = (0..history.len() as u64).filter_map(|slot| history.get(slot));
    object.roots("historical_block_hashes", roots)?;
    object.field("justified_slots", &Json(&state.justified_slots))?;
    object.field("validators", &Json(&state.validators))?;
    object.roots("justifications_roots", justifications.roots().iter().copied())?;
    object.field("justifications_validators", &Json(justifications.votes()))?;
    out.push(b'}');
    Ok(out)
}

/// An object that is written field by field.
struct Object<'a>(&'a mut Vec<u8>);

impl Object<'_> {
    fn name(&mut self, name: &str) -> serde_json::Result<()> {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        serde_json::to_writer(&mut *self.0, name)?;
        self.0.push(b':');
        Ok(())
    }

    fn field(&mut self, name: &str, value: &impl Serialize) -> serde_json::Result<()> {
        self.name(name)?;
        serde_json::to_writer(&mut *self.0, value)
    }

    fn roots(&mut self, name: &str, roots: impl Iterator<Item = Root>) -> serde_json::Result<()> {
        self.name(name)?;
        self.0.push(b'[');
        // One entry's text, of which only the digits change: a copy an entry is all that is left to do.
        let mut entry = *b",\"0x................................................................\"";
        let mut skipped = 1;
        for root in roots {
            // 64 digits of 32 bytes.
            let _ = const_hex::encode_to_slice(root.as_bytes(), &mut entry[4..68]);
            self.0.extend_from_slice(&entry[skipped..]);
            skipped = 0;
        }
        self.0.push(b']');
        Ok(())
    }
}

/// An entry that its list makes on the way.
struct Owned<T>(T);

impl<T> Serialize for Owned<T>
where
    for<'a> Json<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Json(&self.0).serialize(serializer)
    }
}

fn serialize_hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&const_hex::encode_prefixed(bytes))
}

#[cfg(test)]
mod tests {
    use lamella_types::{AggregationBits, genesis_state};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_checkpoint_is_slot_then_root_in_hex() {
        let checkpoint = Checkpoint { root: Root::new([0xab; 32]), slot: u64::MAX };
        let text = serde_json::to_string(&Json(&checkpoint)).unwrap();
        let root = "ab".repeat(32);
        assert_eq!(text, format!(r#"{{"slot":18446744073709551615,"root":"0x{root}"}}"#));
    }

    #[test]
    fn a_bit_list_is_hex_of_its_ssz() {
        let bits = AggregationBits::from_indices([0, 9]).unwrap();
        assert_eq!(serde_json::to_value(Json(&bits)).unwrap(), json!("0x0106"));
    }

    #[test]
    fn a_state_has_the_fields_of_its_container_in_order() {
        let key = PublicKeyBytes([1; 52]);
        let validator =
            Validator { attestation_public_key: key, proposal_public_key: key, index: 0 };
        let mut state = genesis_state(7, Validators::new(&[validator]).unwrap());
        state.historical_block_hashes.push(Root::new([2; 32])).unwrap();
        let text = serde_json::to_string(&Json(&state)).unwrap();
        let (root, key) = ("00".repeat(32), "01".repeat(52));
        let body_root = state.latest_block_header.body_root;
        let expected = format!(
            r#"{{"config":{{"genesis_time":7}},"slot":0,"latest_block_header":{{"slot":0,"proposer_index":0,"parent_root":"0x{root}","state_root":"0x{root}","body_root":"{body_root}"}},"latest_justified":{{"slot":0,"root":"0x{root}"}},"latest_finalized":{{"slot":0,"root":"0x{root}"}},"historical_block_hashes":["0x{}"],"justified_slots":"0x01","validators":[{{"attestation_public_key":"0x{key}","proposal_public_key":"0x{key}","index":0}}],"justifications_roots":[],"justifications_validators":"0x01"}}"#,
            "02".repeat(32),
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_state_written_past_the_serializer_is_the_same_text() {
        let key = PublicKeyBytes([1; 52]);
        let validators: Vec<_> = (0..3)
            .map(|index| Validator { attestation_public_key: key, proposal_public_key: key, index })
            .collect();
        let mut state = genesis_state(7, Validators::new(&validators).unwrap());
        let same = |state: &State| {
            let (fast, plain) =
                (state_to_vec(state).unwrap(), serde_json::to_vec(&Json(state)).unwrap());
            assert_eq!(String::from_utf8(fast), String::from_utf8(plain));
        };
        same(&state);
        // A whole segment of history, and a tail.
        for byte in 0..=255_u8 {
            for _ in 0..5 {
                state.historical_block_hashes.push(Root::new([byte; 32])).unwrap();
            }
        }
        same(&state);
    }
}
