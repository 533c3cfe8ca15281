//! Gossipsub's frames: the bytes of leanSpec's own encoder, read by the decoder that the node runs.
//!
//! libp2p keeps its frames to itself, so they go in where a peer's would, and what comes out is compared as text.

use std::task::{Context, Poll, Waker};

use futures::{Stream, io::Cursor};
use lamella_network::wire::varint;
use lamella_testing_spec_vectors::{HexBytes, field, optional};
use libp2p::{
    Multiaddr, PeerId,
    core::upgrade::{InboundUpgrade, UpgradeInfo},
    gossipsub::{Behaviour, ConfigBuilder, MessageAuthenticity, ValidationMode},
    swarm::{ConnectionHandler, ConnectionId, NetworkBehaviour},
};
use serde_json::Value;

/// Checks that a frame is read as exactly what it was written from.
///
/// # Errors
/// What is missing, or more than there should be.
pub fn check(codec: &Value, frame: &[u8]) -> Result<(), String> {
    let text = read_frame(frame)?.ok_or("the decoder refuses it")?;
    let parts = parts(codec)?;
    let mut rest = text.as_str();
    for part in &parts {
        let (_, after) = rest.split_once(part.as_str()).ok_or(format!("no {part} in {text}"))?;
        rest = after;
    }
    let count = |text: &str| text.matches("TopicHash").count() + text.matches("MessageId").count();
    let expected: usize = parts.iter().map(|part| count(part)).sum();
    if count(&text) == expected && text.ends_with("invalid_messages: [] }") {
        Ok(())
    } else {
        Err(format!("more than {parts:?} in {text}"))
    }
}

/// What a frame says, in the decoder's words and order.
fn parts(codec: &Value) -> Result<Vec<String>, String> {
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let topic = |value: &Value, name: &str| -> Result<String, String> {
        Ok(format!("TopicHash {{ hash: {:?} }}", field::<String>(value, name)?))
    };
    let ids = |value: &Value| -> Result<String, String> {
        let ids: Vec<String> = field(value, "messageIds")?;
        let ids: Vec<_> =
            ids.iter().map(|id| format!("MessageId({})", id.trim_start_matches("0x"))).collect();
        Ok(format!("message_ids: [{}]", ids.join(", ")))
    };
    let mut parts = Vec::new();
    for message in list(codec, "publish") {
        let data = optional::<HexBytes>(&message, "data")?.map_or(0, |data| data.0.len());
        parts.push(format!("data length: {data},"));
        parts.push(format!("topic: {}", topic(&message, "topic")?));
    }
    for change in list(codec, "subscriptions") {
        let action = if change["subscribe"] == true { "Subscribe" } else { "Unsubscribe" };
        parts.push(format!("action: {action}, topic_hash: {}", topic(&change, "topicId")?));
    }
    let control = &codec["control"];
    for have in list(control, "ihave") {
        let (topic, ids) = (topic(&have, "topicId")?, ids(&have)?);
        parts.push(format!("IHave {{ topic_hash: {topic}, {ids} }}"));
    }
    for want in list(control, "iwant") {
        parts.push(format!("IWant {{ {} }}", ids(&want)?));
    }
    for graft in list(control, "graft") {
        parts.push(format!("Graft {{ topic_hash: {} }}", topic(&graft, "topicId")?));
    }
    for prune in list(control, "prune") {
        // Zero is protobuf's word for nothing.
        let backoff = Some(field::<u64>(&prune, "backoff")?).filter(|seconds| *seconds > 0);
        let topic = topic(&prune, "topicId")?;
        parts.push(format!("Prune {{ topic_hash: {topic}, peers: [], backoff: {backoff:?} }}"));
    }
    for unwanted in list(control, "idontwant") {
        parts.push(format!("IDontWant {{ {} }}", ids(&unwanted)?));
    }
    Ok(parts)
}

/// What the decoder makes of one frame, in its own words; `None` if it refuses it.
///
/// # Errors
/// The decoder cannot be set up.
pub fn read_frame(frame: &[u8]) -> Result<Option<String>, String> {
    let config = ConfigBuilder::default().validation_mode(ValidationMode::None).build();
    let config = config.map_err(|error| error.to_string())?;
    let mut gossip: Behaviour = Behaviour::new(MessageAuthenticity::Anonymous, config)?;
    let (connection, nowhere) = (ConnectionId::new_unchecked(0), Multiaddr::empty());
    let handler = gossip
        .handle_established_inbound_connection(connection, PeerId::random(), &nowhere, &nowhere)
        .map_err(|error| error.to_string())?;
    let (protocol, ()) = handler.listen_protocol().into_upgrade();
    let protocol = protocol.left().ok_or("gossip is not enabled")?;
    let version = protocol.protocol_info().into_iter().next().ok_or("no version of gossip")?;
    let mut bytes = varint::encode(frame.len() as u64);
    bytes.extend_from_slice(frame);
    let mut upgrade = Box::pin(protocol.upgrade_inbound(Cursor::new(bytes), version));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok((frames, _))) = upgrade.as_mut().poll(&mut context) else {
        return Err("the decoder waits for something".to_owned());
    };
    match Box::pin(frames).as_mut().poll_next(&mut context) {
        Poll::Ready(Some(Ok(event))) => Ok(Some(format!("{event:?}"))),
        Poll::Ready(Some(Err(_)) | None) => Ok(None),
        Poll::Pending => Err("the decoder waits for more".to_owned()),
    }
}
