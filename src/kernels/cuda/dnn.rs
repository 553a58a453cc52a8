//! Convolutions by cuDNN: channels last, algorithms that give the same bits every time, each chosen once for a shape.

use crate::kernels::cuda::array::Fresh;
use crate::kernels::cuda::gpu::Gpu;
use crate::kernels::precision::Precision;
use crate::kernels::window::Window;
use candle_core::cuda_backend::cudarc::cudnn::{CudnnError, result, sys};
use candle_core::cuda_backend::{CudaDevice, WrapErr};
use candle_core::{DType, Error, Result, bail};
use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::{Mutex, PoisonError};

/// Which of the three operands of a convolution is computed from the other two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    Output,
    Images,
    Weight,
}

/// Images (N, H, W, C) correlated with a weight (O, K, K, C): (N, down, across, O). All three of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DnnConvolution {
    pub window: Window,
    pub features: usize,
    pub dtype: DType,
    pub precision: Precision,
}

/// Where the three operands lie.
#[derive(Clone, Copy, Debug)]
pub struct Operands {
    pub images: u64,
    pub weight: u64,
    pub output: u64,
}

/// cuDNN with a handle for one stream, and the plans that were made. Used by one thread at a time.
pub struct Library(Mutex<Plans>);

struct Plans {
    handle: sys::cudnnHandle_t,
    /// None where cuDNN has no algorithm that will do.
    plans: HashMap<(DnnConvolution, Pass), Option<Plan>>,
}

// SAFETY: a handle may be used from any thread, by one at a time: it is behind the mutex.
unsafe impl Send for Plans {}

#[derive(Clone, Copy)]
enum Algorithm {
    Output(sys::cudnnConvolutionFwdAlgo_t),
    Images(sys::cudnnConvolutionBwdDataAlgo_t),
    Weight(sys::cudnnConvolutionBwdFilterAlgo_t),
}

/// Descriptors, kept as long as the process, and what was chosen.
#[derive(Clone, Copy)]
struct Plan {
    images: sys::cudnnTensorDescriptor_t,
    weight: sys::cudnnFilterDescriptor_t,
    convolution: sys::cudnnConvolutionDescriptor_t,
    output: sys::cudnnTensorDescriptor_t,
    algorithm: Algorithm,
    workspace: usize,
}

fn failed(error: CudnnError) -> Error {
    Error::Msg(format!("cuDNN: {error}"))
}

impl Library {
    pub fn new(device: &CudaDevice) -> Result<Self> {
        let stream = device.cuda_stream();
        stream.context().bind_to_thread().w()?;
        let handle = result::create_handle().map_err(failed)?;
        // SAFETY: the handle is new; the stream lives as long as the device.
        unsafe { result::set_stream(handle, stream.cu_stream() as sys::cudaStream_t) }.map_err(failed)?;
        Ok(Self(Mutex::new(Plans { handle, plans: HashMap::new() })))
    }
}

impl DnnConvolution {
    /// Computes the operand that `pass` names from the others; false, and nothing, if cuDNN has no algorithm for that
    /// whose bits are always the same.
    ///
    /// # Safety
    ///
    /// The operands must lie on the device and have the convolution's shapes and type.
    pub unsafe fn run(&self, gpu: &Gpu, pass: Pass, operands: Operands) -> Result<bool> {
        let mut library = gpu.dnn.0.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = library.handle;
        let plan = match library.plans.get(&(*self, pass)) {
            Some(plan) => *plan,
            None => {
                let plan = self.plan(handle, pass)?;
                library.plans.insert((*self, pass), plan);
                plan
            }
        };
        let Some(plan) = plan else { return Ok(false) };
        let workspace = Fresh::new(gpu, &[plan.workspace], DType::U8)?;
        let memory = workspace.array().pointer as *mut std::ffi::c_void;
        let (one, zero) = (1f32, 0f32);
        let (one, zero) = (std::ptr::from_ref(&one).cast(), std::ptr::from_ref(&zero).cast());
        let Operands { images, weight, output } = operands;
        let Plan { images: of_images, weight: of_weight, convolution, output: of_output, .. } = plan;
        let (images, weight, output) = (images as *mut _, weight as *mut _, output as *mut _);
        // SAFETY: as the caller asserts; descriptors and handle are never destroyed, and the workspace is as large as
        // cuDNN asked for. It is freed in the order of the stream.
        unsafe {
            match plan.algorithm {
                Algorithm::Output(algorithm) => result::convolution_forward(
                    handle,
                    one,
                    of_images,
                    images,
                    of_weight,
                    weight,
                    convolution,
                    algorithm,
                    memory,
                    plan.workspace,
                    zero,
                    of_output,
                    output,
                ),
                Algorithm::Images(algorithm) => result::convolution_backward_data(
                    handle,
                    one,
                    of_weight,
                    weight,
                    of_output,
                    output,
                    convolution,
                    algorithm,
                    memory,
                    plan.workspace,
                    zero,
                    of_images,
                    images,
                ),
                Algorithm::Weight(algorithm) => result::convolution_backward_filter(
                    handle,
                    one,
                    of_images,
                    images,
                    of_output,
                    output,
                    convolution,
                    algorithm,
                    memory,
                    plan.workspace,
                    zero,
                    of_weight,
                    weight,
                ),
            }
        }
        .map_err(failed)?;
        Ok(true)
    }

