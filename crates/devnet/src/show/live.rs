//! The live picture: one line a node, drawn over itself; the last one stays on the screen.

use std::io;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Show, announcement, show_last_lines, show_verdict};
use crate::{
    Announced, Verdict,
    health::{NodePicture, Picture},
};

/// Column heads, as wide as [`row`] fills them.
const HEADS: &str =
    "node           head  justified  finalized  peers  reorgs   database   commit  API";

/// Frames a second at most.
const FRAMES: u8 = 10;

/// A picture on the terminal that is standard output.
#[derive(Debug)]
pub struct Live {
    area: MultiProgress,
    lines: Vec<ProgressBar>,
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl Live {
    /// Nothing is drawn before the first picture.
    #[must_use]
    pub fn new() -> Self {
        let target = ProgressDrawTarget::stdout_with_hz(FRAMES);
        Self { area: MultiProgress::with_draw_target(target), lines: Vec::new() }
    }

    fn draw(&mut self, picture: &Picture) {
        let health = picture.health();
        let is_waiting = picture.until_genesis_s > 0;
        let title = if is_waiting {
            format!("genesis in {} s", picture.until_genesis_s)
        } else {
            format!("slot {}", picture.slot)
        };
        let (summary, colour) = match (is_waiting, health.is_good()) {
            (true, _) => ("waiting for genesis".to_owned(), ""),
            (false, true) => (health.text(), ".green"),
            (false, false) => (health.text(), ".yellow"),
        };
        let mut texts = vec![(title, ".bold"), (HEADS.to_owned(), ".dim")];
        texts.extend(picture.nodes.iter().map(|node| (row(node), "")));
        texts.push((summary, colour));
        while self.lines.len() < texts.len() {
            self.lines.push(self.area.add(ProgressBar::new_spinner()));
        }
        for (line, (text, colour)) in self.lines.iter().zip(texts) {
            // The templates are written here; a plain line is as good should one be refused.
            let template = format!("{{wide_msg:{colour}}}");
            let style = ProgressStyle::with_template(if colour.is_empty() {
                "{wide_msg}"
            } else {
                &template
            });
            line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            line.set_message(text);
            line.tick();
        }
    }

    /// Leaves the last picture where it is; what follows is written below it.
    fn finish(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        self.lines.drain(..).for_each(|line| line.abandon());
        // The last line fills the terminal's width, so this opens no empty one.
        super::line("")
    }
}

impl Show for Live {
    fn announced(&mut self, network: &Announced) -> io::Result<()> {
        super::line(&announcement(network))?;
        super::line(&format!("pages at {}", network.pages))?;
        let logs = network.dir.join("logs");
        super::line(&format!("logs in {}; Ctrl-C stops all nodes", logs.display()))
    }

    fn is_live(&self) -> bool {
        true
    }

    fn picture(&mut self, picture: &Picture) -> io::Result<()> {
        self.draw(picture);
        Ok(())
    }

    fn slot(&mut self, picture: &Picture) -> io::Result<()> {
        self.draw(picture);
        Ok(())
    }

    fn last_lines(&mut self, node_id: &str, lines: &[String]) -> io::Result<()> {
        self.finish()?;
        show_last_lines(node_id, lines)
    }

    fn verdict(&mut self, verdict: &Verdict) -> io::Result<()> {
        self.finish()?;
        show_verdict(verdict)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // The terminal is gone with whoever would read an error.
        let _ = self.finish();
    }
}

fn row(node: &NodePicture) -> String {
    let NodePicture { node_id, url, view, .. } = node;
    match view {
        Ok(view) => format!(
            "{node_id:<11} {:>7} {:>10} {:>10} {:>6} {:>7} {:>10} {:>5.1} ms  {url}",
            view.head_slot,
            view.justified_slot,
            view.finalized_slot,
            view.peers,
            view.reorgs,
            bytes(view.database_bytes),
            view.commit_ms,
        ),
        Err(error) => format!("{node_id:<11} does not answer: {error}"),
    }
}

/// Bytes in the unit that needs up to four digits.
fn bytes(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=9_999_999 => format!("{} kB", bytes / 1_000),
        10_000_000..=9_999_999_999 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_at_most_four_digits() {
        for (number, text) in
            [(0, "0 B"), (9_999, "9999 B"), (10_000, "10 kB"), (9_999_999, "9999 kB")]
        {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(bytes(12_345_678_901), "12 GB");
    }
}
