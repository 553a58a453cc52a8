namespace transformer {
#include "attention/kernel.cu"
#include "first_token/kernel.cu"
#include "gelu/kernel.cu"
#include "layer_norm/kernel.cu"
#include "prepend_token/kernel.cu"

static const Index BLOCKS = {5, 1}, THREADS = {256, 1}, OF_ROW = {128, 1};

static void check_layer_norm(unsigned rows, int width) {
    const float eps = 1e-6f;
    size_t len = (size_t)rows * width;
    std::string shape = std::to_string(rows) + " x " + std::to_string(width);
    Floats x = uniform(len, 3.0f), weight = uniform(width), bias = uniform(width), given = uniform(len);
    Floats y = unwritten(len), for_x = unwritten(len), moments = unwritten(2 * rows);
    Floats for_weight = unwritten(width), for_bias = unwritten(width);
    Doubles output(len), back(len), of_weight(width, 0.0), of_bias(width, 0.0);
    for (unsigned row = 0; row < rows; row++) {
        const float *values = &x[(size_t)row * width], *gradient = &given[(size_t)row * width];
        double mean = 0.0, variance = 0.0, average = 0.0, along = 0.0;
        for (int at = 0; at < width; at++) mean += values[at] / (double)width;
        for (int at = 0; at < width; at++) variance += std::pow(values[at] - mean, 2) / width;
        double scale = 1 / std::sqrt(variance + eps);
        for (int at = 0; at < width; at++) {
            double normal = (values[at] - mean) * scale;
            output[row * width + at] = normal * weight[at] + bias[at];
            average += gradient[at] * weight[at] / (double)width;
            along += gradient[at] * weight[at] * normal / width;
            of_weight[at] += gradient[at] * normal;
            of_bias[at] += gradient[at];
        }
        for (int at = 0; at < width; at++)
            back[row * width + at] = scale * (gradient[at] * weight[at] - average - (values[at] - mean) * scale * along);
    }
    launch({rows, 1}, OF_ROW, [&] { layer_norm(y.data(), x.data(), weight.data(), bias.data(), width, eps); });
    check("layer_norm " + shape, y, output, 1e-5);
    launch({rows, 1}, OF_ROW, [&] {
        layer_norm_gradient(for_x.data(), moments.data(), x.data(), weight.data(), given.data(), width, eps);
    });
    check("layer_norm_gradient " + shape, for_x, back, 1e-5);
    // As ops::cuda::Columns has it of columns that are taken one by one.
    unsigned across = 1;
    while (across < (unsigned)width && across < 32) across *= 2;
    unsigned down = 256 / across, chunks = (rows + down * 4 - 1) / (down * 4);
    Floats partial = unwritten(2 * chunks * width);
    launch({(width + across - 1) / across, chunks}, {across, down}, [&] {
        layer_norm_sums(partial.data(), x.data(), given.data(), moments.data(), rows, width);
    });
    launch(finishing(width), {32, 16}, [&] { layer_norm_finish(for_weight.data(), for_bias.data(), partial.data(), chunks, width); });
    check("layer_norm's weight " + shape, for_weight, of_weight, 1e-5);
    check("layer_norm's bias " + shape, for_bias, of_bias, 1e-5);
}

static void check_gelu() {
    size_t len = 3001;
    Floats x = uniform(len, 6.0f), given = uniform(len), found = unwritten(len), back = unwritten(len);
    Doubles expected(len), slopes(len);
    for (size_t at = 0; at < len; at++) {
        double value = x[at], share = 0.5 * std::erfc(-value / std::sqrt(2.0));
        expected[at] = value * share;
        slopes[at] = given[at] * (share + value * std::exp(-0.5 * value * value) / std::sqrt(2 * M_PI));
    }
    launch(BLOCKS, THREADS, [&] { gelu(found.data(), x.data(), len); });
    check("gelu", found, expected, 1e-6);
    launch(BLOCKS, THREADS, [&] { gelu_gradient(back.data(), x.data(), given.data(), len); });
    check("gelu_gradient", back, slopes, 1e-6);
}

static void check_softmax(unsigned rows, int width) {
    const float scale = 0.3f;
    size_t len = (size_t)rows * width;
    std::string shape = std::to_string(rows) + " x " + std::to_string(width);
    Floats scores = uniform(len, 30.0f), gradients = uniform(len);
    Doubles shares(len), back(len);
    for (size_t row = 0; row < rows; row++) {
        double total = 0.0, average = 0.0;
        for (int at = 0; at < width; at++) total += std::exp((double)scale * scores[row * width + at]);
        for (int at = 0; at < width; at++) {
            shares[row * width + at] = std::exp((double)scale * scores[row * width + at]) / total;
            average += shares[row * width + at] * gradients[row * width + at];
        }
        for (int at = 0; at < width; at++)
            back[row * width + at] = scale * shares[row * width + at] * (gradients[row * width + at] - average);
    }
    launch({rows, 1}, OF_ROW, [&] { softmax_rows(scores.data(), width, scale); });
    check("softmax_rows " + shape, scores, shares, 1e-5);
    launch({rows, 1}, OF_ROW, [&] { softmax_gradient(gradients.data(), scores.data(), width, scale); });
    check("softmax_gradient " + shape, gradients, back, 1e-5);
}

static void check_tokens(size_t count, size_t patches, int width) {
    size_t size = (patches + 1) * width, len = count * size;
    std::string shape = std::to_string(count) + " x " + std::to_string(patches) + " x " + std::to_string(width);
    Floats x = uniform(count * patches * width), token = uniform(width), positions = uniform(size), given = uniform(len);
    Floats found = unwritten(len), for_patches = unwritten(x.size()), for_positions = unwritten(size);
    Floats first = unwritten(count * width), back = unwritten(len);
    Doubles expected(len), of_patches(x.size()), sums(size, 0.0), of_first(first.size()), of_back(len, 0.0);
    for (size_t at = 0; at < len; at++) {
        size_t sequence = at / size, within = at % size;
        bool is_token = within < (size_t)width;
        size_t patch = sequence * (size - width) + within - width, row = sequence * width + within;
        expected[at] = (double)(is_token ? token[within] : x[patch]) + positions[within];
        sums[within] += given[at];
        if (is_token) of_first[row] = given[at], of_back[at] = of_first[row];
        else of_patches[patch] = given[at];
    }
    launch(BLOCKS, THREADS, [&] { prepend_token(found.data(), x.data(), token.data(), positions.data(), len, size, width); });
    check("prepend_token " + shape, found, expected, 1e-6);
    launch(BLOCKS, THREADS, [&] { without_token(for_patches.data(), given.data(), x.size(), size, width); });
    check("without_token " + shape, for_patches, of_patches, 0.0);
    launch(BLOCKS, THREADS, [&] { sum_of_sequences(for_positions.data(), given.data(), size, count); });
    check("sum_of_sequences " + shape, for_positions, sums, 1e-6);
    launch(BLOCKS, THREADS, [&] { first_token(first.data(), given.data(), first.size(), size, width); });
    check("first_token " + shape, first, of_first, 0.0);
    launch(BLOCKS, THREADS, [&] { first_token_gradient(back.data(), first.data(), len, size, width); });
    check("first_token_gradient " + shape, back, of_back, 0.0);
}

static void check_all() {
    check_layer_norm(50, 192);
    check_layer_norm(300, 5);
    check_layer_norm(3, 300);
    check_gelu();
    check_softmax(40, 65);
    check_softmax(7, 200);
    check_tokens(4, 16, 40);
    check_tokens(9, 1, 7);
}
} // namespace transformer
