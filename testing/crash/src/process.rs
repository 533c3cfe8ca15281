//! A process that runs until it is told to stop, and what its log says.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

/// Runs a command until a line of its log is enough, and then stops it in order: all its lines.
///
/// # Panics
/// When it ends before.
pub fn stopped(command: &mut Command, is_enough: impl FnMut(&str) -> bool) -> Vec<String> {
    ended(command, is_enough).unwrap()
}

/// The same.
///
/// # Errors
/// All its lines, when it ends before or badly.
pub fn ended(
    command: &mut Command,
    mut is_enough: impl FnMut(&str) -> bool,
) -> Result<Vec<String>, String> {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut lines) = (child.stdin.take(), Vec::new());
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        lines.push(line.unwrap());
        if stdin.is_some() && is_enough(lines.last().unwrap()) {
            // Closing its standard input stops it.
            stdin = None;
        }
    }
    match child.wait().unwrap().success() && stdin.is_none() {
        true => Ok(lines),
        false => Err(lines.join("\n")),
    }
}

/// The value of `name=value` in a line.
#[must_use]
pub fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!(" {name}="))? + name.len() + 2;
    line[start..].split_whitespace().next()
}
