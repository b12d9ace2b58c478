//! A plot of throughput against packet size, as SVG.

use std::fmt::Write as _;

use crate::contender::Row;
use crate::measure::Measurement;
use crate::workload::{Sizes, Suite};

pub(crate) const SIZES: [usize; 8] = [64, 128, 256, 576, 1024, 1408, 4096, 8192];
pub(crate) const SUITES: [Suite; 2] = [Suite::Aes128Sha1, Suite::Aes128Gcm];

const COLOURS: [(Row, &str); 5] = [
    (Row::Whole, "#c2185b"),
    (Row::IpsecMb, "#1565c0"),
    (Row::AwsLc, "#ef6c00"),
    (Row::Graviola, "#2e7d32"),
    (Row::RustCrypto, "#616161"),
];

const PANEL: (f64, f64) = (440.0, 340.0);
const PLOT: (f64, f64) = (300.0, 240.0);
const LEFT: f64 = 48.0;
const TOP: f64 = 52.0;

/// Whose line it is, its colour, and GB/s for every size.
type Line = (Row, &'static str, Vec<(usize, f64)>);

/// A panel per suite, side by side.
pub(crate) fn svg(measurements: &[Measurement]) -> String {
    let (width, height) = (PANEL.0 * SUITES.len() as f64, PANEL.1);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Sealing ESP packets in batches of 32 on one core: GB/s against packet size</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (index, suite) in SUITES.into_iter().enumerate() {
        let of_suite: Vec<_> = measurements.iter().filter(|one| one.suite == suite).collect();
        let _ = writeln!(text, "<g transform=\"translate({},0)\">", PANEL.0 * index as f64);
        panel(&mut text, suite, &of_suite);
        text.push_str("</g>\n");
    }
    text.push_str("</svg>\n");
    text
}

fn panel(text: &mut String, suite: Suite, measurements: &[&Measurement]) {
    let lines: Vec<Line> = COLOURS
        .into_iter()
        .map(|(row, colour)| (row, colour, points(measurements, row)))
        .filter(|(_, _, points)| !points.is_empty())
        .collect();
    let highest = lines.iter().flat_map(|(_, _, points)| points).map(|&(_, y)| y).fold(0.0, f64::max);
    let step = if highest > 5.0 { 2.0 } else { 1.0 };
    let top = ((highest / step).ceil() * step).max(step);
    let y_of = |y: f64| TOP + PLOT.1 * (1.0 - y / top);

    let middle = LEFT + PLOT.0 / 2.0;
    let _ = writeln!(
        text,
        "<text x=\"{middle}\" y=\"20\" text-anchor=\"middle\" font-size=\"14\" font-weight=\"bold\" \
         fill=\"#222222\">{}</text>\n\
         <text x=\"{middle}\" y=\"38\" text-anchor=\"middle\" fill=\"#555555\">seal, batches of 32, one core, \
         GB/s</text>",
        suite.keywords()
    );
    let mut y = 0.0;
    while y <= top {
        let at = y_of(y);
        let _ = writeln!(
            text,
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555555\">{y}</text>",
            LEFT + PLOT.0,
            LEFT - 8.0,
            at + 4.0
        );
        y += step;
    }
    for size in SIZES.into_iter().filter(|size| ![1024].contains(size)) {
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555555\">{size}</text>",
            x_of(size),
            TOP + PLOT.1 + 18.0
        );
    }
    let _ = writeln!(
        text,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555555\">octets of payload</text>",
        TOP + PLOT.1 + 38.0
    );
    for (row, colour, points) in &lines {
        let width = if *row == Row::Whole { 3 } else { 2 };
        let path: Vec<_> =
            points.iter().map(|&(size, y)| format!("{:.1},{:.1}", x_of(size), y_of(y))).collect();
        let _ = writeln!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
            path.join(" ")
        );
        for &(size, y) in points {
            let (x, y) = (x_of(size), y_of(y));
            let _ = writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{width}\" fill=\"{colour}\"/>");
        }
    }
    labels(text, &lines, y_of);
}

/// A name at the end of each line, moved apart where they would overlap.
fn labels(text: &mut String, lines: &[Line], y_of: impl Fn(f64) -> f64) {
    const HEIGHT: f64 = 14.0;
    let last = |points: &[(usize, f64)]| points.last().map_or(0.0, |&(_, y)| y);
    let mut names: Vec<_> =
        lines.iter().map(|(row, colour, points)| (y_of(last(points)), *row, *colour)).collect();
    names.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
    let mut lowest = f64::INFINITY;
    for (y, row, colour) in names {
        let at = y.min(lowest - HEIGHT);
        lowest = at;
        let weight = if row == Row::Whole { " font-weight=\"bold\"" } else { "" };
        let _ = writeln!(
            text,
            "<text x=\"{}\" y=\"{:.1}\" fill=\"{colour}\"{weight}>{}</text>",
            LEFT + PLOT.0 + 8.0,
            at + 4.0,
            row.name()
        );
    }
}

fn points(measurements: &[&Measurement], row: Row) -> Vec<(usize, f64)> {
    let point = |one: &&Measurement| match one.sizes {
        Sizes::All(size) => Some((size, one.gigabytes(row)?)),
        Sizes::Mix => None,
    };
    measurements.iter().filter_map(point).collect()
}

/// Sizes are spread by their logarithm.
fn x_of(size: usize) -> f64 {
    let [first, .., last] = SIZES.map(|size| (size as f64).ln());
    LEFT + PLOT.0 * ((size as f64).ln() - first) / (last - first)
}
