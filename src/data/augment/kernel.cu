// Views of images: a block of 256 threads each. What is drawn of a view is drawn on the host, and what is computed is
// what `view.rs` computes on a CPU, operation for operation: every product and sum is rounded by itself, never fused, and
// the one long sum, the mean of the contrast, has the CPU's order. So the views are the same bits on both.

#define SIDE 32
#define PIXELS (SIDE * SIDE)
#define THREADS 256
#define EACH (PIXELS / THREADS)
// Partial sums of a mean, as `colour.rs`.
#define LANES 16

// What is drawn of one view: eight words, as `cuda.rs` packs them.
struct View {
    unsigned image;
    unsigned corner; // top << 16 | left
    unsigned extent; // height << 16 | width
    // 1: flip, 2: grey, 4: jitter; the parts of the jitter in their order from bit 8 on, four bits each
    unsigned flags;
    float brightness, contrast, saturation, hue;
};

__device__ __forceinline__ float times(float a, float b) {
    return __fmul_rn(a, b);
}

__device__ __forceinline__ float plus(float a, float b) {
    return __fadd_rn(a, b);
}

__device__ __forceinline__ float minus(float a, float b) {
    return __fadd_rn(a, -b);
}

__device__ __forceinline__ float over(float a, float b) {
    return __fdiv_rn(a, b);
}

__device__ __forceinline__ float within_0_and_1(float x) {
    return x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
}

// The source pixels that a target pixel takes from, by PyTorch's antialiased bilinear filter: `resize.rs`, `window`.
struct Window {
    float centre, sharpness, share;
    int first, last;
};

__device__ __forceinline__ float unscaled_weight(const Window& window, int pixel) {
    float distance = times(plus(minus((float)pixel, window.centre), 0.5f), window.sharpness);
    return within_0_and_1(minus(1.0f, fabsf(distance)));
}

__device__ __forceinline__ float weight(const Window& window, int pixel) {
    return times(unscaled_weight(window, pixel), window.share);
}

__device__ Window window_of(int index, int from) {
    Window window;
    float scale = over((float)from, (float)SIDE);
    float support = scale > 1.0f ? scale : 1.0f;
    window.sharpness = over(1.0f, support);
    window.centre = times(scale, plus((float)index, 0.5f));
    int first = (int)plus(minus(window.centre, support), 0.5f);
    int last = (int)plus(plus(window.centre, support), 0.5f);
    window.first = first < 0 ? 0 : first;
    window.last = last > from ? from : last;
    float total = 0.0f;
    for (int pixel = window.first; pixel < window.last; pixel++) total = plus(total, unscaled_weight(window, pixel));
    window.share = over(1.0f, total);
    return window;
}

struct Colour {
    float red, green, blue;
};

__device__ __forceinline__ float grey_of(Colour c) {
    return plus(plus(times(0.2989f, c.red), times(0.587f, c.green)), times(0.114f, c.blue));
}

__device__ __forceinline__ float blend(float value, float other, float ratio) {
    return within_0_and_1(plus(times(value, ratio), times(other, minus(1.0f, ratio))));
}

__device__ __forceinline__ Colour blend(Colour c, float other, float ratio) {
    return {blend(c.red, other, ratio), blend(c.green, other, ratio), blend(c.blue, other, ratio)};
}

__device__ __forceinline__ Colour brightened(Colour c, float factor) {
    return {within_0_and_1(times(c.red, factor)), within_0_and_1(times(c.green, factor)),
            within_0_and_1(times(c.blue, factor))};
}

__device__ __forceinline__ float below_six(float sixths) {
    return sixths >= 6.0f ? minus(sixths, 6.0f) : sixths;
}

__device__ __forceinline__ float fall_of(float k) {
    k = below_six(k);
    float fall = minus(4.0f, k);
    return within_0_and_1(k < fall ? k : fall);
}

__device__ __forceinline__ float larger(float a, float b) {
    return a > b ? a : b;
}

