// Runs the kernels of src/data/augment/kernel.cu on a CPU, with a thread for each of CUDA's: what the kernel computes can be
// tested without a card. stdin: counts of images and views, height, width, size of a
// view, whether the kernel of large views is to be used (i32); the images; the views' records; how they are normalised.
// stdout: the views.
#include <barrier>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)

struct Index {
    unsigned x;
};
static thread_local Index threadIdx, blockIdx;

static inline float __fmul_rn(float a, float b) {
    return a * b;
}
static inline float __fadd_rn(float a, float b) {
    return a + b;
}
static inline float __fdiv_rn(float a, float b) {
    return a / b;
}

static std::barrier<> meeting(256);
static void __syncthreads() {
    meeting.arrive_and_wait();
}

#include "kernel.cu"

static void read(void* into, size_t size, size_t count) {
    if (fread(into, size, count, stdin) != count) std::exit(1);
}

int main() {
    int counts[6];
    read(counts, sizeof(int), 6);
    int images = counts[0], drawn = counts[1], height = counts[2], width = counts[3], size = counts[4];
    auto views = counts[5] ? large_views : small_views;
    std::vector<unsigned char> pixels((size_t)images * height * width * 3);
    std::vector<View> records(drawn);
    std::vector<float> made((size_t)drawn * size * size * 3);
    read(pixels.data(), 1, pixels.size());
    read(records.data(), sizeof(View), records.size());
    float scale[6];
    read(scale, sizeof(float), 6);
    auto run = [&](unsigned thread) {
        threadIdx.x = thread;
        for (int block = 0; block < drawn; block++) {
            blockIdx.x = block;
            views(
                made.data(), pixels.data(), records.data(), height, width, size, scale[0], scale[1], scale[2], scale[3],
                scale[4], scale[5]);
            __syncthreads(); // what is shared is the next block's
        }
    };
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < THREADS; thread++) threads.emplace_back(run, thread);
    for (auto& thread : threads) thread.join();
    return fwrite(made.data(), sizeof(float), made.size(), stdout) == made.size() ? 0 : 1;
}
