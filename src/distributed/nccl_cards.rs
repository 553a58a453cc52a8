//! The cards of processes, joined by NCCL.

use candle_core::{Device, Result, Tensor, bail};

use super::cards::part;
use super::{Cards, Communicator};
use crate::kernels::cuda::Nccl;

/// The cards of processes that MPI has brought together, one each.
pub struct NcclCards {
    nccl: Nccl,
    device: Device,
    rank: usize,
    size: usize,
}

impl NcclCards {
    /// Joins the cards of all processes. To be called by all of them; each on a card of its own, as NCCL takes no two on one.
    ///
    /// # Errors
    /// Where NCCL fails, by name.
    pub fn join(communicator: &dyn Communicator, device: &Device) -> Result<Self> {
        let (rank, size) = (communicator.rank(), communicator.size());
        let id = if rank == 0 { Nccl::new_id()? } else { Vec::new() };
        let ids = communicator.gather_text(&to_hex(&id))?;
        let Some(id) = ids.first().and_then(|text| from_hex(text)) else { bail!("process 0 gave no id of NCCL's") };
        let nccl = Nccl::join(device, rank, size, &id)?;
        Ok(Self { nccl, device: device.clone(), rank, size })
    }

    /// Where a card is in its host; empty for the CPU.
    pub fn place(device: &Device) -> Result<String> {
        Nccl::place(device)
    }

    /// Waits until this card has sent and received all that it was to. What has not arrived when a process leaves is lost.
    pub fn finish(&self) -> Result<()> {
        self.nccl.wait()
    }
}

impl Cards for NcclCards {
    fn device(&self) -> &Device {
        &self.device
    }

    fn scatter(&self, tensors: &[Tensor], counts: &[usize]) -> Result<Vec<Vec<Tensor>>> {
        let others = || (0..self.size).filter(|other| *other != self.rank);
        let length = tensors.first().map_or(0, Tensor::elem_count) / self.size;
        let to = |other: usize| tensors.iter().map(move |tensor| Ok((other, part(tensor, other, self.size)?)));
        let sent = others().flat_map(to).collect::<Result<Vec<_>>>()?;
        let received: Vec<_> = others().flat_map(|other| vec![(other, length); counts[other]]).collect();
        let mut arrived = self.nccl.exchange(&sent, &received)?.into_iter();
        let from = |other: usize| match other == self.rank {
            true => Vec::new(),
            false => arrived.by_ref().take(counts[other]).collect(),
        };
        Ok((0..self.size).map(from).collect())
    }

    fn gather(&self, own: &Tensor) -> Result<Tensor> {
        self.nccl.gather(own)
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let byte = |place: usize| u8::from_str_radix(text.get(place..place + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}
