namespace losses {
#include "cross_entropy/kernel.cu"
#include "nt_xent/kernel.cu"
#include "score_loss/kernel.cu"
#include "rescale_to_norm/kernel.cu"

static void check_scores(int rule, double target) {
    int count = 1500;
    Floats scores = uniform(count, 40.0f), found = unwritten(count);
    float loss = 777.0f, of_loss = 0.7f;
    Doubles mean(1, 0.0), slopes(count);
    for (int at = 0; at < count; at++) {
        double score = scores[at], distance = score - target;
        double cross_entropy = std::max(score, 0.0) - score * target + std::log1p(std::exp(-std::fabs(score)));
        double margin = 1 - target * score;
        double value = target * score, slope = target;
        if (rule == CROSS_ENTROPY) value = cross_entropy, slope = 1 / (1 + std::exp(-score)) - target;
        if (rule == HALF_SQUARE) value = distance * distance / 2, slope = distance;
        if (rule == HINGE) value = std::max(margin, 0.0), slope = margin > 0 ? -target : 0.0;
        mean[0] += value / count;
        slopes[at] = slope * of_loss / count;
    }
    launch({1, 1}, {1024, 1}, [&] { score_loss(&loss, scores.data(), count, rule, target); });
    check("score_loss", Floats{loss}, mean, 1e-6);
    launch({6, 1}, {256, 1}, [&] { score_loss_gradient(found.data(), &of_loss, scores.data(), count, rule, target); });
    check("score_loss_gradient", found, slopes, 1e-6);
}

static void check_labels() {
    const unsigned rows = 7;
    const int classes = 300;
    Floats scores = uniform(rows * classes, 9.0f), found = unwritten(rows * classes), scaled = unwritten(rows * classes);
    std::vector<unsigned> labels(rows);
    Doubles of_rows(rows, 777.0), expected(rows), slopes(rows * classes), mean(1, 0.0);
    for (unsigned row = 0; row < rows; row++) {
        labels[row] = row * 37 % classes;
        const float* x = &scores[row * classes];
        double total = 0.0;
        for (int at = 0; at < classes; at++) total += std::exp((double)x[at]);
        for (int at = 0; at < classes; at++) slopes[row * classes + at] = std::exp((double)x[at]) / total - (at == (int)labels[row]);
        expected[row] = std::log(total) - x[labels[row]];
        mean[0] += expected[row] / rows;
    }
    auto run = [&] { launch({rows, 1}, {256, 1}, [&] { cross_entropy_rows(of_rows.data(), found.data(), scores.data(), labels.data(), classes); }); };
    run();
    check("cross_entropy", of_rows, expected, 1e-6);
    check("slopes", found, slopes, 1e-5);
    float loss = 777.0f, of_loss = 0.7f;
    launch({1, 1}, {1024, 1}, [&] { mean_loss(&loss, of_rows.data(), rows); });
    check("mean_loss", Floats{loss}, mean, 1e-6);
    launch({3, 1}, {256, 1}, [&] { scaled_slopes(scaled.data(), &of_loss, found.data(), rows * classes, rows); });
    for (double& slope : slopes) slope *= of_loss / rows;
    check("scaled_slopes", scaled, slopes, 1e-5);
    labels[3] = 4000; // no class: it must show, and in its own row alone
    run();
    check("a label that is no class", Doubles{(double)std::isnan(of_rows[3]), (double)std::isnan(of_rows[2])}, Doubles{1.0, 0.0}, 0.0);
}

// Equation 1 of the paper, pair by pair.
static double nt_xent(const Doubles& embeddings, int views, int dim, double temperature) {
    auto dot = [&](int a, int b) {
        double sum = 0.0;
        for (int at = 0; at < dim; at++) sum += embeddings[a * dim + at] * embeddings[b * dim + at];
        return sum;
    };
    double sum = 0.0;
    for (int view = 0; view < views; view++) {
        auto logit = [&](int other) { return dot(view, other) / std::sqrt(dot(view, view) * dot(other, other)) / temperature; };
        double total = 0.0, largest = 1 / temperature;
        for (int other = 0; other < views; other++)
            if (other != view) total += std::exp(logit(other) - largest);
        sum += std::log(total) + largest - logit((view + views / 2) % views);
    }
    return sum / views;
}

static void check_views(double temperature) {
    const int count = 5, views = 2 * count, dim = 130;
    Floats left = uniform(count * dim), right = uniform(count * dim), directions_of = unwritten(views * dim), cosines(views * views);
    Doubles lengths(views, 777.0), of_rows(views), embeddings(left.begin(), left.end());
    embeddings.insert(embeddings.end(), right.begin(), right.end());
    launch({(unsigned)views, 1}, {128, 1}, [&] { directions(directions_of.data(), lengths.data(), left.data(), right.data(), count, dim, 1e-24); });
    // The two products are cuBLAS's.
    for (int a = 0; a < views; a++)
        for (int b = 0; b < views; b++) {
            double sum = 0.0;
            for (int at = 0; at < dim; at++) sum += (double)directions_of[a * dim + at] * directions_of[b * dim + at];
            cosines[a * views + b] = sum;
        }
    float loss = 777.0f, of_loss = 1.0f;
    launch({(unsigned)views, 1}, {256, 1}, [&] { contrastive_rows(of_rows.data(), cosines.data(), views, 1 / temperature); });
    launch({1, 1}, {1024, 1}, [&] { mean_loss(&loss, of_rows.data(), views); });
    check("nt_xent", Floats{loss}, Doubles{nt_xent(embeddings, views, dim, temperature)}, 1e-5);
    Floats of_directions(views * dim), found = unwritten(views * dim);
    for (int view = 0; view < views; view++)
        for (int at = 0; at < dim; at++) {
            double sum = 0.0;
            for (int other = 0; other < views; other++)
                sum += ((double)cosines[view * views + other] + cosines[other * views + view]) * directions_of[other * dim + at];
            of_directions[view * dim + at] = sum;
        }
    for (int first : {0, count})
        launch({(unsigned)count, 1}, {128, 1}, [&] {
            through_directions(found.data() + first * dim, &of_loss, of_directions.data(), directions_of.data(), lengths.data(), first, views, dim, temperature);
        });
    Doubles expected, sampled;
    for (int sample = 0; sample < 40; sample++) {
        int at = sample * 31 % (views * dim);
        Doubles above = embeddings, below = embeddings;
        above[at] += 1e-5, below[at] -= 1e-5;
        expected.push_back((nt_xent(above, views, dim, temperature) - nt_xent(below, views, dim, temperature)) / 2e-5);
        sampled.push_back(found[at]);
    }
    check("the gradient of nt_xent", sampled, expected, 1e-3);
}

static void check_lengths(unsigned rows, int columns) {
    Floats x = exact(rows * columns);
    std::fill(x.begin(), x.begin() + columns, 0.0f); // a row of zeros
    Doubles expected(rows * columns, 0.0);
    for (unsigned row = 1; row < rows; row++) {
        double sum = 0.0;
        for (int at = 0; at < columns; at++) sum += (double)x[row * columns + at] * x[row * columns + at];
        for (int at = 0; at < columns; at++) expected[row * columns + at] = x[row * columns + at] * 0.3 / std::sqrt(sum);
    }
    Values of_x = to_values(x), found = to_values(unwritten(rows * columns));
    launch({rows, 1}, {128, 1}, [&] { rescale_to_norm(found.data(), of_x.data(), columns, 0.3); });
    check("rescale_to_norm", to_floats(found), expected);
}

static void check_all() {
    check_lengths(5, 784);
    check_lengths(3, 7);
    check_scores(CROSS_ENTROPY, 1.0);
    check_scores(HALF_SQUARE, 0.25);
    check_scores(HINGE, -1.0);
    check_scores(HINGE + 1, -1.0);
    check_labels();
    check_views(0.5);
    check_views(0.01);
}
} // namespace losses
