// The mean over the places of images (N, places, channels): (N, channels), float whatever V is.
extern "C" __global__ void mean_pool(float* y, const V* x, index_t len, int places, int channels) {
    for (index_t at = thread(); at < len; at += threads()) {
        const V* values = x + at / channels * places * channels + at % channels;
        float sum = 0.0f;
        for (int place = 0; place < places; place++) sum += to_float(values[(index_t)place * channels]);
        y[at] = sum / places;
    }
}

extern "C" __global__ void mean_pool_gradient(V* into, const float* gradient, index_t len, int places, int channels) {
    for (index_t at = thread(); at < len; at += threads())
        store(&into[at], gradient[at / channels / places * channels + at % channels] / places);
}
