//! Reading vector JSON: the `{"data": ..}` around SSZ collections, 64-bit numbers, `0x` hex.

use serde_json::Value;

/// Where a vector's JSON is not what the format says, from the outside in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("vector JSON at `{path}`: {problem}")]
pub struct FormatError {
    path: String,
    problem: String,
}

impl FormatError {
    /// A problem with the value at hand.
    #[must_use]
    pub fn new(problem: impl Into<String>) -> Self {
        Self { path: String::new(), problem: problem.into() }
    }

    /// The same problem, seen from the value that contains this one under `name`.
    #[must_use]
    pub fn within(self, name: &str) -> Self {
        let path =
            if self.path.is_empty() { name.to_owned() } else { format!("{name}.{}", self.path) };
        Self { path, problem: self.problem }
    }

    fn expected(what: &str, value: &Value) -> Self {
        let text: String = value.to_string().chars().take(60).collect();
        Self::new(format!("expected {what}, found {text}"))
    }
}

impl From<FormatError> for String {
    fn from(error: FormatError) -> Self {
        error.to_string()
    }
}

/// A type with a JSON form in the vectors.
pub trait FromJson: Sized {
    /// Reads the value.
    ///
    /// # Errors
    /// [`FormatError`] where the JSON has another shape.
    fn from_json(value: &Value) -> Result<Self, FormatError>;
}

/// The field `name` of an object.
///
/// # Errors
/// [`FormatError`] if it is missing or not a `T`.
pub fn field<T: FromJson>(object: &Value, name: &str) -> Result<T, FormatError> {
    optional(object, name)?.ok_or_else(|| FormatError::new("missing").within(name))
}

/// The field `name` of an object, `None` if it is missing or null.
///
/// # Errors
/// [`FormatError`] if it is there and not a `T`.
pub fn optional<T: FromJson>(object: &Value, name: &str) -> Result<Option<T>, FormatError> {
    let map = object.as_object().ok_or_else(|| FormatError::expected("an object", object))?;
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => T::from_json(value).map(Some).map_err(|error| error.within(name)),
    }
}

/// The inside of an SSZ collection: `{"data": inside}`. Plain JSON (a list of steps, say) is its own inside.
#[must_use]
pub fn unwrap_data(value: &Value) -> &Value {
    value.as_object().and_then(|map| map.get("data")).unwrap_or(value)
}

/// Bytes written as `0x` and lower-case hex, bare or inside `{"data": ..}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl FromJson for HexBytes {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        let expected = || FormatError::expected("0x hex", value);
        let text = unwrap_data(value).as_str().ok_or_else(expected)?;
        let digits = text.strip_prefix("0x").ok_or_else(expected)?;
        hex::decode(digits).map(Self).map_err(|_| expected())
    }
}

impl FromJson for Value {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        Ok(value.clone())
    }
}

impl FromJson for u64 {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        value.as_u64().ok_or_else(|| FormatError::expected("an unsigned 64-bit number", value))
    }
}

impl FromJson for bool {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        value.as_bool().ok_or_else(|| FormatError::expected("a boolean", value))
    }
}

impl FromJson for String {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        value.as_str().map(Self::from).ok_or_else(|| FormatError::expected("a string", value))
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: &Value) -> Result<Self, FormatError> {
        let list = unwrap_data(value).as_array();
        let list = list.ok_or_else(|| FormatError::expected("a list", value))?;
        let read = |(index, item)| {
            T::from_json(item).map_err(|error: FormatError| error.within(&format!("[{index}]")))
        };
        list.iter().enumerate().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_keep_all_64_bits() {
        let object: Value = serde_json::from_str(r#"{"slot": 18446744073709551615}"#).unwrap();
        assert_eq!(field::<u64>(&object, "slot"), Ok(u64::MAX));
    }

    #[test]
    fn errors_name_the_path() {
        let object = json!({ "steps": [{ "slot": 1 }, { "slot": "x" }] });
        let steps: Vec<Value> = field(&object, "steps").unwrap();
        let error = field::<u64>(&steps[1], "slot").unwrap_err().within("[1]").within("steps");
        assert_eq!(error.path, "steps.[1].slot");
        assert_eq!(optional::<u64>(&object, "absent"), Ok(None));
    }

    #[test]
    fn collections_are_read_from_inside_their_wrapping() {
        assert_eq!(Vec::<u64>::from_json(&json!({ "data": [1, 2] })), Ok(vec![1, 2]));
        assert_eq!(HexBytes::from_json(&json!({ "data": "0x0aff" })), Ok(HexBytes(vec![10, 255])));
        assert!(HexBytes::from_json(&json!("0aff")).is_err());
    }
}
