//! Shards and processes: the same bytes whoever computes what.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use candle_core::{DType, Device, ModuleT, Result, Tensor};
use clap::{Args, Command, FromArgMatches};
use gan::autograd::{self, Precision};
use gan::data::{MIXING, Shard, StepPlan};
use gan::distributed::{Alone, Communicator, Parts, Scatter, Shards, Slice};
use gan::image_shape::ImageShape;
use gan::losses::nt_xent::nt_xent;
use gan::models::{Encoder, EncoderArchitecture, ProjectionHead, ProjectionHeadConfig};
use gan::optim::{AdamConfig, GradientTransform};
use gan::params::Parameters;
use gan::pretrained::encoder::fresh;
use gan::rng::{Generator, Stream};
use gan::train::adversaries::{Adversaries, StepInputs};
use gan::train::contrastive::Contrastive;
use gan::train::gan_config::GanConfig;
use gan::train::probe::Probe;
use gan::train::simclr_config::SimclrConfig;

// Sums on the cards of processes.
mod cards;
// What is sent beside the backward pass.
mod overlap;
// The program under mpirun.
mod processes;
// Work that is shared tile by tile.
mod rounds;
// Batch norm across shards.
mod sync_batch_norm;

/// Threads of this process that speak to each other as processes do.
pub struct Together {
    rank: usize,
    board: Arc<Board>,
}

struct Board {
    size: usize,
    barrier: Barrier,
    floats: Mutex<Vec<Vec<Vec<f32>>>>,
    texts: Mutex<Vec<String>>,
}

impl Together {
    pub fn all(size: usize) -> Vec<Self> {
        let board = Arc::new(Board {
            size,
            barrier: Barrier::new(size),
            floats: Mutex::new(vec![Vec::new(); size]),
            texts: Mutex::new(vec![String::new(); size]),
        });
        (0..size).map(|rank| Self { rank, board: board.clone() }).collect()
    }

    /// Writes on the board, and reads it when all have written.
    fn said<T, R>(&self, board: &Mutex<Vec<T>>, own: T, read: impl Fn(&[T]) -> R) -> R {
        board.lock().unwrap()[self.rank] = own;
        self.board.barrier.wait();
        let found = read(&board.lock().unwrap());
        self.board.barrier.wait();
        found
    }
}

impl Communicator for Together {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.board.size
    }

    fn exchange(&self, parts: &[Vec<f32>], lengths: &[usize]) -> Result<Vec<Vec<f32>>> {
        let got: Vec<Vec<f32>> =
            self.said(&self.board.floats, parts.to_vec(), |all| all.iter().map(|of| of[self.rank].clone()).collect());
        assert!(got.iter().map(Vec::len).eq(lengths.iter().copied()), "lengths are as announced");
        Ok(got)
    }

    fn scatter(&self, counts: &[usize], parts: &Parts) -> Result<Box<dyn Scatter>> {
        let lists = vec![vec![None; parts.tensors()]; counts[self.rank]];
        let own = Self { rank: self.rank, board: self.board.clone() };
        Ok(Box::new(ScatterTogether { own, counts: counts.to_vec(), parts: parts.clone(), lists }))
    }

    fn share(&self, tensors: Vec<Tensor>, parts: &Parts) -> Result<()> {
        let own = vec![flat(&tensors)[parts.range(self.rank)].to_vec()];
        let all = self.said(&self.board.floats, own, |all| all.iter().map(|of| of[0].clone()).collect::<Vec<_>>());
        let all = all.concat();
        for Slice { tensor, range } in parts.slices_of(0..all.len()) {
            assert_eq!(range.len(), tensors[tensor].elem_count());
            let begin: usize = tensors[..tensor].iter().map(Tensor::elem_count).sum();
            let values = Tensor::from_slice(&all[begin..][..range.len()], tensors[tensor].dims(), &Device::Cpu)?;
            tensors[tensor].slice_set(&values.reshape(tensors[tensor].dims())?, 0, 0)?;
        }
        Ok(())
    }

    fn gather(&self, own: &[f32], lengths: &[usize]) -> Result<Vec<Vec<f32>>> {
        let own = vec![own.to_vec()];
        let got: Vec<Vec<f32>> = self.said(&self.board.floats, own, |all| all.iter().map(|of| of[0].clone()).collect());
        assert!(got.iter().map(Vec::len).eq(lengths.iter().copied()), "lengths are as announced");
        Ok(got)
    }

    fn gather_text(&self, own: &str) -> Result<Vec<String>> {
        Ok(self.said(&self.board.texts, own.to_string(), <[String]>::to_vec))
    }

    fn max(&self, own: i32) -> Result<i32> {
        let texts = self.gather_text(&own.to_string())?;
        Ok(texts.iter().map(|text| text.parse().unwrap()).max().unwrap())
    }
}

