//! NaN at `times` steps and layers: written into a checkpoint behind the program's back, or made by weights that are
//! finite but huge. Exit code 4, the layer named, the last good checkpoint kept.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::process::{Dice, end_of};
use crate::runs::{Kind, Place};

/// A tensor of f32 in a file: its name, and where its bytes lie.
struct Slot {
    name: String,
    start: u64,
    count: usize,
}

pub fn run(times: u64) -> String {
    let place = Place::new().with_encoder();
    let mut dice = Dice(9);
    let kinds = [Kind::Vanilla, Kind::Dcgan, Kind::Simclr, Kind::Full];
    let (mut found, mut overflowed) = (0, 0);
    for (index, kind) in kinds.into_iter().enumerate() {
        let steps = if kind == Kind::Full { "2" } else { "5" };
        let limit: &[&str] = if kind == Kind::Full { &["--epochs", steps] } else { &["--steps", steps] };
        end_of(&mut place.begin(kind, "run", &[limit, &["--keep", "99"]].concat())).expect(0, "run");
        let all = place.checkpoints("run");
        let share = times / 4 + u64::from((index as u64) < times % 4);
        for trial in 0..share {
            // Of the checkpoints but the first, one; those after it are set aside.
            // One between two rows of a table holds those that are done and no tensors.
            let with_tensors: Vec<usize> = (1..all.len()).filter(|at| !slots(&all[*at]).is_empty()).collect();
            let at = with_tensors[dice.below(with_tensors.len())];
            let (target, before) = (&all[at], &all[at - 1]);
            let slots = slots(target);
            let slot = &slots[dice.below(slots.len())];
            let good = fs::read(target).unwrap();
            if trial % 5 == 4 && !slot.name.contains("exp_avg") && !slot.name.contains("running") {
                overwrite(target, slot, 0..slot.count, 3e38);
                let more: &[&str] = if kind == Kind::Full { &[] } else { &["--steps", "9"] };
                let ended = end_of(&mut place.resume(kind, target.to_str().unwrap(), more));
                // A bias may be huge and harmless: then the run comes to its end.
                if ended.code() != Some(0) {
                    ended.expect(4, &slot.name);
                    assert!(ended.stderr.contains(&slot.name), "{}: {}", slot.name, ended.stderr);
                    overflowed += 1;
                }
                // The program has taken away what came after the checkpoint, as it says.
                fs::write(target, &good).unwrap();
                let until: &[&str] = if kind == Kind::Full { &[] } else { limit };
                end_of(&mut place.resume(kind, target.to_str().unwrap(), until)).expect(0, "run again");
            } else {
                let element = dice.below(slot.count);
                let value = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][dice.below(3)];
                overwrite(target, slot, element..element + 1, value);
                let ended = end_of(&mut place.resume(kind, target.to_str().unwrap(), &[]));
                ended.expect(4, &slot.name);
                for part in [slot.name.as_str(), before.file_name().unwrap().to_str().unwrap(), "--resume"] {
                    assert!(ended.stderr.contains(part), "no {part} in {}", ended.stderr);
                }
                fs::write(target, &good).unwrap();
                found += 1;
            }
            place.assert_whole("run");
        }
        place.remove("run");
    }
    format!(
        "{found} single values found where they were, {overflowed} runs with huge weights stopped; exit code 4, the layer \
         named, every checkpoint kept"
    )
}

fn slots(path: &Path) -> Vec<Slot> {
    let bytes = fs::read(path).unwrap();
    let (header, _) = SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let base = bytes.as_ptr() as usize;
    assert!(header < bytes.len());
    let floats = tensors.iter().filter(|(_, tensor)| tensor.dtype() == Dtype::F32);
    floats
        .map(|(name, tensor)| Slot {
            name: name.to_string(),
            start: (tensor.data().as_ptr() as usize - base) as u64,
            count: tensor.data().len() / 4,
        })
        .collect()
}

fn overwrite(path: &Path, slot: &Slot, elements: std::ops::Range<usize>, value: f32) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let bytes = value.to_le_bytes().repeat(elements.len());
    file.write_all_at(&bytes, slot.start + 4 * elements.start as u64).unwrap();
}
