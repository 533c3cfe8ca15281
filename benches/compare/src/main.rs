//! The same rows in MDBX, redb and, where the system has it, RocksDB; and ways to hash a history. `make bench-compare`
//! writes docs/benchmarks/compare.md. With the argument `tree-list`, as `make bench-report` has it: the root of a state
//! beside a tree-backed list, and nothing else; its figures go into docs/benchmarks.md.
//!
//! MDBX is measured as the project uses it, through its tables crate: with a checksum computed and checked for each
//! row. The others are opened with their own defaults, one table (column family) for each of ours, which is what one
//! would begin with. RocksDB compresses where the system's build can; the values here are random, as roots and
//! signatures are.

mod engine;
mod hashing;
mod mdbx;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocks;
mod run;
mod tree_list;
mod workload;

use std::{fmt::Write as _, fs, path::Path};

use engine::{Engine, Flush};

fn main() {
    if std::env::args().nth(1).as_deref() == Some("tree-list") {
        return tree_list::measure();
    }
    let mut report = String::from(HEAD);
    report.push_str(run::HEADER);
    for flush in [Flush::Lazy, Flush::Durable] {
        run::<mdbx::Mdbx>(&mut report, flush);
        run::<redb::Redb>(&mut report, flush);
        #[cfg(feature = "rocksdb")]
        run::<rocks::Rocks>(&mut report, flush);
    }
    #[cfg(not(feature = "rocksdb"))]
    {
        let line = "RocksDB was left out: the system has no librocksdb (Debian: librocksdb-dev).";
        println!("{line}");
        let _ = writeln!(report, "\n{line}");
    }
    report.push_str(NOTES);
    hashing::report(&mut report);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks/compare.md");
    fs::write(path, report).expect("docs/benchmarks can be written");
    println!("wrote docs/benchmarks/compare.md");
}

fn run<E: Engine>(report: &mut String, flush: Flush) {
    let row = run::run::<E>(flush);
    println!("{row}");
    let _ = writeln!(report, "{row}");
}

const HEAD: &str = "# Beside other engines

Written by `make bench-compare`. Each engine takes the same 20,000 imports (header, body, proof of 3 KB, diff, slot and
canonical rows; 4.7 KB together), is closed, opened, read, pruned, and filled again.

";

const NOTES: &str = "
- *import*: median time of a transaction of one block, of the last 1,000; *durable* flushes each, *lazy* none (redb: one
  in 64, for it frees no pages without).
- *state rows*: what a cold read asks for, 1,023 canonical rows in one scan, a header and a diff, at a random slot.
- *prune*: 20,000 proofs, 256 in a transaction (RocksDB: one range tombstone each), and the longest of them.
- *first proof*: finding the oldest proof that is left, where a reader meets what pruning leaves behind.
- *disk*: what the files take after 20,000 imports, after pruning, and after 20,000 more.
";
