//! Rust source reduced to what is code: comments, literals and unit tests are blanked out, and every byte keeps its
//! place, so that a violation still names its line.

/// The code of one source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Without comments and unit tests.
    pub text: String,
    /// Without the contents of literals either.
    pub bare: String,
}

/// A word in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    /// Its line, from 1.
    pub line: usize,
    /// The code before it.
    pub before: &'a str,
    /// The code after it.
    pub after: &'a str,
}

/// A path in its place, and the name that it gives where it is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import<'a> {
    /// Its line, from 1.
    pub line: usize,
    /// Its parts.
    pub path: Vec<&'a str>,
    /// Its last part, or what stands behind `as`.
    pub name: &'a str,
}

impl Code {
    /// Reads a source file. What is not Rust comes out as it is.
    #[must_use]
    pub fn of(source: &str) -> Self {
        let (mut text, mut bare) = (source.as_bytes().to_vec(), source.as_bytes().to_vec());
        let mut at = 0;
        while at < source.len() {
            let (end, is_comment) = skip(source.as_bytes(), at);
            if end > at {
                blank(&mut bare[at..end]);
                if is_comment {
                    blank(&mut text[at..end]);
                }
            }
            at = end.max(at + 1);
        }
        while let Some(start) = find(&bare, b"#[cfg(test)]", 0) {
            let end = item_end(&bare, start + b"#[cfg(test)]".len());
            blank(&mut bare[start..end]);
            blank(&mut text[start..end]);
        }
        let string = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { text: string(text), bare: string(bare) }
    }

    /// Where `name` stands as a word of its own.
    pub fn words<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Word<'a>> {
        self.bare.match_indices(name).filter_map(move |(start, _)| {
            let (before, after) = (&self.bare[..start], &self.bare[start + name.len()..]);
            let is_word = !before.ends_with(is_word_char) && !after.starts_with(is_word_char);
            is_word.then_some(Word { line: line_of(before), before, after })
        })
    }

    /// Every path that begins with `crate` or `super`, imported or not.
    #[must_use]
    pub fn paths(&self) -> Vec<Import<'_>> {
        let words = ["crate", "super"].into_iter().flat_map(|first| {
            let begins = |word: &Word<'_>| {
                let before = word.before.trim_end();
                let goes_on = word.after.trim_start().starts_with("::");
                goes_on && !before.ends_with("::") && !is_in_import(before)
            };
            self.words(first).filter(begins).map(move |word| (word.line, first, word.after))
        });
        let is_own = |import: &Import<'_>| matches!(import.path.first(), Some(&"crate" | &"super"));
        let mut found: Vec<_> = self.imports().into_iter().filter(is_own).collect();
        words.for_each(|(line, first, after)| leaves(after, line, &[first], &mut found));
        found
    }

    /// What `use` brings in, re-exports included.
    #[must_use]
    pub fn imports(&self) -> Vec<Import<'_>> {
        let mut found = Vec::new();
        for Word { line, after, .. } in self.words("use") {
            leaves(after, line, &[], &mut found);
        }
        found
    }

    /// The modules of `std` that are named, whether alone or in a group, each with its line.
    #[must_use]
    pub fn std_modules(&self) -> Vec<(usize, &str)> {
        let mut found = Vec::new();
        for Word { line, after, .. } in self.words("std") {
            let Some(path) = after.trim_start().strip_prefix("::") else { continue };
            let path = path.trim_start();
            match path.strip_prefix('{') {
                Some(group) => found.extend(members(group).map(|member| (line, member))),
                None => found.push((line, first_word(path))),
            }
        }
        found
    }
}

