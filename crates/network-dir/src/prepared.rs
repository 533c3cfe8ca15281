//! What was built for a key after its file was made, kept beside it: `KEY_FILE.prepared`.
//!
//! A whole key's file can sign its first two trees of slots. The next ones are built in the background while the node runs,
//! at 13 s of a core each (65,536 leaves of 0.2 ms); without this file a node that is started after those slots would build
//! them again before it signs, for all its keys one after the other. It holds the key as the file would hold it today, so
//! it is as secret, and as large: 8.4 MB.
//!
//! ```text
//! xxh3 of what follows: u64 LE | the secret key, leanSpec's SSZ
//! ```
//!
//! It is a cache: one that is damaged, or of another key, is as good as none.

use std::{
    io,
    path::{Path, PathBuf},
};

use lamella_xmss::{Parameters, SecretKey};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    read::read_bytes,
    whole_file::{self, Access},
};

/// What the file's name has behind the key's.
const EXTENSION: &str = "prepared";

/// Bytes of a key that are the key's for ever: PRF key, parameter, first slot, slots.
const LASTING_BYTES: usize = 32 + 20 + 8 + 8;

fn path_of(key_file: &Path) -> PathBuf {
    key_file.with_added_extension(EXTENSION)
}

/// Keeps what is prepared of the key in this file.
///
/// # Errors
/// What the system says, such as that the folder is read only; then it has to be built again after a restart.
pub(super) fn keep(key_file: &Path, key: &SecretKey) -> io::Result<()> {
    let key = key.encode();
    let bytes = [&xxh3_64(&key).to_le_bytes()[..], &key].concat();
    whole_file::write(&path_of(key_file), &bytes, Access::Owner)
}

/// The same key as in the file, with what was prepared since, if that is more.
pub(super) fn load(
    key_file: &Path,
    stored: &[u8],
    key: &SecretKey,
    bytes_max: u64,
    parameters: &'static Parameters,
) -> Option<SecretKey> {
    let bytes = read_bytes(&path_of(key_file), bytes_max, "").ok()?;
    let (checksum, bytes) = bytes.split_first_chunk()?;
    if u64::from_le_bytes(*checksum) != xxh3_64(bytes)
        || bytes.get(..LASTING_BYTES)? != stored.get(..LASTING_BYTES)?
    {
        return None;
    }
    let prepared = SecretKey::decode(parameters, bytes).ok()?;
    let is_it = prepared.public_key().encode() == key.public_key().encode();
    let is_more = prepared.prepared_slots().end > key.prepared_slots().end;
    (is_it && is_more).then_some(prepared)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lamella_xmss::{TEST, generate};

    use super::*;

    const BYTES_MAX: u64 = 1 << 20;

    #[test]
    fn what_was_prepared_is_there_again_and_what_is_damaged_or_anothers_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("validator_0_attester_key_sk.ssz");
        let key = |seed: u8| generate(&TEST, &[seed; 32], 0, 256, &|_| ()).unwrap().secret_key;
        let made = key(1);
        let (stored, progress) = (made.encode(), |_| ());
        let load = || load(&file, &stored, &made, BYTES_MAX, &TEST);
        assert!(load().is_none(), "absent");
        keep(&file, &made).unwrap();
        assert!(load().is_none(), "no more than the file has");

        // One tree further, and after a leap that leaves one out.
        for slot in [16, 200] {
            let later = key(1);
            later.prepare(slot, &progress);
            keep(&file, &later).unwrap();
            let found = load().unwrap();
            assert_eq!(found.prepared_slots(), later.prepared_slots());
            let (slot, message) = (later.prepared_slots().end - 1, [7; 32]);
            let signed = |key: &SecretKey| key.sign(slot, &message).unwrap().encode();
            assert_eq!(signed(&found), signed(&later));
        }
        #[cfg(unix)]
        {
            let kept = fs::metadata(path_of(&file)).unwrap();
            assert_eq!(std::os::unix::fs::MetadataExt::mode(&kept) & 0o777, 0o600);
        }

        let whole = fs::read(path_of(&file)).unwrap();
        for length in [0, 7, 8, 60, whole.len() - 1] {
            fs::write(path_of(&file), &whole[..length]).unwrap();
            assert!(load().is_none(), "{length} bytes");
        }
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        fs::write(path_of(&file), flipped).unwrap();
        assert!(load().is_none(), "damaged");
        let other = key(2);
        other.prepare(16, &progress);
        keep(&file, &other).unwrap();
        assert!(load().is_none(), "another key's");
    }
}
