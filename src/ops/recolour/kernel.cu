// Each image, of `stride` values, by its matrix (channels, channels + 2): mixed channels, an added constant, a multiple of
// the image's mean. A block takes an image.

extern "C" __global__ void recolour(V* into, const V* from, const float* matrices, index_t stride, int channels) {
    int columns = channels + 2;
    const float* matrix = matrices + (index_t)blockIdx.x * channels * columns;
    const V* values = from + blockIdx.x * stride;
    double sum = 0;
    for (index_t at = threadIdx.x; at < stride; at += blockDim.x) sum += to_float(values[at]);
    float mean = (float)(sum_of_block(sum) / stride);
    for (index_t at = threadIdx.x; at < stride; at += blockDim.x) {
        int channel = at % channels;
        const V* pixel = values + (at - channel);
        const float* row = matrix + channel * columns;
        float value = row[channels] + row[channels + 1] * mean;
        for (int other = 0; other < channels; other++) value += row[other] * to_float(pixel[other]);
        store(into + blockIdx.x * stride + at, value);
    }
}

extern "C" __global__ void recolour_gradient(V* into, const V* given, const float* matrices, index_t stride, int channels) {
    int columns = channels + 2;
    const float* matrix = matrices + (index_t)blockIdx.x * channels * columns;
    const V* values = given + blockIdx.x * stride;
    double sum = 0;
    for (index_t at = threadIdx.x; at < stride; at += blockDim.x)
        sum += (double)matrix[at % channels * columns + channels + 1] * to_float(values[at]);
    float mean = (float)(sum_of_block(sum) / stride);
    for (index_t at = threadIdx.x; at < stride; at += blockDim.x) {
        int channel = at % channels;
        const V* pixel = values + (at - channel);
        float value = mean;
        for (int other = 0; other < channels; other++) value += matrix[other * columns + channel] * to_float(pixel[other]);
        store(into + blockIdx.x * stride + at, value);
    }
}
