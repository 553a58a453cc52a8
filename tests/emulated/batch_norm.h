namespace batch_norm {
#include "batch_norm/kernel.cu"

static void check_shape(size_t rows, int channels, int activation, float offset) {
    size_t len = rows * channels;
    const float slope = 0.01f;
    const double eps = 1e-5;
    // Where the mean is far from 0, so are the roundings of x.
    double tolerance = offset == 0.0f ? TOLERANCE : std::max(TOLERANCE, 1e-3);
    std::string shape = std::to_string(rows) + " x " + std::to_string(channels) + ", activation " + std::to_string(activation);
    Floats x = exact(len, offset), given = exact(len), weight = uniform(channels), bias = uniform(channels);
    Values of_x = to_values(x), of_given = to_values(given), found = to_values(unwritten(len));
    Pass pass(rows, channels);
    Floats partial = unwritten(2 * pass.chunks * channels), mean = unwritten(channels), variance = unwritten(channels);
    Floats coefficients = unwritten(2 * channels);

    Doubles true_mean(channels, 0.0), true_variance(channels, 0.0);
    for (size_t at = 0; at < len; at++) true_mean[at % channels] += x[at] / (double)rows;
    for (size_t at = 0; at < len; at++) true_variance[at % channels] += std::pow(x[at] - true_mean[at % channels], 2) / rows;
    launch(pass.blocks, pass.threads, [&] { (pass.wide ? moments_wide : moments_1)(partial.data(), of_x.data(), rows, channels); });
    launch(finishing(channels), {32, 16}, [&] {
        finish_moments(mean.data(), variance.data(), coefficients.data(), partial.data(), of_x.data(), rows, pass.chunks, channels, eps);
    });
    check("mean " + shape, mean, true_mean, 1e-5);
    check("variance " + shape, variance, true_variance, 1e-5);

    Doubles normal(len), output(len), incoming(len), for_weight(channels, 0.0), for_bias(channels, 0.0), expected(len);
    for (size_t at = 0; at < len; at++) {
        int channel = at % channels;
        normal[at] = (x[at] - true_mean[channel]) / std::sqrt(true_variance[channel] + eps);
        output[at] = activated_exactly(normal[at] * weight[channel] + bias[channel], activation, slope);
        incoming[at] = before_exactly(given[at], output[at], activation, slope);
        for_bias[channel] += incoming[at];
        for_weight[channel] += incoming[at] * normal[at];
    }
    launch(pass.blocks, pass.threads, [&] {
        (pass.wide ? normalise_wide : normalise_1)(found.data(), of_x.data(), coefficients.data(), weight.data(), bias.data(), rows, channels, activation, slope);
    });
    check("normalise " + shape, to_floats(found), output, tolerance);

    Floats found_weight = unwritten(channels), found_bias = unwritten(channels);
    launch(pass.blocks, pass.threads, [&] {
        (pass.wide ? parameter_gradients_wide : parameter_gradients_1)(partial.data(), of_given.data(), of_x.data(), coefficients.data(), weight.data(), bias.data(), rows, channels, activation, slope);
    });
    launch(finishing(channels), {32, 16}, [&] { finish_gradients(found_weight.data(), found_bias.data(), partial.data(), pass.chunks, channels); });
    check("for weight " + shape, found_weight, for_weight, tolerance);
    check("for bias " + shape, found_bias, for_bias, tolerance);
    for (bool through : {false, true}) {
        found = to_values(unwritten(len));
        launch(pass.blocks, pass.threads, [&] {
            const float *of_weight = through ? found_weight.data() : nullptr, *of_bias = through ? found_bias.data() : nullptr;
            (pass.wide ? input_gradient_wide : input_gradient_1)(found.data(), of_given.data(), of_x.data(), coefficients.data(), weight.data(), bias.data(), of_weight, of_bias, rows, channels, activation, slope);
        });
        for (size_t at = 0; at < len; at++) {
            int channel = at % channels;
            double statistics = through ? (for_bias[channel] + normal[at] * for_weight[channel]) / rows : 0.0;
            expected[at] = weight[channel] / std::sqrt(true_variance[channel] + eps) * (incoming[at] - statistics);
        }
        check("for x " + shape, to_floats(found), expected, tolerance);
    }

    Floats running_mean = uniform(channels), running_variance = uniform(channels);
    Doubles moved_mean(channels), moved_variance(channels), of_running(2 * channels);
    for (int channel = 0; channel < channels; channel++) {
        moved_mean[channel] = running_mean[channel] + 0.1 * (mean[channel] - running_mean[channel]);
        moved_variance[channel] = running_variance[channel] + 0.1 * (variance[channel] * rows / (rows - 1.0) - running_variance[channel]);
        of_running[channel] = mean[channel];
        of_running[channels + channel] = 1 / std::sqrt(variance[channel] + eps);
    }
    index_t batches = 5;
    Index blocks = {(unsigned)(channels + 127) / 128, 1};
    launch(blocks, {128, 1}, [&] { track(running_mean.data(), running_variance.data(), &batches, mean.data(), variance.data(), channels, rows / (rows - 1.0f), 0.1f); });
    check("running mean " + shape, running_mean, moved_mean, 1e-6);
    check("running variance " + shape, running_variance, moved_variance, 1e-6);
    check("batches " + shape, Doubles{(double)batches}, Doubles{6.0}, 0.0);
    launch(blocks, {128, 1}, [&] { running_coefficients(coefficients.data(), mean.data(), variance.data(), channels, eps); });
    check("coefficients " + shape, coefficients, of_running, 1e-6);
}

static void check_all() {
    for (int activation : {IDENTITY, RELU, LEAKY_RELU, TANH}) check_shape(50, 8, activation, 0.0f);
    check_shape(5, 3, IDENTITY, 0.0f);
    check_shape(700, 1, RELU, 0.0f);
    check_shape(129, 136, RELU, 0.0f);
    check_shape(33, 260, LEAKY_RELU, 0.0f);
    check_shape(3000, 24, RELU, sizeof(V) == 4 ? 100.0f : 0.0f);
}
} // namespace batch_norm
