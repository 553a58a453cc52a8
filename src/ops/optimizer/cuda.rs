//! Optimizers over many parameters on CUDA.

use super::{AdamSlot, SgdSlot};
use crate::kernels::cuda::{Argument, Fresh, Gpu, Grid, Source, lend};
use crate::ops::adam::AdamStep;
use crate::ops::sgd::{SgdRule, SgdStep};
use candle_core::{DType, Result, Tensor, Var, bail};
use std::sync::Arc;

const SOURCE: Source = Source { name: "optimizer", text: include_str!("kernel.cu") };

/// As in the kernels.
const PARAMETERS: usize = 88;
const CHUNK: usize = 4096;

/// Threads of a chunk.
const THREADS: u32 = 256;

/// The tensors of a launch, as the kernels have it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Table {
    parameters: [u64; PARAMETERS],
    gradients: [u64; PARAMETERS],
    first: [u64; PARAMETERS],
    second: [u64; PARAMETERS],
    lengths: [i64; PARAMETERS],
    chunks: [u32; PARAMETERS],
    count: i32,
}

/// Up to four tensors of one parameter: itself, its gradient, and what is kept for it.
type Row<'a> = [Option<&'a Tensor>; 4];

impl Table {
    /// Tables for all of these rows, empty tensors left out, each with the number of its chunks.
    fn over(rows: &[Row]) -> Result<Vec<(Self, usize)>> {
        let filled: Vec<_> =
            rows.iter().filter(|row| row[0].is_some_and(|parameter| parameter.elem_count() > 0)).collect();
        filled.chunks(PARAMETERS).map(Self::of).collect()
    }

    fn of(rows: &[&Row]) -> Result<(Self, usize)> {
        let empty = [0; PARAMETERS];
        let mut table = Self {
            parameters: empty,
            gradients: empty,
            first: empty,
            second: empty,
            lengths: [0; PARAMETERS],
            chunks: [0; PARAMETERS],
            count: rows.len() as i32,
        };
        let mut chunks = 0;
        for (place, row) in rows.iter().enumerate() {
            let len = row[0].map_or(0, Tensor::elem_count);
            chunks += len.div_ceil(CHUNK);
            (table.lengths[place], table.chunks[place]) = (len as i64, chunks as u32);
            let columns = [&mut table.parameters, &mut table.gradients, &mut table.first, &mut table.second];
            for (column, tensor) in columns.into_iter().zip(row.iter()) {
                let Some(tensor) = tensor else { continue };
                column[place] = lend(tensor, |_, array| match array.dtype == DType::F32 && array.len() == len {
                    true => Ok(array.pointer),
                    false => bail!("an optimizer's tensors are f32 and of one size, found {:?}", array),
                })?;
            }
        }
        Ok((table, chunks))
    }
}

fn gpu_of(numbers: &Tensor) -> Result<Arc<Gpu>> {
    lend(numbers, |gpu, _| Ok(gpu.clone()))
}

/// Gradients in row-major order: candle may leave a view.
fn contiguous<'a>(gradients: impl Iterator<Item = &'a Tensor>) -> Result<Vec<Tensor>> {
    gradients.map(Tensor::contiguous).collect()
}

pub fn adam(slots: &[AdamSlot], step: &AdamStep, numbers: &Tensor) -> Result<()> {
    let gradients = contiguous(slots.iter().map(|slot| slot.gradient))?;
    let rows: Vec<Row> = slots
        .iter()
        .zip(&gradients)
        .map(|(slot, gradient)| {
            [slot.parameter.as_tensor(), gradient, slot.first_moment.as_tensor(), slot.second_moment.as_tensor()]
                .map(Some)
        })
        .collect();
    let gpu = gpu_of(numbers)?;
    let numbers = lend(numbers, |_, numbers| Ok(Argument::from(numbers)))?;
    let [added, decoupled] = step.decays();
    let settings = [1.0 - step.beta1, step.beta2, 1.0 - step.beta2, added, decoupled];
    let settings = settings.map(|number| Argument::Float(number as f32));
    for (table, chunks) in Table::over(&rows)? {
        let arguments = [&[Argument::structure(&table), numbers], &settings[..]].concat();
        // SAFETY: the table has four tensors of each length, which nothing else uses meanwhile.
        unsafe { gpu.launch(SOURCE, DType::F32, "adam", Grid::rows(chunks, THREADS), &arguments)? };
    }
    Ok(())
}

pub fn sgd(slots: &[SgdSlot], numbers: &Tensor) -> Result<()> {
    // Those that share their settings go together: with LARS there are two kinds.
    let mut kinds: Vec<(SgdStep, Vec<SgdSlot>)> = Vec::new();
    for slot in slots {
        match kinds.iter_mut().find(|(step, _)| *step == slot.step) {
            Some((_, members)) => members.push(*slot),
            None => kinds.push((slot.step, vec![*slot])),
        }
    }
    let gpu = gpu_of(numbers)?;
    let numbers = lend(numbers, |_, numbers| Ok(Argument::from(numbers)))?;
    for (step, members) in &kinds {
        let gradients = contiguous(members.iter().map(|slot| slot.gradient))?;
        let rows: Vec<Row> = members
            .iter()
            .zip(&gradients)
            .map(|(slot, gradient)| {
                [Some(slot.parameter.as_tensor()), Some(gradient), Some(slot.velocity.as_tensor()), None]
            })
            .collect();
        let decay = Argument::Float(step.weight_decay as f32);
        for (table, chunks) in Table::over(&rows)? {
            let (lars, trust) = match step.rule {
                SgdRule::Sgd => (0, None),
                SgdRule::Lars { trust } => (1, trust),
            };
            let sums = trust.map(|_| Fresh::new(&gpu, &[chunks, 2], DType::F64)).transpose()?;
            let of_sums = Argument::from(sums.as_ref().map(Fresh::array));
            let grid = Grid::rows(chunks, THREADS);
            let table = Argument::structure(&table);
            let momentum = Argument::Float(step.momentum as f32);
            let trust = Argument::Double(trust.unwrap_or_default());
            let arguments = [table, numbers, of_sums, Argument::Int(lars), trust, momentum, decay];
            // SAFETY: the table has three tensors of each length, which nothing else uses meanwhile, and there are two
            // sums for each chunk.
            unsafe {
                if sums.is_some() {
                    gpu.launch(SOURCE, DType::F32, "squares", grid, &[table, of_sums, decay])?;
                }
                gpu.launch(SOURCE, DType::F32, "sgd", grid, &arguments)?;
            }
        }
    }
    Ok(())
}

pub fn lerp(pairs: &[(&Var, &Tensor)], numbers: &Tensor) -> Result<()> {
    let values = contiguous(pairs.iter().map(|(_, value)| *value))?;
    let rows: Vec<Row> = pairs
        .iter()
        .zip(&values)
        .map(|((average, _), value)| [Some(average.as_tensor()), Some(value), None, None])
        .collect();
    let gpu = gpu_of(numbers)?;
    let numbers = lend(numbers, |_, numbers| Ok(Argument::from(numbers)))?;
    for (table, chunks) in Table::over(&rows)? {
        let arguments = [Argument::structure(&table), numbers];
        // SAFETY: the table has two tensors of each length.
        unsafe { gpu.launch(SOURCE, DType::F32, "lerp", Grid::rows(chunks, THREADS), &arguments)? };
    }
    Ok(())
}
