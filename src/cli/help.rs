//! What `--help` shows: examples and the common flags first, the rest under headings. `-h` shows the common flags only.
//! The text of a flag is the doc comment of its field in the command's configuration.

use clap::{Arg, Command};

/// Examples between the usage line and the flags, instead of above everything.
const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}";

const HEADING: &str = "Examples:\n";

const GAN: &str = "  gan train-gan --steps 500          train a DCGAN on built-in digits
  gan sample -o grid.png             draw a grid from the newest run
  gan evaluate                       score it against real images
  gan pretrain-simclr                pretrain an encoder without labels
  gan finetune --baseline            train a linear probe on it
  gan embed photos/ -o features.npy  write its features of pictures
  gan train-gan --help               all flags; -h shows the common ones";

const TRAIN_GAN: &str = "  gan train-gan                                 DCGAN on built-in digits
  gan train-gan --model lsgan --data mnist
  gan train-gan --data photos/ --run photos     a folder of images, at 64x64
  gan train-gan --data cifar10 --steps 5000     32x32 in colour
  gan train-gan --conditional --data mnist      then: gan sample --class 7
  gan train-gan --resume photos --epochs 20     train the same run for longer
  gan train-gan --data few/ --augment adaptive  of some hundred images
  gan train-gan --recipe best --data mnist      the best hyperparameters found";

const PRETRAIN_SIMCLR: &str = "  gan pretrain-simclr                           resnet9 on built-in shapes
  gan pretrain-simclr --data cifar10 --encoder resnet18 --epochs 100
  gan pretrain-simclr --data photos/ --encoder resnet50 --image-size 224
  gan pretrain-simclr --data cifar10 --encoder vit-tiny --epochs 100
  gan pretrain-simclr --resume resnet50 --epochs 20";

const FINETUNE: &str = "  gan finetune --baseline                       probe the newest encoder
  gan finetune --data cifar10 --labels 0.1 --mode both --baseline
  gan finetune --weights model.pth --data photos/ --labels 1.0 --cached
  gan finetune --data photos/ --embeddings h.npy";

const SAMPLE: &str = "  gan sample -o grid.png                        64 samples in a grid
  gan sample --model dcgan -n 1000 -o images/   one PNG per sample
  gan sample -n 100000 -o samples.npy           (N, C, H, W), f32
  gan sample -o walk.gif                        interpolate between latents
  gan sample --class all -o classes.png         of a conditional GAN, a row each
  gan sample --weights generator.pth            a PyTorch state dict";

const EVALUATE: &str = "  gan evaluate                                  the newest run
  gan evaluate --run dcgan --data mnist --seeds 3
  gan evaluate --images samples/ --data mnist   images made by another program
  gan evaluate --features pt_inception-2015-12-05-6726825d.pth   FID, at any size
  gan evaluate --weights weights/resnet9        an encoder: kNN, linear probe
  gan evaluate --train-classifier --data fashion-mnist -o fashion.safetensors";

const EMBED: &str = "  gan embed photos/ -o features.npy             (N, D), and features.paths.csv
  gan embed photos/ --weights resnet50.pth -o features.parquet
  gan embed cifar10 --weights weights/resnet9 -o - | head
  gan embed photos/ -o features.csv --neighbours 5 --skip-broken";

const DATA: &str = "  gan data photos/                              sizes, classes, duplicates
  gan data photos/ -o sheet.png                 some pictures of each class
  gan data photos/ --json | jq .broken";

const PREDICT: &str = "  gan predict photos/                           by the newest run of finetune
  gan predict photos/ --weights weights/resnet9-finetune --top 3
  gan predict photo.jpg --json
  gan predict photos/ -o predictions.csv --skip-broken";

const INSPECT: &str = "  gan inspect weights/dcgan/generator.safetensors
  gan inspect model.pth --json";

