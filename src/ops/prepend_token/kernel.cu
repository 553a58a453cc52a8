// Of each sequence the token and the patches, with the positions (tokens * width) added. `size` is tokens * width.
extern "C" __global__ void prepend_token(float* into, const float* patches, const float* token, const float* positions, index_t len, index_t size, int width) {
    for (index_t at = thread(); at < len; at += threads()) {
        index_t sequence = at / size, within = at % size;
        float value = within < width ? token[within] : patches[sequence * (size - width) + within - width];
        into[at] = value + positions[within];
    }
}

// The gradient of the patches (N, size - width).
extern "C" __global__ void without_token(float* into, const float* gradient, index_t len, index_t size, int width) {
    index_t of_patches = size - width;
    for (index_t at = thread(); at < len; at += threads())
        into[at] = gradient[at / of_patches * size + width + at % of_patches];
}

// The sum over all sequences: a thread a place.
extern "C" __global__ void sum_of_sequences(float* into, const float* gradient, index_t size, int count) {
    for (index_t at = thread(); at < size; at += threads()) {
        double sum = 0.0;
        for (int sequence = 0; sequence < count; sequence++) sum += gradient[sequence * size + at];
        into[at] = (float)sum;
    }
}