/// Writes all on the board at the end.
struct ScatterTogether {
    own: Together,
    counts: Vec<usize>,
    parts: Parts,
    lists: Vec<Vec<Option<Tensor>>>,
}

impl Scatter for ScatterTogether {
    fn give(&mut self, list: usize, place: usize, tensor: &Tensor) -> Result<()> {
        assert!(tensor.is_contiguous() && self.lists[list][place].is_none(), "each is given once");
        self.lists[list][place] = Some(tensor.clone());
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<Vec<Vec<f32>>>> {
        let Self { own: Together { rank, .. }, counts, parts, .. } = &*self;
        let lists: Vec<Vec<f32>> =
            self.lists.iter().map(|list| list.iter().flat_map(|given| flat(given.as_slice())).collect()).collect();
        let part = |part: usize| lists.iter().flat_map(|list| list[parts.range(part)].to_vec()).collect();
        let given = (0..parts.count()).map(part).collect();
        let got: Vec<Vec<f32>> =
            self.own.said(&self.own.board.floats, given, |all| all.iter().map(|of| of[*rank].clone()).collect());
        let length = parts.range(*rank).len();
        for (got, count) in got.iter().zip(counts) {
            assert_eq!(got.len(), count * length, "lengths are as announced");
        }
        let lists_of = |(other, got): (usize, &Vec<f32>)| match other == *rank {
            true => Vec::new(),
            false => (0..counts[other]).map(|list| got[list * length..][..length].to_vec()).collect(),
        };
        Ok(got.iter().enumerate().map(lists_of).collect())
    }
}

fn flat(tensors: &[Tensor]) -> Vec<f32> {
    tensors.iter().flat_map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
}

/// What `work` gives in each of `size` processes, the same in all.
fn in_processes<T: PartialEq + Send>(size: usize, work: impl Fn(Arc<dyn Communicator>) -> T + Sync) -> T {
    let mut found: Vec<T> = thread::scope(|scope| {
        let threads: Vec<_> = Together::all(size).into_iter().map(|own| scope.spawn(|| work(Arc::new(own)))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let first = found.swap_remove(0);
    assert!(found.iter().all(|other| *other == first), "all processes get the same");
    first
}

fn random(name: &str, dims: &[usize]) -> Tensor {
    let mut generator = Stream::new(3, name).at(0);
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| generator.symmetric()).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

#[test]
fn a_mean_over_shards_is_the_same_bits_on_any_number_of_processes() {
    for (count, sizes) in [(1, vec![1]), (4, vec![1, 2, 4]), (6, vec![1, 2, 3, 6]), (7, vec![1, 7]), (12, vec![3, 4])] {
        let mean = |communicator: Arc<dyn Communicator>| {
            let first = communicator.rank() * count / communicator.size();
            let shards = Shards::new(count, communicator).unwrap();
            let of = |number: usize| {
                let name = format!("shard {}", first + number);
                Ok(vec![random(&name, &[3, 5]), random(&name, &[]), random(&name, &[17])])
            };
            shards.mean(of).unwrap().iter().map(bits).collect::<Vec<_>>()
        };
        let expected = mean_in_f64(count);
        for size in sizes {
            let found = in_processes(size, mean);
            assert_eq!(found, in_processes(count, mean), "{count} shards in {size} processes");
            for (found, expected) in found.concat().into_iter().zip(&expected) {
                assert!((f64::from(f32::from_bits(found)) - expected).abs() < 1e-6);
            }
        }
    }
}

fn mean_in_f64(count: usize) -> Vec<f64> {
    let mut sum = vec![0.0; 33];
    for shard in 0..count {
        let name = format!("shard {shard}");
        let tensors = [random(&name, &[3, 5]), random(&name, &[]), random(&name, &[17])];
        let values = tensors.iter().flat_map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(value) / count as f64);
    }
    sum
}

#[test]
fn shards_that_processes_cannot_share_evenly_are_refused() {
    assert!(Shards::new(0, Arc::new(Alone)).is_err() && Shards::new(3, Arc::new(Alone)).is_ok());
    let [first, _] = Together::all(2).try_into().unwrap_or_else(|_| panic!("two"));
    assert!(Shards::new(3, Arc::new(first)).is_err());
}

fn config(flags: &[&str]) -> GanConfig {
    let matches = GanConfig::augment_args(Command::new("train-gan").no_binary_name(true)).get_matches_from(flags);
    GanConfig::from_arg_matches(&matches).unwrap()
}

/// Losses, scores and everything that two steps change.
fn trained(config: &GanConfig, shards: Shards) -> BTreeMap<String, Vec<u32>> {
    let (rank, world) = (shards.communicator().rank(), shards.communicator().size());
    let plan = StepPlan::new(64, config.batch_size, true, 1).unwrap().part(Shard { rank, world }).unwrap();
    let ImageShape { height, width, channels } = config.image_shape();
    let images = random("images", &[64, height, width, channels]);
    let mut adversaries = Adversaries::new(config, &Device::Cpu).unwrap();
    adversaries.set_shards(shards);
    let mut found = BTreeMap::new();
    for step in 0..2 {
        let real = images.index_select(&Tensor::new(plan.indices(step), &Device::Cpu).unwrap(), 0).unwrap();
        let latents = plan
            .latents::<2>(step, config.latent_space())
            .map(|values| Tensor::from_vec(values, (plan.places().len(), config.latent_dim), &Device::Cpu).unwrap());
        let shares = plan.draws(step, MIXING, 1, Generator::unit);
        let mixing = Some(Tensor::from_vec(shares, (plan.places().len(), 1), &Device::Cpu).unwrap());
        let outcome = adversaries
            .step_on(&StepInputs { real, latents, distortions: None, classes: None, mixing, lr_scale: 1.0 })
            .unwrap();
        for (name, tensor) in [("d_loss", &outcome.d_loss), ("g_loss", &outcome.g_loss), ("real", &outcome.real_scores)]
        {
            found.insert(format!("{name} {step}"), bits(tensor));
        }
        found.insert(format!("fakes {step}"), bits(&adversaries.gather(&outcome.fakes).unwrap()));
    }
    adversaries.complete().unwrap();
    found.extend(adversaries.state().iter().map(|(name, tensor)| (name.clone(), bits(tensor))));
    found
}

#[test]
fn a_step_in_shards_gives_the_same_bytes_on_any_number_of_processes() {
    for flags in [
        &["--model", "dcgan"][..],
        &["--model", "lsgan", "--r1", "0.1", "--no-ema"],
        &["--model", "vanilla", "--loss", "relativistic", "--r1", "1", "--r2", "1", "--r1-every", "2"],
        &["--model", "vanilla", "--loss", "wgan-gp", "--discriminator-steps", "2"],
        &["--model", "dcgan", "--loss", "hinge", "--spectral-norm"],
    ] {
        let config = config(&[flags, &["--batch-size", "16", "--shards", "4"]].concat());
        let of = |size| in_processes(size, |processes| trained(&config, Shards::new(4, processes).unwrap()));
        let expected = of(1);
        assert!(of(2) == expected && of(4) == expected, "{flags:?}");
        assert!(trained(&config, Shards::default()) != expected, "shards are not for nothing");
    }
}

/// Without batch norm, shards change nothing but the order of sums.
#[test]
fn shards_are_the_whole_batch_but_for_rounding() {
    let config = config(&["--model", "vanilla", "--batch-size", "16"]);
    let whole = trained(&config, Shards::default());
    let cut = trained(&config, Shards::new(4, Arc::new(Alone)).unwrap());
    for (name, whole) in &whole {
        let cut = &cut[name];
        assert_eq!(whole.len(), cut.len(), "{name}");
        for (whole, cut) in whole.iter().zip(cut) {
            let (whole, cut) = (f32::from_bits(*whole), f32::from_bits(*cut));
            // Adam's first steps are of the size of the learning rate whatever the gradient is.
            assert!((whole - cut).abs() <= 2e-5 * (1.0 + whole.abs()), "{name}: {whole} and {cut}");
        }
    }
}

/// What an optimizer is given.
struct Capture(Mutex<Vec<Tensor>>);

impl GradientTransform for Capture {
    fn transform(&self, gradients: &mut [Tensor]) -> Result<()> {
        *self.0.lock().unwrap() = gradients.to_vec();
        Ok(())
    }
}

/// The gradients of the loss of all views, each shard with its own batch norm: by one graph of the whole batch.
fn gradients_in_one_graph(config: &SimclrConfig, views: &Tensor, shards: usize) -> Vec<Tensor> {
    let encoder_parameters = Parameters::new(config.seed, "encoder", &Device::Cpu);
    let head_parameters = Parameters::new(config.seed, "projection_head", &Device::Cpu);
    let encoder = Encoder::new(config.encoder(), encoder_parameters.builder().pp("f")).unwrap();
    let head = ProjectionHead::new(
        config.encoder.features(),
        ProjectionHeadConfig::default(),
        head_parameters.builder().pp("g"),
    )
    .unwrap();
    let size = views.dim(0).unwrap() / 2 / shards;
    autograd::training_step(Precision::F32, || {
        let mut sides = [Vec::new(), Vec::new()];
        for shard in 0..shards {
            let rows = [0, 1].map(|side| views.narrow(0, (side * shards + shard) * size, size).unwrap());
            let features = encoder.forward_t(&Tensor::cat(&rows, 0).unwrap(), true).unwrap();
            let embeddings = head.forward_t(&features, true).unwrap();
            for (side, of_side) in sides.iter_mut().enumerate() {
                of_side.push(embeddings.narrow(0, side * size, size).unwrap());
            }
        }
        let [left, right] = sides.map(|of_side| Tensor::cat(&of_side, 0).unwrap());
        let loss = nt_xent(&left, &right, config.temperature).unwrap();
        let mut gradients = autograd::backward(&loss).unwrap();
        let trained = [encoder_parameters.trainable(), head_parameters.trainable()].concat();
        let by_name: BTreeMap<_, _> = trained.into_iter().collect();
        by_name.values().map(|parameter| gradients.remove(parameter).unwrap()).collect()
    })
}

#[test]
fn simclr_in_shards_has_the_gradients_of_the_loss_of_all_views() {
    let flags = ["--encoder", "resnet9", "--batch-size", "8", "--image-size", "16"];
    let matches = SimclrConfig::augment_args(Command::new("pretrain-simclr").no_binary_name(true));
    let config = SimclrConfig::from_arg_matches(&matches.get_matches_from(flags)).unwrap();
    let views = random("views", &[16, 16, 16, 3]);
    let capture = Arc::new(Capture(Mutex::default()));
    let mut networks = Contrastive::new(&config, &Device::Cpu).unwrap();
    networks.set_shards(Shards::new(2, Arc::new(Alone)).unwrap());
    networks.set_gradient_transform(capture.clone());
    let outcome = networks.step(&views, 1e-3).unwrap();
    assert_eq!(outcome.left.dims()[0], 8, "of all shards");
    let expected = gradients_in_one_graph(&config, &views, 2);
    let found = capture.0.lock().unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        let norm = |x: &Tensor| x.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
        let off = norm(&(found - expected).unwrap());
        assert!(off <= 1e-4 * norm(expected) + 1e-7, "{:?}: {off} of {}", found.dims(), norm(expected));
    }
    // The statistics are the mean over the shards, and a batch counts once.
    let counts = networks.encoder_parameters().tensors();
    let (_, count) = counts.iter().find(|(name, _)| name.ends_with("num_batches_tracked")).unwrap();
    assert_eq!(count.to_scalar::<i64>().unwrap(), 1);
}

#[test]
fn fine_tuning_in_shards_gives_the_same_bytes_on_any_number_of_processes() {
    let encoder = EncoderArchitecture::Resnet9;
    let adam = AdamConfig { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };
    let (pictures, labels) = (random("pictures", &[12, 16, 16, 3]), Tensor::arange(0u32, 12, &Device::Cpu).unwrap());
    for trains_encoder in [true, false] {
        let tuned = |shards: Shards| {
            let parameters = fresh(encoder.into(), 7, &Device::Cpu).unwrap();
            let mut probe =
                Probe::new(encoder.into(), parameters, 12, 9, trains_encoder, adam, Precision::F32).unwrap();
            let (rank, size) = (shards.communicator().rank(), 12 / shards.communicator().size());
            probe.set_shards(shards);
            let own = |x: &Tensor| x.narrow(0, rank * size, size).unwrap();
            let losses: Vec<_> = (0..2).map(|_| bits(&probe.step(&own(&pictures), &own(&labels)).unwrap())).collect();
            probe.complete().unwrap();
            let state: Vec<_> = probe.state().iter().map(|(name, tensor)| (name.clone(), bits(tensor))).collect();
            (losses, state, probe.encoder_hash().unwrap())
        };
        // Three shards: a mean of three equal values need not be that value, and frozen statistics stay as they are.
        let of = |size| in_processes(size, |processes| tuned(Shards::new(3, processes).unwrap()));
        let (losses, state, hash) = of(1);
        assert!(of(3) == (losses.clone(), state, hash.clone()));
        let whole = tuned(Shards::default());
        assert_eq!(whole.2 == hash, !trains_encoder, "a frozen encoder stays as it is, a trained one looks at shards");
        if !trains_encoder {
            let [whole, cut] = [&whole.0, &losses].map(|losses| f32::from_bits(losses[0][0]));
            assert!((whole - cut).abs() < 1e-5, "{whole} and {cut}: without batch norm shards are the whole batch");
        }
    }
}

/// A GAN's images are never NaN; weights that overflow in one shard's images are, and no process goes on.
#[test]
fn a_nan_in_one_shard_is_seen_by_all_processes() {
    let config = config(&["--model", "vanilla", "--batch-size", "8"]);
    let losses = in_processes(2, |processes| {
        let rank = processes.rank();
        let mut adversaries = Adversaries::new(&config, &Device::Cpu).unwrap();
        adversaries.set_shards(Shards::new(2, processes).unwrap());
        let value = if rank == 1 { f32::NAN } else { 0.5 };
        let real = Tensor::full(value, (4, 28, 28, 1), &Device::Cpu).unwrap();
        let latents = [random("one", &[4, config.latent_dim]), random("two", &[4, config.latent_dim])];
        let inputs = StepInputs { real, latents, distortions: None, classes: None, mixing: None, lr_scale: 1.0 };
        let outcome = adversaries.step_on(&inputs).unwrap();
        [outcome.d_loss, outcome.g_loss].map(|loss| loss.to_scalar::<f32>().unwrap().is_nan())
    });
    assert_eq!(losses, [true, true], "D's weights are NaN before G is judged");
}
