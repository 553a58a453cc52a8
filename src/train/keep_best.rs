//! What a configuration may say of the best network, which is kept.

use anyhow::bail;

use crate::checkpoint::Measure;
use crate::error::Error;

/// Whether a run has no patience to lose: its configuration is then that of runs from before.
pub(super) fn is_zero(patience: &u64) -> bool {
    *patience == 0
}

/// [`Error::Setting`] where there is nothing to choose by. `evaluations` says whether there are any, by the field that says
/// how often; `reference` is what they look at, and whether that are the test images.
pub(super) fn check_keep_best(
    measure: Option<Measure>,
    patience: u64,
    evaluations: (&str, u64),
    reference: (&str, bool),
) -> anyhow::Result<()> {
    let Some(measure) = measure else {
        if patience > 0 {
            let problem = "without keep_best no network is the best, so that nothing ends the run";
            bail!(Error::setting("patience", patience, problem));
        }
        return Ok(());
    };
    let refuse = |problem: String| bail!(Error::setting("keep_best", measure.name(), problem));
    match (evaluations, reference) {
        ((every, 0), _) => refuse(format!("nothing is evaluated during training; expected {every} of at least 1")),
        (_, (field, true)) => refuse(format!(
            "the best network is chosen by validation images, never by those it is tested on; expected {field} validation"
        )),
        _ => Ok(()),
    }
}
