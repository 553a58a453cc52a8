namespace elementwise {
#include "activation/kernel.cu"
#include "cuda/epilogue/kernel.cu"
#include "add_relu/kernel.cu"

static void check_shape(size_t rows, int channels, int activation) {
    size_t len = rows * channels;
    const float slope = 0.01f;
    const Index threads = {256, 1}, blocks = {3, 1};
    bool wide = len % WIDE == 0;
    std::string shape = std::to_string(rows) + " x " + std::to_string(channels) + ", activation " + std::to_string(activation);
    Floats x = exact(len), bias = uniform(channels), given = exact(len);
    Values of_x = to_values(x), of_given = to_values(given), found = to_values(unwritten(len));
    Doubles expected(len);

    launch(blocks, threads, [&] { (wide ? activate_wide : activate_1)(found.data(), of_x.data(), len, activation, slope); });
    for (size_t at = 0; at < len; at++) expected[at] = activated_exactly(x[at], activation, slope);
    check("activate " + shape, to_floats(found), expected);

    found = to_values(unwritten(len));
    launch(blocks, threads, [&] { (wide ? add_relu_wide : add_relu_1)(found.data(), of_x.data(), of_given.data(), len); });
    for (size_t at = 0; at < len; at++) expected[at] = std::max(0.0, (double)x[at] + given[at]);
    check("add_relu " + shape, to_floats(found), expected);

    Pass pass(rows, channels);
    Values y = of_x;
    launch(pass.blocks, pass.threads, [&] { (pass.wide ? finish_wide : finish_1)(y.data(), bias.data(), rows, channels, activation, slope); });
    for (size_t at = 0; at < len; at++) expected[at] = activated_exactly((double)x[at] + bias[at % channels], activation, slope);
    check("finish " + shape, to_floats(y), expected);

    Floats output = to_floats(y), partial = unwritten(pass.chunks * channels), sums = unwritten(channels);
    Doubles expected_sums(channels, 0.0);
    for (size_t at = 0; at < len; at++) {
        expected[at] = before_exactly(given[at], output[at], activation, slope);
        expected_sums[at % channels] += expected[at];
    }
    found = to_values(unwritten(len));
    launch(blocks, threads, [&] { (wide ? activation_gradient_wide : activation_gradient_1)(found.data(), of_given.data(), y.data(), len, activation, slope); });
    check("activation_gradient " + shape, to_floats(found), expected);
    found = to_values(unwritten(len));
    launch(pass.blocks, pass.threads, [&] {
        (pass.wide ? bias_gradient_wide : bias_gradient_1)(found.data(), partial.data(), of_given.data(), y.data(), rows, channels, activation, slope);
    });
    launch(finishing(channels), {32, 16}, [&] { sum_chunks(sums.data(), partial.data(), pass.chunks, channels); });
    check("bias_gradient " + shape, to_floats(found), expected);
    check("sums " + shape, sums, expected_sums);
}

static void check_all() {
    for (int activation : {IDENTITY, RELU, LEAKY_RELU, TANH}) {
        check_shape(37, 5, activation);
        check_shape(300, 64, activation);
    }
    check_shape(5000, 1, TANH);
    check_shape(9, 136, RELU);
}
} // namespace elementwise
