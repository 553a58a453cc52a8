// What every kernel's source begins with. V is the type of a layer's values: float or bfloat16. All arithmetic is in
// float, sums over many values in double.

typedef long long index_t;

struct bfloat16 {
    unsigned short bits;
};

__device__ __forceinline__ float to_float(float x) {
    return x;
}

__device__ __forceinline__ float to_float(bfloat16 x) {
    return __uint_as_float((unsigned)x.bits << 16);
}

__device__ __forceinline__ void store(float* place, float x) {
    *place = x;
}

// Rounded to the nearest, ties to even; NaN stays NaN.
__device__ __forceinline__ void store(bfloat16* place, float x) {
    unsigned bits = __float_as_uint(x);
    bits = x == x ? bits + 0x7fff + (bits >> 16 & 1) : bits | 0x400000;
    place->bits = (unsigned short)(bits >> 16);
}

// W values that lie side by side, read or written at once.
template <typename T, int W> struct alignas(sizeof(T) * W) Pack {
    T values[W];
};

template <int W, typename T> __device__ __forceinline__ void load(const T* values, index_t at, float (&into)[W]) {
    Pack<T, W> pack = *reinterpret_cast<const Pack<T, W>*>(values + at);
#pragma unroll
    for (int w = 0; w < W; w++) into[w] = to_float(pack.values[w]);
}

template <int W, typename T> __device__ __forceinline__ void save(T* values, index_t at, const float (&from)[W]) {
    Pack<T, W> pack;
#pragma unroll
    for (int w = 0; w < W; w++) store(&pack.values[w], from[w]);
    *reinterpret_cast<Pack<T, W>*>(values + at) = pack;
}

// As many values as 16 bytes hold.
#define WIDE (16 / (int)sizeof(V))

// Activations, as ops::Activation.
#define IDENTITY 0
#define RELU 1
#define LEAKY_RELU 2
#define TANH 3

// NaN stays NaN: max(NaN, 0) would be 0 and hide that training has diverged.
__device__ __forceinline__ float activated(float x, int activation, float slope) {
    if (activation == RELU) return x <= 0.0f ? 0.0f : x;
    if (activation == LEAKY_RELU) return x > 0.0f ? x : x * slope;
    if (activation == TANH) return tanhf(x);
    return x;
}

// The gradient before an activation, from that after it and from the activation's output.
__device__ __forceinline__ float before_activation(float gradient, float output, int activation, float slope) {
    if (activation == RELU) return output <= 0.0f ? 0.0f : gradient;
    if (activation == LEAKY_RELU) return output > 0.0f ? gradient : gradient * slope;
    if (activation == TANH) return gradient * (1.0f - output * output);
    return gradient;
}

// This thread's place in a grid of one dimension, and the number of its threads.
__device__ __forceinline__ index_t thread() {
    return (index_t)blockIdx.x * blockDim.x + threadIdx.x;
}

__device__ __forceinline__ index_t threads() {
    return (index_t)gridDim.x * blockDim.x;
}

// The sum over a block of one dimension, whose size is a power of two of at most 1024; every thread gets it.
__device__ __forceinline__ double sum_of_block(double value) {
    __shared__ double sums[1024];
    __syncthreads();
    sums[threadIdx.x] = value;
    for (int size = blockDim.x / 2; size > 0; size /= 2) {
        __syncthreads();
        if (threadIdx.x < size) sums[threadIdx.x] += sums[threadIdx.x + size];
    }
    __syncthreads();
    return sums[0];
}

// NaN is larger than every number, so that it shows.
__device__ __forceinline__ float larger(float a, float b) {
    return a != a || a > b ? a : b;
}

// The largest value over such a block; every thread gets it.
__device__ __forceinline__ float largest_of_block(float value) {
    __shared__ float values[1024];
    __syncthreads();
    values[threadIdx.x] = value;
    for (int size = blockDim.x / 2; size > 0; size /= 2) {
        __syncthreads();
        if (threadIdx.x < size) values[threadIdx.x] = larger(values[threadIdx.x], values[threadIdx.x + size]);
    }
    __syncthreads();
    return values[0];
}

// ---- Passes over the columns of a matrix (rows, channels) ----------------------------------------------------------
//
// A block has blockDim.x threads across, W columns each, and blockDim.y down. blockIdx.x is its group of columns,
// blockIdx.y its chunk of the rows. The grid follows from the shape alone, so that sums do not depend on the device.

struct Columns {
    index_t begin, end; // of this block's rows
    int column;         // the first of this thread
    bool within;
};

template <int W> __device__ __forceinline__ Columns columns(index_t rows, int channels) {
    Columns place;
    index_t chunk = (rows + gridDim.y - 1) / gridDim.y;
    place.begin = chunk * blockIdx.y;
    place.end = min(rows, place.begin + chunk);
    place.column = (blockIdx.x * blockDim.x + threadIdx.x) * W;
    place.within = place.column < channels;
    return place;
}

// Adds each thread's K sums over the threads down the block, and writes them to partial (K, chunks, channels).
template <int K, int W>
__device__ __forceinline__ void write_partial(float (&sums)[K][W], float* partial, const Columns& place, int channels) {
    __shared__ float shared[256 * W];
    for (int k = 0; k < K; k++) {
        __syncthreads();
#pragma unroll
        for (int w = 0; w < W; w++) shared[(threadIdx.y * W + w) * blockDim.x + threadIdx.x] = sums[k][w];
        for (int size = blockDim.y / 2; size > 0; size /= 2) {
            __syncthreads();
            if (threadIdx.y < size) {
#pragma unroll
                for (int w = 0; w < W; w++)
                    shared[(threadIdx.y * W + w) * blockDim.x + threadIdx.x] +=
                        shared[((threadIdx.y + size) * W + w) * blockDim.x + threadIdx.x];
            }
        }
        __syncthreads();
        if (threadIdx.y == 0 && place.within) {
#pragma unroll
            for (int w = 0; w < W; w++)
                partial[((index_t)k * gridDim.y + blockIdx.y) * channels + place.column + w] =
                    shared[w * blockDim.x + threadIdx.x];
        }
    }
}

// The sum over the chunks of partial (chunks, channels) for column blockIdx.x * 32 + threadIdx.x, by a block of 32 x 16
// threads; those with threadIdx.y == 0 get it.
__device__ __forceinline__ double sum_of_chunks(const float* partial, int chunks, int channels) {
    __shared__ double shared[16][32];
    int column = blockIdx.x * 32 + threadIdx.x;
    double sum = 0;
    if (column < channels)
        for (int chunk = threadIdx.y; chunk < chunks; chunk += 16) sum += partial[(index_t)chunk * channels + column];
    __syncthreads();
    shared[threadIdx.y][threadIdx.x] = sum;
    for (int size = 8; size > 0; size /= 2) {
        __syncthreads();
        if (threadIdx.y < size) shared[threadIdx.y][threadIdx.x] += shared[threadIdx.y + size][threadIdx.x];
    }
    __syncthreads();
    return shared[0][threadIdx.x];
}
