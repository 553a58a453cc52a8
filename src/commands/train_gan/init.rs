//! The trained networks that a new run starts from: `--init`.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::checkpoint::Weights;
use crate::checkpoint::saved_runs::{checkpoint_path, checkpoint_steps};
use crate::commands::class_names::listed;
use crate::commands::weights::located;
use crate::error::Error;
use crate::models::{NetworkDescription, NetworkKind};
use crate::pretrained::search::{self, FoundNetwork, Wanted};
use crate::report::Console;
use crate::run::RunOptions;
use crate::train::adversaries::Adversaries;
use crate::train::gan_config::GanConfig;
use crate::train::init_network::InitNetwork;
use crate::train::probe::hash;

/// Loads what `--init` names into `adversaries`, networks of the new run `run`; returns what it was.
///
/// # Errors
/// [`Error::Input`] and [`Error::OtherNetwork`] where a file is missing, holds none of the two networks, or one that is not
/// for this run; where a run that is begun once more finds others than before. [`Error::Usage`] where `--force` would delete
/// what it starts from.
pub(super) fn start_from(
    adversaries: &Adversaries,
    config: &GanConfig,
    run: &str,
    options: &RunOptions,
    console: &Console,
) -> anyhow::Result<Vec<InitNetwork>> {
    let (model, shape) = (config.model, config.image_shape());
    let kinds = [
        (
            "generator",
            Wanted::Generator { architecture: Some(model), raw: true },
            NetworkDescription::generator(model, config.latent_space(), shape).with_class_names(&config.class_names),
        ),
        (
            "discriminator",
            Wanted::Discriminator { architecture: Some(model) },
            NetworkDescription::discriminator(model, shape)
                .with_class_names(&config.class_names)
                .with_spectral_norm(config.spectral_norm),
        ),
    ];
    let (mut networks, mut tensors) = (Vec::new(), [None, None]);
    for named in &config.init {
        let path = file_of(named, &options.weights_dir)?;
        refuse_to_delete(&path, run, options)?;
        let (weights, before) = (Weights::open(&path)?, networks.len());
        for ((name, wanted, expected), tensors) in kinds.iter().zip(&mut tensors) {
            let Some(found) = search::find(&weights, wanted)? else { continue };
            refuse_misfit(&found, expected, named)?;
            if tensors.is_some() {
                bail!(Error::Input(format!("--init {}: a second {name}; one is enough", config.init.join(","))));
            }
            console.note(&format!("starting from {}", found.words));
            let (known, wanted) = (class_names(&found.description), class_names(expected));
            if known != wanted {
                console.warning(&format!(
                    "--init {named}: its classes are {}, this run's {}: each begins as the one in its place",
                    listed(known),
                    listed(wanted)
                ));
            }
            let (path, sha256) = (path.display().to_string(), hash(&found.tensors)?);
            networks.push(InitNetwork { network: name.to_string(), path, sha256 });
            *tensors = Some(found.tensors);
        }
        if networks.len() == before {
            bail!(Error::reading(
                &path,
                format!(
                    "neither a generator nor a discriminator: {}\nexpected a checkpoint of train-gan, or the files of its \
                     networks",
                    weights.contents()
                )
            ));
        }
    }
    let hashes = |networks: &[InitNetwork]| networks.iter().map(|found| found.sha256.clone()).collect::<Vec<_>>();
    if !config.init_networks.is_empty() && hashes(&config.init_networks) != hashes(&networks) {
        bail!(Error::Input(format!(
            "--init {}: not the networks that the run {run} was begun with\nbegin anew with --force, or name another run \
             with --run",
            config.init.join(",")
        )));
    }
    let [generator, discriminator] = &tensors;
    adversaries.start_from(generator.as_ref(), discriminator.as_ref())?;
    Ok(networks)
}

/// The file that is meant by a file's name, or the newest checkpoint of a run, by its directory or its name.
fn file_of(named: &str, weights_dir: &Path) -> anyhow::Result<PathBuf> {
    let path = Path::new(named);
    if path.is_file() || named.ends_with(".safetensors") || named.ends_with(".pth") {
        return Ok(path.to_path_buf());
    }
    let run = match located(path, weights_dir) {
        run if run.is_dir() => run,
        _ => weights_dir.join(named),
    };
    let newest = checkpoint_steps(&run).ok().and_then(|steps| steps.last().copied());
    match newest {
        Some(step) => Ok(checkpoint_path(&run, step)),
        None => bail!(Error::reading(&run, "no checkpoint of a run is there; --init takes a run or a file")),
    }
}

/// `--force` on the run that holds the networks would delete them.
fn refuse_to_delete(path: &Path, run: &str, options: &RunOptions) -> anyhow::Result<()> {
    let of_run = path.parent().and_then(|directory| directory.canonicalize().ok());
    if options.force && of_run.is_some() && of_run == options.weights_dir.join(run).canonicalize().ok() {
        bail!(Error::Usage(format!(
            "--force: it would delete {}, which lies in the run {run}; name another run with --run",
            path.display()
        )));
    }
    Ok(())
}

/// Of a conditional network; empty of another.
fn class_names(network: &NetworkDescription) -> &[String] {
    match &network.kind {
        NetworkKind::Generator { class_names, .. } | NetworkKind::Discriminator { class_names, .. } => class_names,
        _ => &[],
    }
}

/// Refuses a network for other images or latents than this run's.
fn refuse_misfit(found: &FoundNetwork, expected: &NetworkDescription, named: &str) -> anyhow::Result<()> {
    let (shape, wanted) = (found.description.image_shape, expected.image_shape);
    if shape != wanted {
        bail!(Error::Input(format!("--init {}: for images of {shape}; this run's are of {wanted}", found.words)));
    }
    let latents = |network: &NetworkDescription| match network.kind {
        NetworkKind::Generator { latent_dim, .. } => latent_dim,
        _ => 0,
    };
    let (found_classes, wanted) = (class_names(&found.description).len(), class_names(expected).len());
    if found_classes != wanted {
        let words =
            |classes| if classes == 0 { "not conditional".into() } else { format!("conditional on {classes} classes") };
        let (known, wanted) = (words(found_classes), words(wanted));
        bail!(Error::Input(format!("--init {named}: its networks are {known}; this run's are {wanted}")));
    }
    let is_normalised = |network: &NetworkDescription| match network.kind {
        NetworkKind::Discriminator { spectral_norm, .. } => spectral_norm,
        _ => false,
    };
    if is_normalised(&found.description) != is_normalised(expected) {
        let words = |is_normalised| if is_normalised { "with spectral norm" } else { "without spectral norm" };
        let (found, wanted) = (words(is_normalised(&found.description)), words(is_normalised(expected)));
        bail!(Error::Input(format!("--init {named}: its discriminator is {found}; this run's is {wanted}")));
    }
    let (found_latents, wanted) = (latents(&found.description), latents(expected));
    if found_latents != wanted {
        bail!(Error::Input(format!(
            "--init {}: for latents of {found_latents} numbers; --latent-dim is {wanted}",
            found.words
        )));
    }
    Ok(())
}
