// Batch normalisation of rows (rows, channels), then an activation. `coefficients` is (2, channels): each channel's mean
// and one over its standard deviation.

// Sums of the distances from the first row, and of their squares: nothing cancels where the mean is large.
template <int W> __device__ void moments(float* partial, const V* x, index_t rows, int channels) {
    Columns place = columns<W>(rows, channels);
    float sums[2][W] = {};
    if (place.within) {
        float origin[W];
        load<W>(x, place.column, origin);
#pragma unroll 4
        for (index_t row = place.begin + threadIdx.y; row < place.end; row += blockDim.y) {
            float values[W];
            load<W>(x, row * channels + place.column, values);
#pragma unroll
            for (int w = 0; w < W; w++) {
                float distance = values[w] - origin[w];
                sums[0][w] += distance;
                sums[1][w] += distance * distance;
            }
        }
    }
    write_partial<2, W>(sums, partial, place, channels);
}

extern "C" __global__ void moments_1(float* partial, const V* x, index_t rows, int channels) {
    moments<1>(partial, x, rows, channels);
}

extern "C" __global__ void moments_wide(float* partial, const V* x, index_t rows, int channels) {
    moments<WIDE>(partial, x, rows, channels);
}

extern "C" __global__ void finish_moments(float* mean, float* variance, float* coefficients, const float* partial, const V* x, index_t rows, int chunks, int channels, double eps) {
    double sum = sum_of_chunks(partial, chunks, channels);
    double squares = sum_of_chunks(partial + (index_t)chunks * channels, chunks, channels);
    int column = blockIdx.x * 32 + threadIdx.x;
    if (threadIdx.y > 0 || column >= channels) return;
    double distance = sum / rows, spread = squares / rows - distance * distance;
    spread = spread < 0.0 ? 0.0 : spread; // NaN stays NaN
    mean[column] = coefficients[column] = (float)(to_float(x[column]) + distance);
    variance[column] = (float)spread;
    coefficients[channels + column] = (float)(1.0 / sqrt(spread + eps));
}

// The coefficients of running statistics.
extern "C" __global__ void running_coefficients(float* coefficients, const float* mean, const float* variance, int channels, double eps) {
    int column = (int)thread();
    if (column >= channels) return;
    coefficients[column] = mean[column];
    coefficients[channels + column] = (float)(1.0 / sqrt((double)variance[column] + eps));
}

// Moves running statistics towards a batch's, whose variance is made unbiased by `correction`; counts the batch.
extern "C" __global__ void track(float* running_mean, float* running_variance, index_t* batches, const float* mean, const float* variance, int channels, float correction, float momentum) {
    int column = (int)thread();
    if (column == 0) *batches += 1;
    if (column >= channels) return;
    running_mean[column] += momentum * (mean[column] - running_mean[column]);
    running_variance[column] += momentum * (variance[column] * correction - running_variance[column]);
}

template <int W> struct Channel {
    float mean[W], deviation[W], weight[W], bias[W];

    __device__ __forceinline__ Channel(const float* coefficients, const float* weights, const float* biases, int column, int channels) {
#pragma unroll
        for (int w = 0; w < W; w++) {
            mean[w] = coefficients[column + w];
            deviation[w] = coefficients[channels + column + w];
            weight[w] = weights[column + w];
            bias[w] = biases[column + w];
        }
    }

    __device__ __forceinline__ float normal(float x, int w) const {
        return (x - mean[w]) * deviation[w];
    }

    __device__ __forceinline__ float output(float x, int w) const {
        return normal(x, w) * weight[w] + bias[w];
    }
};

template <int W>
__device__ void normalise(V* y, const V* x, const float* coefficients, const float* weight, const float* bias, index_t rows, int channels, int activation, float slope) {
    Columns place = columns<W>(rows, channels);
    if (!place.within) return;
    Channel<W> channel(coefficients, weight, bias, place.column, channels);
#pragma unroll 2
    for (index_t row = place.begin + threadIdx.y; row < place.end; row += blockDim.y) {
        index_t at = row * channels + place.column;
        float values[W];
        load<W>(x, at, values);
#pragma unroll
        for (int w = 0; w < W; w++) values[w] = activated(channel.output(values[w], w), activation, slope);
        save<W>(y, at, values);
    }
}

extern "C" __global__ void normalise_1(V* y, const V* x, const float* coefficients, const float* weight, const float* bias, index_t rows, int channels, int activation, float slope) {
    normalise<1>(y, x, coefficients, weight, bias, rows, channels, activation, slope);
}

extern "C" __global__ void normalise_wide(V* y, const V* x, const float* coefficients, const float* weight, const float* bias, index_t rows, int channels, int activation, float slope) {
    normalise<WIDE>(y, x, coefficients, weight, bias, rows, channels, activation, slope);
}

