//! A column as a record: compressed where that is shorter.
//!
//! ```text
//! column = codec: u8 (0 plain, 1 zstd) | length unpacked: u32 LE | bytes
//! ```
//!
//! Compressed bytes are one zstd frame that states its content's length, without a dictionary. What names a segment is
//! its content, so another compressor may write other bytes.

use zstd::{bulk, zstd_safe};

use crate::{
    container::{ContainerWriter, Section},
    error::{ArchiveError, Fault},
    limits::WINDOW_LOG_MAX,
};

/// Codecs.
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// Level of compression: higher ones cost an export its pace and save under a percent.
const LEVEL: i32 = 3;

/// Codec and length.
const COLUMN_HEADER_BYTES: usize = 5;

/// Writes a column; compressed if that is shorter.
pub(crate) fn put_column(writer: &mut ContainerWriter, kind: u16, bytes: &[u8]) {
    let packed = bulk::compress(bytes, LEVEL).ok().filter(|packed| packed.len() < bytes.len());
    let (codec, content) = packed.as_deref().map_or((PLAIN, bytes), |packed| (ZSTD, packed));
    #[expect(clippy::cast_possible_truncation, reason = "columns are bounded far below 2^32")]
    let length = (bytes.len() as u32).to_le_bytes();
    writer.put(kind, &[&[codec][..], &length, content].concat());
}

/// The unpacked bytes of a column, at most `limit`.
pub(crate) fn read_column(section: &Section<'_>, limit: usize) -> Result<Vec<u8>, ArchiveError> {
    let Some((&[codec, a, b, c, d], content)) =
        section.bytes.split_first_chunk::<COLUMN_HEADER_BYTES>()
    else {
        let (needed, left) = (COLUMN_HEADER_BYTES as u64, section.bytes.len() as u64);
        return Err(section.refuse(Fault::Truncated { needed, left }));
    };
    let length = u32::from_le_bytes([a, b, c, d]);
    if length as usize > limit {
        let (length, limit) = (u64::from(length), limit as u64);
        return Err(section.refuse(Fault::TooLong { length, limit }));
    }
    match codec {
        PLAIN if content.len() == length as usize => Ok(content.to_vec()),
        PLAIN if content.len() < length as usize => {
            let (needed, left) = (u64::from(length), content.len() as u64);
            Err(section.refuse(Fault::Truncated { needed, left }))
        }
        PLAIN => Err(section.refuse(Fault::Trailing((content.len() - length as usize) as u64))),
        ZSTD => unpack(content, length as usize)
            .map_err(|what| section.refuse(Fault::Compression(what))),
        other => Err(section.refuse(Fault::Codec(other))),
    }
}

/// The content of the one frame that `packed` is.
fn unpack(packed: &[u8], length: usize) -> Result<Vec<u8>, &'static str> {
    check_window(packed)?;
    if zstd_safe::find_frame_compressed_size(packed) != Ok(packed.len()) {
        return Err("not one whole frame");
    }
    if !matches!(zstd_safe::get_frame_content_size(packed), Ok(Some(size)) if size == length as u64)
    {
        return Err("the frame does not state the column's length");
    }
    let unpacked = bulk::decompress(packed, length).map_err(|_| "the frame is damaged")?;
    if unpacked.len() == length { Ok(unpacked) } else { Err("the frame is shorter than it states") }
}

/// Refuses a frame whose window a streaming reader would have to allocate beyond the limit, and one that is none.
/// RFC 8878: magic number, then the descriptor; unless its bit 5 says that the content is the window, the next byte
/// has the exponent above 10 in its five high bits, and eighths to add in the others.
fn check_window(packed: &[u8]) -> Result<(), &'static str> {
    let Some(([0x28, 0xb5, 0x2f, 0xfd, descriptor], rest)) = packed.split_first_chunk::<5>() else {
        return Err("no zstd frame");
    };
    if descriptor & 0b11 != 0 {
        return Err("the frame wants a dictionary");
    }
    let is_single = descriptor & 0b10_0000 != 0;
    let within = |window: &u8| 10 + (window >> 3) + u8::from(window & 7 != 0) <= WINDOW_LOG_MAX;
    if is_single || rest.first().is_some_and(within) {
        Ok(())
    } else {
        Err("the window is too large")
    }
}

