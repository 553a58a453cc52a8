//! What is sent beside the backward pass, and when.

use std::path::Path;
use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, Var};
use gan::autograd::{Precision, Saved, Taped, apply_op1};
use gan::distributed::{Alone, Communicator, Give, Parts, Scatter, Shards};
use gan::ops::{self, Activation};
use gan::optim::{AdamConfig, Optimizer};

use super::{bits, in_processes, random};

/// One of two processes; the other gives zeros. Notes what is given to it, and when.
struct Noting {
    rank: usize,
    notes: Notes,
}

type Notes = Arc<Mutex<Vec<String>>>;

impl Communicator for Noting {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        2
    }

    fn exchange(&self, _: &[Vec<f32>], _: &[usize]) -> Result<Vec<Vec<f32>>> {
        unreachable!()
    }

    fn scatter(&self, counts: &[usize], parts: &Parts) -> Result<Box<dyn Scatter>> {
        let other = 1 - self.rank;
        let zeros = vec![vec![0.0; parts.range(self.rank).len()]; counts[other]];
        let mut received = vec![Vec::new(), Vec::new()];
        received[other] = zeros;
        Ok(Box::new(NotingScatter { received, notes: self.notes.clone() }))
    }

    fn share(&self, _: Vec<Tensor>, _: &Parts) -> Result<()> {
        unreachable!()
    }

    fn gather(&self, _: &[f32], _: &[usize]) -> Result<Vec<Vec<f32>>> {
        unreachable!()
    }

    fn gather_text(&self, _: &str) -> Result<Vec<String>> {
        unreachable!()
    }

    fn max(&self, own: i32) -> Result<i32> {
        Ok(own)
    }
}

struct NotingScatter {
    received: Vec<Vec<Vec<f32>>>,
    notes: Notes,
}

