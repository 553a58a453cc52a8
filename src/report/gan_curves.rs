//! The curves of GAN training: the losses, and below them the scores where the run was evaluated.

use anyhow::Result;

use crate::report::curves::{Chart, Curve, Scale};
use crate::report::grid::Picture;
use crate::report::records::GanRecord;
use crate::report::scores::Scores;

/// Pixels of the panel of the losses where others stand below it, and of those.
const MAIN_HEIGHT: u32 = 400;
const LOWER_HEIGHT: u32 = 250;

/// The losses of D and G; of an evaluated run also the Fréchet distance in multiples of its floor, and the parts of samples
/// and real images that the neighbourhoods tell. 1000 pixels wide.
pub fn gan_curves(records: &[GanRecord], title: &str) -> Result<Picture> {
    let loss = |name: &str, value: fn(&GanRecord) -> f32| Curve {
        name: name.into(),
        points: records.iter().map(|record| (record.step as f64, f64::from(value(record)))).collect(),
    };
    let score = |name: &str, value: fn(&Scores) -> f64| Curve {
        name: name.into(),
        points: records.iter().filter_map(|record| Some((record.step as f64, value(&record.scores?)))).collect(),
    };
    let losses = Chart {
        title: title.into(),
        x_label: "step".into(),
        y_label: "loss".into(),
        curves: vec![loss("discriminator", |record| record.d_loss), loss("generator", |record| record.g_loss)],
    };
    if records.iter().all(|record| record.scores.is_none()) {
        return losses.draw();
    }
    let panel = |x_label: &str, y_label: &str, curves: Vec<Curve>| Chart {
        title: String::new(),
        x_label: x_label.into(),
        y_label: y_label.into(),
        curves,
    };
    let distance = vec![score("", |scores| scores.frechet / scores.frechet_floor)];
    let parts = vec![
        score("precision", |scores| scores.precision),
        score("recall", |scores| scores.recall),
        score("density", |scores| scores.density),
        score("coverage", |scores| scores.coverage),
    ];
    Chart::draw_panels(&[
        (Chart { x_label: String::new(), ..losses }, MAIN_HEIGHT, Scale::Robust),
        (panel("", "Fréchet, times floor", distance), LOWER_HEIGHT, Scale::Robust),
        (panel("step", "among real images", parts), LOWER_HEIGHT, Scale::Whole),
    ])
}
