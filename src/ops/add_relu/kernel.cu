// max(x + y, 0); NaN stays NaN.
template <int W> __device__ void add_relu(V* into, const V* x, const V* y, index_t len) {
    for (index_t at = thread() * W; at < len; at += threads() * W) {
        float a[W], b[W];
        load<W>(x, at, a);
        load<W>(y, at, b);
#pragma unroll
        for (int w = 0; w < W; w++) a[w] = activated(a[w] + b[w], RELU, 0.0f);
        save<W>(into, at, a);
    }
}

extern "C" __global__ void add_relu_1(V* into, const V* x, const V* y, index_t len) {
    add_relu<1>(into, x, y, len);
}

extern "C" __global__ void add_relu_wide(V* into, const V* x, const V* y, index_t len) {
    add_relu<WIDE>(into, x, y, len);
}
