// Between float and bfloat16. V is the type of the source.
extern "C" __global__ void to_float_values(float* into, const V* x, index_t len) {
    for (index_t at = thread(); at < len; at += threads()) into[at] = to_float(x[at]);
}

extern "C" __global__ void to_bfloat16_values(bfloat16* into, const V* x, index_t len) {
    for (index_t at = thread(); at < len; at += threads()) store(&into[at], to_float(x[at]));
}
