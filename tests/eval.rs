use candle_core::{Device, Tensor};
use gan::metrics::{
    Gaussian, Knn, alignment, confusion, frechet_distance, pca, predictions, top_k, tsne, uniformity, unit_rows,
};

fn matrix(values: Vec<f32>, rows: usize) -> Tensor {
    let columns = values.len() / rows;
    Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
}

/// i = np.arange(n, dtype=np.int64)
/// ((i * 7919 + seed * 104729 + (i * i) % 977) % 1009 / 504.0 - 1.0).astype(np.float32)
fn draws(count: usize, seed: usize) -> Vec<f32> {
    let draw = |i: usize| ((i * 7919 + seed * 104_729 + (i * i) % 977) % 1009) as f64 / 504.0 - 1.0;
    (0..count).map(|i| draw(i) as f32).collect()
}

/// Features of five classes around their centres:
/// y = np.arange(n) * 7 % 11 % 5; draws(n * d, seed).reshape(n, d) + np.float32(.5) * draws(5 * d, 77).reshape(5, d)[y]
fn features(count: usize, width: usize, seed: usize) -> (Tensor, Vec<u32>) {
    let labels: Vec<u32> = (0..count).map(|i| (i * 7 % 11 % 5) as u32).collect();
    let (mut values, centres) = (draws(count * width, seed), draws(5 * width, 77));
    for (row, &label) in values.chunks_mut(width).zip(&labels) {
        row.iter_mut().zip(&centres[label as usize * width..]).for_each(|(value, centre)| *value += 0.5 * centre);
    }
    (matrix(values, count), labels)
}

#[test]
fn top_k_counts_as_torch_does_and_ties_by_index() {
    // for k in (1, 3, 5): sum(y[i] in s[i].topk(k).indices for i in range(30)) / 30, y = torch.arange(30) % 10
    let scores = matrix(draws(300, 5), 30);
    let labels: Vec<u32> = (0..30).map(|i| i % 10).collect();
    assert_eq!([1, 3, 5, 10].map(|k| top_k(&scores, &labels, k).unwrap()), [0.1, 7.0 / 30.0, 0.4, 1.0]);
    assert_eq!(top_k(&scores, &labels, 0).unwrap(), 0.0);
    let tied = matrix(vec![1.0; 12], 4); // of equal scores only the lowest class is the highest
    assert_eq!([1, 2, 3].map(|k| top_k(&tied, &[0, 1, 2, 2], k).unwrap()), [0.25, 0.5, 1.0]);
    assert_eq!(predictions(&tied).unwrap(), [0; 4]);
}

#[test]
fn a_score_that_is_no_number_is_never_right() {
    let nan = f32::NAN;
    let scores = matrix(vec![nan, nan, nan, 1.0, nan, 0.0, f32::INFINITY, 2.0, f32::NEG_INFINITY], 3);
    assert_eq!(top_k(&scores, &[0, 1, 0], 3).unwrap(), 1.0 / 3.0);
    assert_eq!(top_k(&scores, &[2, 0, 2], 1).unwrap(), 1.0 / 3.0, "a NaN beside it takes nothing away");
    assert!(predictions(&scores).unwrap_err().to_string().contains("row 0"), "no guess where there is nothing");
    assert_eq!(predictions(&scores.narrow(0, 1, 2).unwrap()).unwrap(), [0, 0]);
}

#[test]
fn accuracies_refuse_what_does_not_fit() {
    let scores = matrix(vec![0.0; 6], 2);
    for labels in [&[0][..], &[0, 3], &[0, 1, 2]] {
        assert!(top_k(&scores, labels, 1).is_err(), "{labels:?}");
    }
    assert!(top_k(&Tensor::zeros((0, 3), candle_core::DType::F32, &Device::Cpu).unwrap(), &[], 1).is_err());
    assert!(confusion(&[0, 1], &[0], 2).is_err() && confusion(&[2], &[0], 2).is_err());
}

#[test]
fn a_confusion_matrix_has_a_row_for_each_true_class() {
    let counts = confusion(&[0, 1, 1, 2, 2, 2], &[0, 0, 1, 2, 2, 1], 3).unwrap();
    assert_eq!(counts, [1, 1, 0, 0, 1, 1, 0, 0, 2]);
    assert_eq!(confusion(&[], &[], 2).unwrap(), [0; 4]);
}

