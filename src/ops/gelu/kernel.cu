// x times the distribution function of the standard normal.
extern "C" __global__ void gelu(float* into, const float* x, index_t len) {
    for (index_t at = thread(); at < len; at += threads()) into[at] = 0.5f * x[at] * erfcf(-0.70710678f * x[at]);
}

extern "C" __global__ void gelu_gradient(float* into, const float* x, const float* gradient, index_t len) {
    for (index_t at = thread(); at < len; at += threads()) {
        float value = x[at], density = 0.39894228f * expf(-0.5f * value * value);
        into[at] = gradient[at] * (0.5f * erfcf(-0.70710678f * value) + value * density);
    }
}
