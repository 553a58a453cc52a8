//! How an encoder is told from other networks, whatever its tensors are called.

use candle_core::Device;

use crate::checkpoint::network::{self, Part, Recogniser};
use crate::checkpoint::{Description, Signature};
use crate::models::{Encoder, EncoderArchitecture};
use crate::params::Parameters;

/// The last number of the names of our stem, its batch norm and the four stages: `f.3.0.conv1.weight`.
const OURS: [&str; 6] = ["0", "1", "3", "4", "5", "6"];

/// What else they are called: by torchvision; in `nn.Sequential(*resnet.children())`, with a max-pool or its place, and
/// without modules for ReLU and max-pool.
const NAMES: [[&str; 6]; 4] = [
    OURS,
    ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"],
    ["0", "1", "4", "5", "6", "7"],
    ["0", "1", "2", "3", "4", "5"],
];

/// The encoders, or one that is wanted.
pub struct Encoders {
    pub wanted: Option<EncoderArchitecture>,
}

/// An encoder as it was found.
#[derive(Debug)]
pub struct Found {
    pub architecture: EncoderArchitecture,
    names: [&'static str; 6],
    /// Height and width of the first convolution's kernel.
    kernel: [usize; 2],
}

/// Whether a file holds what looks like an encoder.
pub fn holds_encoder(description: &Description) -> bool {
    network::holds(&description.tensors, &Encoders { wanted: None })
}

/// The names and shapes of an encoder: `f.*`.
pub fn signature(architecture: EncoderArchitecture) -> anyhow::Result<Signature> {
    let parameters = Parameters::undrawn("encoder", &Device::Cpu);
    Encoder::new(architecture, parameters.builder().pp("f"))?;
    Ok(parameters.signature())
}

impl Recogniser for Encoders {
    type Kind = Found;

    const ANCHORS: &'static [&'static str] = &["0.weight", "conv1.weight"];
    const USUAL_PREFIX: &'static str = "f.";

    fn recognise(&self, part: &Part) -> Option<Found> {
        let has = |stage: &str, rest: &str| part.shape(&format!("{stage}.{rest}")).is_some();
        let names = NAMES.into_iter().find(|[_, _, first, ..]| {
            // Numbered stages: this must be the first of them.
            let before = first.parse::<u32>().ok().map(|number| (number - 1).to_string());
            has(first, "0.conv1.weight") && !before.is_some_and(|before| has(&before, "0.conv1.weight"))
        })?;
        let [stem, _, first, ..] = names;
        let &[_, _, height, width] = part.shape(&format!("{stem}.weight"))? else { return None };
        let architecture = if has(first, "0.conv3.weight") {
            EncoderArchitecture::Resnet50
        } else if has(first, "1.conv1.weight") {
            EncoderArchitecture::Resnet18
        } else {
            EncoderArchitecture::Resnet9
        };
        Some(Found { architecture, names, kernel: [height, width] })
    }

    fn signature(&self, found: &Found) -> anyhow::Result<Result<Signature, String>> {
        let name = found.architecture.name();
        if let Some(wanted) = self.wanted.filter(|wanted| *wanted != found.architecture) {
            return Ok(Err(format!("holds a {name} encoder; --encoder {} was asked for", wanted.name())));
        }
        if found.kernel == [7, 7] {
            let expected = "expected the 3x3 stem of an encoder for 32x32";
            return Ok(Err(format!("its stem is 7x7, for pictures of 224x224; {expected}")));
        }
        signature(found.architecture).map(Ok)
    }

    fn our_name(&self, found: &Found, name: &str, shape: &[usize]) -> Option<String> {
        let (part, rest) = name.split_once('.')?;
        if let Some(place) = found.names.iter().position(|theirs| *theirs == part) {
            // Many ResNets for CIFAR call the shortcut so.
            return Some(format!("f.{}.{}", OURS[place], rest.replace("shortcut.", "downsample.")));
        }
        let number = |name: &str| name.parse::<u32>().ok();
        let is_another = match (number(part), number(found.names[5])) {
            // Behind the last stage there may be a head, which has no convolutions.
            (Some(layer), Some(last)) => layer < last || shape.len() > 2,
            (None, None) => part.starts_with("layer"),
            _ => false,
        };
        is_another.then(|| name.to_string())
    }

    fn describe(&self, found: &Found) -> String {
        format!("a {} encoder", found.architecture.name())
    }
}