/// The paths of the tree that begins at `text`, behind `prefix`.
fn leaves<'a>(text: &'a str, line: usize, prefix: &[&'a str], found: &mut Vec<Import<'a>>) {
    let mut path = prefix.to_vec();
    let mut rest = text.trim_start();
    loop {
        rest = rest.strip_prefix("::").unwrap_or(rest).trim_start();
        if let Some(group) = rest.strip_prefix('{') {
            group_members(group).for_each(|member| leaves(member, line, &path, found));
            return;
        }
        let part = first_word(rest);
        if part.is_empty() {
            break;
        }
        rest = rest[part.len()..].trim_start();
        if part != "self" {
            path.push(part);
        }
        if !rest.starts_with("::") {
            break;
        }
    }
    let alias = rest.strip_prefix("as ").map(|alias| first_word(alias.trim_start()));
    if let Some(name) = alias.or(path.last().copied()) {
        found.push(Import { line, path, name });
    }
}

/// The end of the comment or literal that begins at `at`, and whether it is a comment; `at` itself for neither.
fn skip(source: &[u8], at: usize) -> (usize, bool) {
    let rest = &source[at..];
    let follows_word = at > 0 && is_word_char(char::from(source[at - 1]));
    if rest.starts_with(b"//") {
        return (find(source, b"\n", at).unwrap_or(source.len()), true);
    }
    if rest.starts_with(b"/*") {
        return (block_comment_end(source, at), true);
    }
    let end = match rest {
        [b'r', tail @ ..] if !follows_word || source[at - 1] == b'b' => raw_string_end(tail),
        [b'"', ..] => quoted_end(rest, b'"'),
        [b'\'', b'\\', ..] => quoted_end(rest, b'\''),
        // A lifetime has no closing quote after one character.
        [b'\'', tail @ ..] => tail.iter().take(5).position(|byte| *byte == b'\'').and_then(|end| {
            let one = std::str::from_utf8(&tail[..end]).is_ok_and(|text| text.chars().count() == 1);
            one.then_some(end + 2)
        }),
        _ => None,
    };
    (at + end.unwrap_or(0), false)
}

fn block_comment_end(source: &[u8], at: usize) -> usize {
    let (mut depth, mut end) = (0_usize, at);
    while end < source.len() {
        if source[end..].starts_with(b"/*") {
            (depth, end) = (depth + 1, end + 2);
        } else if source[end..].starts_with(b"*/") {
            (depth, end) = (depth - 1, end + 2);
            if depth == 0 {
                break;
            }
        } else {
            end += 1;
        }
    }
    end.min(source.len())
}

/// Length of the raw string whose `r` stands before `tail`.
fn raw_string_end(tail: &[u8]) -> Option<usize> {
    let hashes = tail.iter().take_while(|byte| **byte == b'#').count();
    if tail.get(hashes) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    find(tail, &close, hashes + 1).map(|end| 1 + end + close.len())
}

fn quoted_end(rest: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if *byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// The end of the item behind an attribute: its `;`, or the brace that closes it.
fn item_end(bare: &[u8], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in bare.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let ends_group = *byte == b'}' && !bare[at + 1..].trim_ascii_start().starts_with(b";");
        if depth == 0 && (*byte == b';' || ends_group) {
            return at + 1;
        }
    }
    bare.len()
}

/// The first words of a group's members; `group` begins behind its brace.
fn members(group: &str) -> impl Iterator<Item = &str> {
    group_members(group).map(first_word).filter(|word| !word.is_empty())
}

/// The members of a group, each with all that follows it.
fn group_members(group: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let mut members = vec![group];
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => members.push(&group[at + 1..]),
            _ => {}
        }
    }
    members.into_iter().map(str::trim_start)
}

fn first_word(text: &str) -> &str {
    text.split(|character| !is_word_char(character)).next().unwrap_or_default()
}

/// Whether `before` breaks off within a `use`, which ends at its `;`.
fn is_in_import(before: &str) -> bool {
    let item = before.rfind(';').map_or(before, |end| &before[end + 1..]);
    item.split(|character| !is_word_char(character)).any(|word| word == "use")
}

fn is_word_char(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn line_of(before: &str) -> usize {
    before.matches('\n').count() + 1
}

fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let windows = bytes.get(from..)?.windows(wanted.len());
    windows.into_iter().position(|window| window == wanted).map(|at| from + at)
}
