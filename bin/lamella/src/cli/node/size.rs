//! Sizes as one writes them: `512MiB`, `64GiB`, `1TiB`, or plain bytes.

/// Units by their suffix, each 1,024 times the one before.
const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

/// Smallest database that a node can begin in.
const BYTES_MIN: usize = 16 << 20;

/// The bytes that a flag's text says.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let unit = UNITS.iter().find_map(|(suffix, shift)| Some((text.strip_suffix(suffix)?, *shift)));
    let (number, shift) = unit.unwrap_or((text, 0));
    let number = number.trim().parse::<usize>();
    let number = number.map_err(|_| "not a size; write 64GiB or 512MiB".to_owned())?;
    let bytes = number.checked_mul(1 << shift).filter(|bytes| isize::try_from(*bytes).is_ok());
    let bytes = bytes.ok_or_else(|| "too large".to_owned())?;
    if bytes < BYTES_MIN {
        return Err("too small; 16MiB at least".to_owned());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units_and_bounded() {
        assert_eq!(bytes("64GiB"), Ok(64 << 30));
        assert_eq!(bytes("512 MiB"), Ok(512 << 20));
        assert_eq!(bytes("1TiB"), Ok(1 << 40));
        assert_eq!(bytes("16777216"), Ok(16 << 20));
        for bad in ["", "GiB", "16MiB x", "-1GiB", "1MiB", "16777215", "99999999999TiB", "64GB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
