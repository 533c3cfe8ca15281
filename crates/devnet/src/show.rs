//! Showing a run: a live picture on a terminal ([`live`]), one line a slot, or JSON.

pub mod live;

use std::io::{self, Write};

use serde_json::json;

use super::{
    Announced, Verdict,
    health::{NodePicture, Picture},
};

/// Whoever shows a run.
pub trait Show {
    /// The network is ready, its nodes are about to start.
    ///
    /// # Errors
    /// It cannot be written; so for all of these.
    fn announced(&mut self, network: &Announced) -> io::Result<()>;

    /// Whether pictures between the slots are of use.
    fn is_live(&self) -> bool {
        false
    }

    /// The nodes at some moment of a slot.
    ///
    /// # Errors
    /// It cannot be written.
    fn picture(&mut self, _picture: &Picture) -> io::Result<()> {
        Ok(())
    }

    /// The nodes at the end of a slot.
    ///
    /// # Errors
    /// It cannot be written.
    fn slot(&mut self, picture: &Picture) -> io::Result<()>;

    /// The end of the log of a node that failed.
    ///
    /// # Errors
    /// It cannot be written.
    fn last_lines(&mut self, node_id: &str, lines: &[String]) -> io::Result<()>;

    /// The checks at the end.
    ///
    /// # Errors
    /// It cannot be written.
    fn verdict(&mut self, verdict: &Verdict) -> io::Result<()>;
}

/// One line a slot, for a log or a pipe.
#[derive(Debug)]
pub struct Lines;

impl Show for Lines {
    fn announced(&mut self, network: &Announced) -> io::Result<()> {
        line(&announcement(network))?;
        line(&format!("pages at {}", network.pages))
    }

    fn slot(&mut self, picture: &Picture) -> io::Result<()> {
        let of = |field: fn(&NodePicture) -> Option<u64>| {
            let numbers = picture.nodes.iter().map(field);
            let numbers = numbers.map(|number| number.map_or("-".into(), |n| n.to_string()));
            numbers.collect::<Vec<_>>().join(" ")
        };
        let Picture { slot, .. } = picture;
        line(&format!(
            "slot {slot}  {}  heads {}  finalized {}  peers {}",
            picture.health().text(),
            of(|node| Some(node.view.as_ref().ok()?.head_slot)),
            of(|node| Some(node.view.as_ref().ok()?.finalized_slot)),
            of(|node| Some(node.view.as_ref().ok()?.peers)),
        ))
    }

    fn last_lines(&mut self, node_id: &str, lines: &[String]) -> io::Result<()> {
        show_last_lines(node_id, lines)
    }

    fn verdict(&mut self, verdict: &Verdict) -> io::Result<()> {
        show_verdict(verdict)
    }
}

/// One JSON object a slot, and one with the verdict.
#[derive(Debug)]
pub struct JsonLines;

impl Show for JsonLines {
    fn announced(&mut self, _network: &Announced) -> io::Result<()> {
        Ok(())
    }

    fn slot(&mut self, picture: &Picture) -> io::Result<()> {
        line(&picture.json().to_string())
    }

    fn last_lines(&mut self, node_id: &str, lines: &[String]) -> io::Result<()> {
        line(&json!({ "failed_node": node_id, "last_lines": lines }).to_string())
    }

    fn verdict(&mut self, verdict: &Verdict) -> io::Result<()> {
        line(&json!({ "verdict": verdict }).to_string())
    }
}

/// The network in one line.
fn announcement(network: &Announced) -> String {
    let Announced { nodes, validators, slot_ms, last_signable_slot, slot, dir, .. } = network;
    let how = if network.resumed {
        format!("going on at slot {slot} with the network in {}", dir.display())
    } else {
        format!("made a network in {}", dir.display())
    };
    format!(
        "{how}: {nodes} nodes, {validators} validators, {slot_ms} ms a slot, keys sign up to slot {last_signable_slot}"
    )
}

fn show_last_lines(node_id: &str, lines: &[String]) -> io::Result<()> {
    line(&format!("the last lines of {node_id}:"))?;
    lines.iter().try_for_each(|text| line(&format!("  {text}")))
}

fn show_verdict(verdict: &Verdict) -> io::Result<()> {
    for check in &verdict.checks {
        let outcome = if check.passed { "ok  " } else { "FAIL" };
        line(&format!("{outcome}  {:<9}  {}", check.name, check.what))?;
    }
    let passed = if verdict.passed { "passed" } else { "failed" };
    line(&format!("{passed} at slot {}", verdict.slot))
}

fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}
