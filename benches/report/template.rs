//! The text of the report with its figures put in.
//!
//! | place | what stands there |
//! |---|---|
//! | `{{table}}`, `{{machine}}`, `{{unmet}}` | what is computed here |
//! | `{{time NAME}}` | the median of a benchmark |
//! | `{{bytes NAME}}`, `{{us NAME}}`, `{{ratio NAME}}`, `{{count NAME}}` | a figure |
//! | `{{if-unmet ROW}}` and `{{end}}`, lines of their own | the lines between, if [`rows::is_unmet`] |
//!
//! What was not measured says so.

use crate::{format, machine, measured::Measured, rows};

/// The report's own.
pub const TEMPLATE: &str = include_str!("template.md");

const END: &str = "{{end}}\n";

/// README's figures stand between these lines.
const MARKERS: [&str; 2] =
    ["<!-- figures: written by make bench-report -->\n", "\n<!-- end of figures -->"];

/// The text with `table` between its markers; `None` if it has none.
pub fn between_markers(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(MARKERS[0])?;
    let (_, after) = rest.split_once(MARKERS[1])?;
    Some([before, MARKERS[0], table, MARKERS[1], after].concat())
}

/// The template with its places filled.
pub fn fill(template: &str, measured: &Measured) -> String {
    let mut report = String::with_capacity(2 * template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((place, after)) = after.split_once("}}") else { break };
        report.push_str(before);
        rest = after;
        if let Some(row) = place.strip_prefix("if-unmet ") {
            let (lines, after) = after.split_once(END).unwrap_or((after, ""));
            if rows::is_unmet(row, measured) == Some(true) {
                report.push_str(&fill(lines.trim_start_matches('\n'), measured));
            }
            rest = after;
        } else {
            report.push_str(&say(place, measured));
        }
    }
    report.push_str(rest);
    report
}

fn say(place: &str, measured: &Measured) -> String {
    let (kind, name) = place.split_once(' ').unwrap_or((place, ""));
    let figure = |show: fn(f64) -> String| measured.figure(name).map(show);
    let said = match kind {
        "table" => Some(rows::promises(measured)),
        "machine" => Some(machine::describe()),
        "unmet" => Some(rows::unmet(measured)),
        "time" => measured.seconds(name).map(format::seconds),
        "us" => figure(|us| format::seconds(us / 1e6)),
        "bytes" => figure(format::bytes),
        "ratio" => figure(format::ratio),
        "count" => figure(format::count),
        _ => None,
    };
    said.unwrap_or_else(|| {
        eprintln!("nothing measured for {place}");
        "not measured".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECODE: &str = "state_ssz/decode/V4096_H261k";

    fn decoded_in(seconds: f64) -> Measured {
        Measured::of([("disk/x", 1234.0)]).with_time(DECODE, seconds)
    }

    #[test]
    fn places_are_filled_and_what_was_not_measured_says_so() {
        let text = format!("{{{{time {DECODE}}}}}, {{{{bytes disk/x}}}}, {{{{us disk/y}}}}.");
        assert_eq!(fill(&text, &decoded_in(0.0189)), "18.9 ms, 1.23 KB, not measured.");
    }

    #[test]
    fn a_miss_is_explained_only_where_this_run_missed() {
        let text = "{{unmet}}\n\n{{if-unmet SSZ; decode}}\n- it took {{time state_ssz/decode/V4096_H261k}}\n{{end}}\n\
                    {{if-unmet SSZ; encode}}\n- encode\n{{end}}\n## Next\n";
        let missed =
            " are not met in this run: *SSZ of a state of 8.8 MB*.\n\n- it took 18.9 ms\n## Next\n";
        let filled = fill(text, &decoded_in(0.0189));
        assert!(filled.starts_with("1 of ") && filled.ends_with(missed), "{filled}");
        let met = "Every row that was measured is met.\n\n## Next\n";
        assert_eq!(fill(text, &decoded_in(0.0149)), met);
        assert_eq!(fill(text, &Measured::default()), met);
    }

    #[test]
    fn readme_has_its_markers_and_keeps_what_stands_around_them() {
        let readme = include_str!("../../README.md");
        let filled = between_markers(readme, "| new |").unwrap();
        let [begin, end] = MARKERS;
        assert!(filled.contains(&format!("{begin}| new |{end}")));
        assert_eq!(filled.split_once(begin).unwrap().0, readme.split_once(begin).unwrap().0);
        assert_eq!(filled.split_once(end).unwrap().1, readme.split_once(end).unwrap().1);
        assert_eq!(between_markers("no figures", "| new |"), None);
    }

    #[test]
    fn every_place_of_the_template_is_known() {
        let measured = decoded_in(1.0);
        let places = TEMPLATE.split("{{").skip(1).map(|text| text.split_once("}}").unwrap().0);
        let mut blocks = 0_i32;
        for place in places {
            match place.split_once(' ').unwrap_or((place, "")) {
                ("table" | "machine" | "unmet", "") => {}
                ("end", "") => blocks -= 1,
                ("if-unmet", row) => {
                    blocks += 1;
                    assert!(rows::is_unmet(row, &measured).is_some(), "no row `{row}`");
                }
                ("time" | "us" | "bytes" | "ratio" | "count", name) if !name.is_empty() => {}
                _ => panic!("{place}"),
            }
            assert!((0..=1).contains(&blocks), "at {place}");
        }
        assert_eq!(blocks, 0);
    }
}
