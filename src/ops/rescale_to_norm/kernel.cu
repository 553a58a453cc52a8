// Each row of x rescaled to the norm `target`, by a block each; a row of zeros stays.
extern "C" __global__ void rescale_to_norm(V* into, const V* x, index_t columns, double target) {
    const V* row = x + blockIdx.x * columns;
    double sum = 0.0;
    for (index_t at = threadIdx.x; at < columns; at += blockDim.x) sum += (double)to_float(row[at]) * to_float(row[at]);
    double norm = sqrt(sum_of_block(sum));
    double factor = norm == 0.0 ? 0.0 : target / norm;
    for (index_t at = threadIdx.x; at < columns; at += blockDim.x)
        store(into + blockIdx.x * columns + at, (float)(to_float(row[at]) * factor));
}
