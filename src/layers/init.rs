//! Initial weights as PyTorch defines them.

use candle_nn::Init;

/// How a weight is drawn. Its bias is uniform in ±1/√fan_in, PyTorch's default, where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Initialisation {
    /// `nn.Linear` and `nn.Conv2d` as they come: `kaiming_uniform_(a=√5)`, which is uniform in ±1/√fan_in.
    #[default]
    KaimingUniform,
    /// `nn.init.xavier_uniform_`: uniform in ±√(6 / (fan_in + fan_out)).
    XavierUniform,
    /// `kaiming_normal_(mode="fan_out", nonlinearity="relu")`: normal with variance 2 / fan_out, torchvision's for the
    /// convolutions of a ResNet.
    KaimingNormalFanOut,
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// The same, and the bias begins at 0: timm's, of the linear layers of a transformer.
    NormalWithoutBias(f64),
}

impl Initialisation {
    /// The distribution of a weight whose first two dimensions are `first` and `second` and whose kernel has
    /// `receptive_field` taps (1 for a linear layer).
    ///
    /// PyTorch's `_calculate_fan_in_and_fan_out` takes fan_in from the second dimension and fan_out from the first,
    /// for transposed convolutions too, where the second is the number of output channels.
    pub fn weight(self, first: usize, second: usize, receptive_field: usize) -> Init {
        let (fan_in, fan_out) = (second * receptive_field, first * receptive_field);
        let bound = match self {
            Self::KaimingUniform => 1.0 / (fan_in as f64).sqrt(),
            Self::XavierUniform => (6.0 / (fan_in + fan_out) as f64).sqrt(),
            Self::Normal(stdev) | Self::NormalWithoutBias(stdev) => return Init::Randn { mean: 0.0, stdev },
            Self::KaimingNormalFanOut => {
                return Init::Randn { mean: 0.0, stdev: (2.0 / fan_out as f64).sqrt() };
            }
        };
        Init::Uniform { lo: -bound, up: bound }
    }

    /// The distribution of the bias of a weight of that `fan_in`.
    pub fn bias(self, fan_in: usize) -> Init {
        if let Self::NormalWithoutBias(_) = self {
            return Init::Const(0.0);
        }
        let bound = 1.0 / (fan_in as f64).sqrt();
        Init::Uniform { lo: -bound, up: bound }
    }
}
