//! The texts of a network's files, in the shapes lean-quickstart's generator gives them.

use std::fmt::Write;

use lamella_types::Validator;

use super::{keys::ROLES, node::Node};
use crate::Role;

/// What the texts are made from.
pub(super) struct Network<'a> {
    pub(super) nodes: &'a [Node],
    pub(super) validators: &'a [Validator],
    pub(super) key_slots: u64,
}

impl Network<'_> {
    pub(super) fn config(&self, genesis_time: u64) -> String {
        let mut text = format!(
            "# Genesis Settings\nGENESIS_TIME: {genesis_time}\n\
             # Chain Settings\nATTESTATION_COMMITTEE_COUNT: 1\n\
             # Key Settings\nACTIVE_EPOCH: {}\n\
             # Validator Settings\nVALIDATOR_COUNT: {}\n\
             # List of Genesis Validators' Public Keys (attestation + proposal)\nGENESIS_VALIDATORS:\n",
            self.log_slots(),
            self.validators.len(),
        );
        for validator in self.validators {
            line(
                &mut text,
                format_args!("  - attestation_pubkey: \"{}\"", key(validator, Role::Attester)),
            );
            line(
                &mut text,
                format_args!("    proposal_pubkey: \"{}\"", key(validator, Role::Proposer)),
            );
        }
        text
    }

    pub(super) fn validators(&self) -> String {
        self.by_node(|text, validator| line(text, format_args!("  - {}", validator.index)))
    }

    pub(super) fn annotated_validators(&self) -> String {
        self.by_node(|text, validator| {
            for role in ROLES {
                line(text, format_args!("  - index: {}", validator.index));
                line(text, format_args!("    pubkey_hex: {}", key(validator, role)));
                let file = role.default_key_file(validator.index);
                line(text, format_args!("    privkey_file: {file}"));
            }
        })
    }

    pub(super) fn validator_config(&self) -> String {
        let mut text = format!(
            "shuffle: roundrobin\ndeployment_mode: local\nconfig:\n  activeEpoch: {}\n  \
             keyType: \"hash-sig\"\n  attestation_committee_count: 1\nvalidators:\n",
            self.log_slots(),
        );
        for (number, node) in self.nodes.iter().enumerate() {
            let rows = [
                format!("  - name: \"{}\"", node.node_id),
                format!("    privkey: \"{}\"", hex::encode(node.private_key.as_bytes())),
                "    enrFields:".into(),
                format!("      ip: \"{}\"", Node::IP),
                format!("      quic: {}", node.ports.quic),
                format!("    metricsPort: {}", node.ports.metrics),
                format!("    apiPort: {}", node.ports.api),
                format!("    isAggregator: {}", number == 0),
                format!("    count: {}", self.validators_of(number).count()),
            ];
            for row in rows {
                line(&mut text, format_args!("{row}"));
            }
        }
        text
    }

    pub(super) fn nodes(&self) -> String {
        let mut text = String::new();
        for node in self.nodes {
            line(&mut text, format_args!("- {}", node.enr));
        }
        text
    }

    /// `validator-keys-manifest.yaml`. It names the scheme in use; generators still write the one before it.
    pub(super) fn manifest(&self) -> String {
        let mut text = format!(
            "key_scheme: SIGAbortingTargetSumLifetime32Dim46Base8\nhash_function: Poseidon1\nencoding: TargetSum\n\
             lifetime: {}\nlog_num_active_epochs: {}\nnum_active_epochs: {}\nnum_validators: {}\nvalidators:\n",
            lamella_xmss::PRODUCTION.lifetime_slots(),
            self.log_slots(),
            self.key_slots,
            self.validators.len(),
        );
        for validator in self.validators {
            line(&mut text, format_args!("  - index: {}", validator.index));
            for role in ROLES {
                let file = role.default_key_file(validator.index);
                line(
                    &mut text,
                    format_args!("    {role}_key_pubkey_hex: 0x{}", key(validator, role)),
                );
                line(&mut text, format_args!("    {role}_key_privkey_file: {file}"));
            }
        }
        text
    }

    /// The generator's `roundrobin`: validator i belongs to node i mod N.
    fn validators_of(&self, number: usize) -> impl Iterator<Item = &Validator> {
        self.validators.iter().skip(number).step_by(self.nodes.len())
    }

    fn by_node(&self, row: impl Fn(&mut String, &Validator)) -> String {
        let mut text = String::new();
        for (number, node) in self.nodes.iter().enumerate() {
            line(&mut text, format_args!("{}:", node.node_id));
            let before = text.len();
            self.validators_of(number).for_each(|validator| row(&mut text, validator));
            if text.len() == before {
                line(&mut text, format_args!("  []"));
            }
        }
        text
    }

    /// The generator counts active slots in powers of two: the next one up.
    fn log_slots(&self) -> u32 {
        self.key_slots.next_power_of_two().trailing_zeros()
    }
}

fn key(validator: &Validator, role: Role) -> String {
    hex::encode(match role {
        Role::Attester => validator.attestation_public_key.0,
        Role::Proposer => validator.proposal_public_key.0,
    })
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{content}");
}
