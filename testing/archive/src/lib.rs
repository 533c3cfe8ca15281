//! Archives of real chains: shipped, verified and restored by the production code, over stores that work and stores that
//! fail. All of it is test code, in `tests/it`; nothing is exported.
//!
//! | question | file |
//! |---|---|
//! | a chain of some segments, with forks, skipped slots, a stall and an empty segment | `grown` |
//! | a restored directory is the original, row by row; and goes on | `restore` by `rows` |
//! | killed at every step, and run again | `resume` |
//! | block proofs beside the segments: shipped, compared, restored, held for an archive that is away | `proofs` |
//! | the third witness, and where a chain may be sealed up to | `transition` |
//! | a node that ships while it runs, and one that starts on what was restored | `node` |
//! | over HTTP, with broken requests; and with another implementation of S3 | `s3` on `server`, `moto` |
//! | what the commands say and exit with, and that the manual quotes them | `commands` |
//! | a node as an archive | `http` |
//! | history fetched below a checkpoint, killed at each commit, lied to; two processes | `backfill`, `processes` |
//! | each lesson that other archives taught | `lessons` |
//! | a store that fails by a seed | `faulty` |
//! | the archiver, the restorer and a follower over it, with crashes; for hours | `simulation`, `follow_simulation`, `torture` |