/// The vote written down as it is defined, in f64 throughout.
fn naive_knn(bank: &Tensor, labels: &[u32], queries: &Tensor, classes: usize, k: usize) -> Vec<u32> {
    let rows = |tensor: &Tensor| tensor.to_vec2::<f32>().unwrap();
    let cosine = |a: &[f32], b: &[f32]| {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
    };
    let bank = rows(bank);
    let predict = |query: &Vec<f32>| {
        let mut nearest: Vec<(f64, usize)> =
            bank.iter().enumerate().map(|(index, row)| (cosine(query, row), index)).collect();
        nearest.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut votes = vec![0.0; classes];
        nearest.iter().take(k).for_each(|(cosine, index)| votes[labels[*index] as usize] += (cosine / 0.5).exp());
        (0..classes).rev().max_by(|&a, &b| votes[a].total_cmp(&votes[b])).unwrap() as u32
    };
    rows(queries).iter().map(predict).collect()
}

#[test]
fn knn_votes_as_instance_discrimination_does() {
    // lightly.utils.benchmarking.knn_predict(F.normalize(q), F.normalize(b).t(), by, 5, k, 0.5)[:, 0] in torch
    let torch_200 = [
        2, 0, 4, 4, 1, 0, 3, 0, 1, 3, 4, 0, 0, 0, 0, 1, 0, 4, 0, 1, 3, 4, 0, 0, 0, 0, 1, 2, 4, 0, 0, 1, 4, 0, 2, 0, 0,
        1, 2, 4,
    ];
    let torch_7 = [
        2, 0, 1, 4, 3, 4, 1, 0, 1, 3, 4, 0, 2, 4, 2, 0, 0, 4, 4, 1, 2, 4, 0, 0, 0, 0, 1, 2, 4, 0, 3, 2, 4, 0, 3, 0, 0,
        1, 2, 4,
    ];
    let ((bank, bank_labels), (queries, labels)) = (features(600, 12, 1), features(40, 12, 2));
    let knn = Knn::new(&bank, &bank_labels, 5).unwrap();
    assert_eq!(knn.predict(&queries).unwrap(), torch_200);
    assert_eq!(knn.top1(&queries, &labels).unwrap(), 0.65);
    let knn = knn.with_neighbours(7);
    assert_eq!(knn.predict(&queries).unwrap(), torch_7);
    assert_eq!(knn.top1(&queries, &labels).unwrap(), 0.525);
}

#[test]
fn knn_agrees_with_its_definition_at_any_size() {
    // More queries than a block; fewer images than neighbours; one image.
    for (bank_count, query_count, width, k) in
        [(700, 1100, 9, 200), (700, 30, 3, 1), (150, 30, 33, 200), (1, 3, 2, 200)]
    {
        let ((bank, bank_labels), (queries, _)) = (features(bank_count, width, 3), features(query_count, width, 4));
        let knn = Knn::new(&bank, &bank_labels, 5).unwrap().with_neighbours(k);
        let found = knn.predict(&queries).unwrap();
        let expected = naive_knn(&bank, &bank_labels, &queries, 5, k);
        assert_eq!(found, expected, "{bank_count} images, {query_count} queries");
    }
}

#[test]
fn knn_is_the_same_on_any_number_of_threads() {
    let ((bank, labels), (queries, _)) = (features(3000, 64, 5), features(600, 64, 6));
    let knn = Knn::new(&bank, &labels, 5).unwrap();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            (knn.predict(&queries).unwrap(), uniformity(&queries).unwrap().to_bits(), pca(&queries, 2).unwrap())
        })
    };
    assert!(on(1) == on(3));
}

#[test]
fn knn_ties_go_to_the_first_of_the_bank() {
    // Equal images of two classes: of k = 2 votes the first two count, whatever comes later.
    let bank = matrix([[1.0, 0.0]; 5].concat(), 5);
    let query = matrix(vec![1.0, 0.0], 1);
    let vote =
        |labels: [u32; 5], k| Knn::new(&bank, &labels, 3).unwrap().with_neighbours(k).predict(&query).unwrap()[0];
    assert_eq!(vote([2, 2, 0, 0, 0], 2), 2);
    assert_eq!(vote([2, 1, 0, 0, 0], 2), 1, "of equal votes the lowest class");
    assert_eq!(vote([2, 2, 0, 0, 0], 5), 0);
    let silent = matrix(vec![0.0, 0.0], 1); // equally far from everything
    assert_eq!(Knn::new(&bank, &[2, 2, 1, 1, 1], 3).unwrap().with_neighbours(2).predict(&silent).unwrap(), [2]);
}

#[test]
fn knn_refuses_what_it_cannot_vote_on() {
    let bank = matrix(draws(12, 1), 6);
    assert!(Knn::new(&bank, &[0; 5], 2).is_err(), "a label is missing");
    assert!(Knn::new(&bank, &[2; 6], 2).is_err(), "no such class");
    let knn = Knn::new(&bank, &[0; 6], 2).unwrap();
    assert!(knn.top1(&bank, &[0; 3]).is_err() && knn.top1(&bank.narrow(0, 0, 0).unwrap(), &[]).is_err());
    for value in [f32::NAN, f32::INFINITY] {
        let error = knn.predict(&matrix(vec![1.0, value], 1)).unwrap_err();
        assert!(error.to_string().contains("NaN or infinity"), "{error}");
    }
    assert!(knn.predict(&matrix(vec![1.0; 3], 1)).is_err(), "another width");
}

fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found}, expected {expected}");
}

/// Of fewer rows than features, whose covariance has no inverse, too.
#[test]
fn a_frechet_distance_is_known_at_any_rank_and_the_same_on_any_number_of_threads() {
    for (rows, width) in [(50, 300), (700, 300), (3, 2), (2, 5)] {
        let points = matrix(draws(rows * width, rows), rows);
        let of = |points: &Tensor| Gaussian::of(points).unwrap();
        let trace: f64 = {
            let (values, mean) = (points.to_vec2::<f32>().unwrap(), points.mean(0).unwrap().to_vec1::<f32>().unwrap());
            let squares =
                values.iter().flat_map(|row| row.iter().zip(&mean)).map(|(x, mean)| f64::from(x - mean).powi(2));
            squares.sum::<f64>() / (rows - 1) as f64
        };
        assert_close(frechet_distance(&of(&points), &of(&points)).unwrap(), 0.0, 1e-6 * trace);
        // Moved by 1 in each feature, and twice as far from the mean: the root of the product is twice the covariance.
        let moved = ((&points * 2.0).unwrap() + 1.0).unwrap();
        let mean: f64 =
            points.mean(0).unwrap().to_vec1::<f32>().unwrap().iter().map(|x| f64::from(x + 1.0).powi(2)).sum();
        assert_close(frechet_distance(&of(&points), &of(&moved)).unwrap(), mean + trace, 1e-5 * (mean + trace));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| frechet_distance(&of(&points), &of(&moved)).unwrap().to_bits())
        };
        assert_eq!(on(1), on(3), "{rows} x {width}");
    }
    // All rows the same: no covariance at all.
    let (flat, other) = (matrix([0.5, 0.25].repeat(9), 9), matrix(draws(18, 1), 9));
    let of = |points: &Tensor| Gaussian::of(points).unwrap();
    assert!(frechet_distance(&of(&flat), &of(&other)).unwrap() > 0.0);
    assert_eq!(frechet_distance(&of(&flat), &of(&flat)).unwrap(), 0.0);
}

#[test]
fn alignment_and_uniformity_are_those_of_the_paper() {
    // (x - y).norm(p=2, dim=1).pow(2).mean(); torch.pdist(x, p=2).pow(2).mul(-2).exp().mean().log()
    // on F.normalize of features(300, 12, 3) and (300, 12, 4) in torch.float64
    let ((x, _), (y, _)) = (features(300, 12, 3), features(300, 12, 4));
    assert_close(alignment(&x, &y).unwrap(), 1.540_267_185_137_287_3, 1e-6);
    assert_close(uniformity(&x).unwrap(), -3.166_045_257_129_209_5, 1e-6);
    assert_close(uniformity(&y).unwrap(), -3.215_541_579_659_076, 1e-6);
    let scaled = (&x * 1e3).unwrap();
    assert_close(uniformity(&scaled).unwrap(), uniformity(&x).unwrap(), 1e-6);
}

#[test]
fn alignment_and_uniformity_at_their_ends() {
    let (x, _) = features(70, 8, 1);
    let collapsed = matrix([0.3f32, -0.2, 0.9].repeat(70), 70);
    assert_close(uniformity(&collapsed).unwrap(), 0.0, 1e-6);
    assert_eq!(alignment(&x, &x).unwrap(), 0.0);
    assert_close(alignment(&x, &x.neg().unwrap()).unwrap(), 4.0, 1e-6);
    let axes = Tensor::eye(5, candle_core::DType::F32, &Device::Cpu).unwrap();
    assert_close(uniformity(&axes).unwrap(), -4.0, 1e-12);
    assert!(uniformity(&matrix(vec![f32::NAN, 1.0, 2.0, 3.0], 2)).unwrap().is_nan(), "divergence shows");
    assert!(uniformity(&matrix(vec![1.0, 2.0], 1)).is_err() && alignment(&x, &axes).is_err());
}

#[test]
fn unit_rows_leave_zeros_alone() {
    let rows = unit_rows(&matrix(vec![3.0, 4.0, 0.0, 0.0, 3e38, 3e38], 3)).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(rows, [[0.6, 0.8], [0.0, 0.0], [0.5f32.sqrt(); 2]]);
}

