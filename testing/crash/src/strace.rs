//! What `strace -f -yy -xx` wrote, as a trace.
//!
//! A call that another thread's call interrupts stands on two lines, "unfinished" and "resumed": its beginning and its
//! end. Descriptors come with the path that they stand for at that moment, so only two things have to be followed: which
//! descriptors are synchronous (`O_DSYNC`), and where those stand that are written to without an offset.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use crate::trace::{Event, Operation, Trace};

/// Calls that are written down. What of them is not understood below fails the test if it is about the recorded folder.
pub const CALLS: &str = "open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,lseek,fdatasync,\
    fsync,sync_file_range,syncfs,ftruncate,truncate,fallocate,rename,renameat,renameat2,unlink,\
    unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,copy_file_range,sendfile,dup,dup2,\
    dup3";

/// Reads what a run below `root` wrote. `existing` are the files and folders that were there before, relative to it.
///
/// # Panics
/// Where a call that changed something below `root` is not understood.
#[must_use]
pub fn read(text: &str, root: &Path, existing: &[String]) -> Trace {
    let mut reader = Reader {
        root: root.to_owned(),
        names: existing.iter().cloned().collect(),
        descriptors: BTreeMap::new(),
        numbers: BTreeMap::new(),
        trace: Trace::default(),
    };
    for (begins, line) in moments(text) {
        match begins {
            Moment::Begin(whole) => {
                let number = reader.begin(&whole);
                reader.numbers.insert(line, number);
            }
            Moment::End(whole, begun) => {
                let number = reader.numbers.remove(&begun).flatten();
                reader.end(&whole, number);
            }
        }
    }
    reader.trace
}

/// A call's beginning or end, with its whole text; an end also with the line of its beginning.
enum Moment {
    Begin(String),
    End(String, usize),
}

/// Every beginning and end, with its line. What a call comes to is known at its beginning.
fn moments(text: &str) -> Vec<(Moment, usize)> {
    let mut unfinished: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    let mut found: BTreeMap<(usize, bool), Moment> = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let (whole, begun) = if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, (begun.trim_end(), at));
            continue;
        } else if let Some((_, end)) =
            rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
        {
            let Some((begun, line)) = unfinished.remove(thread) else { continue };
            (format!("{begun}{end}"), line)
        } else {
            (rest.to_owned(), at)
        };
        found.insert((begun, false), Moment::Begin(whole.clone()));
        found.insert((at, true), Moment::End(whole, begun));
    }
    found.into_iter().map(|((line, _), moment)| (moment, line)).collect()
}

#[derive(Debug, Default, Clone, Copy)]
struct Descriptor {
    is_synced: bool,
    is_append: bool,
    position: u64,
}

struct Reader {
    root: PathBuf,
    /// Names that exist while everything happens at once.
    names: BTreeSet<String>,
    descriptors: BTreeMap<u32, Descriptor>,
    /// Calls under way by the line of their beginning.
    numbers: BTreeMap<usize, Option<usize>>,
    trace: Trace,
}

impl Reader {
    /// A call begins. Gives its number if it changes files.
    fn begin(&mut self, line: &str) -> Option<usize> {
        let call = Call::parse(line)?;
        if matches!(call.name, "write" | "writev")
            && call.descriptor().is_some_and(|(number, _)| number == 2)
        {
            let text = String::from_utf8_lossy(&call.bytes()).into_owned();
            self.trace.events.extend(text.lines().map(|line| Event::Said(line.to_owned())));
            return None;
        }
        // A failed call changes nothing.
        if call.result < 0 {
            return None;
        }
        let operation = self.operation(&call)?;
        let number = self.trace.operations.len();
        self.trace.operations.push(operation);
        self.trace.events.push(Event::Begin(number));
        Some(number)
    }

    /// The call has ended, with this result.
    fn end(&mut self, line: &str, number: Option<usize>) {
        let Some(call) = Call::parse(line) else { return };
        let result = call.result;
        if let Some(number) = number {
            if let Operation::Write { bytes, .. } = &self.trace.operations[number] {
                assert_eq!(result as usize, bytes.len(), "a short write: {}", cut(line));
            }
            self.trace.events.push(Event::End(number));
        }
        if result < 0 {
            return;
        }
        let descriptor = call.descriptor().map(|(number, _)| number);
        match (call.name, descriptor) {
            ("open" | "openat" | "creat", _) => {
                let is_synced = ["O_SYNC", "O_DSYNC"].iter().any(|flag| call.has_flag(flag));
                let is_append = call.has_flag("O_APPEND");
                let opened = Descriptor { is_synced, is_append, position: 0 };
                self.descriptors.insert(result as u32, opened);
            }
            ("lseek", Some(number)) => {
                self.descriptors.entry(number).or_default().position = result as u64;
            }
            ("write" | "writev", Some(number)) => {
                self.descriptors.entry(number).or_default().position += result as u64;
            }
            ("dup" | "dup2" | "dup3", Some(number)) => {
                let copied = self.descriptors.get(&number).copied().unwrap_or_default();
                self.descriptors.insert(result as u32, copied);
            }
            _ => {}
        }
    }