// `hue.rs`, where the formula stands.
__device__ Colour turned(Colour c, float turn) {
    turn = times(6.0f, turn);
    turn = turn < 0.0f ? plus(turn, 6.0f) : turn;
    float max = larger(larger(c.red, c.green), c.blue);
    float range = plus(max, larger(larger(-c.red, -c.green), -c.blue));
    float per_range = over(1.0f, range > 0.0f ? range : 1.0f);
    float difference, third;
    if (max == c.red) {
        difference = minus(c.green, c.blue), third = 0.0f;
    } else if (max == c.green) {
        difference = minus(c.blue, c.red), third = 2.0f;
    } else {
        difference = minus(c.red, c.green), third = 4.0f;
    }
    float hue = below_six(plus(plus(times(difference, per_range), third), turn));
    return {minus(max, times(range, fall_of(plus(hue, 5.0f)))), minus(max, times(range, fall_of(plus(hue, 3.0f)))),
            minus(max, times(range, fall_of(plus(hue, 1.0f))))};
}

// The mean grey of the view. `pixels` are numbered column by column, as they are added up on a CPU.
__device__ float mean_grey(const Colour (&colours)[EACH], float* greys, float* sums) {
    int thread = threadIdx.x;
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        int pixel = i * THREADS + thread; // row by row
        greys[pixel % SIDE * SIDE + pixel / SIDE] = grey_of(colours[i]);
    }
    __syncthreads();
    if (thread < LANES) {
        float sum = 0.0f;
        for (int pixel = thread; pixel < PIXELS; pixel += LANES) sum = plus(sum, greys[pixel]);
        sums[thread] = sum;
    }
    __syncthreads();
    float sum = sums[0];
    for (int lane = 1; lane < LANES; lane++) sum = plus(sum, sums[lane]);
    return over(sum, (float)PIXELS);
}

// images: (count, height, width, 3). views: (gridDim.x, SIDE, SIDE, 3), normalised.
extern "C" __global__ void views(
    float* views, const unsigned char* images, const View* drawn, int height, int width) {
    __shared__ float greys[PIXELS];
    __shared__ float sums[LANES];
    View view = drawn[blockIdx.x];
    const unsigned char* image = images + (size_t)view.image * height * width * 3;
    int top = view.corner >> 16, left = view.corner & 0xffff;
    int tall = view.extent >> 16, wide = view.extent & 0xffff;

    Colour colours[EACH];
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        int pixel = i * THREADS + threadIdx.x;
        int y = pixel / SIDE, x = pixel % SIDE;
        Window down = window_of(y, tall), across = window_of(view.flags & 1 ? SIDE - 1 - x : x, wide);
        Colour colour = {0.0f, 0.0f, 0.0f};
        for (int column = across.first; column < across.last; column++) {
            Colour sum = {0.0f, 0.0f, 0.0f};
            for (int row = down.first; row < down.last; row++) {
                const unsigned char* place = image + ((size_t)(top + row) * width + left + column) * 3;
                float share = weight(down, row);
                sum.red = plus(sum.red, times(share, times((float)place[0], 1.0f / 255.0f)));
                sum.green = plus(sum.green, times(share, times((float)place[1], 1.0f / 255.0f)));
                sum.blue = plus(sum.blue, times(share, times((float)place[2], 1.0f / 255.0f)));
            }
            float share = weight(across, column);
            colour.red = plus(colour.red, times(share, sum.red));
            colour.green = plus(colour.green, times(share, sum.green));
            colour.blue = plus(colour.blue, times(share, sum.blue));
        }
        colours[i] = colour;
    }
    // The flags are the block's, so that all of its threads meet at the barriers.
    if (view.flags & 4) {
        for (int turn = 0; turn < 4; turn++) {
            int part = view.flags >> (8 + 4 * turn) & 15;
            float mean = part == 1 ? mean_grey(colours, greys, sums) : 0.0f;
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                Colour c = colours[i];
                colours[i] = part == 0   ? brightened(c, view.brightness)
                             : part == 1 ? blend(c, mean, view.contrast)
                             : part == 2 ? blend(c, grey_of(c), view.saturation)
                                         : turned(c, view.hue);
            }
        }
    }
    float* into = views + (size_t)blockIdx.x * PIXELS * 3;
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        Colour c = colours[i];
        if (view.flags & 2) c.red = c.green = c.blue = grey_of(c);
        float* place = into + (i * THREADS + threadIdx.x) * 3;
        place[0] = times(minus(c.red, 0.4914f), 1.0f / 0.2023f);
        place[1] = times(minus(c.green, 0.4822f), 1.0f / 0.1994f);
        place[2] = times(minus(c.blue, 0.4465f), 1.0f / 0.2010f);
    }
}
