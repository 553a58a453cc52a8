// Activations alone.

template <int W>
__device__ void activate_values(V* y, const V* x, index_t len, int activation, float slope) {
    for (index_t at = thread() * W; at < len; at += threads() * W) {
        float values[W];
        load<W>(x, at, values);
#pragma unroll
        for (int w = 0; w < W; w++) values[w] = activated(values[w], activation, slope);
        save<W>(y, at, values);
    }
}

extern "C" __global__ void activate_1(V* y, const V* x, index_t len, int activation, float slope) {
    activate_values<1>(y, x, len, activation, slope);
}

extern "C" __global__ void activate_wide(V* y, const V* x, index_t len, int activation, float slope) {
    activate_values<WIDE>(y, x, len, activation, slope);
}
