#!/usr/bin/env bash
# Checks `gan` on an accelerator: every op against f64 and finite differences, networks, losses, optimizers and ten steps
# of training against PyTorch's numbers, whole steps, weights, batches, views and samples against the CPU, the four
# commands, stopping and resuming, and on CUDA the kernels' sources by NVRTC, the kernels under compute-sanitizer where that
# is on the PATH, and two processes on two cards where these are there, mpirun too, and the features are cuda,nccl.
#
#     tests/gpu.sh                       all checks on CUDA (on a Mac: Metal), built by cargo
#     tests/gpu.sh --device cuda:1 ops   some of them, on another device
#     tests/gpu.sh --device cpu          the checks themselves: the CPU against itself
#
# Without cargo: build both programs elsewhere,
#
#     cargo test --release --features cuda --test tests --no-run     # names target/release/deps/tests-...
#
# which builds target/release/gan too, and name them: GAN=gan GAN_TESTS=tests-... tests/gpu.sh. Run it in this
# repository, whose tests/reference/*.json it reads.
#
# It ends in a table. The exit code is 1 if anything failed, or if a device that was asked for by name cannot be opened;
# without such a device all is skipped. Logs are kept in GAN_LOGS (target/gpu-checks).
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
logs=${GAN_LOGS:-$root/target/gpu-checks}
device=$([ "$(uname)" = Darwin ] && echo metal || echo cuda)
asked=
features=
seconds_each=${GAN_CHECK_SECONDS:-600}
chosen=()

all=(kernels ops pytorch steps seeds views samples shards commands resume memcheck racecheck cards)
while [ $# -gt 0 ]; do
    case $1 in
        --device) device=$2 asked=yes; shift 2 ;;
        --features) features=$2; shift 2 ;;
        -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; echo "Checks: ${all[*]}"; exit ;;
        -*) echo "$1: expected --device, --features or a check: ${all[*]}" >&2; exit 2 ;;
        *) chosen+=("$1"); shift ;;
    esac
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${all[@]}")

# The tests of each check: parts of their names. The commands and the resumption are those of the CPU's own tests, run by
# the program itself on the device.
filters() {
    case $1 in
        kernels) echo kernels:: ;;
        ops) echo ops:: ;;
        pytorch) echo reference:: ;;
        steps | seeds | views | samples | shards) echo "accelerator::$1::" ;;
        commands)
            echo train::every_model train::json_streams train::divergence sample::samples_depend sample::a_directory \
                sample::a_walk sample::the_grid simclr::a_run_leaves simclr::one_batch_of_both \
                finetune::the_table finetune::embeddings
            ;;
        resume)
            echo resume::dcgan resume::a_raised_limit resume::a_checkpoint_can_be_named \
                simclr::every_optimizer finetune::interrupted
            ;;
        # The kernels at odd sizes: each op's parity test has the most of them.
        memcheck) echo ops::batch_norm ops::convolutions::conv2d_agrees ops::convolutions::conv_transpose2d_agrees \
            ops::elementwise ops::linear::linear_agrees ops::losses::losses_agree ops::optimizer_steps ops::pooling \
            ops::residual accelerator::views:: ;;
        # What shares memory between threads.
        racecheck) echo ops::batch_norm::batch_norm_agrees ops::losses::losses_agree ops::pooling \
            ops::optimizer_steps::sgd accelerator::views:: ;;
        cards) ;; # the program itself: see check_cards
        *) return 1 ;;
    esac
}
# Tests that have nothing to test on this device.
unfit() {
    [ "$device" = cpu ] || echo --skip ops::precision # products of the CPU
    case $device in metal*) echo --skip views_made_on_the_device ;; esac # views are the host's
    if [ "$device" = cpu ]; then echo --skip in_bf16 --skip in_every_precision; fi
}
for check in "${chosen[@]}"; do
    filters "$check" > /dev/null || { echo "$check: expected one of ${all[*]}" >&2; exit 2; }
done

mkdir -p "$logs"
if [ -z "${GAN_TESTS:-}" ]; then
    command -v cargo > /dev/null || { echo "cargo is not found: name the programs in GAN and GAN_TESTS" >&2; exit 1; }
    if [ -z "$features" ]; then
        case $device in cuda*) features=cuda ;; metal*) features=metal ;; esac
    fi
    (cd "$root" && cargo test --locked --release --features "$features" --test tests --no-run --message-format=json) \
        > "$logs/build.json" || exit 1
    executable() { grep "$1" "$logs/build.json" | grep -o '"executable":"[^"]*"' | tail -1 | cut -d'"' -f4; }
    GAN_TESTS=$(executable '"kind":\["test"\]')
    GAN=$(executable '"kind":\["bin"\]')
fi
: "${GAN:?names the program that GAN_TESTS are of}"
GAN=$(cd "$(dirname "$GAN")" && pwd)/$(basename "$GAN")
GAN_TESTS=$(cd "$(dirname "$GAN_TESTS")" && pwd)/$(basename "$GAN_TESTS")
export GAN GAN_TEST_DEVICE=$device CARGO_MANIFEST_DIR=$root

# The device is opened before anything is looked for.
unopened=
opening=$("$GAN" sample --device "$device" --weights "$logs/nothing.safetensors" 2>&1)
case $opening in *--device*) unopened=yes; echo "$opening" >&2 ;; esac

