//! A weight over its largest singular value: spectral normalisation (Miyato et al., 1802.05957, equation 8).

mod cpu;

use crate::autograd;
use crate::kernels::storage::{Array, is_host, read, tensor};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

/// weight (O, ..), as a matrix W (O, I), over σ = u W v, by its singular vectors u (O) and v (I), which are held fixed.
/// PyTorch's `torch.nn.utils.parametrizations.spectral_norm` without its power iteration. Fused on the CPU alone.
pub fn spectral_weight(weight: &Tensor, u: &Tensor, v: &Tensor) -> Result<Tensor> {
    let (outputs, inputs) = (weight.dim(0)?, weight.elem_count() / weight.dim(0)?.max(1));
    if u.dims() != [outputs] || v.dims() != [inputs] {
        let (weight, u, v) = (weight.dims(), u.dims(), v.dims());
        bail!("spectral_weight: expected vectors of [{outputs}] and [{inputs}] for {weight:?}, found {u:?} and {v:?}");
    }
    let (u, v) = (u.detach(), v.detach());
    if !is_host(&[weight, &u, &v]) {
        return naive(weight, &u, &v);
    }
    autograd::apply_op3(&weight.contiguous()?, &u.contiguous()?, &v.contiguous()?, SpectralWeight)
}

/// [`spectral_weight`] in candle's ops.
pub fn naive(weight: &Tensor, u: &Tensor, v: &Tensor) -> Result<Tensor> {
    let product = weight.flatten_from(1)?.matmul(&v.unsqueeze(1)?)?; // (O, 1)
    let sigma = product.mul(&u.unsqueeze(1)?)?.sum_all()?;
    weight.broadcast_div(&sigma)
}

struct SpectralWeight;

impl autograd::Taped for SpectralWeight {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Arguments
    }
}

impl CustomOp3 for SpectralWeight {
    fn name(&self) -> &'static str {
        "spectral_weight"
    }

    fn cpu_fwd(
        &self,
        weight: &CpuStorage,
        lw: &Layout,
        u: &CpuStorage,
        lu: &Layout,
        v: &CpuStorage,
        lv: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let [weight, u, v] = [Array::new(weight, lw)?, Array::new(u, lu)?, Array::new(v, lv)?];
        Ok((CpuStorage::F32(cpu::forward(weight.values, u.values, v.values)), lw.shape().clone()))
    }

    fn bwd(
        &self,
        weight: &Tensor,
        u: &Tensor,
        v: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        if !weight.track_op() {
            return Ok((None, None, None));
        }
        let given = read(weight, |weight| {
            read(u, |u| read(v, |v| read(gradient, |gradient| cpu::backward(weight, u, v, gradient))))
        })????;
        Ok((Some(tensor(given, weight.dims())?), None, None))
    }
}
