namespace images {
#include "affine_sample/kernel.cu"
#include "diffaugment/kernel.cu"
#include "layout/kernel.cu"
#include "max_pool2d/kernel.cu"
#include "mean_pool2d/kernel.cu"
#include "recolour/kernel.cu"
#include "cuda/window/kernel.cu"

static const Index BLOCKS = {5, 1}, THREADS = {256, 1};

// Calls `each` with the places in patches and in images that see each other.
static void each_pair(const Window& window, int count, std::function<void(size_t, size_t)> each) {
    for (int image = 0; image < count; image++)
        for (int row = 0; row < window.down; row++)
            for (int column = 0; column < window.across; column++)
                for (int within = 0; within < window.patch; within++) {
                    int position = within / window.channels, channel = within % window.channels;
                    int y = row * window.stride - window.padding + position / window.size;
                    int x = column * window.stride - window.padding + position % window.size;
                    if (y < 0 || y >= window.height || x < 0 || x >= window.width) continue;
                    size_t place = ((size_t)image * window.down + row) * window.across + column;
                    size_t pixel = ((size_t)image * window.height + y) * window.width + x;
                    each(place * window.stride_of_patch + within, pixel * window.channels + channel);
                }
}

static void check_window(int count, int height, int width, int channels, int size, int stride, int padding, int features) {
    int down = (height + 2 * padding - size) / stride + 1, across = (width + 2 * padding - size) / stride + 1;
    int area = size * size, patch = area * channels, row = (patch + 7) / 8 * 8;
    Window window = {height, width, channels, size, stride, padding, down, across, patch, row};
    size_t places = (size_t)count * down * across, pixels = (size_t)count * height * width * channels;
    std::string shape = std::to_string(height) + " x " + std::to_string(width) + " x " + std::to_string(channels) + ", size " + std::to_string(size);

    Floats x = exact(pixels);
    Doubles seen(places * row, 0.0);
    each_pair(window, count, [&](size_t in_patches, size_t in_images) { seen[in_patches] = x[in_images]; });
    Values of_x = to_values(x), patches = to_values(unwritten(places * row));
    std::vector<bfloat16> halves(pixels);
    for (size_t at = 0; at < pixels; at++) store(&halves[at], x[at]);
    launch(BLOCKS, THREADS, [&] { gather_float(patches.data(), x.data(), places, window); });
    check("gather_float " + shape, to_floats(patches), seen);
    patches = to_values(unwritten(places * row));
    launch(BLOCKS, THREADS, [&] { gather_bfloat16(patches.data(), halves.data(), places, window); });
    check("gather_bfloat16 " + shape, to_floats(patches), seen, 1e-2);
    if (channels % 4 == 0) {
        patches = to_values(unwritten(places * row));
        launch(BLOCKS, THREADS, [&] { gather_four(patches.data(), of_x.data(), places, window); });
        check("gather_four " + shape, to_floats(patches), seen);
    }

    Floats of_patches = exact(places * row), bias = uniform(channels), spread = unwritten(pixels);
    Values values = to_values(of_patches);
    Doubles sums(pixels, 0.0), finished(pixels);
    each_pair(window, count, [&](size_t in_patches, size_t in_images) { sums[in_images] += of_patches[in_patches]; });
    for (size_t at = 0; at < pixels; at++) finished[at] = std::tanh(sums[at] + bias[at % channels]);
    launch(BLOCKS, THREADS, [&] { scatter_float(spread.data(), values.data(), pixels, window, bias.data(), TANH, 0.0f); });
    check("scatter_float " + shape, spread, finished);
    launch(BLOCKS, THREADS, [&] { scatter_bfloat16(halves.data(), values.data(), pixels, window, nullptr, IDENTITY, 0.0f); });
    check("scatter_bfloat16 " + shape, to_floats(halves), sums, 1e-2);

    Floats weight = exact(features * patch), unpacked = unwritten(features * patch);
    Values packed = to_values(unwritten(features * row));
    Doubles rows(features * row, 0.0);
    for (int feature = 0; feature < features; feature++)
        for (int position = 0; position < area; position++)
            for (int channel = 0; channel < channels; channel++)
                rows[feature * row + position * channels + channel] = weight[(feature * channels + channel) * area + position];
    launch(BLOCKS, THREADS, [&] { pack_weight(packed.data(), weight.data(), features, channels, area, row); });
    check("pack_weight " + shape, to_floats(packed), rows);
    Floats of_packed = to_floats(packed);
    launch(BLOCKS, THREADS, [&] { unpack_float(unpacked.data(), of_packed.data(), features, channels, area, row); });
    check("unpack_float " + shape, unpacked, weight);
    std::vector<bfloat16> packed_halves(of_packed.size());
    for (size_t at = 0; at < of_packed.size(); at++) store(&packed_halves[at], of_packed[at]);
    launch(BLOCKS, THREADS, [&] { unpack_bfloat16(unpacked.data(), packed_halves.data(), features, channels, area, row); });
    check("unpack_bfloat16 " + shape, unpacked, weight, 1e-2);
}

static void check_pools(int count, int height, int width, int channels, int size, int stride, int padding) {
    int down = (height + 2 * padding - size) / stride + 1, across = (width + 2 * padding - size) / stride + 1;
    int places = height * width;
    size_t pixels = (size_t)count * places * channels, windows = (size_t)count * down * across * channels;
    std::string shape = std::to_string(height) + " x " + std::to_string(width) + " x " + std::to_string(channels);
    Floats x = exact(pixels), given = exact(windows);
    Values of_x = to_values(x), of_given = to_values(given), y = to_values(unwritten(windows)), into = to_values(unwritten(pixels));
    std::vector<unsigned> winners(windows, 99);
    Doubles largest(windows, -INFINITY), expected(pixels, 0.0);
    std::vector<size_t> places_of_largest(windows);
    for (size_t window = 0; window < windows; window++) {
        int channel = window % channels, left = (int)(window / channels % across) * stride - padding;
        int top = (int)(window / channels / across % down) * stride - padding;
        size_t image = window / channels / across / down;
        for (int row = std::max(top, 0); row < std::min(top + size, height); row++)
            for (int column = std::max(left, 0); column < std::min(left + size, width); column++) {
                size_t at = ((image * height + row) * width + column) * channels + channel;
                if (x[at] > largest[window]) largest[window] = x[at], places_of_largest[window] = at;
            }
    }
    for (size_t at = 0; at < windows; at++) expected[places_of_largest[at]] += given[at];
    launch(BLOCKS, THREADS, [&] { max_pool(y.data(), winners.data(), of_x.data(), windows, height, width, channels, size, stride, padding, down, across); });
    check("max_pool " + shape, to_floats(y), largest);
    launch(BLOCKS, THREADS, [&] { max_pool_gradient(into.data(), of_given.data(), winners.data(), pixels, height, width, channels, size, stride, padding, down, across); });
    check("max_pool_gradient " + shape, to_floats(into), expected);

    Values other = to_values(exact(pixels)), at_winners = to_values(unwritten(windows));
    Floats of_other = to_floats(other);
    Doubles chosen(windows);
    for (size_t window = 0; window < windows; window++) chosen[window] = of_other[places_of_largest[window]];
    launch(BLOCKS, THREADS, [&] { max_pool_at_winners(at_winners.data(), other.data(), winners.data(), windows, height, width, channels, size, stride, padding, down, across); });
    check("max_pool_at_winners " + shape, to_floats(at_winners), chosen);

    size_t means = (size_t)count * channels;
    Floats found = unwritten(means), of_means = exact(means);
    Doubles mean(means, 0.0);
    for (size_t at = 0; at < pixels; at++) {
        size_t of = at / channels / places * channels + at % channels;
        mean[of] += x[at] / (double)places;
        expected[at] = of_means[of] / (double)places;
    }
    launch(BLOCKS, THREADS, [&] { mean_pool(found.data(), of_x.data(), means, places, channels); });
    check("mean_pool " + shape, found, mean, 1e-5);
    launch(BLOCKS, THREADS, [&] { mean_pool_gradient(into.data(), of_means.data(), pixels, places, channels); });
    check("mean_pool_gradient " + shape, to_floats(into), expected);

    for (size_t at = 0; at < pixels; at++)
        expected[(at / channels / places * channels + at % channels) * places + at / channels % places] = x[at];
    unsigned tiles = (places + 31) / 32 * ((channels + 31) / 32);
    launch({tiles, (unsigned)count}, {32, 8}, [&] { transpose(into.data(), of_x.data(), places, channels); });
    check("transpose " + shape, to_floats(into), expected);
}

static void check_moves(int count, int height, int width, int channels, int cut) {
    size_t pixels = (size_t)count * height * width * channels;
    std::string shape = std::to_string(height) + " x " + std::to_string(width) + " x " + std::to_string(channels);
    std::uniform_int_distribution<int> drawn(-9, 9);
    std::vector<index_t> draws(count * 4);
    for (index_t& draw : draws) draw = drawn(generator);
    Floats x = exact(pixels), given = exact(pixels);
    Doubles expected(pixels, -1.0), back(pixels, 0.0);
    for (int image = 0; image < count; image++)
        for (int y = 0; y < height; y++)
            for (int x_of = 0; x_of < width; x_of++)
                for (int channel = 0; channel < channels; channel++) {
                    const index_t* draw = &draws[image * 4];
                    int to_y = y + draw[0], to_x = x_of + draw[1];
                    if (to_y < 0 || to_y >= height || to_x < 0 || to_x >= width) continue;
                    if (to_y >= draw[2] && to_y < draw[2] + cut && to_x >= draw[3] && to_x < draw[3] + cut) continue;
                    size_t from = (((size_t)image * height + y) * width + x_of) * channels + channel;
                    size_t to = (((size_t)image * height + to_y) * width + to_x) * channels + channel;
                    expected[to] = x[from];
                    back[from] = given[to];
                }
    Values of_x = to_values(x), of_given = to_values(given), into = to_values(unwritten(pixels));
    launch(BLOCKS, THREADS, [&] { diffaugment(into.data(), of_x.data(), draws.data(), pixels, height, width, channels, cut, -1.0f, 0); });
    check("diffaugment " + shape, to_floats(into), expected);
    into = to_values(unwritten(pixels));
    launch(BLOCKS, THREADS, [&] { diffaugment(into.data(), of_given.data(), draws.data(), pixels, height, width, channels, cut, 0.0f, 1); });
    check("diffaugment, back " + shape, to_floats(into), back);
}

static int mirrored(int at, int size) {
    while (at < 0 || at >= size) at = at < 0 ? -1 - at : 2 * size - 1 - at;
    return at;
}

static void check_transforms(int count, int height, int width, int channels) {
    size_t pixels = (size_t)count * height * width * channels;
    std::string shape = std::to_string(height) + " x " + std::to_string(width) + " x " + std::to_string(channels);
    Floats transforms = uniform(count * 6, 1.5f), x = exact(pixels), given = exact(pixels);
    for (int image = 0; image < count; image++)
        for (int axis = 0; axis < 2; axis++) transforms[image * 6 + axis * 3 + 2] *= 2 * std::max(height, width);
    // The first is a quarter turn, the second flattens the image.
    const float fixed[] = {0, 1, 0, -1, 0, height - 1.0f, 0.5f, 0.5f, 0.25f, 1, 1, -0.5f};
    std::copy(fixed, fixed + std::min(12, count * 6), transforms.begin());
    Doubles expected(pixels, 0.0), back(pixels, 0.0);
    for (int image = 0; image < count; image++)
        for (int y = 0; y < height; y++)
            for (int x_of = 0; x_of < width; x_of++) {
                // As the kernel rounds it, for the four pixels to be the same ones.
                const float* t = &transforms[image * 6];
                float u = t[0] * x_of + t[1] * y + t[2], v = t[3] * x_of + t[4] * y + t[5];
                for (int corner = 0; corner < 4; corner++) {
                    int column = (int)std::floor(u) + corner % 2, row = (int)std::floor(v) + corner / 2;
                    double weight = (1 - std::fabs((double)u - column)) * (1 - std::fabs((double)v - row));
                    for (int channel = 0; channel < channels; channel++) {
                        size_t from = (((size_t)image * height + mirrored(row, height)) * width + mirrored(column, width)) * channels + channel;
                        size_t to = (((size_t)image * height + y) * width + x_of) * channels + channel;
                        expected[to] += weight * x[from];
                        back[from] += weight * given[to];
                    }
                }
            }
    Values of_x = to_values(x), of_given = to_values(given), into = to_values(unwritten(pixels));
    launch(BLOCKS, THREADS, [&] { affine_sample(into.data(), of_x.data(), transforms.data(), pixels, height, width, channels); });
    check("affine_sample " + shape, to_floats(into), expected);
    into = to_values(unwritten(pixels));
    launch(BLOCKS, THREADS, [&] { affine_sample_gradient(into.data(), of_given.data(), transforms.data(), pixels, height, width, channels); });
    check("affine_sample_gradient " + shape, to_floats(into), back);
}

static void check_colours(int count, int height, int width, int channels) {
    size_t stride = (size_t)height * width * channels, pixels = count * stride;
    int columns = channels + 2;
    std::string shape = std::to_string(height) + " x " + std::to_string(width) + " x " + std::to_string(channels);
    Floats matrices = uniform(count * channels * columns), x = exact(pixels), given = exact(pixels);
    Doubles expected(pixels, 0.0), back(pixels, 0.0);
    for (int image = 0; image < count; image++) {
        const float* matrix = &matrices[image * channels * columns];
        double mean = 0, given_mean = 0;
        for (size_t at = 0; at < stride; at++) {
            mean += x[image * stride + at] / (double)stride;
            given_mean += matrix[at % channels * columns + channels + 1] * (double)given[image * stride + at] / stride;
        }
        for (size_t at = 0; at < stride; at++) {
            int channel = at % channels;
            const float* row = matrix + channel * columns;
            size_t pixel = image * stride + at - channel;
            expected[pixel + channel] = row[channels] + row[channels + 1] * mean;
            back[pixel + channel] = given_mean;
            for (int other = 0; other < channels; other++) {
                expected[pixel + channel] += row[other] * (double)x[pixel + other];
                back[pixel + channel] += matrix[other * columns + channel] * (double)given[pixel + other];
            }
        }
    }
    Values of_x = to_values(x), of_given = to_values(given), into = to_values(unwritten(pixels));
    launch({(unsigned)count, 1}, THREADS, [&] { recolour(into.data(), of_x.data(), matrices.data(), stride, channels); });
    check("recolour " + shape, to_floats(into), expected);
    into = to_values(unwritten(pixels));
    launch({(unsigned)count, 1}, THREADS, [&] { recolour_gradient(into.data(), of_given.data(), matrices.data(), stride, channels); });
    check("recolour_gradient " + shape, to_floats(into), back);
}

static void check_all() {
    check_transforms(30, 8, 8, 1);
    check_transforms(20, 9, 5, 3);
    check_transforms(5, 28, 28, 1);
    check_transforms(3, 1, 4, 2);
    check_colours(4, 28, 28, 1);
    check_colours(3, 5, 7, 3);
    check_moves(40, 8, 8, 1, 4);
    check_moves(30, 9, 5, 3, 0);
    check_moves(7, 28, 28, 1, 14);
    check_window(2, 7, 5, 3, 3, 1, 1, 4);
    check_window(2, 8, 8, 4, 3, 2, 1, 5);
    check_window(1, 9, 6, 1, 5, 1, 0, 3);
    check_window(2, 6, 6, 8, 4, 2, 1, 2);
    check_window(3, 5, 5, 2, 1, 2, 0, 3);
    check_window(2, 4, 4, 8, 1, 1, 0, 8);
    check_pools(2, 7, 9, 5, 2, 2, 0);
    check_pools(1, 8, 8, 33, 3, 3, 0);
    check_pools(3, 4, 4, 64, 2, 2, 0);
    check_pools(2, 12, 9, 16, 3, 2, 1);
    check_pools(2, 7, 8, 3, 2, 3, 1);
}
} // namespace images
