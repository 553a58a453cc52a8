#!/bin/sh
# The table of few images in weights/README.md: a DCGAN on 1 % and 10 % of MNIST, three seeds, without and with
# augmentation. Runs are written to the current directory; their scores go to stdout, a line each.
#
#     weights/small_data.sh DATA_DIR [GAN]
set -eu
data=$1 gan=${2:-gan}
for images in 600 6000; do
    for augment in none adaptive translation cutout; do
        for seed in 0 1 2; do
            run=small-$images-$augment-$seed
            case $augment in
                none) flags= ;;
                adaptive) flags="--augment adaptive --ada-speed 100" ;;
                *) flags="--diffaugment $augment" ;;
            esac
            # shellcheck disable=SC2086
            "$gan" train-gan --data mnist --data-dir "$data" --train-images $images --steps 1950 --seed $seed \
                $flags --run $run -q > /dev/null
            for reference in validation test; do
                "$gan" evaluate --run $run --data mnist --data-dir "$data" --reference $reference --seed $seed --json -q
            done
        done
    done
done