impl Scatter for NotingScatter {
    fn give(&mut self, list: usize, place: usize, _: &Tensor) -> Result<()> {
        self.notes.lock().unwrap().push(format!("{list}: {}", ["first", "second", "third"][place]));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<Vec<Vec<f32>>>> {
        self.notes.lock().unwrap().push("finish".into());
        Ok(self.received)
    }
}

/// Itself, and notes when the backward pass comes by.
struct Mark(&'static str, Notes);

impl Taped for Mark {
    fn saved(&self) -> Saved {
        Saved::Nothing
    }
}

impl CustomOp1 for Mark {
    fn name(&self) -> &'static str {
        "mark"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(x.as_slice()?.to_vec()), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        self.1.lock().unwrap().push(self.0.into());
        Ok(Some(gradient.clone()))
    }
}

/// What a step of these shards does in process `rank` of two: three weights one after another, the second used twice.
fn noted(count: usize, rank: usize, synchronised: bool) -> Vec<String> {
    let notes = Notes::default();
    let shards = Shards::new(count, Arc::new(Noting { rank, notes: notes.clone() })).unwrap();
    let weights = ["first", "second", "third"].map(|name| Var::from_tensor(&random(name, &[3, 3])).unwrap());
    let named = weights.iter().zip(["a", "b", "c"]).map(|(weight, name)| (name.to_string(), weight.clone()));
    let adam = AdamConfig { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };
    let optimizer = Optimizer::adam(named.collect(), adam).unwrap();
    let layer = |x: &Tensor, weight: &Var| ops::linear(x, weight, None, Activation::Tanh);
    let compute = |_: usize, give: &Give| {
        let mark = |x: &Tensor, name| apply_op1(x, Mark(name, notes.clone()));
        let x = mark(&layer(&random("x", &[2, 3]), &weights[0])?, "pass: after first")?;
        let x = layer(&mark(&layer(&x, &weights[1])?, "pass: within second")?, &weights[1])?;
        let x = layer(&mark(&x, "pass: after second")?, &weights[2])?;
        optimizer.give_gradients(&ops::half_mean_square(&x, 1.0)?, give)?;
        notes.lock().unwrap().push("end".into());
        Ok(Vec::new())
    };
    let (_, others) = shards.sum_in_steps(Precision::F32, synchronised, &optimizer.parameters(), compute).unwrap();
    assert!(others.is_empty());
    notes.lock().unwrap().clone()
}

#[test]
fn a_gradient_is_given_as_soon_as_it_is_complete() {
    const PASS: [&str; 4] = ["pass: after second", "pass: within second", "pass: after first", "end"];
    let giving = |list: usize| {
        let [third, second, first] = ["third", "second", "first"].map(|weight| format!("{list}: {weight}"));
        let [after_second, within, after_first, end] = PASS.map(String::from);
        vec![third, after_second, within, second, after_first, first, end]
    };
    let silent: Vec<String> = PASS.map(String::from).to_vec();
    let finish = vec!["finish".to_string()];
    for synchronised in [false, true] {
        // One shard in each process.
        assert_eq!(noted(2, 0, synchronised), [giving(0), finish.clone()].concat());
        // The sum of two is given within the second.
        assert_eq!(noted(4, 1, synchronised), [silent.clone(), giving(0), finish.clone()].concat());
        // (0 + 1) and 2; 3 and (4 + 5).
        assert_eq!(noted(6, 0, synchronised), [silent.clone(), giving(0), giving(1), finish.clone()].concat());
        assert_eq!(noted(6, 1, synchronised), [giving(0), silent.clone(), giving(1), finish.clone()].concat());
    }
}

#[test]
fn sums_do_not_depend_on_the_order_in_which_tensors_are_given() {
    let shapes: [&[usize]; 4] = [&[3, 5], &[], &[17], &[2, 2]];
    let tensors = |shard: usize| shapes.map(|dims| random(&format!("{dims:?} of shard {shard}"), dims));
    for (count, sizes) in [(4, vec![1, 2, 4]), (5, vec![1, 5]), (6, vec![1, 2, 3, 6]), (12, vec![2, 3, 4, 6])] {
        let mean = |communicator: Arc<dyn Communicator>| {
            let shards = Shards::new(count, communicator).unwrap();
            let first = shards.first_of_process();
            let given = |number: usize, give: &Give| {
                let tensors = tensors(first + number);
                let order = (0..tensors.len()).map(|place| (place + first + number) % tensors.len());
                order.into_iter().try_for_each(|place| give(place, tensors[place].clone()))?;
                Ok(vec![Tensor::new((first + number) as f32, &Device::Cpu)?])
            };
            let (sum, others) = shards.sum_in_steps(Precision::F32, false, &tensors(0), given).unwrap();
            assert_eq!(others[0].to_scalar::<f32>().unwrap(), (count - 1) as f32 / 2.0);
            let all_at_once = shards.mean(|number| Ok(tensors(first + number).to_vec())).unwrap();
            let found: Vec<_> = sum.mean().unwrap().iter().map(bits).collect();
            assert_eq!(found, all_at_once.iter().map(bits).collect::<Vec<_>>());
            found
        };
        let expected = mean(Arc::new(Alone));
        for size in sizes {
            assert_eq!(in_processes(size, mean), expected, "{count} shards in {size} processes");
        }
    }
}

#[test]
fn a_shard_gives_every_tensor_in_its_shape() {
    let like = [random("x", &[3]), random("y", &[2])];
    let shards = Shards::new(2, Arc::new(Alone)).unwrap();
    let step = |given: &[(usize, Tensor)]| {
        let compute = |_: usize, give: &Give| {
            given.iter().try_for_each(|(place, tensor)| give(*place, tensor.clone())).map(|()| Vec::new())
        };
        shards.sum_in_steps(Precision::F32, false, &like, compute).err().map(|error| error.to_string())
    };
    let [x, y] = like.clone();
    assert_eq!(step(&[(1, y.clone()), (0, x.clone())]), None);
    let missing = step(&[(1, y.clone())]).unwrap();
    assert!(missing.starts_with("a shard has not given all of its tensors"), "{missing}");
    for (place, tensor) in [(0, y), (2, x)] {
        let other = step(&[(place, tensor)]).unwrap();
        assert!(other.starts_with("shards of other shapes than each other's"), "{other}");
    }
}

/// What a process of [`a_process_that_fails_in_its_pass_ends_all`] does, which fails where `fails` names it.
#[cfg(feature = "mpi")]
fn one_of_two(fails: &str) -> i32 {
    let processes = Arc::new(gan::distributed::MpiProcesses::start().unwrap());
    let shards = Shards::new(2, processes.clone()).unwrap();
    // Too long to be sent before they are asked for; both processes have a part of the second.
    let like = [random("x", &[1 << 18]), random("y", &[3 << 18])];
    let compute = |_: usize, give: &Give| {
        give(1, like[1].clone())?;
        if fails.contains(&processes.rank().to_string()) {
            candle_core::bail!("no memory left");
        }
        give(0, like[0].clone()).map(|()| Vec::new())
    };
    if shards.sum_in_steps(Precision::F32, false, &like, compute).is_ok() {
        processes.finish();
        return 0;
    }
    match processes.have_all_failed(3, true) {
        Some((code, _)) => {
            processes.finish();
            code.into()
        }
        None => {
            processes.abort(3);
            unreachable!()
        }
    }
}

#[test]
#[cfg_attr(not(has_mpi), ignore = "needs the feature mpi, and mpirun")]
fn a_process_that_fails_in_its_pass_ends_all() {
    const FAILS: &str = "GAN_TEST_FAILS";
    #[cfg(feature = "mpi")]
    if let Ok(fails) = std::env::var(FAILS) {
        std::process::exit(one_of_two(&fails));
    }
    let name = "distributed::overlap::a_process_that_fails_in_its_pass_ends_all";
    for (fails, code) in [("nobody", 0), ("1", 3), ("0", 3), ("0 1", 3)] {
        let program = std::env::current_exe().unwrap().into_os_string().into_string().unwrap();
        let mut mpirun = super::processes::launched(Path::new("."), 2, &[&*program, "--exact", name]);
        mpirun.env(FAILS, fails).assert().code(code);
    }
}