#[cfg(test)]
mod tests {
    use zstd::zstd_safe::CParameter;

    use super::*;

    /// A column that claims `length` bytes behind `packed`.
    fn read(codec: u8, length: u32, packed: &[u8]) -> Result<Vec<u8>, Fault> {
        let bytes = [&[codec][..], &length.to_le_bytes(), packed].concat();
        let section = Section { file: "file", name: "column", offset: 16, bytes: &bytes };
        read_column(&section, 1 << 24).map_err(|error| *error.fault)
    }

    fn packed(content: &[u8], parameters: &[CParameter]) -> Vec<u8> {
        let mut compressor = bulk::Compressor::new(LEVEL).unwrap();
        parameters.iter().for_each(|parameter| compressor.set_parameter(*parameter).unwrap());
        compressor.compress(content).unwrap()
    }

    #[test]
    fn a_column_is_one_frame_of_the_length_that_both_state() {
        let content = vec![7; 5_000];
        let frame = packed(&content, &[]);
        assert_eq!(read(ZSTD, 5_000, &frame), Ok(content.clone()));
        assert_eq!(read(PLAIN, 5_000, &content), Ok(content.clone()));
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
        let refused = [
            (4_999, frame.clone()),
            (5_001, frame.clone()),
            (5_000, frame[..frame.len() - 1].to_vec()),
            (5_000, [&frame[..], &[0]].concat()),
            (5_000, [&frame[..], &skippable].concat()),
            (5_000, [&skippable[..], &frame].concat()),
            (
                5_000,
                [&packed(&content[..2_500], &[])[..], &packed(&content[2_500..], &[])].concat(),
            ),
            (5_000, packed(&content, &[CParameter::ContentSizeFlag(false)])),
            (0, Vec::new()),
        ];
        for (index, (length, frame)) in refused.into_iter().enumerate() {
            let fault = read(ZSTD, length, &frame).unwrap_err();
            assert!(matches!(fault, Fault::Compression(_)), "{index}: {fault}");
        }
    }

    #[test]
    fn a_window_beyond_the_limit_and_a_dictionary_are_refused() {
        // A frame says its window only where that is not its content.
        let content = vec![7; 12 << 20];
        let length = u32::try_from(content.len()).unwrap();
        let windowed = |log| packed(&content, &[CParameter::WindowLog(log)]);
        assert_eq!(windowed(23)[4] & 0b10_0000, 0, "not a single segment");
        assert_eq!(read(ZSTD, length, &windowed(23)), Ok(content.clone()));
        let mut large = windowed(23);
        large[5] = (24 - 10) << 3;
        let expected = Fault::Compression("the window is too large");
        assert_eq!(read(ZSTD, length, &large), Err(expected.clone()));
        // An eighth more than the limit.
        large[5] = ((23 - 10) << 3) | 1;
        assert_eq!(read(ZSTD, length, &large), Err(expected));
        let mut dictionary = windowed(23);
        dictionary[4] |= 1;
        let expected = Fault::Compression("the frame wants a dictionary");
        assert_eq!(read(ZSTD, length, &dictionary), Err(expected));
    }

    #[test]
    fn lengths_and_codecs_are_refused_before_anything_is_unpacked() {
        let too_long = Fault::TooLong { length: u64::from(u32::MAX), limit: 1 << 24 };
        assert_eq!(read(ZSTD, u32::MAX, &[]), Err(too_long));
        assert_eq!(read(2, 1, &[7]), Err(Fault::Codec(2)));
        assert_eq!(read(PLAIN, 2, &[7]), Err(Fault::Truncated { needed: 2, left: 1 }));
        assert_eq!(read(PLAIN, 0, &[7]), Err(Fault::Trailing(1)));
    }
}
