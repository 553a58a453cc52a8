// Each image sampled by an affine transform of six numbers: a pixel is taken from column t0 x + t1 y + t2 and row
// t3 x + t4 y + t5, bilinearly. Beyond its borders an image goes on as its mirror image, end pixels twice.

__device__ __forceinline__ int folded(int at, int size) {
    at %= 2 * size;
    if (at < 0) at += 2 * size;
    return at < size ? at : 2 * size - 1 - at;
}

extern "C" __global__ void affine_sample(V* into, const V* from, const float* transforms, index_t len, int height,
                                         int width, int channels) {
    for (index_t at = thread(); at < len; at += threads()) {
        index_t pixel = at / channels, image = pixel / width / height;
        int channel = at % channels, x = pixel % width, y = pixel / width % height;
        const float* t = transforms + image * 6;
        float u = t[0] * x + t[1] * y + t[2], v = t[3] * x + t[4] * y + t[5];
        float left = floorf(u), top = floorf(v), value = 0.0f;
        for (int corner = 0; corner < 4; corner++) {
            float column = left + corner % 2, row = top + corner / 2;
            index_t place = (image * height + folded((int)row, height)) * width + folded((int)column, width);
            value += (1.0f - fabsf(u - column)) * (1.0f - fabsf(v - row)) * to_float(from[place * channels + channel]);
        }
        store(into + at, value);
    }
}

// The first place of `at` and its mirror images, every `period`, that is `least` or more.
__device__ __forceinline__ int first_copy(int at, int least, int period) {
    int distance = (at - least) % period;
    return least + (distance < 0 ? distance + period : distance);
}

// The transpose, gathered, so that no two threads add to one value: a pixel was read wherever a sampled place lies within
// one pixel of it or of its mirror images. Where those samples are, the inverse of the transform tells.
extern "C" __global__ void affine_sample_gradient(V* into, const V* given, const float* transforms, index_t len,
                                                  int height, int width, int channels) {
    for (index_t at = thread(); at < len; at += threads()) {
        index_t pixel = at / channels, image = pixel / width / height;
        int channel = at % channels, x = pixel % width, y = pixel / width % height;
        const float* t = transforms + image * 6;
        float determinant = t[0] * t[4] - t[1] * t[3];
        bool is_singular = !(fabsf(determinant) > 1e-12f);
        // How far from where the inverse puts a place samples within one pixel of it may be; the half is for rounding.
        float reach_x = (fabsf(t[4]) + fabsf(t[1])) / fabsf(determinant) + 0.5f;
        float reach_y = (fabsf(t[3]) + fabsf(t[0])) / fabsf(determinant) + 0.5f;
        // What is sampled at all.
        float across = width - 1, down = height - 1;
        int least_u = (int)floorf(t[2] + fminf(0.0f, t[0] * across) + fminf(0.0f, t[1] * down)) - 1;
        int most_u = (int)ceilf(t[2] + fmaxf(0.0f, t[0] * across) + fmaxf(0.0f, t[1] * down)) + 1;
        int least_v = (int)floorf(t[5] + fminf(0.0f, t[3] * across) + fminf(0.0f, t[4] * down)) - 1;
        int most_v = (int)ceilf(t[5] + fmaxf(0.0f, t[3] * across) + fmaxf(0.0f, t[4] * down)) + 1;
        const V* values = given + image * height * width * channels + channel;
        float sum = 0.0f;
        for (int mirrored = 0; mirrored < 4; mirrored++) {
            int own_u = mirrored % 2 ? 2 * width - 1 - x : x, own_v = mirrored / 2 ? 2 * height - 1 - y : y;
            for (int row = first_copy(own_v, least_v, 2 * height); row <= most_v; row += 2 * height)
                for (int column = first_copy(own_u, least_u, 2 * width); column <= most_u; column += 2 * width) {
                    float from_u = column - t[2], from_v = row - t[5];
                    float center_x = (t[4] * from_u - t[1] * from_v) / determinant;
                    float center_y = (t[0] * from_v - t[3] * from_u) / determinant;
                    int first_x = is_singular ? 0 : (int)fmaxf(0.0f, ceilf(center_x - reach_x));
                    int last_x = is_singular ? width - 1 : (int)fminf(across, floorf(center_x + reach_x));
                    int first_y = is_singular ? 0 : (int)fmaxf(0.0f, ceilf(center_y - reach_y));
                    int last_y = is_singular ? height - 1 : (int)fminf(down, floorf(center_y + reach_y));
                    for (int to_y = first_y; to_y <= last_y; to_y++)
                        for (int to_x = first_x; to_x <= last_x; to_x++) {
                            float u = t[0] * to_x + t[1] * to_y + t[2], v = t[3] * to_x + t[4] * to_y + t[5];
                            float weight_u = 1.0f - fabsf(u - column), weight_v = 1.0f - fabsf(v - row);
                            if (weight_u <= 0.0f || weight_v <= 0.0f) continue;
                            sum += weight_u * weight_v * to_float(values[((index_t)to_y * width + to_x) * channels]);
                        }
                }
        }
        store(into + at, sum);
    }
}
