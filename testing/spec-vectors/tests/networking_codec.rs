//! Group `networking_codec`: bytes between peers. Compressed bytes are pinned to leanSpec's own encoder, so ours are
//! compared after decompression, as the vectors' README says.

use lamella_network::wire::{
    MAX_PAYLOAD_BYTES,
    chunk::{ResponseChunk, ResponseCode, decode_payload, encode_payload},
    message_id, snappy,
    topic::{Topic, TopicKind},
    varint,
};
use lamella_testing_spec_vectors::{Case, HexBytes, Outcome, field, optional, run_group};
use serde_json::Value;

use crate::{
    gossip_frames::{self, read_frame},
    node_records,
};

#[test]
fn networking_codec_vectors() {
    run_group("networking_codec", check);
}

fn check(case: &Case) -> Result<Outcome, String> {
    let codec: Value = field(&case.value, "codec")?;
    let output: Value = field(&case.value, "output")?;
    let kind: String = field(&codec, "kind")?;
    match kind.as_str() {
        "varint" => check_varint(&codec, &output)?,
        "gossip_topic" => check_topic(&codec, &output)?,
        "gossip_message_id" => check_message_id(&codec, &output)?,
        "reqresp_request" => check_request(&codec, &output)?,
        "reqresp_response" => {
            check_chunks(std::slice::from_ref(&codec), &bytes(&output, "encoded")?)?;
        }
        "reqresp_response_stream" => {
            let chunks = codec["chunks"].as_array().ok_or("chunks is not a list")?;
            check_chunks(chunks, &bytes(&output, "encoded")?)?;
        }
        "snappy_block" => {
            let (data, theirs) = (bytes(&codec, "data")?, bytes(&output, "compressed")?);
            let ours = snappy::compress_block(&data).map_err(|error| error.to_string())?;
            for compressed in [theirs, ours] {
                same(&data, &snappy::decompress_block(&compressed, data.len()))?;
            }
        }
        "snappy_frame" => {
            let (data, theirs) = (bytes(&codec, "data")?, bytes(&output, "framed")?);
            for framed in [theirs, snappy::compress_frames(&data)] {
                same(&data, &snappy::decompress_frames(&framed, data.len()))?;
            }
        }
        "decode_failure" => return check_refusal(&codec),
        "enr" => node_records::check(&codec, &output)?,
        "peer_id" => node_records::check_peer_id(&codec, &output)?,
        "gossipsub_rpc" => {
            let frame = bytes(&output, "encoded")?;
            gossip_frames::check(&codec, &frame)?;
        }
        _ => return Err(format!("this runner does not know the kind {kind}")),
    }
    Ok(Outcome::Passed)
}

fn bytes(value: &Value, name: &str) -> Result<Vec<u8>, String> {
    Ok(field::<HexBytes>(value, name)?.0)
}

fn same<E: std::fmt::Display>(expected: &[u8], got: &Result<Vec<u8>, E>) -> Result<(), String> {
    match got {
        Ok(got) if got == expected => Ok(()),
        Ok(got) => {
            Err(format!("expected {} bytes {expected:02x?}, got {got:02x?}", expected.len()))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn check_varint(codec: &Value, output: &Value) -> Result<(), String> {
    let value: u64 = field(codec, "value")?;
    let encoded = bytes(output, "encoded")?;
    if varint::encode(value) != encoded {
        return Err(format!("{value} becomes {:02x?}", varint::encode(value)));
    }
    match varint::decode(&encoded) {
        Ok((decoded, length)) if decoded == value && length == encoded.len() => Ok(()),
        other => Err(format!("{encoded:02x?} is read as {other:?}")),
    }
}

fn check_topic(codec: &Value, output: &Value) -> Result<(), String> {
    let network: String = field(codec, "networkName")?;
    let kind: String = field(codec, "topicKind")?;
    let kind = match kind.as_str() {
        "block" => TopicKind::Block,
        "aggregation" => TopicKind::Aggregation,
        _ => TopicKind::Attestation { subnet: field(codec, "subnetId")? },
    };
    let topic = Topic { kind, network: network.clone() };
    let text: String = field(output, "topicString")?;
    if topic.to_string() != text {
        return Err(format!("expected {text}, got {topic}"));
    }
    if text.parse() != Ok(topic) {
        return Err(format!("{text} is read as another topic"));
    }
    let expected: Option<String> = optional(codec, "expectedNetworkName")?;
    let fork_valid: Option<bool> = optional(output, "forkValid")?;
    if expected.map(|expected| expected == network) != fork_valid {
        return Err("another verdict on the network".to_owned());
    }
    Ok(())
}

fn check_message_id(codec: &Value, output: &Value) -> Result<(), String> {
    let (topic, data) = (bytes(codec, "topic")?, bytes(codec, "data")?);
    let domain = bytes(codec, "domain")?.try_into().map_err(|_| "domain is not 4 bytes")?;
    let id: Result<_, String> = Ok(message_id::hash(&topic, &data, domain).to_vec());
    same(&bytes(output, "messageId")?, &id)
}

fn check_request(codec: &Value, output: &Value) -> Result<(), String> {
    let (payload, theirs) = (bytes(codec, "sszData")?, bytes(output, "encoded")?);
    let ours = encode_payload(&payload).map_err(|error| error.to_string())?;
    for encoded in [theirs, ours] {
        same(&payload, &decode_payload(&encoded, MAX_PAYLOAD_BYTES))?;
    }
    Ok(())
}

/// Response chunks one after the other. Where one ends only its frames tell, so ours are written and cut the same way.
fn check_chunks(chunks: &[Value], theirs: &[u8]) -> Result<(), String> {
    let mut rest = theirs;
    for chunk in chunks {
        let code: u64 = field(chunk, "responseCode")?;
        let code = u8::try_from(code).map_err(|_| "a code is one byte")?;
        let payload = bytes(chunk, "sszData")?;
        let expected = ResponseChunk { code: ResponseCode::from_byte(code), payload };
        let ours = expected.encode().map_err(|error| error.to_string())?;
        let end = (1..=rest.len())
            .find(|end| ResponseChunk::decode(&rest[..*end]).as_ref() == Ok(&expected))
            .ok_or_else(|| format!("no prefix of {rest:02x?} is {expected:?}"))?;
        rest = &rest[end..];
        if ResponseChunk::decode(&ours).as_ref() != Ok(&expected) {
            return Err(format!("our own bytes {ours:02x?} are read as another chunk"));
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(format!("{rest:02x?} is left over")) }
}

fn check_refusal(codec: &Value) -> Result<Outcome, String> {
    let (decoder, raw): (String, _) = (field(codec, "decoder")?, bytes(codec, "rawBytes"));
    let accepted = match decoder.as_str() {
        "enr" => node_records::is_accepted(&raw?),
        "varint" => varint::decode(&raw?).is_ok(),
        "reqresp_request" => decode_payload(&raw?, MAX_PAYLOAD_BYTES).is_ok(),
        "snappy_frame" => snappy::decompress_frames(&raw?, MAX_PAYLOAD_BYTES).is_ok(),
        "gossipsub_rpc" => read_frame(&raw?)?.is_some(),
        _ => return Err(format!("this runner does not know the decoder {decoder}")),
    };
    if accepted { Err(format!("{decoder} accepts it")) } else { Ok(Outcome::Passed) }
}
