// Optimizers over many parameters at once. A launch gets a table of at most PARAMETERS tensors; each block takes one
// chunk of one of them. What changes from step to step is read from device memory (`numbers`), so that a recorded step
// can be launched again.

#define PARAMETERS 88
#define CHUNK 4096

struct Table {
    float* parameters[PARAMETERS];
    const float* gradients[PARAMETERS];
    float* first[PARAMETERS];
    float* second[PARAMETERS];
    index_t lengths[PARAMETERS];
    unsigned chunks[PARAMETERS]; // the number of the first chunk after this tensor's
    int count;
};

struct Place {
    int tensor;
    index_t begin, end;
};

__device__ __forceinline__ Place place_of_block(const Table& table) {
    int low = 0, high = table.count - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (blockIdx.x < table.chunks[middle]) high = middle;
        else low = middle + 1;
    }
    unsigned before = low > 0 ? table.chunks[low - 1] : 0;
    Place place = {low, (index_t)(blockIdx.x - before) * CHUNK, 0};
    place.end = min(table.lengths[low], place.begin + CHUNK);
    return place;
}

// numbers: as AdamStep::numbers.
extern "C" __global__ void adam(__grid_constant__ const Table table, const float* numbers, float share1, float beta2, float share2, float decay, float decoupled) {
    Place place = place_of_block(table);
    float step_size = numbers[0], eps = numbers[1];
    float shrinkage = (float)(1.0 - (double)numbers[2] * decoupled);
    float *parameter = table.parameters[place.tensor], *first = table.first[place.tensor], *second = table.second[place.tensor];
    const float* gradients = table.gradients[place.tensor];
#pragma unroll 4
    for (index_t at = place.begin + threadIdx.x; at < place.end; at += blockDim.x) {
        float value = parameter[at], m = first[at], v = second[at];
        float gradient = gradients[at] + decay * value;
        m += share1 * (gradient - m);
        v = beta2 * v + share2 * gradient * gradient;
        first[at] = m;
        second[at] = v;
        if (decoupled != 0.0f) value *= shrinkage;
        parameter[at] = value - step_size * (m / (sqrtf(v) + eps));
    }
}

// Squares of each chunk's parameters and directions: sums (chunks, 2).
extern "C" __global__ void squares(__grid_constant__ const Table table, double* sums, float decay) {
    Place place = place_of_block(table);
    const float *parameter = table.parameters[place.tensor], *gradients = table.gradients[place.tensor];
    double of_parameter = 0.0, of_direction = 0.0;
    for (index_t at = place.begin + threadIdx.x; at < place.end; at += blockDim.x) {
        double direction = gradients[at] + decay * parameter[at];
        of_parameter += (double)parameter[at] * parameter[at];
        of_direction += direction * direction;
    }
    of_parameter = sum_of_block(of_parameter);
    of_direction = sum_of_block(of_direction);
    if (threadIdx.x == 0) {
        sums[2 * blockIdx.x] = of_parameter;
        sums[2 * blockIdx.x + 1] = of_direction;
    }
}

// numbers: the learning rate. The velocities are `first`. LARS where `lars`; with `sums` by its ratio, else by 1.
extern "C" __global__ void sgd(__grid_constant__ const Table table, const float* numbers, const double* sums, int lars, double trust, float momentum, float decay) {
    Place place = place_of_block(table);
    float entering = 1.0f, leaving = numbers[0];
    if (lars) {
        double ratio = 1.0;
        if (sums) {
            // Every block of a tensor adds up the same sums in the same order.
            unsigned begin = place.tensor > 0 ? table.chunks[place.tensor - 1] : 0;
            double of_parameter = 0.0, of_direction = 0.0;
            for (unsigned chunk = begin + threadIdx.x; chunk < table.chunks[place.tensor]; chunk += blockDim.x) {
                of_parameter += sums[2 * chunk];
                of_direction += sums[2 * chunk + 1];
            }
            of_parameter = sqrt(sum_of_block(of_parameter));
            of_direction = sqrt(sum_of_block(of_direction));
            if (of_parameter > 0.0 && of_direction > 0.0) ratio = trust * of_parameter / of_direction;
        }
        entering = (float)(leaving * ratio);
        leaving = 1.0f;
    }
    float *parameter = table.parameters[place.tensor], *velocity = table.first[place.tensor];
    const float* gradients = table.gradients[place.tensor];
    for (index_t at = place.begin + threadIdx.x; at < place.end; at += blockDim.x) {
        float value = parameter[at];
        float moved = momentum * velocity[at] + entering * (gradients[at] + decay * value);
        velocity[at] = moved;
        parameter[at] = value - leaving * moved;
    }
}

// numbers: the weight. Moves `parameters` towards `gradients`, which are the values to average.
extern "C" __global__ void lerp(__grid_constant__ const Table table, const float* numbers) {
    Place place = place_of_block(table);
    float weight = numbers[0];
    float* average = table.parameters[place.tensor];
    const float* values = table.gradients[place.tensor];
    for (index_t at = place.begin + threadIdx.x; at < place.end; at += blockDim.x)
        average[at] += weight * (values[at] - average[at]);
}
