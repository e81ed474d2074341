#!/bin/sh
# Compares hecc-ckks with OpenFHE (results) and with OpenFHE and SEAL (speed).
#
#   tests/peers/run.sh [WORK_DIR] [options of op_times.py]
#
# WORK_DIR (target/peers by default) receives a virtual environment with the
# wheels, and `op_times.json`. The OpenFHE wheel holds code for CPython 3.10 only:
# set PYTHON if `python3.10` is not what yours is called. `--full` adds large rings.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
case "${1:-}" in
    "" | -*) work=$root/target/peers ;;
    *) work=$1 && shift ;;
esac

python=$work/venv/bin/python
if [ ! -x "$python" ]; then
    mkdir -p "$work"
    if ! "${PYTHON:-python3.10}" -m venv "$work/venv"; then
        echo "run.sh: needs CPython 3.10; set PYTHON to where it is" >&2
        exit 1
    fi
    "$python" -m pip install --quiet numpy==2.2.6 openfhe==1.6.1.0.22.4 tenseal==0.3.16
fi

examples=${CARGO_TARGET_DIR:-$root/target}/release/examples
cargo build --quiet --release --manifest-path "$root/Cargo.toml" -p hecc-ckks --examples
"$python" "$here/op_results.py" --hecc "$examples/op_results"
"$python" "$here/op_results.py" --hecc "$examples/op_results" --ring-degree 16384 --limbs 8
"$python" "$here/op_times.py" --hecc "$examples/op_times" --json "$work/op_times.json" "$@"
