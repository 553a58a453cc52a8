//! What the tensors of a ResNet are called by others, and by us.

use crate::models::Stem;

/// What the stem, its batch norm and the four stages are called: in `nn.Sequential(*resnet.children())` without a
/// max-pool, with a max-pool or its place, and without modules for ReLU and max-pool; and by torchvision.
const IN_SEQUENCE: [[&str; 6]; 2] = [["0", "1", "4", "5", "6", "7"], ["0", "1", "2", "3", "4", "5"]];

/// The names that an encoder was found under, from the stem to the last stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct EncoderNames([&'static str; 6]);

impl EncoderNames {
    /// Those that the tensors which `has` knows are under.
    pub(super) fn of(has: impl Fn(&str) -> bool) -> Option<Self> {
        let has = |stage: &str| has(&format!("{stage}.0.conv1.weight"));
        let fit = |[_, _, first, ..]: &[&str; 6]| {
            // Numbered stages: this must be the first of them.
            let before = first.parse::<u32>().ok().map(|number| (number - 1).to_string());
            has(first) && !before.is_some_and(|before| has(&before))
        };
        [Stem::Small, Stem::Imagenet].map(Stem::layer_names).into_iter().chain(IN_SEQUENCE).find(fit).map(Self)
    }

    /// The weight of the first convolution.
    pub(super) fn stem(&self) -> String {
        format!("{}.weight", self.0[0])
    }

    pub(super) fn in_first_stage(&self, name: &str) -> String {
        format!("{}.{name}", self.0[2])
    }

    /// The name of a tensor in our encoder with the stem `ours`, or one that no encoder has where the tensor makes this another network; `None` where it is
    /// beside the encoder.
    pub(super) fn our_name(&self, ours: Stem, name: &str, shape: &[usize]) -> Option<String> {
        let (part, rest) = name.split_once('.')?;
        if let Some(place) = self.0.iter().position(|theirs| *theirs == part) {
            // Many ResNets for CIFAR call the shortcut so.
            return Some(format!("f.{}.{}", ours.layer_names()[place], rest.replace("shortcut.", "downsample.")));
        }
        let number = |name: &str| name.parse::<u32>().ok();
        let is_another = match (number(part), number(self.0[5])) {
            // Behind the last stage there may be a head, which has no convolutions.
            (Some(layer), Some(last)) => layer < last || shape.len() > 2,
            (None, None) => part.starts_with("layer"),
            _ => false,
        };
        is_another.then(|| name.to_string())
    }
}
