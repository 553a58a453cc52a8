namespace optimizers {
#include "optimizer/kernel.cu"

static const float RATE = 0.01f, EPS = 3e-4f, DECAY = 0.1f;

// Tensors of several chunks, of one, and of a single value.
static const std::vector<size_t> LENGTHS = {1, 5000, 4096, 12289, 7};

struct Tensors {
    std::vector<Floats> parameters, gradients, first, second;
    Table table;
    unsigned chunks = 0;

    Tensors() {
        memset(&table, 0, sizeof table);
        for (size_t length : LENGTHS) {
            parameters.push_back(uniform(length));
            gradients.push_back(uniform(length));
            first.push_back(uniform(length));
            second.push_back(uniform(length));
            for (float& value : second.back()) value = std::fabs(value);
        }
        for (size_t at = 0; at < LENGTHS.size(); at++) {
            chunks += (LENGTHS[at] + CHUNK - 1) / CHUNK;
            table.parameters[at] = parameters[at].data();
            table.gradients[at] = gradients[at].data();
            table.first[at] = first[at].data();
            table.second[at] = second[at].data();
            table.lengths[at] = LENGTHS[at];
            table.chunks[at] = chunks;
        }
        table.count = LENGTHS.size();
    }
    Tensors(const Tensors&) = delete;
};

static void check_adam(bool decoupled) {
    Tensors tensors;
    auto parameters = tensors.parameters, first = tensors.first, second = tensors.second;
    float numbers[3] = {RATE, EPS, RATE};
    float added = decoupled ? 0.0f : DECAY, shrinking = decoupled ? DECAY : 0.0f;
    launch({tensors.chunks, 1}, {256, 1}, [&] { adam(tensors.table, numbers, 0.5f, 0.999f, 0.001f, added, shrinking); });
    for (size_t tensor = 0; tensor < LENGTHS.size(); tensor++) {
        Doubles value(LENGTHS[tensor]), m(LENGTHS[tensor]), v(LENGTHS[tensor]);
        for (size_t at = 0; at < LENGTHS[tensor]; at++) {
            double gradient = tensors.gradients[tensor][at] + added * parameters[tensor][at];
            m[at] = 0.5 * first[tensor][at] + 0.5 * gradient;
            v[at] = 0.999 * second[tensor][at] + 0.001 * gradient * gradient;
            value[at] = parameters[tensor][at] * (1 - RATE * shrinking) - RATE * m[at] / (std::sqrt(v[at]) + EPS);
        }
        check("adam", tensors.parameters[tensor], value, 1e-5);
        check("adam's first moment", tensors.first[tensor], m, 1e-5);
        check("adam's second moment", tensors.second[tensor], v, 1e-5);
    }
}

static void check_sgd(bool lars, bool adapts) {
    Tensors tensors;
    auto parameters = tensors.parameters, velocities = tensors.first;
    float numbers[2] = {RATE, 0.0f};
    Doubles sums(2 * tensors.chunks, 777.0);
    if (adapts) launch({tensors.chunks, 1}, {256, 1}, [&] { squares(tensors.table, sums.data(), DECAY); });
    launch({tensors.chunks, 1}, {256, 1}, [&] { sgd(tensors.table, numbers, adapts ? sums.data() : nullptr, lars, 0.02, 0.9f, DECAY); });
    for (size_t tensor = 0; tensor < LENGTHS.size(); tensor++) {
        double of_parameter = 0.0, of_direction = 0.0;
        auto direction = [&](size_t at) { return tensors.gradients[tensor][at] + (double)DECAY * parameters[tensor][at]; };
        for (size_t at = 0; at < LENGTHS[tensor]; at++) {
            of_parameter += std::pow(parameters[tensor][at], 2);
            of_direction += std::pow(direction(at), 2);
        }
        double ratio = adapts ? 0.02 * std::sqrt(of_parameter / of_direction) : 1.0;
        Doubles value(LENGTHS[tensor]), velocity(LENGTHS[tensor]);
        for (size_t at = 0; at < LENGTHS[tensor]; at++) {
            velocity[at] = 0.9 * velocities[tensor][at] + (lars ? RATE * ratio : 1.0) * direction(at);
            value[at] = parameters[tensor][at] - (lars ? 1.0 : RATE) * velocity[at];
        }
        check("sgd", tensors.parameters[tensor], value, 1e-5);
        check("sgd's velocity", tensors.first[tensor], velocity, 1e-5);
    }
}

static void check_lerp() {
    Tensors tensors;
    auto averages = tensors.parameters;
    float numbers[2] = {RATE, 0.0f};
    launch({tensors.chunks, 1}, {256, 1}, [&] { lerp(tensors.table, numbers); });
    for (size_t tensor = 0; tensor < LENGTHS.size(); tensor++) {
        Doubles value(LENGTHS[tensor]);
        for (size_t at = 0; at < LENGTHS[tensor]; at++)
            value[at] = averages[tensor][at] + RATE * ((double)tensors.gradients[tensor][at] - averages[tensor][at]);
        check("lerp", tensors.parameters[tensor], value, 1e-6);
    }
}

static void check_all() {
    check_adam(false);
    check_adam(true);
    check_sgd(false, false);
    check_sgd(true, false);
    check_sgd(true, true);
    check_lerp();
}
} // namespace optimizers
