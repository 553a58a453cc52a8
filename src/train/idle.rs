//! Settings that were set and that nothing reads.

use anyhow::bail;

use crate::error::Error;

/// A setting that others can leave without effect.
pub(super) struct Reliant {
    /// The field of the configuration.
    pub name: &'static str,
    pub value: String,
    /// Whether anything reads it.
    pub is_read: bool,
    /// Why nothing does, where nothing does.
    pub problem: &'static str,
}

/// [`Error::Setting`] for the first of `settings` that is among the `typed` fields and has no effect.
pub(super) fn refuse_idle(settings: impl IntoIterator<Item = Reliant>, typed: &[String]) -> anyhow::Result<()> {
    let is_typed = |name: &str| typed.iter().any(|typed| typed == name);
    match settings.into_iter().find(|setting| !setting.is_read && is_typed(setting.name)) {
        Some(Reliant { name, value, problem, .. }) => bail!(Error::setting(name, value, problem)),
        None => Ok(()),
    }
}
