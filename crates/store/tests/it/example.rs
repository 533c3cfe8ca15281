//! The example runs, and says what its page promises.

use crate::client;

#[test]
fn the_example_of_a_client_runs() {
    let folder = tempfile::tempdir().unwrap();
    let said = client::run(folder.path()).unwrap();
    for line in [
        "imported 32 blocks, finalized slot 30",
        "slot 7 is proven by 23 hashes under the head's root",
        "checks, no finding",
    ] {
        assert!(said.contains(line), "{said}");
    }
}
