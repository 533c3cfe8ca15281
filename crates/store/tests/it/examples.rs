//! Each example runs, in a folder of its own, and says what its page promises.

use std::process::Command;

#[test]
fn the_example_of_a_client_runs() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "lamella-store", "--example", "client", "--"])
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for line in ["imported 32 blocks", "the proof of slot 7 holds", "no finding"] {
        assert!(said.contains(line), "{said}");
    }
}
