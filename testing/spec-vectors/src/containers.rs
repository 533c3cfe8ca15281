//! The vectors' JSON containers as the types of `lamella-types`.

use lamella_types::{
    AggregatedAttestation, Attestation, AttestationData, BitList, Block, BlockBody, BlockHashes,
    BlockHeader, BlocksByRangeRequest, BlocksByRootRequest, Checkpoint, Justifications,
    MultiMessageAggregate, ProofBytes, PublicKeyBytes, RejectionReason, Root,
    SignedAggregatedAttestation, SignedAttestation, SignedBlock, SingleMessageAggregate, State,
    Status, Validator, Validators, bytes::PUBLIC_KEY_BYTES, state::Config,
};
use serde_json::Value;

use crate::json::{FormatError, FromJson, HexBytes, field};

/// Implements [`FromJson`] for a container from its fields: `Type { field: "jsonName", .. }`.
macro_rules! container {
    ($($type:ident { $($field:ident: $name:literal),+ })+) => {
        $(impl FromJson for $type {
            fn from_json(value: &Value) -> Result<Self, FormatError> {
                Ok(Self { $($field: field(value, $name)?),+ })
            }
        })+
    };
}

container! {
    Checkpoint { root: "root", slot: "slot" }
    AttestationData { slot: "slot", head: "head", target: "target", source: "source" }
    Attestation { validator_index: "validatorIndex", data: "data" }
    AggregatedAttestation { aggregation_bits: "aggregationBits", data: "data" }
    SingleMessageAggregate { participants: "participants", proof: "proof" }
    MultiMessageAggregate { proof: "proof" }
    SignedAggregatedAttestation { data: "data", proof: "proof" }
    BlockHeader {
        slot: "slot", proposer_index: "proposerIndex", parent_root: "parentRoot",
        state_root: "stateRoot", body_root: "bodyRoot"
    }
    Block {
        slot: "slot", proposer_index: "proposerIndex", parent_root: "parentRoot",
        state_root: "stateRoot", body: "body"
    }
    SignedBlock { block: "block", proof: "proof" }
    Config { genesis_time: "genesisTime" }
    Validator {
        attestation_public_key: "attestationPublicKey", proposal_public_key: "proposalPublicKey",
        index: "index"
    }
    Status { finalized: "finalized", head: "head" }
    BlocksByRangeRequest { start_slot: "startSlot", count: "count" }
}

impl FromJson for Root {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        let HexBytes(bytes) = HexBytes::from_json(value)?;
        Self::from_slice(&bytes)
            .ok_or_else(|| FormatError::new(format!("{} bytes, a root has 32", bytes.len())))
    }
}

impl FromJson for PublicKeyBytes {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        let HexBytes(bytes) = HexBytes::from_json(value)?;
        <[u8; PUBLIC_KEY_BYTES]>::try_from(bytes)
            .map(Self)
            .map_err(|bytes| FormatError::new(format!("{} bytes, a key has 52", bytes.len())))
    }
}

impl FromJson for ProofBytes {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        let HexBytes(bytes) = HexBytes::from_json(value)?;
        Self::new(bytes).map_err(|error| FormatError::new(error.to_string()))
    }
}

impl<const LIMIT: usize> FromJson for BitList<LIMIT> {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        let bits = Vec::<bool>::from_json(value)?;
        if bits.len() > LIMIT {
            return Err(FormatError::new(format!("{} bits, the limit is {LIMIT}", bits.len())));
        }
        let mut list = Self::zeros(bits.len());
        for (index, _) in bits.iter().enumerate().filter(|(_, bit)| **bit) {
            list.set(index, true);
        }
        Ok(list)
    }
}

impl FromJson for BlockBody {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        Self::new(field(value, "attestations")?)
            .ok_or_else(|| FormatError::new("more attestations than a body holds"))
    }
}

impl FromJson for SignedAttestation {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        let HexBytes(signature) = field(value, "signature")?;
        let Attestation { validator_index, data } = Attestation::from_json(value)?;
        Ok(Self { validator_index, data, signature })
    }
}

impl FromJson for BlocksByRootRequest {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        let roots: Vec<Root> = field(value, "roots")?;
        let roots =
            roots.try_into().map_err(|_| FormatError::new("more roots than a request holds"))?;
        Ok(Self { roots })
    }
}

impl FromJson for Validators {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        Self::new(&Vec::from_json(value)?).map_err(|error| FormatError::new(error.to_string()))
    }
}

impl FromJson for BlockHashes {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        let mut history = Self::default();
        for root in Vec::from_json(value)? {
            history.push(root).map_err(|error| FormatError::new(error.to_string()))?;
        }
        Ok(history)
    }
}

impl FromJson for State {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        Ok(Self {
            config: field(value, "config")?,
            slot: field(value, "slot")?,
            latest_block_header: field(value, "latestBlockHeader")?,
            latest_justified: field(value, "latestJustified")?,
            latest_finalized: field(value, "latestFinalized")?,
            historical_block_hashes: field(value, "historicalBlockHashes")?,
            justified_slots: field(value, "justifiedSlots")?,
            validators: field(value, "validators")?,
            justifications: Justifications::new(
                field(value, "justificationsRoots")?,
                field(value, "justificationsValidators")?,
            ),
        })
    }
}

impl FromJson for RejectionReason {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        let code = String::from_json(value)?;
        let known = Self::ALL.iter().copied().find(|reason| reason.code() == code);
        known.ok_or_else(|| FormatError::new(format!("no rejection reason is called {code}")))
    }
}
