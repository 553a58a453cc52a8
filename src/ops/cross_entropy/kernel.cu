// The cross-entropy of rows of scores with labels, a block of 256 threads a row.

// -log(softmax(scale x)[label]) of one row, without the place `skipped` (none: -1), and in `slopes` the softmax, less 1
// at the label; `slopes` may be the row. As ops::cross_entropy::row. A label that is no class makes everything NaN.
__device__ void cross_entropy_of_row(double* loss, float* slopes, const float* x, int classes, int label, int skipped, double scale) {
    float largest = __int_as_float(0xff800000); // -infinity
    for (int at = threadIdx.x; at < classes; at += blockDim.x)
        if (at != skipped) largest = larger(x[at], largest);
    largest = largest_of_block(largest);
    double of_label = label >= 0 && label < classes ? (double)x[label] : (double)__int_as_float(0x7fffffff);
    float scale_of_float = (float)(scale < 3.4028234e38 ? scale : 3.4028234e38);
    double total = 0.0, others = 0.0;
    for (int at = threadIdx.x; at < classes; at += blockDim.x)
        if (at != skipped) {
            double share = (double)expf((x[at] - largest) * scale_of_float);
            total += share;
            if (at != label) others += share; // the rest, without cancellation where the row is nearly decided
        }
    total = sum_of_block(total);
    others = sum_of_block(others);
    double spoilt = of_label == of_label ? 0.0 : of_label;
    for (int at = threadIdx.x; at < classes; at += blockDim.x) {
        float share = at == skipped ? 0.0f : (float)((double)expf((x[at] - largest) * scale_of_float) / total + spoilt);
        slopes[at] = at == label ? (float)(-others / total) : share;
    }
    if (threadIdx.x == 0) *loss = ((double)largest - of_label) * scale + log(total);
}

extern "C" __global__ void cross_entropy_rows(double* losses, float* slopes, const float* scores, const unsigned* labels, int classes) {
    index_t row = blockIdx.x;
    unsigned label = labels[row];
    cross_entropy_of_row(&losses[row], slopes + row * classes, scores + row * classes, classes, label < (unsigned)classes ? (int)label : -1, -1, 1.0);
}

// Rows of cosines (2N, 2N), in place: the other view is the label, the view itself is left out.
extern "C" __global__ void contrastive_rows(double* losses, float* cosines, int views, double scale) {
    int view = blockIdx.x;
    float* row = cosines + (index_t)view * views;
    cross_entropy_of_row(&losses[view], row, row, views, (view + views / 2) % views, view, scale);
}

// The mean of the rows' losses, by one block of 1024 threads, as a finite float: at a temperature of 1e-40 it is beyond.
extern "C" __global__ void mean_loss(float* loss, const double* losses, int rows) {
    double sum = 0.0;
    for (int row = threadIdx.x; row < rows; row += blockDim.x) sum += losses[row];
    sum = sum_of_block(sum) / rows;
    if (threadIdx.x == 0) *loss = sum > 3.4028234e38 ? 3.4028234e38f : (float)sum;
}

extern "C" __global__ void scaled_slopes(float* into, const float* gradient, const float* slopes, index_t len, int rows) {
    float share = *gradient / rows;
    for (index_t at = thread(); at < len; at += threads()) into[at] = slopes[at] * share;
}
