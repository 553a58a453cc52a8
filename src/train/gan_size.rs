//! How much memory the networks of a GAN take.

use anyhow::bail;

use crate::data::memory::MemorySize;
use crate::error::Error;
use crate::models::NetworkDescription;
use crate::params::Signature;
use crate::train::gan_config::GanConfig;

/// Copies of a network's weights in training: themselves, their gradients and Adam's two moments.
const COPIES: u64 = 4;

impl GanConfig {
    /// [`Error::Setting`] where the networks in training take more than the `free` memory.
    pub fn check_memory(&self, free: MemorySize) -> anyhow::Result<()> {
        let (model, shape) = (self.model, self.image_shape());
        let generator = weights(&NetworkDescription::generator(model, self.latent_space(), shape).signature()?);
        let discriminator = weights(&NetworkDescription::discriminator(model, shape).signature()?);
        let averages = if self.no_ema { 0 } else { generator };
        let needed = MemorySize(4 * (COPIES * (generator + discriminator) + averages));
        if needed.0 > free.0 {
            let problem = format!(
                "the networks have {} weights, and {needed} of memory are needed to train them; {free} are free",
                generator + discriminator
            );
            bail!(Error::setting("image_size", shape.height, problem));
        }
        Ok(())
    }
}

/// Numbers in all tensors.
fn weights(signature: &Signature) -> u64 {
    signature.values().map(|(shape, _)| shape.iter().product::<usize>() as u64).sum()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::error;

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        config: GanConfig,
    }

    #[test]
    fn networks_that_do_not_fit_the_memory_are_refused_with_their_size() {
        let flags = Flags::parse_from(["", "--model", "vanilla", "--image-size", "1024", "--channels", "3"]);
        let refusal = flags.config.check_memory(MemorySize(8 << 30)).unwrap_err();
        assert_eq!(
            error::text(&refusal),
            "image_size 1024: the networks have 4030892801 weights, and 72.1 GiB of memory are needed to train them; 8.0 \
             GiB are free"
        );
        flags.config.check_memory(MemorySize(100 << 30)).unwrap();
    }
}
