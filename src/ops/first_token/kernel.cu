// The first `width` values of each sequence of `size`.
extern "C" __global__ void first_token(float* into, const float* x, index_t len, index_t size, int width) {
    for (index_t at = thread(); at < len; at += threads()) into[at] = x[at / width * size + at % width];
}

// The gradient of the sequences.
extern "C" __global__ void first_token_gradient(float* into, const float* gradient, index_t len, index_t size, int width) {
    for (index_t at = thread(); at < len; at += threads()) {
        index_t within = at % size;
        into[at] = within < width ? gradient[at / size * width + within] : 0.0f;
    }
}
