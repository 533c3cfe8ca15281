//! SSZ or JSON: what a request's `Accept` asks for.

use axum::http::{HeaderMap, header::ACCEPT};

use super::ApiError;

/// A form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Ssz,
    Json,
}

impl Form {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Ssz => "application/octet-stream",
            Self::Json => "application/json",
        }
    }
}

/// The form that the client prefers; `default` where it does not care.
pub(super) fn negotiate(headers: &HeaderMap, default: Form) -> Result<Form, ApiError> {
    let mut ranges = Vec::new();
    for value in headers.get_all(ACCEPT) {
        // A header that is not text asks for nothing that we have.
        ranges.extend(value.to_str().unwrap_or("-").split(',').map(Range::parse));
    }
    if ranges.is_empty() {
        return Ok(default);
    }
    let other = if default == Form::Ssz { Form::Json } else { Form::Ssz };
    let (default_quality, other_quality) = (quality(&ranges, default), quality(&ranges, other));
    if default_quality == 0 && other_quality == 0 {
        return Err(ApiError::NotAcceptable("application/octet-stream (SSZ) or application/json"));
    }
    Ok(if other_quality > default_quality { other } else { default })
}

/// One `type/subtype;q=0.5` of `Accept`; its quality in thousandths.
struct Range<'a> {
    media_type: &'a str,
    quality: u32,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let quality = quality.map_or(1000, thousandths);
        Self { media_type, quality }
    }
}

/// `1`, `0.25`; anything else counts as refusal.
fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole.parse::<u32>(), digits.parse::<u32>()) {
        (Ok(whole), Ok(fraction)) if whole <= 1 => (whole * 1000 + fraction).min(1000),
        _ => 0,
    }
}

/// The quality of the most specific range that a form matches; 0 if none does.
fn quality(ranges: &[Range<'_>], form: Form) -> u32 {
    for wanted in [form.content_type(), "application/*", "*/*"] {
        let found = ranges.iter().find(|range| range.media_type.eq_ignore_ascii_case(wanted));
        if let Some(range) = found {
            return range.quality;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_preference_decides_and_the_default_settles_ties() {
        let (ssz, json) = (Form::Ssz, Form::Json);
        for (accept, default, expected) in [
            (None, ssz, Some(ssz)),
            (Some("*/*"), json, Some(json)),
            (Some("application/json"), ssz, Some(json)),
            (Some("application/octet-stream"), json, Some(ssz)),
            (Some("application/octet-stream;q=1.0,application/json;q=0.9"), json, Some(ssz)),
            (Some("application/json;q=0.5, application/octet-stream;q=0.25"), ssz, Some(json)),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), ssz, Some(ssz)),
            (Some("application/octet-stream;q=0, */*"), ssz, Some(json)),
            (Some("Application/JSON"), ssz, Some(json)),
            (Some("text/html"), ssz, None),
            (Some("application/json;q=x"), ssz, None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(negotiate(&headers, default).ok(), expected, "{accept:?}");
        }
    }
}