    /// What the call does below the root, if it does something there.
    fn operation(&mut self, call: &Call<'_>) -> Option<Operation> {
        let of_descriptor =
            call.descriptor().and_then(|(number, path)| Some((number, self.relative(&path)?)));
        let operation = match call.name {
            "open" | "openat" | "creat" => {
                let path = self.named(call, 0)?;
                let creates = call.name == "creat" || call.has_flag("O_CREAT");
                if creates && !self.names.contains(&path) {
                    Operation::Create { path }
                } else if call.has_flag("O_TRUNC") {
                    Operation::SetLength { path, bytes: 0 }
                } else {
                    return None;
                }
            }
            "write" | "writev" | "pwrite64" | "pwritev" => {
                let (number, path) = of_descriptor?;
                let descriptor = self.descriptors.get(&number).copied().unwrap_or_default();
                assert!(!descriptor.is_append, "appending is not understood: {path}");
                let offset = match call.name {
                    "write" | "writev" => descriptor.position,
                    _ => call.number(-1),
                };
                let bytes = call.bytes().into();
                Operation::Write { path, offset, bytes, is_synced: descriptor.is_synced }
            }
            "fdatasync" | "fsync" => Operation::Flush { path: of_descriptor?.1 },
            "ftruncate" => Operation::SetLength { path: of_descriptor?.1, bytes: call.number(-1) },
            "fallocate" => {
                let path = of_descriptor?.1;
                assert_eq!(call.arguments.get(1).map(String::as_str), Some("0"), "{call:?}");
                Operation::Grow { path, bytes: call.number(-1) + call.number(-2) }
            }
            "rename" | "renameat" | "renameat2" => {
                let (from, to) = (self.named(call, 0), self.named(call, 1));
                if from.is_none() && to.is_none() {
                    return None;
                }
                Operation::Rename { from: from.unwrap(), to: to.unwrap() }
            }
            "link" | "linkat" => {
                let (from, to) = (self.named(call, 0), self.named(call, 1));
                if from.is_none() && to.is_none() {
                    return None;
                }
                Operation::Link { from: from.unwrap(), to: to.unwrap() }
            }
            "unlink" | "unlinkat" | "rmdir" => Operation::Remove { path: self.named(call, 0)? },
            "mkdir" | "mkdirat" => Operation::MakeFolder { path: self.named(call, 0)? },
            "lseek" | "dup" | "dup2" | "dup3" => return None,
            other => {
                let is_below = of_descriptor.is_some() || self.named(call, 0).is_some();
                assert!(!is_below, "{other} is not understood");
                return None;
            }
        };
        match &operation {
            Operation::Create { path }
            | Operation::MakeFolder { path }
            | Operation::Link { to: path, .. } => {
                self.names.insert(path.clone());
            }
            Operation::Remove { path } => assert!(self.names.remove(path), "{path} was not there"),
            Operation::Rename { from, to } => {
                assert!(self.names.remove(from), "{from} was not there");
                let inside = format!("{from}/");
                let moved: Vec<String> =
                    self.names.extract_if(.., |name| name.starts_with(&inside)).collect();
                self.names.extend(moved.iter().map(|name| name.replacen(from, to, 1)));
                self.names.insert(to.clone());
            }
            _ => {}
        }
        Some(operation)
    }

    /// The path that is the call's `which`-th text, if it lies below the root.
    fn named(&self, call: &Call<'_>, which: usize) -> Option<String> {
        let texts = call.arguments.iter().enumerate();
        let (at, text) = texts.filter(|(_, text)| text.starts_with('"')).nth(which)?;
        let path = PathBuf::from(String::from_utf8_lossy(&unescape(text)).into_owned());
        // A relative path is relative to the descriptor before it, or to where the process runs.
        let folder = at.checked_sub(1).and_then(|before| annotated(&call.arguments[before]));
        self.relative(&folder.unwrap_or_default().join(path))
    }

    fn relative(&self, path: &Path) -> Option<String> {
        let path = normal(path);
        let relative = path.strip_prefix(&self.root).ok()?.to_str()?;
        Some(relative.to_owned())
    }
}

/// Without `.` and `..`; no link leads out of a recorded folder.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

#[derive(Debug)]
struct Call<'a> {
    name: &'a str,
    arguments: Vec<String>,
    /// What it returned; negative if it failed.
    result: i64,
}

