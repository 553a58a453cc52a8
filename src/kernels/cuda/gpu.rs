//! A device with what is kept for it.

use crate::kernels::cuda::kernel::Module;
use candle_core::cuda_backend::cudarc::cublas::{CudaBlas, sys as cublas};
use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaFunction, sys};
use candle_core::cuda_backend::{CudaDevice, DeviceId, WrapErr};
use candle_core::{Device, Result, bail};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A CUDA device: its stream, its libraries, its compiled kernels.
pub struct Gpu {
    device: CudaDevice,
    blas: Arc<CudaBlas>,
    #[cfg(feature = "cudnn")]
    pub(crate) dnn: crate::kernels::cuda::dnn::Library,
    functions: Mutex<HashMap<(Module, &'static str), CudaFunction>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept are handles: they are whole whenever the lock is free.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gpu {
    /// Opens the device of this number, with one stream for all threads.
    ///
    /// candle's own `Device::new_cuda` has a stream a thread: a step on a thread of the pool would not wait for what
    /// another thread has uploaded.
    pub fn open(ordinal: usize) -> Result<Device> {
        let device = Device::new_cuda_with_stream(ordinal)?;
        let Device::Cuda(cuda) = &device else { bail!("expected a CUDA device, found {device:?}") };
        // SAFETY: everything of this device runs on this one stream, so that no use needs to wait for another.
        unsafe { cuda.disable_event_tracking() };
        keep_freed_memory(cuda)?;
        Ok(device)
    }

    /// How many devices there are for this process.
    pub fn count() -> usize {
        CudaContext::device_count().map_or(0, |count| count as usize)
    }

    /// Where a device is in its machine, in PCI's words: no two cards of a machine have the same.
    pub fn bus_id(device: &CudaDevice) -> Result<String> {
        use sys::CUdevice_attribute::*;
        let context = device.cuda_stream().context().clone();
        let [domain, bus, slot] =
            [CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID]
                .map(|attribute| context.attribute(attribute).w());
        Ok(format!("{:04x}:{:02x}:{:02x}", domain?, bus?, slot?))
    }

    pub fn of(device: &CudaDevice) -> Result<Arc<Gpu>> {
        static GPUS: OnceLock<Mutex<HashMap<DeviceId, Arc<Gpu>>>> = OnceLock::new();
        let mut gpus = lock(GPUS.get_or_init(Mutex::default));
        if let Some(gpu) = gpus.get(&device.id()) {
            return Ok(gpu.clone());
        }
        let gpu = Arc::new(Gpu {
            blas: device.cublas_handle(),
            #[cfg(feature = "cudnn")]
            dnn: crate::kernels::cuda::dnn::Library::new(device)?,
            functions: Mutex::default(),
            device: device.clone(),
        });
        gpus.insert(device.id(), gpu.clone());
        Ok(gpu)
    }

    pub fn device(&self) -> &CudaDevice {
        &self.device
    }

    pub(crate) fn blas(&self) -> cublas::cublasHandle_t {
        *self.blas.handle()
    }

    /// A kernel of a module, compiled if it is not yet.
    pub(crate) fn function(&self, module: Module, name: &'static str) -> Result<CudaFunction> {
        let mut functions = lock(&self.functions);
        if let Some(function) = functions.get(&(module, name)) {
            return Ok(function.clone());
        }
        let (major, minor) = self.device.cuda_stream().context().compute_capability().w()?;
        // Only the first function of a module needs its code.
        let known = functions.keys().any(|(other, _)| *other == module);
        let code = if known { String::new() } else { module.compile(major, minor)? };
        let function = self.device.get_or_load_custom_func(name, &module.name(), &code)?.into_cuda_function();
        functions.insert((module, name), function.clone());
        Ok(function)
    }
}

/// Memory that is freed stays with the process. As the driver comes, all of it goes back at every wait of the host, and
/// the next step begins by asking for it again.
fn keep_freed_memory(device: &CudaDevice) -> Result<()> {
    let context = device.cuda_stream().context().clone();
    if !context.has_async_alloc() {
        return Ok(());
    }
    let mut pool = std::ptr::null_mut();
    let mut threshold = u64::MAX;
    // SAFETY: the device is open, and the attribute takes a u64.
    unsafe {
        sys::cuDeviceGetDefaultMemPool(&mut pool, context.cu_device()).result().w()?;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        sys::cuMemPoolSetAttribute(pool, attribute, std::ptr::from_mut(&mut threshold).cast()).result().w()
    }
}
