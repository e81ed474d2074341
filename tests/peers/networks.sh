#!/bin/sh
# Compares hecc with OpenFHE, Orion and HElayers on whole networks.
#
#   tests/peers/networks.sh [WORK_DIR] [options of compare_networks.py]
#
# WORK_DIR (target/peers by default) receives a virtual environment for each system,
# and `networks.json`. The OpenFHE wheel holds code for CPython 3.10 only: set PYTHON310
# if `python3.10` is not what yours is called, and PYTHON for the others (3.9 to 3.12).
# A system that cannot be installed is left out, and said to be.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
case "${1:-}" in
    "" | -*) work=$root/target/peers ;;
    *) work=$1 && shift ;;
esac
mkdir -p "$work"

# environment SYSTEM PYTHON PACKAGES...
environment() {
    system=$1 python=$2
    shift 2
    [ -x "$work/venv-$system/bin/python" ] && return
    if ! { "$python" -m venv "$work/venv-$system" &&
        "$work/venv-$system/bin/python" -m pip install --quiet "$@"; }; then
        rm -rf "$work/venv-$system"
        echo "networks.sh: $system cannot be installed, and is left out" >&2
    fi
}
environment openfhe "${PYTHON310:-python3.10}" openfhe==1.6.1.0.22.4 numpy
environment orion "${PYTHON:-python3}" orion-fhe==1.0.2
environment helayers "${PYTHON:-python3}" pyhelayers==1.5.5.4 onnx

cargo build --quiet --release --manifest-path "$root/Cargo.toml" -p hecc --bin hecc
"${PYTHON:-python3}" "$here/compare_networks.py" --environments "$work" \
    --hecc "${CARGO_TARGET_DIR:-$root/target}/release/hecc" --json "$work/networks.json" "$@"