impl<'a> Call<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, rest) = line.split_once('(')?;
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        let (arguments, after) = arguments(rest);
        let result = after.trim_start().strip_prefix('=').map(|result| {
            let number: String = result
                .trim_start()
                .chars()
                .take_while(|c| c.is_ascii_digit() || *c == '-')
                .collect();
            number.parse().unwrap_or(-1)
        });
        Some(Self { name, arguments, result: result.unwrap_or(-1) })
    }

    /// The first argument as a descriptor, and its path.
    fn descriptor(&self) -> Option<(u32, PathBuf)> {
        let first = self.arguments.first()?;
        let (number, _) = first.split_once('<')?;
        Some((number.parse().ok()?, annotated(first)?))
    }

    fn has_flag(&self, flag: &str) -> bool {
        self.arguments.iter().any(|argument| argument.split('|').any(|one| one == flag))
    }

    /// The argument at this place, from the end where negative, as a number.
    fn number(&self, at: i32) -> u64 {
        let from_end = self.arguments.len() as i32 + at;
        self.arguments[from_end as usize].parse().unwrap_or_else(|_| panic!("{}", self.name))
    }

    /// The bytes of all texts in the second argument.
    fn bytes(&self) -> Vec<u8> {
        self.arguments.get(1).map(|text| unescape(text)).unwrap_or_default()
    }
}

/// The arguments up to the closing bracket, and what follows it. No text holds a bracket: all are in hexadecimal.
fn arguments(text: &str) -> (Vec<String>, &str) {
    let (mut found, mut current, mut depth) = (Vec::new(), String::new(), 0);
    for (at, letter) in text.char_indices() {
        match letter {
            ')' if depth == 0 => {
                found.push(current.trim().to_owned());
                return (found, &text[at + 1..]);
            }
            ',' if depth == 0 => found.push(std::mem::take(&mut current).trim().to_owned()),
            _ => {
                depth += i32::from(matches!(letter, '[' | '{' | '('));
                depth -= i32::from(matches!(letter, ']' | '}' | ')'));
                current.push(letter);
            }
        }
    }
    found.push(current.trim().trim_end_matches(',').to_owned());
    (found, "")
}

/// The path in `3<...>`.
fn annotated(argument: &str) -> Option<PathBuf> {
    let (_, path) = argument.split_once('<')?;
    let path = unescape(path.strip_suffix('>')?);
    Some(PathBuf::from(String::from_utf8(path).ok()?))
}

/// The bytes of every `\xNN`.
fn unescape(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let text = text.as_bytes();
    let mut at = 0;
    while at + 3 < text.len() {
        if let [b'\\', b'x', high, low] = text[at..at + 4]
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            bytes.push((high * 16 + low) as u8);
            at += 4;
        } else {
            at += 1;
        }
    }
    bytes
}

fn cut(line: &str) -> &str {
    line.get(..200).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> String {
        text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
    }

    #[test]
    fn calls_of_two_threads_are_followed_with_what_was_said_between() {
        let (root, dat, folder) = (hex("/r"), hex("/r/db/a.dat"), hex("/r/db"));
        let lines = [
            format!("7 mkdir(\"{folder}\", 0777) = 0"),
            format!(
                "7 openat(AT_FDCWD<{root}>, \"{}\", O_RDWR|O_CREAT, 0644) = 5<{dat}>",
                hex("db/a.dat")
            ),
            format!("7 openat(AT_FDCWD<{root}>, \"{dat}\", O_WRONLY|O_DSYNC) = 6<{dat}>"),
            format!(
                "7 pwritev(5<{dat}>, [{{iov_base=\"{}\", iov_len=2}}, {{iov_base=\"{}\", iov_len=1}}], 2, 4096) = 3",
                hex("ab"),
                hex("c")
            ),
            format!("7 fdatasync(5<{dat}> <unfinished ...>"),
            format!("8 write(2<{}>, \"{}\", 5) = 5", hex("/dev/pts/0"), hex("done\n")),
            format!("8 write(9<{}>, \"{}\", 1) = 1", hex("/elsewhere"), hex("x")),
            "7 <... fdatasync resumed>)        = 0".to_owned(),
            format!("7 pwrite64(6<{dat}>, \"{}\", 1, 20) = 1", hex("m")),
            format!("7 fallocate(5<{dat}>, 0, 0, 8192) = 0"),
            format!("7 unlink(\"{}\" <unfinished ...>", hex("/r/none")),
            format!("8 write(9<{}>, \"{}\", 1) = 1", hex("/elsewhere"), hex("x")),
            "7 <... unlink resumed>) = -1 ENOENT (No such file or directory)".to_owned(),
            format!("7 rename(\"{dat}\", \"{}\") = 0", hex("/r/b")),
            "7 +++ exited with 0 +++".to_owned(),
        ];
        let trace = read(&lines.join("\n"), Path::new("/r"), &[]);
        let path = "db/a.dat".to_owned();
        let write = |offset, bytes: &[u8], is_synced| Operation::Write {
            path: path.clone(),
            offset,
            bytes: bytes.into(),
            is_synced,
        };
        assert_eq!(
            trace.operations,
            [
                Operation::MakeFolder { path: "db".to_owned() },
                Operation::Create { path: path.clone() },
                write(4096, b"abc", false),
                Operation::Flush { path: path.clone() },
                write(20, b"m", true),
                Operation::Grow { path: path.clone(), bytes: 8192 },
                Operation::Rename { from: path.clone(), to: "b".to_owned() },
            ]
        );
        let done = Event::Said("done".to_owned());
        assert_eq!(trace.events[6..9], [Event::Begin(3), done, Event::End(3)]);
    }
}
