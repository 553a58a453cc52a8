// Every kernel of src/ops and src/kernels, run on a CPU as tests/emulated/device.h says, against loops in double. V is the type of a
// layer's values. Prints what differs; the exit code is 1 if anything does.
#include "device.h"

#include "cuda/prelude.cuh"

#include "check.h"

#include "batch_norm.h"
#include "convert.h"
#include "elementwise.h"
#include "images.h"
#include "losses.h"
#include "optimizers.h"
#include "transformer.h"

int main() {
    batch_norm::check_all();
    convert::check_all();
    elementwise::check_all();
    images::check_all();
    losses::check_all();
    optimizers::check_all();
    transformer::check_all();
    return failures > 0;
}
