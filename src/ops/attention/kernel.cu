// The softmax of rows of scores times `scale`, in place, a block of 128 threads a row.

extern "C" __global__ void softmax_rows(float* scores, int width, float scale) {
    float* row = scores + (index_t)blockIdx.x * width;
    float largest = __int_as_float(0xff800000); // -infinity
    for (int at = threadIdx.x; at < width; at += blockDim.x) largest = larger(row[at], largest);
    largest = largest_of_block(largest);
    double total = 0.0;
    for (int at = threadIdx.x; at < width; at += blockDim.x) {
        row[at] = expf((row[at] - largest) * scale);
        total += row[at];
    }
    float share = (float)(1.0 / sum_of_block(total));
    for (int at = threadIdx.x; at < width; at += blockDim.x) row[at] *= share;
}

// Gradients of rows of shares become those of the scores, in place.
extern "C" __global__ void softmax_gradient(float* gradients, const float* shares, int width, float scale) {
    index_t start = (index_t)blockIdx.x * width;
    double sum = 0.0;
    for (int at = threadIdx.x; at < width; at += blockDim.x) sum += (double)shares[start + at] * gradients[start + at];
    float average = (float)sum_of_block(sum);
    for (int at = threadIdx.x; at < width; at += blockDim.x)
        gradients[start + at] = scale * shares[start + at] * (gradients[start + at] - average);
}