#[test]
fn principal_components_are_those_of_the_svd() {
    let mut values = draws(36, 6);
    values.iter_mut().skip(1).step_by(4).for_each(|value| *value *= 3.0);
    // u, s, vt = np.linalg.svd(x - x.mean(0)); (x - x.mean(0)) @ vt[:2].T, signs by the largest entry of each row of vt
    let expected = [
        [0.93462432, -0.49676519],
        [-2.70155905, 0.87812044],
        [0.09130278, -0.72055419],
        [2.78050539, 1.11090339],
        [0.0432094, -0.66191723],
        [-2.79774596, 0.99539438],
        [0.79034418, -0.32085424],
        [-1.67219512, -1.15756853],
        [2.53151406, 0.37324117],
    ];
    let found = pca(&matrix(values, 9), 2).unwrap();
    for (found, expected) in found.points.iter().flatten().zip(expected.as_flattened()) {
        assert_close(*found, *expected, 1e-5);
    }
    assert_close(found.explained[0], 0.81473565, 1e-6);
    assert_close(found.explained[1], 0.14033524, 1e-6);
}

#[test]
fn components_far_from_the_origin_and_of_any_size_are_found() {
    // A line of spread 1 at a distance of 1000, along (0.6, 0.8).
    for scale in [1e-30, 1.0, 1e30] {
        let line = (0..50).flat_map(|i| [0.6 * i as f32 / 49.0 + 1000.0, 0.8 * i as f32 / 49.0 - 1000.0]);
        let found = pca(&matrix(line.map(|value| value * scale).collect(), 50), 2).unwrap();
        assert_close((found.points[49][0] - found.points[0][0]) / f64::from(scale), 1.0, 1e-3);
        assert_close(found.explained[0], 1.0, 1e-3);
    }
}

#[test]
fn components_of_nothing_are_nothing() {
    for (rows, columns) in [(1, 5), (2, 1), (5, 3), (40, 300)] {
        let found = pca(&matrix(vec![0.1; rows * columns], rows), 2).unwrap();
        assert_eq!(found.points, vec![vec![0.0; 2]; rows], "constant");
        assert_eq!(found.explained, [0.0; 2]);
    }
    let pair = pca(&matrix(vec![0.0, 0.0, 0.0, 3.0, 4.0, 0.0], 2), 2).unwrap();
    assert_close(pair.points[1][0], 2.5, 1e-6);
    assert_close(pair.points[1][1], 0.0, 1e-6);
    let narrow = pca(&matrix(vec![0.0, 1.0, 5.0], 3), 2).unwrap();
    assert_eq!(narrow.points[2], [3.0, 0.0], "one column has one component");
    assert!(pca(&matrix(vec![0.0, f32::NAN], 2), 2).is_err());
    assert!(pca(&Tensor::zeros((0, 3), candle_core::DType::F32, &Device::Cpu).unwrap(), 2).is_err());
}

#[test]
fn a_map_keeps_clusters_together_on_any_number_of_threads() {
    // Three clusters in ten dimensions, no wider than they are apart; their order says nothing.
    let count = 150;
    let mut values = draws(count * 10, 9);
    values.chunks_mut(10).enumerate().for_each(|(row, point)| point[row % 3] += 4.0);
    let points = matrix(values, count);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| tsne(&points).unwrap())
    };
    let map = on(1);
    assert_eq!(map, on(3));
    for (index, point) in map.iter().enumerate() {
        let distance = |other: &[f64; 2]| (point[0] - other[0]).powi(2) + (point[1] - other[1]).powi(2);
        let mut others: Vec<usize> = (0..count).filter(|&other| other != index).collect();
        others.sort_by(|&a, &b| distance(&map[a]).total_cmp(&distance(&map[b])));
        let strangers = others.iter().take(30).filter(|&&other| other % 3 != index % 3).count();
        assert_eq!(strangers, 0, "of the 30 points nearest to point {index}");
    }
}

#[test]
fn a_map_bears_few_points_and_points_that_coincide() {
    assert_eq!(tsne(&matrix(vec![0.1; 30], 10)).unwrap(), [[0.0; 2]; 10]);
    for count in [1, 2, 3, 4, 5, 9] {
        let map = tsne(&matrix(draws(count * 3, 2), count)).unwrap();
        assert!(map.len() == count && map.as_flattened().iter().all(|place| place.is_finite()), "{map:?}");
    }
    // One point beside many that are the same.
    let mut values = vec![0.5; 60];
    values[0] = 1.0;
    let map = tsne(&matrix(values, 20)).unwrap();
    assert!(map.as_flattened().iter().all(|place| place.is_finite()), "{map:?}");
    assert!(tsne(&matrix(vec![f32::NAN; 8], 4)).is_err());
}
