//! The curves of SimCLR pretraining: three quantities of three scales, one below another over the same steps.

use anyhow::Result;

use crate::report::curves::{Chart, Curve, Scale};
use crate::report::grid::Picture;
use crate::report::records::SimclrRecord;

/// Pixels of the panel of the loss, and of those below it.
const MAIN_HEIGHT: u32 = 400;
const LOWER_HEIGHT: u32 = 250;

/// The loss; the kNN accuracy, if it was ever measured; alignment and uniformity. 1000 pixels wide.
pub fn simclr_curves(records: &[SimclrRecord], title: &str) -> Result<Picture> {
    let curve = |name: &str, value: fn(&SimclrRecord) -> f32| Curve {
        name: name.into(),
        points: records.iter().map(|record| (record.step as f64, f64::from(value(record)))).collect(),
    };
    let accuracies = records.iter().filter_map(|record| Some((record.step as f64, 100.0 * record.knn_top1?)));
    let accuracy = Curve { name: String::new(), points: accuracies.collect() };
    let panel = |y_label: &str, curves: Vec<Curve>| Chart {
        title: String::new(),
        x_label: String::new(),
        y_label: y_label.into(),
        curves,
    };

    let loss = Chart { title: title.into(), ..panel("NT-Xent loss", vec![curve("", |record| record.loss)]) };
    let mut panels = vec![(loss, MAIN_HEIGHT, Scale::Robust)];
    if !accuracy.points.is_empty() {
        panels.push((panel("kNN top-1, %", vec![accuracy]), LOWER_HEIGHT, Scale::Whole));
    }
    let embeddings =
        vec![curve("alignment", |record| record.alignment), curve("uniformity", |record| record.uniformity)];
    let last = Chart { x_label: "step".into(), ..panel("embeddings", embeddings) };
    panels.push((last, LOWER_HEIGHT, Scale::Whole));
    Chart::draw_panels(&panels)
}
