//! Gossip topics: leanSpec `networking/gossipsub/topic.py`.

use std::{fmt, str::FromStr};

use lamella_types::ValidatorIndex;

/// The network part of every topic: a constant, written without `0x`.
pub const GOSSIP_DIGEST: &str = "12345678";

/// What a topic carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopicKind {
    /// Signed blocks.
    Block,
    /// Signed attestations of one subnet.
    Attestation {
        /// The subnet.
        subnet: u64,
    },
    /// Signed aggregates.
    Aggregation,
}

/// A topic: what it carries, and for which network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topic {
    /// What it carries.
    pub kind: TopicKind,
    /// The network part.
    pub network: String,
}

/// The text is no topic of lean consensus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a topic reads /leanconsensus/<network>/block|aggregation|attestation_<subnet>/ssz_snappy")]
pub struct TopicParseError;

impl Topic {
    /// The topic of this kind on the lean network.
    #[must_use]
    pub fn new(kind: TopicKind) -> Self {
        Self { kind, network: GOSSIP_DIGEST.to_owned() }
    }
}

impl TopicKind {
    /// The subnet's topic in which a validator attests.
    #[must_use]
    pub const fn of_validator(validator: ValidatorIndex, committee_count: u64) -> Self {
        Self::Attestation {
            subnet: validator % if committee_count == 0 { 1 } else { committee_count },
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/leanconsensus/{}/", self.network)?;
        match self.kind {
            TopicKind::Block => f.write_str("block"),
            TopicKind::Aggregation => f.write_str("aggregation"),
            TopicKind::Attestation { subnet } => write!(f, "attestation_{subnet}"),
        }?;
        f.write_str("/ssz_snappy")
    }
}

impl FromStr for Topic {
    type Err = TopicParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.strip_prefix('/').ok_or(TopicParseError)?.split('/');
        let mut next = || parts.next().ok_or(TopicParseError);
        let (prefix, network, name, encoding) = (next()?, next()?, next()?, next()?);
        if prefix != "leanconsensus" || encoding != "ssz_snappy" || parts.next().is_some() {
            return Err(TopicParseError);
        }
        let kind = match name {
            "block" => TopicKind::Block,
            "aggregation" => TopicKind::Aggregation,
            _ => {
                let digits = name.strip_prefix("attestation_").ok_or(TopicParseError)?;
                let subnet = digits.parse::<u64>().map_err(|_| TopicParseError)?;
                // `parse` also takes `+7` and `07`, which no other node would take for the same topic.
                if subnet.to_string() != digits {
                    return Err(TopicParseError);
                }
                TopicKind::Attestation { subnet }
            }
        };
        Ok(Self { kind, network: network.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_read_as_they_are_written_and_nothing_else_is_one() {
        for kind in
            [TopicKind::Block, TopicKind::Aggregation, TopicKind::Attestation { subnet: 63 }]
        {
            let topic = Topic::new(kind);
            assert_eq!(topic.to_string().parse(), Ok(topic));
        }
        let subnet = Topic::new(TopicKind::of_validator(7, 4)).to_string();
        assert_eq!(subnet, "/leanconsensus/12345678/attestation_3/ssz_snappy");
        for text in [
            "",
            "/leanconsensus/12345678/block",
            "leanconsensus/12345678/block/ssz_snappy",
            "/eth2/12345678/block/ssz_snappy",
            "/leanconsensus/12345678/blocks/ssz_snappy",
            "/leanconsensus/12345678/attestation_/ssz_snappy",
            "/leanconsensus/12345678/attestation_-1/ssz_snappy",
            "/leanconsensus/12345678/attestation_+7/ssz_snappy",
            "/leanconsensus/12345678/attestation_07/ssz_snappy",
            "/leanconsensus/12345678/block/ssz_snappy/",
        ] {
            assert_eq!(text.parse::<Topic>(), Err(TopicParseError), "{text}");
        }
    }
}
