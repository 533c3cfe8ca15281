//! Node records and peer ids of `networking_codec`. What a node needs of a record is read by [`Bootnode`]; the other
//! outputs by the decoder below it.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use enr::{Enr, k256::ecdsa::SigningKey};
use lamella_network::{PeerId, service::peer_id};
use lamella_network_dir::Bootnode;
use lamella_testing_spec_vectors::{HexBytes, field, optional};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const PREFIX: &str = "enr:";

/// Multihash of peer ids: whose key has at most this many bytes is the key itself, others are its SHA-256.
const IDENTITY_BYTES_MAX: usize = 42;

/// A record: every output is compared. One whose signature is wrong is refused, whatever else it says.
///
/// # Errors
/// What differs.
pub fn check(codec: &Value, output: &Value) -> Result<(), String> {
    let (text, is_signed): (String, bool) =
        (field(codec, "enrString")?, field(output, "signatureValid")?);
    let node = match Bootnode::parse(&text) {
        Ok(node) if is_signed => node,
        Err(_) if !is_signed => return Ok(()),
        other => return Err(format!("the signature's validity is {is_signed}, got {other:?}")),
    };
    if node.enr != text {
        return Err(format!("written again it is {}", node.enr));
    }
    let got = outputs(&node, &text.parse()?)?;
    let expected = output.as_object().ok_or("the output is no object")?;
    for (name, expected) in expected {
        let got = got.get(name).unwrap_or(&Value::Null);
        if got != expected {
            return Err(format!("{name}: expected {expected}, got {got}"));
        }
    }
    let more =
        got.as_object().into_iter().flatten().find(|(name, value)| {
            !value.is_null() && expected.get(*name).is_none_or(Value::is_null)
        });
    more.map_or(Ok(()), |(name, got)| Err(format!("{name}: expected nothing, got {got}")))
}

fn outputs(node: &Bootnode, record: &Enr<SigningKey>) -> Result<Value, String> {
    let rlp = URL_SAFE_NO_PAD.decode(node.enr.strip_prefix(PREFIX).ok_or("no prefix")?);
    let rlp = rlp.map_err(|error| error.to_string())?;
    let eth2 = record.get_decodable::<[u8; 16]>("eth2").and_then(Result::ok);
    let subnets = record.get_decodable::<[u8; 8]>("attnets").and_then(Result::ok);
    let ip4 = node.ip.filter(IpAddr::is_ipv4);
    let multiaddr = node.address().filter(|address| address.is_ipv4());
    Ok(json!({
        "rlp": hex(&rlp),
        "seq": record.seq(),
        "identityScheme": record.id(),
        "nodeId": hex(&record.node_id().raw()),
        "publicKey": hex(&node.public_key),
        "ip4": ip4.map(|ip| ip.to_string()),
        "udpPort": node.udp_port,
        "quicPort": node.quic_port,
        "multiaddr": multiaddr.map(|at| format!("/ip4/{}/udp/{}/quic-v1", at.ip(), at.port())),
        "eth2Data": eth2.map(|[a, b, c, d, e, f, g, h, epoch @ ..]| json!({
            "forkDigest": hex(&[a, b, c, d]),
            "nextForkVersion": hex(&[e, f, g, h]),
            "nextForkEpoch": u64::from_le_bytes(epoch),
        })),
        "attestationSubnets": subnets.map(|bits| {
            let bits = u64::from_le_bytes(bits);
            (0..64).filter(|subnet| bits >> subnet & 1 == 1).collect::<Vec<u64>>()
        }),
        "isAggregator": record.get_decodable::<[u8; 1]>("is_aggregator") == Some(Ok([1])),
        "signatureValid": record.verify(),
        "isValid": record.id().as_deref() == Some("v4"),
    }))
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Whether these bytes are taken for a record.
pub fn is_accepted(rlp: &[u8]) -> bool {
    Bootnode::parse(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(rlp))).is_ok()
}

/// Peer ids. Nodes have secp256k1 keys here; of other keys only the bytes are known, whose multihash is the id.
///
/// # Errors
/// What differs.
pub fn check_peer_id(codec: &Value, output: &Value) -> Result<(), String> {
    let HexBytes(encoded) = field(output, "protobufEncoded")?;
    let (code, digest) = if encoded.len() <= IDENTITY_BYTES_MAX {
        (0x00, encoded)
    } else {
        (0x12, Sha256::digest(&encoded).to_vec())
    };
    let length = u8::try_from(digest.len()).map_err(|_| "not a short digest")?;
    let id = PeerId::from_bytes(&[&[code, length], &digest[..]].concat());
    let mut ids = vec![id.map_err(|error| error.to_string())?];
    if field::<String>(codec, "keyType")? == "secp256k1" {
        let HexBytes(key) = field(codec, "publicKey")?;
        let key = key.try_into().map_err(|_| "the key is not 33 bytes")?;
        ids.push(peer_id(&key).ok_or("the key is no key")?);
    }
    let expected: Option<String> = optional(output, "peerId")?;
    let other = ids.iter().find(|id| Some(id.to_string()) != expected);
    other.map_or(Ok(()), |id| Err(format!("expected {expected:?}, got {id}")))
}
