use super::*;

const GENESIS_TIME: u64 = 1_700_000_000;

fn key(validator_index: u64, kind: KeyKind) -> DutyKey {
    DutyKey { validator_index, kind }
}

fn keys() -> [DutyKey; 3] {
    [key(0, KeyKind::Attestation), key(0, KeyKind::Proposal), key(7, KeyKind::Attestation)]
}

#[test]
fn golden_lines() {
    // Before you change them: nodes in the field have such files, and must go on reading them.
    let slots = keys().into_iter().zip([12, 9, EVERY_SLOT]).collect();
    let lines = [
        "0 attestation 12 16a7f75de039d86c\n",
        "0 proposal 9 27acc8b9bdf90f66\n",
        "7 attestation 18446744073709551615 758482298348702c\n",
        "end 3 d92df59ed3f3ccd0\n",
    ];
    assert_eq!(render(&slots, GENESIS_TIME), lines.concat());
    assert_eq!(parse(render(&slots, GENESIS_TIME).as_bytes(), GENESIS_TIME), (slots, true));
}

#[test]
fn each_node_of_each_chain_has_a_file_of_its_own() {
    // Symptom: `a/b` and `a_b` shared a file. Mechanism: whatever is not plain became `_`. Fix: it becomes its bytes.
    let names = ["a/b", "a_b", "a%b", "a%2fb", "a b", "a\u{e9}b", "", "a-1", "a"]
        .map(|node_id| file_name(node_id, GENESIS_TIME));
    let different: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len(), "{names:?}");
    assert!(names.iter().all(|name| !name.contains('/')));
    assert_eq!(names[1], "sign-guard-a_b-1700000000.txt");
    assert_eq!(names[0], "sign-guard-a%2fb-1700000000.txt");
}

#[test]
fn what_is_reserved_is_read_again_and_a_folder_without_a_file_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guard");
    let load = || GuardCopy::read(path.clone(), GENESIS_TIME, &keys()).unwrap();
    let mut copy = load();
    assert!(copy.is_new() && copy.slots.is_empty());
    copy.reserve([(keys()[0], 3), (keys()[1], 4)]).unwrap();
    copy.reserve([(keys()[0], 5)]).unwrap();
    let again = load();
    assert!(!again.is_new());
    assert_eq!(keys().map(|key| again.slot(&key)), [Some(5), Some(4), None]);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn no_changed_byte_gives_a_key_a_slot_that_it_has_signed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guard");
    let slots: BTreeMap<_, _> = keys().into_iter().zip([1_000, 900, 1_000]).collect();
    let text = render(&slots, GENESIS_TIME).into_bytes();
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        GuardCopy::read(path.clone(), GENESIS_TIME, &keys()).unwrap()
    };
    let mut refused = 0;
    for index in 0..text.len() {
        for damaged in [
            [&text[..index], &[text[index] ^ 1], &text[index + 1..]].concat(),
            [&text[..index], b"\n", &text[index + 1..]].concat(),
            text[..index].to_vec(),
        ] {
            if damaged == text {
                continue;
            }
            let copy = read(&damaged);
            for (key, slot) in &slots {
                let found = copy.slot(key).unwrap();
                assert!(found == *slot || copy.refuses(key), "byte {index}: {key} at {found}");
                refused += u32::from(copy.refuses(key));
            }
        }
    }
    assert!(refused > 100, "{refused}");

    // And once refused, a key stays so, whatever the others reserve.
    let mut copy = read(&text[1..]);
    assert!(copy.refuses(&keys()[0]) && !copy.refuses(&keys()[1]));
    copy.reserve([(keys()[1], 901)]).unwrap();
    let again = GuardCopy::read(path.clone(), GENESIS_TIME, &keys()).unwrap();
    assert!(again.refuses(&keys()[0]));
    assert_eq!(again.slot(&keys()[1]), Some(901));

    // The guard of another chain says nothing of this one's slots, and is not taken for it.
    std::fs::write(&path, &text).unwrap();
    let other = GuardCopy::read(path.clone(), GENESIS_TIME + 1, &keys()).unwrap();
    assert!(keys().iter().all(|key| other.refuses(key)));
}