rows=()
failures=0
row() { rows+=("$(printf '%-10s %7s %7s %8s %8s' "$@")"); }

check() {
    local name=$1 log=$logs/$1.log tool=() limit=() threads=() status began result passed failed skipped
    if [ -n "$unopened" ]; then
        row "$name" 0 0 all -
        return
    fi
    case $name in
        kernels)
            if [[ $device != cuda* ]]; then
                row "$name" 0 0 all -
                return
            fi
            ;;
        memcheck | racecheck)
            if ! command -v compute-sanitizer > /dev/null || [[ $device != cuda* ]]; then
                row "$name" 0 0 all -
                return
            fi
            tool=(compute-sanitizer --tool "$name" --error-exitcode 9)
            ;;
    esac
    if [ "$name" = cards ]; then
        check_cards
        return
    fi
    command -v timeout > /dev/null && limit=(timeout "$seconds_each")
    began=$(date +%s)
    # One thread on an accelerator: steps are recorded from a stream that all threads of a process share.
    [ "$device" = cpu ] || threads=(--test-threads=1)
    # shellcheck disable=SC2046
    ${limit[@]+"${limit[@]}"} ${tool[@]+"${tool[@]}"} "$GAN_TESTS" $(filters "$name") $(unfit) --include-ignored --show-output \
        ${threads[@]+"${threads[@]}"} > "$log" 2>&1 < /dev/null
    status=$?
    result=$(grep '^test result:' "$log" | tail -1)
    passed=$(sed -n 's/.* \([0-9]*\) passed;.*/\1/p' <<< "$result")
    failed=$(sed -n 's/.* \([0-9]*\) failed;.*/\1/p' <<< "$result")
    skipped=$(grep -c '^test .*\.\.\. ignored' "$log")
    passed=${passed:-$(grep -c '^test .* ok$' "$log")} # counted where the end was not reached
    failed=${failed:-0}
    # A crash, the time limit or the sanitizer: no test says so itself.
    [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
    [ "$status" -eq 0 ] && [ "$passed" -eq 0 ] && failed=1 # a filter that finds nothing
    [ "$failed" -eq 0 ] || { failures=1; reason "$name" "$status" "$log"; }
    row "$name" "$passed" "$failed" "$skipped" "$(($(date +%s) - began))"
}

# What keeps two processes from a card each; nothing if nothing does.
lacks_cards() {
    if [[ $device != cuda* ]]; then echo "$device is not CUDA"
    elif [ "$(nvidia-smi -L 2> /dev/null | grep -c '^GPU')" -lt 2 ]; then echo "there are no two cards"
    elif ! command -v mpirun > /dev/null; then echo "there is no mpirun"
    elif ! ldd "$GAN" | grep -q libnccl; then echo "$GAN is built without nccl (--features cuda,nccl)"
    fi
}

# What is in a safetensors file behind its header, which says how long the run took.
tensors() { tail -c +"$((9 + $(od -An -tu8 -N8 "$1")))" "$1"; }

# Two processes, a card each, leave the networks and moments of one process, byte for byte.
check_cards() {
    local log=$logs/cards.log lacking place began passed=0 failed=0 status method
    lacking=$(lacks_cards)
    if [ -n "$lacking" ]; then
        echo "cards: skipped: $lacking" >&2
        row cards 0 0 all -
        return
    fi
    began=$(date +%s)
    place=$(mktemp -d)
    : > "$log"
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    for method in "train-gan --model dcgan --data digits --batch-size 64" \
        "pretrain-simclr --data shapes --batch-size 64 --knn-every 0"; do
        # One on the first card, then two, each on its own.
        # shellcheck disable=SC2086
        (
            set -e
            cd "$place"
            run=${method%% *}
            one=(timeout "$seconds_each" "$GAN" $method --shards 4 --steps 8 --run "$run" --no-progress)
            "${one[@]}" --device cuda:0 --weights-dir one --samples-dir one-samples
            two=(mpirun -n 2 "${one[@]}" --device cuda --weights-dir two --samples-dir two-samples)
            "${two[@]}" 2>&1 | tee said
            grep -q 'sums by NCCL' said
            cmp <(tensors "one/$run/step-00000008.safetensors") <(tensors "two/$run/step-00000008.safetensors")
        ) >> "$log" 2>&1
        status=$?
        if [ $status -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); reason cards "$status" "$log"; fi
    done
    rm -rf "$place"
    [ "$failed" -eq 0 ] || failures=1
    row cards "$passed" "$failed" 0 "$(($(date +%s) - began))"
}

reason() {
    echo "--- $1 failed with exit code $2; from $3:" >&2
    if grep -q 'panicked at' "$3"; then
        grep -A 4 'panicked at' "$3" | cut -c 1-300 | head -n 60 >&2
    else
        grep -E 'ERROR SUMMARY|========= (Invalid|Race|Error|Program)' "$3" | head -n 20 >&2
        tail -n 20 "$3" | cut -c 1-300 >&2
    fi
}

for check in "${chosen[@]}"; do
    echo "$check ..." >&2
    check "$check"
done

printf '\n%s on %s\n' "$(basename "$GAN")" "$device"
printf '%-10s %7s %7s %8s %8s\n' check passed failed skipped seconds
printf '%s\n' "${rows[@]}"
[ -z "$unopened" ] || [ -z "$asked" ] || exit 1
exit $failures
