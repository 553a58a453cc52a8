// What comes after a product: the bias and the activation, forward and backward.

// The gradient before the activation, from that after it and from its output.
template <int W>
__device__ void activation_gradient(V* into, const V* gradient, const V* output, index_t len, int activation, float slope) {
    for (index_t at = thread() * W; at < len; at += threads() * W) {
        float g[W], y[W];
        load<W>(gradient, at, g);
        load<W>(output, at, y);
#pragma unroll
        for (int w = 0; w < W; w++) g[w] = before_activation(g[w], y[w], activation, slope);
        save<W>(into, at, g);
    }
}

extern "C" __global__ void activation_gradient_1(V* into, const V* gradient, const V* output, index_t len, int activation, float slope) {
    activation_gradient<1>(into, gradient, output, len, activation, slope);
}

extern "C" __global__ void activation_gradient_wide(V* into, const V* gradient, const V* output, index_t len, int activation, float slope) {
    activation_gradient<WIDE>(into, gradient, output, len, activation, slope);
}

// Adds a bias (channels) to values (rows, channels), in place, and applies the activation.
template <int W>
__device__ void finish_values(V* y, const float* bias, index_t rows, int channels, int activation, float slope) {
    Columns place = columns<W>(rows, channels);
    if (!place.within) return;
    float b[W];
#pragma unroll
    for (int w = 0; w < W; w++) b[w] = bias ? bias[place.column + w] : 0.0f;
    for (index_t row = place.begin + threadIdx.y; row < place.end; row += blockDim.y) {
        float values[W];
        load<W>(y, row * channels + place.column, values);
#pragma unroll
        for (int w = 0; w < W; w++) values[w] = activated(values[w] + b[w], activation, slope);
        save<W>(y, row * channels + place.column, values);
    }
}

extern "C" __global__ void finish_1(V* y, const float* bias, index_t rows, int channels, int activation, float slope) {
    finish_values<1>(y, bias, rows, channels, activation, slope);
}

extern "C" __global__ void finish_wide(V* y, const float* bias, index_t rows, int channels, int activation, float slope) {
    finish_values<WIDE>(y, bias, rows, channels, activation, slope);
}

// The gradient before the activation, if `into` is given, and the sums of its columns: a bias's gradient, by chunks.
template <int W>
__device__ void bias_gradient(V* into, float* partial, const V* gradient, const V* output, index_t rows, int channels, int activation, float slope) {
    Columns place = columns<W>(rows, channels);
    float sums[1][W] = {};
    if (place.within)
        for (index_t row = place.begin + threadIdx.y; row < place.end; row += blockDim.y) {
            index_t at = row * channels + place.column;
            float g[W], y[W];
            load<W>(gradient, at, g);
            if (into) {
                load<W>(output, at, y);
#pragma unroll
                for (int w = 0; w < W; w++) g[w] = before_activation(g[w], y[w], activation, slope);
                save<W>(into, at, g);
            }
#pragma unroll
            for (int w = 0; w < W; w++) sums[0][w] += g[w];
        }
    write_partial<1, W>(sums, partial, place, channels);
}

extern "C" __global__ void bias_gradient_1(V* into, float* partial, const V* gradient, const V* output, index_t rows, int channels, int activation, float slope) {
    bias_gradient<1>(into, partial, gradient, output, rows, channels, activation, slope);
}

extern "C" __global__ void bias_gradient_wide(V* into, float* partial, const V* gradient, const V* output, index_t rows, int channels, int activation, float slope) {
    bias_gradient<WIDE>(into, partial, gradient, output, rows, channels, activation, slope);
}

extern "C" __global__ void sum_chunks(float* sums, const float* partial, int chunks, int channels) {
    double sum = sum_of_chunks(partial, chunks, channels);
    int column = blockIdx.x * 32 + threadIdx.x;
    if (threadIdx.y == 0 && column < channels) sums[column] = (float)sum;
}
