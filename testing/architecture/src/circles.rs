//! Circles among the modules of a crate: siblings that use each other, at every level of its tree.
//!
//! A file is a module. What it names by `crate::` or `super::` is followed through the re-exports on the way to the
//! module that has it, so `super::Name` is an arrow to the sibling that `Name` stands in. From both ends the first
//! step below their common parent counts: `a::b` that uses `c::d` is an arrow from `a` to `c`. A module and its own
//! parent may know each other; unit tests may name anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use crate::source::{Code, Import};

/// Re-exports that are followed from one name. A longer way, or a circle of imports, ends where it is.
const REEXPORTS_MAX: usize = 8;

type Module = Vec<String>;

/// Arrows between the children of one module, each with a line that draws it.
type Arrows = BTreeMap<String, BTreeMap<String, String>>;

/// The circles in a crate, whose sources are given by their path below its `src`.
#[must_use]
pub fn circles(sources: &[(PathBuf, Code)]) -> Vec<String> {
    let files: Vec<_> = sources
        .iter()
        .filter_map(|(path, code)| Some((module_of(path)?, path.as_path(), code)))
        .collect();
    let tree = Tree::of(&files);
    let mut levels: BTreeMap<Module, Arrows> = BTreeMap::new();
    for (module, path, code) in &files {
        for Import { line, path: name, .. } in code.paths() {
            let Some(name) = absolute(module, &name) else { continue };
            let target = tree.resolve(&name, REEXPORTS_MAX);
            let shared = module.iter().zip(&target).take_while(|(one, other)| one == other).count();
            if let (Some(from), Some(to)) = (module.get(shared), target.get(shared)) {
                let arrows = levels.entry(module[..shared].to_vec()).or_default();
                let lines = arrows.entry(from.clone()).or_default();
                lines.entry(to.clone()).or_insert_with(|| format!("{}:{line}", path.display()));
            }
        }
    }
    let found = levels.iter().flat_map(|(parent, arrows)| {
        circles_of(arrows).into_iter().map(|circle| text(parent, &circle, arrows))
    });
    found.collect()
}

/// The module tree of a crate, and what each module imports.
struct Tree {
    imports: BTreeMap<Module, BTreeMap<String, Module>>,
}

impl Tree {
    fn of(files: &[(Module, &Path, &Code)]) -> Self {
        let names: BTreeSet<&Module> = files.iter().map(|(module, ..)| module).collect();
        let imports = files.iter().map(|(module, _, code)| {
            let imports = code.imports().into_iter().filter_map(|import| {
                // A path that begins with a child is relative; any other is of another crate.
                let is_child = |first: &&&str| names.contains(&below(module, first));
                let path = match import.path.first().filter(is_child) {
                    Some(_) => import.path.iter().fold(module.clone(), |at, part| below(&at, part)),
                    None => absolute(module, &import.path)?,
                };
                Some((import.name.to_owned(), path))
            });
            (module.clone(), imports.collect())
        });
        Self { imports: imports.collect() }
    }

    /// The module that has what the path names.
    fn resolve(&self, path: &[String], reexports_left: usize) -> Module {
        let mut at = Module::new();
        for (step, part) in path.iter().enumerate() {
            let next = below(&at, part);
            if self.imports.contains_key(&next) {
                at = next;
                continue;
            }
            let import = self.imports.get(&at).and_then(|imports| imports.get(part));
            return match import {
                Some(target) if reexports_left > 0 => {
                    let path = [target.as_slice(), &path[step + 1..]].concat();
                    self.resolve(&path, reexports_left - 1)
                }
                _ => at,
            };
        }
        at
    }
}

fn below(module: &[String], child: &str) -> Module {
    let mut path = module.to_vec();
    path.push(child.to_owned());
    path
}

/// The module of a file below `src`; none for the binaries beside a library.
fn module_of(path: &Path) -> Option<Module> {
    let mut module = Module::new();
    for component in path.with_extension("").components() {
        let Component::Normal(name) = component else { return None };
        module.push(name.to_str()?.to_owned());
    }
    match module.last()?.as_str() {
        "lib" if module.len() == 1 => Some(Module::new()),
        "main" if module.len() == 1 => None,
        _ if module[0] == "bin" => None,
        "mod" => {
            module.pop();
            Some(module)
        }
        _ => Some(module),
    }
}

/// A path that begins with `crate` or `super`, from the crate's root.
fn absolute(module: &[String], path: &[&str]) -> Option<Module> {
    let (mut at, mut rest) = match path {
        ["crate", rest @ ..] => (Module::new(), rest),
        ["super", ..] => (module.to_vec(), path),
        _ => return None,
    };
    while let ["super", tail @ ..] = rest {
        at.pop()?;
        rest = tail;
    }
    at.extend(rest.iter().map(|part| (*part).to_owned()));
    Some(at)
}

/// The shortest circle through each module, each circle once.
fn circles_of(arrows: &Arrows) -> Vec<Vec<&String>> {
    let mut found: BTreeMap<BTreeSet<&String>, Vec<&String>> = BTreeMap::new();
    for start in arrows.keys() {
        if let Some(circle) = circle_through(arrows, start) {
            found.entry(circle.iter().copied().collect()).or_insert(circle);
        }
    }
    found.into_values().collect()
}

fn circle_through<'a>(arrows: &'a Arrows, start: &'a String) -> Option<Vec<&'a String>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in arrows.get(*way.last()?).into_iter().flat_map(BTreeMap::keys) {
                if next == start {
                    return Some(way);
                }
                if seen.insert(next) {
                    longer.push([way.as_slice(), &[next]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

fn text(parent: &[String], circle: &[&String], arrows: &Arrows) -> String {
    let next = circle.iter().cycle().skip(1);
    let steps = circle.iter().zip(next).map(|(from, to)| {
        let line = arrows.get(*from).and_then(|lines| lines.get(*to));
        format!("{from} uses {to} ({})", line.map_or("", String::as_str))
    });
    let steps = steps.collect::<Vec<_>>().join(", ");
    if parent.is_empty() { steps } else { format!("in {}: {steps}", parent.join("::")) }
}
