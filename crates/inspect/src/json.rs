//! The JSON form of the protocol's containers: for the HTTP API and the database tools.
//!
//! Keys are leanSpec's names in snake case, numbers are numbers, roots and keys are `0x` hex. A bit list is `0x`
//! hex of its SSZ bytes (its last set bit marks the length), because a state's lists run to millions of bits.
//! A checkpoint is `{slot, root}`, in leanSpec's HTTP order. Nothing is collected first: a state goes to the
//! writer entry by entry.

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
        serialize_hex(self.0.as_bytes(), serializer)
    }
}

impl Serialize for Json<'_, PublicKeyBytes> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_hex(&self.0.0, serializer)
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
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    text.push_str(&hex::encode(bytes));
    serializer.serialize_str(&text)
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
}
