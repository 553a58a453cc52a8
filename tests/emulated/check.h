// Random values, what is expected of a kernel in double, and the comparison of the two.
#include <cstdio>
#include <random>
#include <string>

typedef std::vector<float> Floats;
typedef std::vector<double> Doubles;
typedef std::vector<V> Values;

static std::mt19937 generator(7);
static int failures = 0;

// Rounding of a value, and sums of a few hundred.
static const double TOLERANCE = sizeof(V) == 4 ? 3e-5 : 1.2e-2;

static Values to_values(const Floats& x) {
    Values values(x.size());
    for (size_t at = 0; at < x.size(); at++) store(&values[at], x[at]);
    return values;
}

template <typename T> static Floats to_floats(const std::vector<T>& x) {
    Floats values(x.size());
    for (size_t at = 0; at < x.size(); at++) values[at] = to_float(x[at]);
    return values;
}

static Floats uniform(size_t len, float size = 1.0f) {
    std::uniform_real_distribution<float> distribution(-size, size);
    Floats values(len);
    for (float& value : values) value = distribution(generator);
    return values;
}

// Values that V holds exactly.
static Floats exact(size_t len, float offset = 0.0f) {
    Floats values = uniform(len);
    for (float& value : values) value += offset;
    return to_floats(to_values(values));
}

// What must not be left where a kernel should have written.
static Floats unwritten(size_t len) {
    return Floats(len, 777.0f);
}

template <typename Found, typename Expected>
static void check(const std::string& name, const Found& found, const Expected& expected, double tolerance = TOLERANCE) {
    double worst = 0.0, size = 1e-3;
    for (size_t at = 0; at < expected.size(); at++) {
        double distance = std::fabs((double)found[at] - (double)expected[at]);
        worst = std::isfinite(distance) ? std::max(worst, distance) : INFINITY;
        size = std::max(size, std::fabs((double)expected[at]));
    }
    if (found.size() == expected.size() && worst <= tolerance * size) return;
    printf("%s: off by %.2e of the largest value\n", name.c_str(), worst / size);
    failures++;
}

// As ops::cuda::Columns.
struct Pass {
    bool wide;
    unsigned chunks;
    Index blocks, threads;

    Pass(size_t rows, size_t channels) {
        wide = channels % WIDE == 0;
        size_t columns = wide ? channels / WIDE : channels;
        unsigned across = 1;
        while (across < columns && across < 32) across *= 2;
        unsigned down = 256 / across, groups = (columns + across - 1) / across;
        chunks = std::min<size_t>((rows + down * 4 - 1) / (down * 4), std::max(528 / groups, 1u));
        blocks = {groups, chunks};
        threads = {across, down};
    }
};

static Index finishing(size_t channels) {
    return {(unsigned)(channels + 31) / 32, 1};
}

static double activated_exactly(double x, int activation, double slope) {
    switch (activation) {
    case RELU: return std::max(x, 0.0);
    case LEAKY_RELU: return x > 0 ? x : slope * x;
    case TANH: return std::tanh(x);
    default: return x;
    }
}

static double before_exactly(double gradient, double output, int activation, double slope) {
    switch (activation) {
    case RELU: return output > 0 ? gradient : 0;
    case LEAKY_RELU: return output > 0 ? gradient : slope * gradient;
    case TANH: return gradient * (1 - output * output);
    default: return gradient;
    }
}