/// The heading of a flag; none for the common flags, which come first.
fn heading(command: &str, flag: &str) -> Option<&'static str> {
    Some(match (command, flag) {
        ("evaluate", "encoder" | "labels" | "stratified" | "image_size" | "normalise") => "Encoders",
        ("pretrain-simclr", "stem") => "Encoder",
        ("evaluate", "classifier" | "inception" | "raw" | "seeds") => "Generators",
        ("evaluate", "train_classifier") => "With --train-classifier",
        ("sample", "offset" | "latents") => "Latents",
        ("sample", "walk" | "walks" | "frames") => "Interpolations (.gif)",
        ("sample", "weights_dir" | "raw") => "Generator",
        ("sample", "columns" | "scale" | "format" | "force") => "Output",
        ("train-gan" | "pretrain-simclr" | "finetune", "skip_broken") => "Data",
        (
            _,
            "image_size" | "channels" | "normalise" | "train_images" | "test_part" | "stratified" | "no_shuffle"
            | "data_dir" | "data_memory" | "data_cache" | "changed_data",
        ) => "Data",
        (
            _,
            "loss"
            | "shards"
            | "sync_batch_norm"
            | "latent_dim"
            | "latents"
            | "discriminator_lr"
            | "schedule"
            | "warmup_steps"
            | "weight_decay"
            | "clip_norm"
            | "discriminator_steps",
        ) => "Training",
        (_, "beta1" | "beta2" | "eps" | "momentum" | "trust" | "precision" | "views") => "Training",
        (_, "ema_decay" | "no_ema") => "Averaged generator (EMA)",
        (_, "label_smoothing" | "r1" | "r2" | "r1_every" | "gradient_penalty" | "spectral_norm") => {
            "Regularisation of the discriminator"
        }
        (_, "diffaugment" | "augment" | "ada_speed" | "mirror" | "init") => "Small data sets",
        (_, "min_crop" | "flip" | "jitter" | "jitter_strength" | "hue" | "grey") => "Augmentation",
        (_, "evaluate_every" | "evaluate_samples" | "evaluate_reference" | "evaluate_classifier") => "Evaluation",
        (_, "knn_every" | "knn_reference" | "reference" | "keep_best" | "patience") => "Evaluation",
        (_, "checkpoint_every" | "sample_every" | "log_every" | "keep" | "embeddings") => "Output",
        (_, "weights_dir" | "samples_dir" | "force") => "Output",
        _ => return None,
    })
}

fn examples(command: &str) -> Option<&'static str> {
    Some(match command {
        "gan" => GAN,
        "train-gan" => TRAIN_GAN,
        "pretrain-simclr" => PRETRAIN_SIMCLR,
        "finetune" => FINETUNE,
        "sample" => SAMPLE,
        "embed" => EMBED,
        "evaluate" => EVALUATE,
        "data" => DATA,
        "predict" => PREDICT,
        "inspect" => INSPECT,
        _ => return None,
    })
}

/// `command` and its subcommands with their examples, each flag under its heading.
pub fn arranged(command: Command) -> Command {
    let name = command.get_name().to_string();
    let command = match examples(&name) {
        Some(examples) => command.before_help(format!("{HEADING}{examples}")).help_template(TEMPLATE),
        None => command,
    };
    command.mut_args(|flag| under_heading(&name, flag)).mut_subcommands(arranged)
}

fn under_heading(command: &str, flag: Arg) -> Arg {
    if flag.is_global_set() {
        return flag;
    }
    let heading = flag.get_help_heading().map(str::to_string);
    match heading.or_else(|| Some(self::heading(command, flag.get_id().as_str())?.to_string())) {
        Some(heading) => flag.help_heading(heading).hide_short_help(true),
        None => flag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn help_fits_a_terminal_and_starts_with_examples_and_the_common_flags() {
        let mut gan = arranged(crate::cli::Cli::command()).term_width(80);
        gan.build();
        for command in gan.get_subcommands_mut() {
            let name = command.get_name().to_string();
            let (short, long) = (command.render_help().to_string(), command.render_long_help().to_string());
            assert!(long.lines().all(|line| line.chars().count() <= 80), "{long}");
            assert!(short.len() <= long.len(), "{name}");
            if examples(&name).is_some() {
                assert!(short.lines().count() <= 60, "{name}: {short}");
                assert!(long.lines().take(5).any(|line| line == HEADING.trim_end()), "{long}");
                let common = short.lines().filter(|line| line.trim_start().starts_with('-')).count();
                assert!(common <= 22, "{name}: {common} flags in -h");
            }
        }
    }
}
