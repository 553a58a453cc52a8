//! Processes that train one run must be about to do the same.

use anyhow::bail;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Run, as_typed};
use crate::error::Error;

impl<C: Serialize> Run<C> {
    /// Refuses processes that would not do what the first one does: of another version of the program, with
    /// another run, other flags, other images or another `encoder` (its hash), or going on from elsewhere. To be called by all of
    /// them, before the first writes anything.
    ///
    /// # Errors
    /// [`Error::Usage`] or, for images, [`Error::Input`], with the first such process; the same for all.
    pub fn agree(&self, encoder: Option<&str>) -> anyhow::Result<()> {
        if self.processes.size() == 1 {
            return Ok(());
        }
        let own = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "run": self.directory.weights,
            "config": self.config,
            "data": self.data,
            "encoder": encoder,
            "step": self.step(),
        });
        let all = self.processes.gather_text(&own.to_string())?;
        // What processes say that do not train is a list; `finetune` without labels does not.
        let Ok(facts) = all.iter().map(|text| serde_json::from_str(text)).collect::<Result<Vec<Map<_, _>>, _>>() else {
            bail!(Error::Input("some processes have labelled images, others have not".into()));
        };
        for (rank, other) in facts.iter().enumerate().skip(1) {
            let Some((name, _)) = facts[0].iter().find(|(name, value)| other.get(*name) != Some(*value)) else {
                continue;
            };
            let said = |of: &Map<String, Value>, name: &str| match of.get(name) {
                Some(Value::Bool(true)) => "on".to_string(),
                value => value.and_then(as_typed).unwrap_or_else(|| "not set".into()),
            };
            match name.as_str() {
                "data" => bail!(Error::Input(format!("the images of process {rank} differ from those of process 0"))),
                "encoder" => {
                    bail!(Error::Input(format!("the encoder of process {rank} differs from that of process 0")))
                }
                "config" => {
                    let both = [&facts[0], other].map(|of| of.get("config").and_then(Value::as_object));
                    let [Some(first), Some(other)] = both else { bail!("a configuration is no object") };
                    let differs = |name: &&String| first.get(*name) != other.get(*name);
                    let name = first.keys().chain(other.keys()).find(differs).cloned().unwrap_or_default();
                    let (of_other, of_first) = (said(other, &name), said(first, &name));
                    bail!(Error::Usage(format!(
                        "the processes have different settings: {name} is {of_other} in process {rank}, {of_first} in \
                         process 0"
                    )))
                }
                "step" => bail!(Error::Usage(format!(
                    "process {rank} would go on from step {}, process 0 from step {}; the checkpoints must lie in one \
                     directory that all processes see",
                    said(other, name),
                    said(&facts[0], name)
                ))),
                "run" => bail!(Error::Usage(format!(
                    "the processes have different runs: {} in process {rank}, {} in process 0",
                    said(other, name),
                    said(&facts[0], name)
                ))),
                _ => bail!(Error::Usage(format!(
                    "process {rank} is gan {}, process 0 gan {}",
                    said(other, name),
                    said(&facts[0], name)
                ))),
            }
        }
        Ok(())
    }
}
