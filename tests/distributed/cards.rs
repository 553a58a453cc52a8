//! Sums on the cards of processes, with the CPU as the card of each: the bits of those that go by way of the host.

use std::sync::Arc;
use std::thread;

use candle_core::{Device, Result, Tensor};
use clap::{Args, Command, FromArgMatches};
use gan::distributed::{Alone, Cards, Communicator, OneCard, Shards};
use gan::train::contrastive::Contrastive;
use gan::train::simclr_config::SimclrConfig;

use super::{Together, bits, config, flat, random, trained};

/// What NCCL does, by threads that speak to each other.
struct CardsTogether(Together);

impl Cards for CardsTogether {
    fn device(&self) -> &Device {
        &Device::Cpu
    }

    fn scatter(&self, tensors: &[Tensor], counts: &[usize]) -> Result<Vec<Vec<Tensor>>> {
        let (rank, size) = (self.0.rank(), self.0.size());
        let length = tensors[0].elem_count() / size;
        assert!(tensors.iter().all(|tensor| tensor.dims() == [size * length]), "even parts");
        let part = |to: usize| {
            tensors
                .iter()
                .flat_map(|tensor| flat(std::slice::from_ref(tensor))[to * length..][..length].to_vec())
                .collect()
        };
        let parts: Vec<Vec<f32>> = (0..size).map(part).collect();
        let lengths: Vec<usize> = counts.iter().map(|count| count * length).collect();
        let cut = |(from, values): (usize, Vec<f32>)| match from == rank {
            true => Ok(Vec::new()),
            false => values.chunks(length).map(|part| Tensor::from_slice(part, length, &Device::Cpu)).collect(),
        };
        self.0.exchange(&parts, &lengths)?.into_iter().enumerate().map(cut).collect()
    }

    fn gather(&self, own: &Tensor) -> Result<Tensor> {
        let own = own.to_vec1::<f32>()?;
        let all = self.0.gather(&own, &vec![own.len(); self.0.size()])?.concat();
        Tensor::new(all, &Device::Cpu)
    }
}

/// What `work` gives in each of `size` processes, whose sums stay on their cards; the same in all.
fn on_cards<T: PartialEq + Send>(size: usize, count: usize, work: impl Fn(Shards) -> T + Sync) -> T {
    let both = Together::all(size).into_iter().zip(Together::all(size));
    let mut found: Vec<T> = thread::scope(|scope| {
        let threads: Vec<_> = both
            .map(|(processes, cards)| {
                let shards = Shards::new(count, Arc::new(processes)).unwrap().on_cards(Arc::new(CardsTogether(cards)));
                scope.spawn(|| work(shards))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let first = found.swap_remove(0);
    assert!(found.iter().all(|other| *other == first), "all processes get the same");
    first
}

/// What `work` gives in one process, by way of the host and on its card.
fn in_one<T>(count: usize, work: impl Fn(Shards) -> T) -> [T; 2] {
    let shards = Shards::new(count, Arc::new(Alone)).unwrap();
    [shards.clone(), shards.on_cards(Arc::new(OneCard(Device::Cpu)))].map(work)
}

#[test]
fn means_on_cards_have_the_bits_of_those_by_way_of_the_host() {
    for (count, sizes) in [(1, vec![1]), (4, vec![1, 2, 4]), (6, vec![2, 3, 6]), (7, vec![7]), (12, vec![3, 4])] {
        // 33 values, which few numbers of processes divide; one of them is -0 in every shard.
        let mean = |shards: Shards| {
            let first = shards.first_of_process();
            let of = |number: usize| {
                let name = format!("shard {}", first + number);
                Ok(vec![random(&name, &[3, 5]), Tensor::new(-0f32, &Device::Cpu)?, random(&name, &[17])])
            };
            shards.mean(of).unwrap().iter().map(|tensor| (tensor.dims().to_vec(), bits(tensor))).collect::<Vec<_>>()
        };
        let [by_host, on_one] = in_one(count, mean);
        assert_eq!(on_one, by_host);
        assert_eq!(by_host[1].1, [(-0f32).to_bits()]);
        for size in sizes {
            assert_eq!(on_cards(size, count, mean), by_host, "{count} shards in {size} processes");
        }
    }
}

/// Means that nothing is left of are none, and nobody waits for them.
#[test]
fn no_tensors_have_no_means() {
    assert!(on_cards(2, 2, |shards| shards.mean(|_| Ok(Vec::new())).unwrap().is_empty()));
}

#[test]
fn a_gan_trained_on_cards_has_the_same_bytes() {
    // Clipping looks at all gradients, so that every process gets all.
    for flags in [&["--model", "dcgan"][..], &["--model", "vanilla", "--clip-norm", "0.5"]] {
        let config = config(&[flags, &["--batch-size", "16", "--shards", "4"]].concat());
        let [by_host, on_one] = in_one(4, |shards| trained(&config, shards));
        assert!(on_one == by_host, "{flags:?}");
        assert!(on_cards(2, 4, |shards| trained(&config, shards)) == by_host, "{flags:?}");
    }
}

#[test]
fn simclr_trained_on_cards_has_the_same_bytes() {
    let flags = ["--encoder", "resnet9", "--batch-size", "8", "--image-size", "16", "--optimizer", "lars"];
    let matches = SimclrConfig::augment_args(Command::new("pretrain-simclr").no_binary_name(true));
    let config = SimclrConfig::from_arg_matches(&matches.get_matches_from(flags)).unwrap();
    let (left, right) = (random("left", &[8, 16, 16, 3]), random("right", &[8, 16, 16, 3]));
    let trained = |shards: Shards| {
        let (rank, size) = (shards.communicator().rank(), 8 / shards.communicator().size());
        let own = [&left, &right].map(|views| views.narrow(0, rank * size, size).unwrap());
        let mut networks = Contrastive::new(&config, &Device::Cpu).unwrap();
        networks.set_shards(shards);
        let outcome = networks.step(&Tensor::cat(&own, 0).unwrap(), 0.1).unwrap();
        assert_eq!(outcome.left.dims()[0], 8, "of all shards");
        networks.complete().unwrap();
        let state = networks.state().into_iter().map(|(name, tensor)| (name, bits(&tensor)));
        (bits(&outcome.loss), bits(&outcome.left), bits(&outcome.right), state.collect::<Vec<_>>())
    };
    let [by_host, on_one] = in_one(4, trained);
    assert!(on_one == by_host);
    assert!(on_cards(2, 4, trained) == by_host && on_cards(4, 4, trained) == by_host);
}
