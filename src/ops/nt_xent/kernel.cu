// Directions of embeddings and the gradient through them, a block of 128 threads a row.

// Row k of (2N, dim): one of left (N, dim) or of right (N, dim), divided by its length, which is kept.
extern "C" __global__ void directions(float* directions, double* lengths, const float* left, const float* right, int count, int dim, double eps) {
    int view = blockIdx.x;
    const float* row = view < count ? left + (index_t)view * dim : right + (index_t)(view - count) * dim;
    double sum = 0.0;
    for (int at = threadIdx.x; at < dim; at += blockDim.x) sum += (double)row[at] * row[at];
    double length = sqrt(sum_of_block(sum) + eps);
    for (int at = threadIdx.x; at < dim; at += blockDim.x) directions[(index_t)view * dim + at] = (float)(row[at] / length);
    if (threadIdx.x == 0) lengths[view] = length;
}

__device__ __forceinline__ float finite(double value) {
    return value > 3.4028234e38 ? 3.4028234e38f : value < -3.4028234e38 ? -3.4028234e38f : (float)value;
}

// The gradient of embeddings `first`, `first + 1`, ... from that of their directions: across the direction, by length.
extern "C" __global__ void through_directions(float* into, const float* gradient, const float* of_directions, const float* directions, const double* lengths, int first, int count, int dim, double temperature) {
    int view = first + blockIdx.x;
    const float *g = of_directions + (index_t)view * dim, *direction = directions + (index_t)view * dim;
    double along = 0.0;
    for (int at = threadIdx.x; at < dim; at += blockDim.x) along += (double)g[at] * direction[at];
    along = sum_of_block(along);
    double share = (double)*gradient / (count * temperature * lengths[view]);
    share = share > 1.7e308 ? 1.7e308 : share < -1.7e308 ? -1.7e308 : share; // infinity times 0 would be NaN
    for (int at = threadIdx.x; at < dim; at += blockDim.x)
        into[(index_t)blockIdx.x * dim + at] = finite((g[at] - direction[at] * along) * share);
}
