// Layer normalisation of rows (rows, width), a block of 128 threads a row.

// The mean of a row, and one over the root of its biased variance plus `eps`; every thread of the block gets them.
__device__ __forceinline__ void moments_of_row(const float* row, int width, float eps, float& mean, float& scale) {
    double sum = 0.0;
    for (int at = threadIdx.x; at < width; at += blockDim.x) sum += row[at];
    mean = (float)(sum_of_block(sum) / width);
    double squares = 0.0;
    for (int at = threadIdx.x; at < width; at += blockDim.x) {
        float distance = row[at] - mean;
        squares += distance * distance;
    }
    scale = (float)(1.0 / sqrt(sum_of_block(squares) / width + eps));
}

extern "C" __global__ void layer_norm(float* into, const float* x, const float* weight, const float* bias, int width, float eps) {
    index_t start = (index_t)blockIdx.x * width;
    float mean, scale;
    moments_of_row(x + start, width, eps, mean, scale);
    for (int at = threadIdx.x; at < width; at += blockDim.x)
        into[start + at] = (x[start + at] - mean) * scale * weight[at] + bias[at];
}

// The gradient of x, and in `moments` (rows, 2) what its rows were normalised by.
extern "C" __global__ void layer_norm_gradient(float* into, float* moments, const float* x, const float* weight, const float* gradient, int width, float eps) {
    index_t start = (index_t)blockIdx.x * width;
    float mean, scale;
    moments_of_row(x + start, width, eps, mean, scale);
    double average = 0.0, along = 0.0;
    for (int at = threadIdx.x; at < width; at += blockDim.x) {
        float scaled = gradient[start + at] * weight[at];
        average += scaled;
        along += scaled * ((x[start + at] - mean) * scale);
    }
    float shift = (float)(sum_of_block(average) / width), tilt = (float)(sum_of_block(along) / width);
    for (int at = threadIdx.x; at < width; at += blockDim.x)
        into[start + at] = scale * (gradient[start + at] * weight[at] - shift - (x[start + at] - mean) * scale * tilt);
    if (threadIdx.x == 0) {
        moments[2 * (index_t)blockIdx.x] = mean;
        moments[2 * (index_t)blockIdx.x + 1] = scale;
    }
}

// Sums, by chunks of rows, of the gradient times the normalised values and of the gradient: (2, chunks, width).
extern "C" __global__ void layer_norm_sums(float* partial, const float* x, const float* gradient, const float* moments, index_t rows, int width) {
    Columns place = columns<1>(rows, width);
    float sums[2][1] = {};
    if (place.within)
        for (index_t row = place.begin + threadIdx.y; row < place.end; row += blockDim.y) {
            index_t at = row * width + place.column;
            sums[0][0] += gradient[at] * ((x[at] - moments[2 * row]) * moments[2 * row + 1]);
            sums[1][0] += gradient[at];
        }
    write_partial<2, 1>(sums, partial, place, width);
}

extern "C" __global__ void layer_norm_finish(float* for_weight, float* for_bias, const float* partial, int chunks, int width) {
    double weight = sum_of_chunks(partial, chunks, width);
    double bias = sum_of_chunks(partial + (index_t)chunks * width, chunks, width);
    int column = blockIdx.x * 32 + threadIdx.x;
    if (threadIdx.y > 0 || column >= width) return;
    for_weight[column] = (float)weight;
    for_bias[column] = (float)bias;
}
