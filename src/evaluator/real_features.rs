use candle_core::Tensor;

use crate::metrics::{
    Gaussian, Kid, KidPlan, Nearest, Neighbourhoods, Points, frechet_distance, kid, neighbourhoods, prdc::NEIGHBOURS,
};

/// The features of the reference images, with all that is computed of them once.
pub struct RealFeatures {
    /// (N, D)
    features: Tensor,
    gaussian: Gaussian,
    /// As many of them as are compared with as many samples.
    points: Points,
    nearest: Nearest,
}

/// What the features of samples tell against those of the reference images.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// Squared, as the FID is.
    pub frechet: f64,
    pub kid: Kid,
    pub near: Neighbourhoods,
}

impl RealFeatures {
    /// Of `features` (N, D), of whose neighbourhoods the first `compared` are.
    pub fn new(features: &Tensor, compared: usize) -> anyhow::Result<Self> {
        let gaussian = Gaussian::of(features)?;
        let points = Points::new(&features.narrow(0, 0, compared.min(features.dim(0)?))?, gaussian.mean())?;
        Ok(Self { nearest: points.nearest(NEIGHBOURS)?, features: features.clone(), gaussian, points })
    }

    pub fn features(&self) -> &Tensor {
        &self.features
    }

    /// How many of them the neighbourhoods compare.
    pub fn compared(&self) -> usize {
        self.points.len()
    }

    /// Compares the features of `samples` (M, D); `compared` are those of the samples whose neighbourhoods are. `seed` draws
    /// KID's subsets. `proceed` is asked now and then, and ends the work (`None`) where it says no.
    pub fn compare(
        &self,
        samples: &Tensor,
        compared: &Tensor,
        seed: u64,
        proceed: &mut dyn FnMut() -> bool,
    ) -> anyhow::Result<Option<Compared>> {
        let frechet = frechet_distance(&Gaussian::of(samples)?, &self.gaussian)?;
        if !proceed() {
            return Ok(None);
        }
        let plan = KidPlan::new(seed, samples.dim(0)?, self.features.dim(0)?);
        let kid = kid(samples, &self.features, plan)?;
        if !proceed() {
            return Ok(None);
        }
        let points = Points::new(compared, self.gaussian.mean())?;
        let nearest = points.nearest(NEIGHBOURS)?;
        if !proceed() {
            return Ok(None);
        }
        let near = neighbourhoods((&self.points, &self.nearest), (&points, &nearest), NEIGHBOURS)?;
        Ok(Some(Compared { frechet, kid, near }))
    }
}
