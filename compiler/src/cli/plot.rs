//! Accuracy over latency as an SVG file: one labelled point per model, a colour
//! per series, the baseline marked.

use plotters::coord::Shift;
use plotters::coord::combinators::LogCoord;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;

/// A model in the plot.
pub struct Point {
    /// What it is called.
    pub label: String,
    /// Points of one series share a colour and a line.
    pub series: String,
    /// Median latency of one evaluation, in milliseconds.
    pub latency_ms: f64,
    /// Correct plain predictions in per cent.
    pub accuracy: f64,
    /// Samples behind the accuracy.
    pub n_samples: usize,
}

/// Width and height in pixels.
const SIZE: (u32, u32) = (880, 560);

/// Colours that most people tell apart (Okabe and Ito), darkest first.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

const GREY: RGBColor = RGBColor(225, 225, 225);
const TEXT: RGBColor = RGBColor(40, 40, 40);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Axes = Cartesian2d<LogCoord<f64>, RangedCoordf64>;
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Axes>;
type Failure = DrawingAreaErrorKind<std::io::Error>;

/// The text of an SVG file. The first of the points, of which there are some, is
/// the baseline.
pub fn draw(points: &[Point]) -> String {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    fill(&area, points).expect("drawing to memory succeeds");
    drop(area);
    svg
}

fn fill(area: &Area, points: &[Point]) -> Result<(), Failure> {
    area.fill(&WHITE)?;
    let (latencies, accuracies) = (latency_axis(points), accuracy_axis(points));
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(latencies.log_scale(), accuracies)?;
    let n = points.iter().map(|point| point.n_samples).max().unwrap_or_default();
    chart
        .configure_mesh()
        .x_desc("latency of one encrypted evaluation (ms, logarithmic)")
        .y_desc(format!("accuracy, plain, on {n} samples (%)"))
        .y_labels(6)
        .x_label_formatter(&|ms| format!("{ms}"))
        .y_label_formatter(&|percent| format!("{percent:.2}"))
        .label_style(("sans-serif", 14, &TEXT))
        .axis_desc_style(("sans-serif", 15, &TEXT))
        .bold_line_style(GREY)
        .light_line_style(TRANSPARENT)
        .axis_style(TEXT)
        .draw()?;
    let names = series(points);
    for (name, colour) in names.iter().zip(COLOURS.iter().cycle()) {
        draw_series(&mut chart, points, name, *colour)?;
    }
    mark_baseline(&mut chart, &points[0])?;
    draw_labels(area, &chart, points)?;
    if names.len() > 1 { draw_legend(&mut chart) } else { Ok(()) }
}

/// Names of series in the order of their first points.
fn series(points: &[Point]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for point in points {
        if !names.contains(&point.series.as_str()) {
            names.push(&point.series);
        }
    }
    names
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
}

/// Reaches beyond the points by a share, more on the right for labels.
fn latency_axis(points: &[Point]) -> Range<f64> {
    let (low, high) = bounds(points.iter().map(|point| point.latency_ms));
    low / 1.6..high * 1.8
}

/// Reaches beyond the points, but not beyond all.
fn accuracy_axis(points: &[Point]) -> Range<f64> {
    let (low, high) = bounds(points.iter().map(|point| point.accuracy));
    let margin = (0.15 * (high - low)).max(0.25);
    low - margin..(high + margin).min(100.0)
}

/// A line through the points of a series, and the points.
fn draw_series(chart: &mut Chart, points: &[Point], name: &str, colour: RGBColor) -> Result<(), Failure> {
    let mut places: Vec<(f64, f64)> = points
        .iter()
        .filter(|point| point.series == name)
        .map(|point| (point.latency_ms, point.accuracy))
        .collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    chart.draw_series(LineSeries::new(places.iter().copied(), colour.mix(0.45)))?;
    let dots = places.into_iter().map(|place| Circle::new(place, 5, colour.filled()));
    let drawn = chart.draw_series(dots)?;
    drawn.label(name).legend(move |(x, y)| Circle::new((x + 10, y), 5, colour.filled()));
    Ok(())
}

