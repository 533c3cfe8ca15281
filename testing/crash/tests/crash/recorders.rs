//! One run, recorded twice: by what `strace` reads of the program's calls, and by what arrives at the file system below.

use std::{env, fs, io::Write as _, path::Path, process::Command};

use lamella_testing_crash::{
    compare::told_alike, mount::Mounted, record::Recorder, scenario::SHIP,
};

use crate::support::{disk, programs, run};

/// Making a directory, imports at the head and in batches, an anchor, lazy commits, and folders that are renamed and linked.
const RUNS: &[&str] = &["create", "head", "batch", "prune", "anchor", "lazy", SHIP];

#[test]
fn what_strace_reads_is_what_arrives_at_the_file_system() {
    let mut compared = 0;
    for name in RUNS {
        let (disk, driver) = (disk(), programs().driver);
        let [back, front] = ["back", "front"].map(|name| disk.path().join(name));
        [&back, &front].iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
        run(Command::new(&driver).args(["prepare", name]).arg(&back));
        let mounted = match Mounted::mount(&back, &front) {
            Ok(mounted) => mounted,
            Err(error) => {
                // In continuous integration it can, unless the system lacks FUSE.
                let has_fuse = Path::new("/dev/fuse").exists();
                assert!(env::var_os("CI").is_none() || !has_fuse, "mounting: {error}");
                // Not `println`: the runner would keep it to itself.
                let text = "skipped: no file system of our own can be mounted here";
                writeln!(std::io::stdout().lock(), "{text}: {error}").unwrap();
                return;
            }
        };
        let recorder = Recorder::begin(&front, &disk.path().join("strace.log"));
        let _ = mounted.take();
        run(recorder.command(&driver).args(["drive", name]).arg(&front));
        let below = mounted.take();
        let trace = recorder.end().trace;
        assert!(trace.operations.len() > 5, "{name}");
        told_alike(&trace.operations, &below);
        compared += trace.operations.len();
        println!("{name}: {} calls, {} arrived", trace.operations.len(), below.len());
    }
    assert!(compared > 200, "{compared}");
}