// The gradient before the activation, whose output follows from x.
template <int W>
__device__ __forceinline__ void incoming(float (&g)[W], const float (&x)[W], const Channel<W>& channel, int activation, float slope) {
#pragma unroll
    for (int w = 0; w < W; w++) g[w] = before_activation(g[w], activated(channel.output(x[w], w), activation, slope), activation, slope);
}

// Sums, by chunks, of the gradient before the activation and of its product with the normal values: the gradients of
// bias and weight.
template <int W>
__device__ void parameter_gradients(float* partial, const V* gradient, const V* x, const float* coefficients, const float* weight, const float* bias, index_t rows, int channels, int activation, float slope) {
    Columns place = columns<W>(rows, channels);
    float sums[2][W] = {};
    if (place.within) {
        Channel<W> channel(coefficients, weight, bias, place.column, channels);
#pragma unroll 2
        for (index_t row = place.begin + threadIdx.y; row < place.end; row += blockDim.y) {
            index_t at = row * channels + place.column;
            float g[W], values[W];
            load<W>(gradient, at, g);
            load<W>(x, at, values);
            incoming<W>(g, values, channel, activation, slope);
#pragma unroll
            for (int w = 0; w < W; w++) {
                sums[0][w] += g[w];
                sums[1][w] += g[w] * channel.normal(values[w], w);
            }
        }
    }
    write_partial<2, W>(sums, partial, place, channels);
}

extern "C" __global__ void parameter_gradients_1(float* partial, const V* gradient, const V* x, const float* coefficients, const float* weight, const float* bias, index_t rows, int channels, int activation, float slope) {
    parameter_gradients<1>(partial, gradient, x, coefficients, weight, bias, rows, channels, activation, slope);
}

extern "C" __global__ void parameter_gradients_wide(float* partial, const V* gradient, const V* x, const float* coefficients, const float* weight, const float* bias, index_t rows, int channels, int activation, float slope) {
    parameter_gradients<WIDE>(partial, gradient, x, coefficients, weight, bias, rows, channels, activation, slope);
}

extern "C" __global__ void finish_gradients(float* for_weight, float* for_bias, const float* partial, int chunks, int channels) {
    double bias = sum_of_chunks(partial, chunks, channels);
    double weight = sum_of_chunks(partial + (index_t)chunks * channels, chunks, channels);
    int column = blockIdx.x * 32 + threadIdx.x;
    if (threadIdx.y > 0 || column >= channels) return;
    for_weight[column] = (float)weight;
    for_bias[column] = (float)bias;
}

// The gradient of x. `for_weight` and `for_bias` are those of the parameters if it goes through the statistics, null if
// they are running ones.
template <int W>
__device__ void input_gradient(V* into, const V* gradient, const V* x, const float* coefficients, const float* weight, const float* bias, const float* for_weight, const float* for_bias, index_t rows, int channels, int activation, float slope) {
    Columns place = columns<W>(rows, channels);
    if (!place.within) return;
    Channel<W> channel(coefficients, weight, bias, place.column, channels);
    float of_mean[W] = {}, of_deviation[W] = {};
    if (for_weight)
#pragma unroll
        for (int w = 0; w < W; w++) {
            of_mean[w] = for_bias[place.column + w] / rows;
            of_deviation[w] = for_weight[place.column + w] / rows;
        }
#pragma unroll 2
    for (index_t row = place.begin + threadIdx.y; row < place.end; row += blockDim.y) {
        index_t at = row * channels + place.column;
        float g[W], values[W];
        load<W>(gradient, at, g);
        load<W>(x, at, values);
        incoming<W>(g, values, channel, activation, slope);
#pragma unroll
        for (int w = 0; w < W; w++)
            g[w] = (g[w] - of_mean[w] - channel.normal(values[w], w) * of_deviation[w]) * channel.deviation[w] * channel.weight[w];
        save<W>(into, at, g);
    }
}

extern "C" __global__ void input_gradient_1(V* into, const V* gradient, const V* x, const float* coefficients, const float* weight, const float* bias, const float* for_weight, const float* for_bias, index_t rows, int channels, int activation, float slope) {
    input_gradient<1>(into, gradient, x, coefficients, weight, bias, for_weight, for_bias, rows, channels, activation, slope);
}

extern "C" __global__ void input_gradient_wide(V* into, const V* gradient, const V* x, const float* coefficients, const float* weight, const float* bias, const float* for_weight, const float* for_bias, index_t rows, int channels, int activation, float slope) {
    input_gradient<WIDE>(into, gradient, x, coefficients, weight, bias, for_weight, for_bias, rows, channels, activation, slope);
}