/// A ring around the baseline.
fn mark_baseline(chart: &mut Chart, point: &Point) -> Result<(), Failure> {
    let place = (point.latency_ms, point.accuracy);
    chart.draw_series([Circle::new(place, 10, TEXT.stroke_width(2))])?;
    Ok(())
}

fn draw_legend(chart: &mut Chart) -> Result<(), Failure> {
    let place = SeriesLabelPosition::LowerRight;
    let mut labels = chart.configure_series_labels();
    let labels = labels.position(place).background_style(WHITE.mix(0.85)).border_style(GREY);
    labels.label_font(("sans-serif", 14, &TEXT)).draw()
}

/// A rectangle in pixels: left, top, right, bottom.
type Box4 = [i32; 4];

fn overlap(a: Box4, b: Box4) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

/// Labels beside their points, each where it covers no point and no other label if
/// there is such a place.
fn draw_labels(area: &Area, chart: &Chart, points: &[Point]) -> Result<(), Failure> {
    let places: Vec<_> = points.iter().map(|p| chart.backend_coord(&(p.latency_ms, p.accuracy))).collect();
    let mut taken: Vec<Box4> = places.iter().map(|&(x, y)| [x - 7, y - 7, x + 7, y + 7]).collect();
    for (index, (point, &place)) in points.iter().zip(&places).enumerate() {
        let text = if index == 0 { format!("{} (baseline)", point.label) } else { point.label.clone() };
        let candidates = candidates(place, text.chars().count() as i32);
        let inside = |b: &Box4| b[0] > 0 && b[2] < SIZE.0 as i32 && b[1] > 0;
        let free = |b: &&Box4| inside(b) && !taken.iter().any(|&other| overlap(**b, other));
        let found = candidates.iter().find(free).copied().unwrap_or(candidates[0]);
        let style = TextStyle::from(("sans-serif", 14).into_font()).color(&TEXT);
        let style = style.pos(Pos::new(HPos::Left, VPos::Center));
        area.draw_text(&text, &style, (found[0], (found[1] + found[3]) / 2))?;
        taken.push(found);
    }
    Ok(())
}

/// Where the label of a point may be, best first: right, left, above, below.
fn candidates((x, y): (i32, i32), n_chars: i32) -> [Box4; 4] {
    const AWAY: i32 = 14;
    const HALF: i32 = 8;
    let width = n_chars * 8;
    let at = |left: i32, middle: i32| [left, middle - HALF, left + width, middle + HALF];
    [
        at(x + AWAY, y),
        at(x - AWAY - width, y),
        at(x - width / 2, y - AWAY - HALF),
        at(x - width / 2, y + AWAY + HALF),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(label: &str, series: &str, latency_ms: f64, accuracy: f64) -> Point {
        let (label, series) = (label.to_owned(), series.to_owned());
        Point { label, series, latency_ms, accuracy, n_samples: 10_000 }
    }

    #[test]
    fn points_are_labelled_and_series_explained() {
        let one = [point("dense", "runs", 703.0, 99.1), point("thin", "runs", 95.0, 98.4)];
        let svg = draw(&one);
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in ["dense (baseline)", "thin", "on 10000 samples (%)", "(ms, logarithmic)"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("runs"));
        let two = [point("dense", "runs", 703.0, 99.1), point("a < b", "others", 703.0, 99.1)];
        let svg = draw(&two);
        assert!(svg.contains("runs") && svg.contains("others") && svg.contains("a &lt; b"));
    }

    #[test]
    fn labels_of_points_at_one_place_do_not_cover_each_other() {
        let [right, left, above, below] = candidates((400, 300), 5);
        assert!(!overlap(right, left) && !overlap(above, below) && !overlap(right, above));
    }
}
