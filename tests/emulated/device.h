// CUDA's language on a CPU, as far as the kernels need it: the threads of a block are contexts that are switched at each
// __syncthreads, so that a block runs on one thread of the host and what is __shared__ is static.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __grid_constant__

struct Index {
    unsigned x, y;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

static float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static unsigned __float_as_uint(float value) {
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static float __int_as_float(int bits) {
    return __uint_as_float((unsigned)bits);
}
static long long min(long long a, long long b) {
    return std::min(a, b);
}

struct Thread {
    ucontext_t context;
    std::vector<char> stack;
    bool finished;
};
static std::vector<Thread> threads_of_block;
static ucontext_t scheduler;
static size_t running;
static std::function<void()> kernel_call;

static void __syncthreads() {
    swapcontext(&threads_of_block[running].context, &scheduler);
}

static void run_thread() {
    kernel_call();
    threads_of_block[running].finished = true;
    __syncthreads();
}

// Runs `call`, a call of a kernel, by blocks (x, y) of threads (x, y), one block after the other.
static void launch(Index blocks, Index threads, std::function<void()> call) {
    size_t count = (size_t)threads.x * threads.y;
    kernel_call = call;
    gridDim = blocks;
    blockDim = threads;
    if (threads_of_block.size() < count) threads_of_block.resize(count);
    for (blockIdx.y = 0; blockIdx.y < blocks.y; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < blocks.x; blockIdx.x++) {
            for (size_t at = 0; at < count; at++) {
                Thread& thread = threads_of_block[at];
                thread.stack.resize(1 << 16);
                thread.finished = false;
                getcontext(&thread.context);
                thread.context.uc_stack.ss_sp = thread.stack.data();
                thread.context.uc_stack.ss_size = thread.stack.size();
                thread.context.uc_link = nullptr;
                makecontext(&thread.context, run_thread, 0);
            }
            for (bool waiting = true; waiting;) {
                waiting = false;
                for (running = 0; running < count; running++) {
                    if (threads_of_block[running].finished) continue;
                    waiting = true;
                    threadIdx = {(unsigned)(running % threads.x), (unsigned)(running / threads.x)};
                    swapcontext(&scheduler, &threads_of_block[running].context);
                }
            }
        }
}