    fn plan(&self, handle: sys::cudnnHandle_t, pass: Pass) -> Result<Option<Plan>> {
        let Window { images: count, height, width, channels, size, stride, padding, down, across } = self.window;
        let data = match self.dtype {
            DType::F32 => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
            DType::BF16 => sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16,
            other => bail!("convolutions of {other:?} are not used"),
        };
        let math = match (self.dtype, self.precision) {
            (DType::F32, Precision::F32) => sys::cudnnMathType_t::CUDNN_FMA_MATH,
            (DType::F32, _) => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
            _ => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
        };
        let last = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;
        let dims = |dims: [usize; 4]| dims.map(|dim| dim as c_int);
        let [pad, step] = [padding as c_int, stride as c_int];
        // SAFETY: every descriptor is new when it is set.
        let (images, weight, convolution, output) = unsafe {
            let images = result::create_tensor_descriptor().map_err(failed)?;
            result::set_tensor4d_descriptor(images, last, data, dims([count, channels, height, width]))
                .map_err(failed)?;
            let output = result::create_tensor_descriptor().map_err(failed)?;
            result::set_tensor4d_descriptor(output, last, data, dims([count, self.features, down, across]))
                .map_err(failed)?;
            let weight = result::create_filter_descriptor().map_err(failed)?;
            result::set_filter4d_descriptor(weight, data, last, dims([self.features, channels, size, size]))
                .map_err(failed)?;
            let convolution = result::create_convolution_descriptor().map_err(failed)?;
            let correlates = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
            let sums = sys::cudnnDataType_t::CUDNN_DATA_FLOAT;
            result::set_convolution2d_descriptor(convolution, pad, pad, step, step, 1, 1, correlates, sums)
                .map_err(failed)?;
            result::set_convolution_math_type(convolution, math).map_err(failed)?;
            (images, weight, convolution, output)
        };
        // cuDNN's own estimate of the fastest, which is the same every time, where measured times would not be.
        macro_rules! chosen {
            ($choose:ident, $size:ident, $count:expr, $performance:ty, ($($descriptor:expr),*), $pass:path) => {{
                let mut found = [const { std::mem::MaybeUninit::<$performance>::uninit() }; $count];
                let mut len = 0;
                // SAFETY: there is room for as many results as are asked for.
                let status = unsafe {
                    result::$choose(handle, $($descriptor),*, $count, &mut len, found.as_mut_ptr().cast())
                };
                if status.is_err() {
                    return Ok(None); // this shape, type or layout is not served
                }
                // SAFETY: cuDNN has written this many.
                let found = found.iter().take(len as usize).map(|found| unsafe { found.assume_init_read() });
                let same = sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC;
                let allowed = |mode| self.precision != Precision::F32 || mode != sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH;
                let fit = found.into_iter().find(|found| {
                    found.status.result().is_ok() && found.determinism == same && allowed(found.mathType)
                });
                let Some(fit) = fit else { return Ok(None) };
                // The default would let f32 be rounded to TF32.
                let chosen_math = if self.precision == Precision::F32 { math } else { fit.mathType };
                // SAFETY: these are the descriptors that the algorithm was chosen for.
                unsafe {
                    result::set_convolution_math_type(convolution, chosen_math).map_err(failed)?;
                    let workspace = result::$size(handle, $($descriptor),*, fit.algo).map_err(failed)?;
                    ($pass(fit.algo), workspace)
                }
            }};
        }
        let (algorithm, workspace) = match pass {
            Pass::Output => chosen!(
                get_convolution_forward_algorithm,
                get_convolution_forward_workspace_size,
                8,
                sys::cudnnConvolutionFwdAlgoPerf_t,
                (images, weight, convolution, output),
                Algorithm::Output
            ),
            Pass::Images => chosen!(
                get_convolution_backward_data_algorithm,
                get_convolution_backward_data_workspace_size,
                6,
                sys::cudnnConvolutionBwdDataAlgoPerf_t,
                (weight, output, convolution, images),
                Algorithm::Images
            ),
            Pass::Weight => chosen!(
                get_convolution_backward_filter_algorithm,
                get_convolution_backward_filter_workspace_size,
                7,
                sys::cudnnConvolutionBwdFilterAlgoPerf_t,
                (images, output, convolution, weight),
                Algorithm::Weight
            ),
        };
        Ok(Some(Plan { images, weight, convolution, output, algorithm, workspace }))
    }
}
