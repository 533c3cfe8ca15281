//! Line plots as SVG, written by hand: axes, lines, a legend. The y axis is logarithmic, for designs differ by factors.
//!
//! Not a plotting library: no interaction, no styles, one layout.

use std::fmt::Write as _;

/// Pixels of the picture and of its margins.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 88.0;

/// Colours that differ in lightness too: ours first.
const COLOURS: [&str; 4] = ["#0b6e4f", "#d1495b", "#edae49", "#30638e"];

/// How the x axis runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// By factors.
    Log,
    /// By differences; begins at zero.
    Linear,
}

/// A line with its points, by ascending x.
#[derive(Debug, Clone)]
pub struct Series {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

/// What is plotted.
#[derive(Debug, Clone)]
pub struct Plot {
    pub title: &'static str,
    pub x_label: &'static str,
    pub x_scale: Scale,
    /// Says a y value with its unit.
    pub format: fn(f64) -> String,
    pub series: Vec<Series>,
}

impl Plot {
    /// The picture; `None` without points.
    pub fn svg(&self) -> Option<String> {
        let xs: Vec<f64> =
            self.series.iter().flat_map(|series| &series.points).map(|p| p.0).collect();
        let ys: Vec<f64> =
            self.series.iter().flat_map(|series| &series.points).map(|p| p.1).collect();
        let axes = Axes {
            x: (least(&xs)?, largest(&xs)?),
            x_scale: self.x_scale,
            y_decades: (least(&ys)?.log10().floor(), largest(&ys)?.log10().ceil()),
        };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        text(&mut svg, (LEFT, 24.0), "start", 16, self.title);
        self.grid(&mut svg, &axes);
        for (series, colour) in self.series.iter().zip(COLOURS) {
            line(&mut svg, &axes, series, colour);
        }
        self.legend(&mut svg);
        svg.push_str("</svg>\n");
        Some(svg)
    }

    fn grid(&self, svg: &mut String, axes: &Axes) {
        let (first, last) = axes.y_decades;
        let mut decade = first;
        while decade <= last {
            let value = 10f64.powf(decade);
            let y = axes.y(value);
            rule(svg, (LEFT, y), (WIDTH - RIGHT, y), "#dddddd");
            text(svg, (LEFT - 8.0, y + 4.0), "end", 12, &(self.format)(value));
            decade += 1.0;
        }
        let mut ticks: Vec<f64> =
            self.series.iter().flat_map(|series| &series.points).map(|point| point.0).collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        let mut last_label = f64::NEG_INFINITY;
        for x_value in ticks {
            let x = axes.x(x_value);
            rule(svg, (x, HEIGHT - BOTTOM), (x, HEIGHT - BOTTOM + 5.0), "#333333");
            // Labels nearer than this would touch.
            if x - last_label >= 44.0 {
                text(svg, (x, HEIGHT - BOTTOM + 20.0), "middle", 12, &thousands(x_value));
                last_label = x;
            }
        }
        rule(svg, (LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM), "#333333");
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        text(svg, (middle, HEIGHT - BOTTOM + 40.0), "middle", 13, self.x_label);
    }

    fn legend(&self, svg: &mut String) {
        let mut x = LEFT;
        for (series, colour) in self.series.iter().zip(COLOURS) {
            let y = HEIGHT - 18.0;
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>",
                y - 11.0
            );
            text(svg, (x + 18.0, y), "start", 13, series.name);
            // Some seven pixels a letter.
            x += 44.0 + 7.0 * series.name.len() as f64;
        }
    }
}

/// Values to pixels.
struct Axes {
    x: (f64, f64),
    x_scale: Scale,
    y_decades: (f64, f64),
}

impl Axes {
    fn x(&self, value: f64) -> f64 {
        let (first, last) = self.x;
        let part = match self.x_scale {
            Scale::Linear => value / last,
            Scale::Log => (value / first).log10() / (last / first).log10(),
        };
        LEFT + 12.0 + part * (WIDTH - LEFT - RIGHT - 24.0)
    }

    fn y(&self, value: f64) -> f64 {
        let (first, last) = self.y_decades;
        let part = (value.log10() - first) / (last - first).max(1.0);
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    }
}

fn line(svg: &mut String, axes: &Axes, series: &Series, colour: &str) {
    let at = |point: &(f64, f64)| format!("{:.1},{:.1}", axes.x(point.0), axes.y(point.1));
    let points: Vec<String> = series.points.iter().map(at).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>",
        points.join(" ")
    );
    for point in &series.points {
        let (x, y) = (axes.x(point.0), axes.y(point.1));
        let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
    }
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, size: u32, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{content}</text>",
        at.0, at.1
    );
}

/// 1,024 as `1k`, 260,096 as `254k`: multiples of 1,024 where they are, so that slots read as the intervals they are.
fn thousands(value: f64) -> String {
    if value >= 1024.0 && value % 1024.0 == 0.0 {
        format!("{}k", value / 1024.0)
    } else {
        format!("{value}")
    }
}

fn least(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::min)
}

fn largest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}
