//! The machine of a run, without its name or paths.

use std::{fs, process::Command, thread};

/// Processor, cores, memory, disk, system, compiler and revision, as lines of a list.
pub fn describe() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(unknown);
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(unknown);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| unknown());
    let lines = [
        format!(
            "- processor: {processor}, {cores} cores; SHA-256 instructions: {}",
            sha_instructions()
        ),
        format!("- memory: {memory}"),
        format!("- disk: {}", disk()),
        format!("- system: {} {}", std::env::consts::OS, kernel.trim()),
        format!("- compiler: {}", output("rustc", &["--version"])),
        format!("- revision: {}", output("git", &["rev-parse", "--short", "HEAD"])),
    ];
    lines.join("\n")
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The value of a line `name : value`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn sha_instructions() -> &'static str {
    let flags = field("/proc/cpuinfo", "flags").unwrap_or_default();
    if flags.split(' ').any(|flag| flag == "sha_ni") { "yes" } else { "not reported" }
}

/// File system of the benches' directories, and whether its disk says that it turns.
fn disk() -> String {
    let directory = std::env::temp_dir();
    let kind = output("stat", &["-f", "-c", "%T", &directory.to_string_lossy()]);
    let device = output("findmnt", &["-n", "-o", "SOURCE", "-T", &directory.to_string_lossy()]);
    let device = device.trim_start_matches("/dev/").trim_end_matches(|c: char| c.is_ascii_digit());
    let turns = fs::read_to_string(format!("/sys/block/{device}/queue/rotational"));
    let turns = match turns.as_deref().map(str::trim) {
        Ok("0") => "solid state",
        Ok("1") => "reports itself as rotational (virtual disks often do)",
        _ => "kind unknown",
    };
    format!("{kind}, {turns}")
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.and_then(|bytes| String::from_utf8(bytes).ok())
        .map_or_else(unknown, |text| text.trim().to_owned())
}
