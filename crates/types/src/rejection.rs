//! Why the protocol refuses an input: leanSpec `forks/lstar/errors.py`, plus the few that it leaves open.

use std::fmt;

macro_rules! rejection_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// A language-neutral rejection reason. It names the fault of whoever sent the input.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RejectionReason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl RejectionReason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The code shared with leanSpec and the test vectors.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }
    };
}

rejection_reasons! {
    /// The block's slot is not after the state's.
    BlockSlotNotInFuture = "BLOCK_SLOT_NOT_IN_FUTURE",
    /// The block is not newer than the latest header.
    BlockOlderThanLatestHeader = "BLOCK_OLDER_THAN_LATEST_HEADER",
    /// The block's slot differs from the state's after slot processing.
    BlockSlotMismatch = "BLOCK_SLOT_MISMATCH",
    /// The block's parent is not the latest header.
    ParentRootMismatch = "PARENT_ROOT_MISMATCH",
    /// The block does not commit to the post-state it produces.
    StateRootMismatch = "STATE_ROOT_MISMATCH",
    /// The parent is not stored.
    UnknownParentBlock = "UNKNOWN_PARENT_BLOCK",
    /// The proposer is not in the registry.
    ProposerIndexOutOfRange = "PROPOSER_INDEX_OUT_OF_RANGE",
    /// The registry is empty, so nobody can propose.
    EmptyValidatorRegistry = "EMPTY_VALIDATOR_REGISTRY",
    /// Another validator is scheduled for the slot.
    WrongProposer = "WRONG_PROPOSER",
    /// More distinct attestation data than a block may carry.
    TooManyAttestationData = "TOO_MANY_ATTESTATION_DATA",
    /// The same attestation data twice in one block.
    DuplicateAttestationData = "DUPLICATE_ATTESTATION_DATA",
    /// An aggregate without participants.
    EmptyAggregationBits = "EMPTY_AGGREGATION_BITS",
    /// The vote's source is not a known block.
    UnknownSourceBlock = "UNKNOWN_SOURCE_BLOCK",
    /// The vote's target is not a known block.
    UnknownTargetBlock = "UNKNOWN_TARGET_BLOCK",
    /// The vote's head is not a known block.
    UnknownHeadBlock = "UNKNOWN_HEAD_BLOCK",
    /// The vote's source is after its target.
    SourceAfterTarget = "SOURCE_AFTER_TARGET",
    /// The vote's head is before its target.
    HeadOlderThanTarget = "HEAD_OLDER_THAN_TARGET",
    /// The source checkpoint's slot is not its block's.
    SourceSlotMismatch = "SOURCE_SLOT_MISMATCH",
    /// The target checkpoint's slot is not its block's.
    TargetSlotMismatch = "TARGET_SLOT_MISMATCH",
    /// The head checkpoint's slot is not its block's.
    HeadSlotMismatch = "HEAD_SLOT_MISMATCH",
    /// The source is not on the target's chain.
    SourceNotAncestorOfTarget = "SOURCE_NOT_ANCESTOR_OF_TARGET",
    /// The target is not on the head's chain.
    TargetNotAncestorOfHead = "TARGET_NOT_ANCESTOR_OF_HEAD",
    /// The vote's slot has not begun.
    AttestationTooFarInFuture = "ATTESTATION_TOO_FAR_IN_FUTURE",
    /// The vote is for a slot before its head.
    AttestationSlotBeforeHead = "ATTESTATION_SLOT_BEFORE_HEAD",
    /// The validator is not in the state's registry.
    ValidatorNotInState = "VALIDATOR_NOT_IN_STATE",
    /// An aggregation bit points past the registry.
    ValidatorIndexOutOfRange = "VALIDATOR_INDEX_OUT_OF_RANGE",
    /// A vote names a slot past the tracked justification window.
    JustifiedSlotOutOfRange = "JUSTIFIED_SLOT_OUT_OF_RANGE",
    /// A signature or aggregate proof does not verify.
    InvalidSignature = "INVALID_SIGNATURE",
    /// The block's proof does not verify.
    InvalidBlockProof = "INVALID_BLOCK_PROOF",
    /// The anchor block does not commit to the anchor state.
    AnchorStateRootMismatch = "ANCHOR_STATE_ROOT_MISMATCH",
    /// The bytes do not encode a value of the type.
    DecodeError = "DECODE_ERROR",
    /// The pre-state's tally does not hold one run of votes for each root.
    JustificationVotesLengthMismatch = "JUSTIFICATION_VOTES_LENGTH_MISMATCH",
    /// The pre-state's tally tracks the zero hash (an assertion in leanSpec).
    ZeroHashJustificationRoot = "ZERO_HASH_JUSTIFICATION_ROOT",
    /// The pre-state's tally tracks a root that is not on its chain (an assertion in leanSpec).
    UnknownJustificationRoot = "UNKNOWN_JUSTIFICATION_ROOT",
    /// The block's slot is beyond the 2^18 entries that a state's history can hold.
    HistoryLimitReached = "HISTORY_LIMIT_REACHED",
}

impl fmt::Display for RejectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl std::error::Error for RejectionReason {}

#[cfg(test)]
mod tests {
    use super::RejectionReason;

    #[test]
    fn codes_are_distinct() {
        let mut codes: Vec<_> = RejectionReason::ALL.iter().map(|reason| reason.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), RejectionReason::ALL.len());
    }
}
