// Losses of scores with one target, in double: there is one score an image.

#define CROSS_ENTROPY 0
#define HALF_SQUARE 1
#define HINGE 2 // else the product

__device__ double loss_of(int rule, double score, double target) {
    if (rule == HALF_SQUARE) return (score - target) * (score - target) * 0.5;
    if (rule == HINGE) return target * score >= 1.0 ? 0.0 : 1.0 - target * score; // NaN stays
    if (rule != CROSS_ENTROPY) return target * score;
    // max alone would lose NaN
    double positive = score <= 0.0 ? 0.0 : score;
    return positive - score * target + log1p(exp(-fabs(score)));
}

__device__ double slope_of(int rule, double score, double target) {
    if (rule == HALF_SQUARE) return score - target;
    if (rule == HINGE) return target * score >= 1.0 ? 0.0 : -target;
    if (rule != CROSS_ENTROPY) return target;
    double small = exp(-fabs(score));
    return (score >= 0.0 ? 1.0 : small) / (1.0 + small) - target;
}

// The mean over all scores, by one block of 1024 threads.
extern "C" __global__ void score_loss(float* loss, const float* scores, index_t len, int rule, double target) {
    double sum = 0.0;
    for (index_t at = threadIdx.x; at < len; at += blockDim.x) sum += loss_of(rule, scores[at], target);
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) *loss = (float)(sum / len);
}

extern "C" __global__ void score_loss_gradient(float* into, const float* gradient, const float* scores, index_t len, int rule, double target) {
    double share = (double)*gradient / len;
    for (index_t at = thread(); at < len; at += threads()) into[at] = (float)(slope_of(rule, scores[at], target) * share);
}
