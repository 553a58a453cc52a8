//! Values from card to card, by NCCL.
//!
//! All is launched on the device's one stream: it comes after what has computed the values that are sent, and before what
//! reads those that arrive. The host waits for none of it. NCCL adds nothing here, as it may add in another order each time.

use crate::kernels::cuda::array::{Array, Fresh, lend};
use crate::kernels::cuda::gpu::Gpu;
use crate::kernels::exclusion::shared;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::nccl::result::{self, NcclError};
use candle_core::cuda_backend::cudarc::nccl::sys;
use candle_core::{DType, Device, Result, Tensor, bail};
use std::ffi::{c_char, c_int};
use std::sync::{Arc, Mutex, PoisonError};

/// A process among others, each with a card of its own.
pub struct Nccl {
    gpu: Arc<Gpu>,
    size: usize,
    communicator: Mutex<Communicator>,
}

/// NCCL's handle. What is on its way when it is dropped is given up: else a process that ends would wait for one that is gone.
struct Communicator(sys::ncclComm_t);

// SAFETY: a communicator may be used from any thread by one at a time, and this one is behind a lock.
unsafe impl Send for Communicator {}

impl Drop for Communicator {
    fn drop(&mut self) {
        // SAFETY: it was made by NCCL, and nobody else has it. The process is through with it, whatever the answer is.
        let _ = unsafe { result::comm_abort(self.0) };
    }
}

impl Nccl {
    /// What the processes find each other by: one makes it, and all [`join`](Self::join) with it.
    pub fn new_id() -> Result<Vec<u8>> {
        let id = result::get_uniqueid().map_err(|error| failed("making an id", &error))?;
        Ok(id.internal.map(|byte| byte as u8).to_vec())
    }

    /// Where a card is in its machine, by which NCCL tells cards apart; empty for another device.
    pub fn place(device: &Device) -> Result<String> {
        match device {
            Device::Cuda(device) => Gpu::bus_id(device),
            _ => Ok(String::new()),
        }
    }

    /// Joins the others: returns when all of the `size` processes have come. Each has a card of its own.
    pub fn join(device: &Device, rank: usize, size: usize, id: &[u8]) -> Result<Self> {
        let Device::Cuda(device) = device else { bail!("expected a CUDA device, found {device:?}") };
        let Ok(id) = <[u8; 128]>::try_from(id) else { bail!("an id of NCCL's has 128 bytes; found {}", id.len()) };
        let (gpu, id) = (Gpu::of(device)?, sys::ncclUniqueId { internal: id.map(|byte| byte as c_char) });
        device.cuda_stream().context().bind_to_thread().w()?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: the handle is there to be written, and the thread's device is the card.
        let joined = unsafe { result::comm_init_rank(&mut handle, size as c_int, id, rank as c_int) };
        joined.map_err(|error| failed("joining the other processes", &error))?;
        Ok(Self { gpu, size, communicator: Mutex::new(Communicator(handle)) })
    }

    /// Sends contiguous values in f32 to other processes, and receives so many from others: the `n`th for a process is the
    /// `n`th that it receives from here.
    pub fn exchange(&self, sent: &[(usize, Tensor)], received: &[(usize, usize)]) -> Result<Vec<Tensor>> {
        let arrived = received.iter().map(|(_, length)| Fresh::new(&self.gpu, &[*length], DType::F32));
        let arrived: Vec<Fresh> = arrived.collect::<Result<_>>()?;
        let from = sent.iter().map(|(_, tensor)| pointer_of(tensor)).collect::<Result<Vec<_>>>()?;
        self.launch("sending and receiving", |communicator, stream| {
            result::group_start()?;
            let send = |((to, _), (pointer, length)): (&(usize, _), &(u64, usize))| {
                let (values, to) = (*pointer as *const _, *to as c_int);
                // SAFETY: the values lie on the card, and are freed, if at all, later on the same stream.
                unsafe { result::send(values, *length, FLOAT, to, communicator, stream) }.map(drop)
            };
            let receive = |((from, length), values): (&(usize, usize), &Fresh)| {
                let (values, from) = (values.array().pointer as *mut _, *from as c_int);
                // SAFETY: likewise, and so many have been allocated.
                unsafe { result::recv(values, *length, FLOAT, from, communicator, stream) }.map(drop)
            };
            let started = sent.iter().zip(&from).try_for_each(send);
            let started = started.and_then(|()| received.iter().zip(&arrived).try_for_each(receive));
            // Whatever was begun is to be ended.
            result::group_end().and(started)
        })?;
        Ok(arrived.into_iter().map(Fresh::into_tensor).collect())
    }

    /// The contiguous values in f32 that every process gives, as many as any other, in the order of the ranks.
    pub fn gather(&self, own: &Tensor) -> Result<Tensor> {
        let (pointer, length) = pointer_of(own)?;
        let all = Fresh::new(&self.gpu, &[self.size * length], DType::F32)?;
        self.launch("gathering", |communicator, stream| {
            let (own, all) = (pointer as *const _, all.array().pointer as *mut _);
            // SAFETY: both lie on the card, are as long as that, and are freed, if at all, later on the same stream.
            unsafe { result::all_gather(own, all, length, FLOAT, communicator, stream) }.map(drop)
        })?;
        Ok(all.into_tensor())
    }

    /// Waits until the card has done all that was launched.
    pub fn wait(&self) -> Result<()> {
        self.gpu.device().cuda_stream().synchronize().w()
    }

    /// Launches what `work` says, in the words of `what`.
    fn launch(
        &self,
        what: &str,
        work: impl FnOnce(sys::ncclComm_t, sys::cudaStream_t) -> std::result::Result<(), NcclError>,
    ) -> Result<()> {
        let stream = self.gpu.device().cuda_stream();
        stream.context().bind_to_thread().w()?;
        let communicator = self.communicator.lock().unwrap_or_else(PoisonError::into_inner);
        let mut earlier = sys::ncclResult_t::ncclSuccess;
        // SAFETY: the communicator is whole until it is dropped, and the result is there to be written.
        let asked = unsafe { sys::ncclCommGetAsyncError(communicator.0, &mut earlier) }.result();
        asked.and_then(|_| earlier.result()).map_err(|error| failed("what was launched before", &error))?;
        // In a turn of its own kind: a recording must not take it up.
        shared(|| work(communicator.0, stream.cu_stream().cast())).map_err(|error| failed(what, &error))
    }
}

const FLOAT: sys::ncclDataType_t = sys::ncclDataType_t::ncclFloat32;

/// Where the values of a tensor lie, and how many they are.
fn pointer_of(tensor: &Tensor) -> Result<(u64, usize)> {
    lend(tensor, |_, array: Array| match array.dtype {
        DType::F32 => Ok((array.pointer, array.len())),
        other => bail!("NCCL sends values in f32 here; found {other:?}"),
    })
}

fn failed(what: &str, error: &NcclError) -> candle_core::Error {
    candle_core::Error::Msg(format!("NCCL failed at {what}: {:?}; with NCCL_DEBUG=WARN it says more", error.0))
}
