"""Latency of whole networks: hecc before and after each other system, in one run.

    python compare_networks.py --hecc target/release/hecc --environments target/peers

Prints a table: median latency of an evaluation in milliseconds, and how many times
hecc's median each of the others takes. `networks.sh` makes the environments.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
MODELS = {
    "mlp": "models/mlp.onnx",
    "lola": "models/lola.onnx",
    "lenet5": "models/lenet5.onnx",
    "lenet_dense": "lenet/dense/lenet.hec",
}
SYSTEMS = ("openfhe", "orion", "helayers")
# OpenFHE's networks are written by hand.
BY_HAND = {"openfhe": ("mlp", "lola")}


def hecc(args, network, instructions):
    """Latency in seconds, and the largest error."""
    samples = EXAMPLES / "data/mnist_test_sample.npz"
    command = [args.hecc, "bench", EXAMPLES / MODELS[network], "--data", samples]
    command += ["--count", str(args.hecc_runs), "--json", "--input-range", "0,1"]
    environment = dict(os.environ)
    if instructions:
        environment["HECC_INSTRUCTIONS"] = instructions
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    return result["latency_s"], result["max_abs_err"]


def reason(done):
    """Why a process failed: its last line, or the signal that ended it."""
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return name + (", most often for want of memory" if name == "SIGKILL" else "")
    lines = done.stderr.replace("\r", "\n").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "it says nothing")


def other(args, system, network):
    """What `networks.py` prints, or nothing where the system does not finish."""
    python = args.environments / f"venv-{system}/bin/python"
    command = [python, HERE / "networks.py", "--system", system, "--network", network]
    command += ["--runs", str(args.runs)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=args.time_limit)
    except subprocess.TimeoutExpired:
        print(f"{system} takes longer than {args.time_limit} s for {network}", file=sys.stderr)
        return None
    if done.returncode:
        print(f"{system} fails at {network}: {reason(done)}", file=sys.stderr)
        return None
    result = json.loads(done.stdout.splitlines()[-1])
    return result["latency_s"], result["largest_error"]


def runs_of(args, network, systems):
    """Latencies and errors by system, each of the others between two runs of hecc."""
    found = {}

    def keep(name, measured):
        if measured:
            found.setdefault(name, []).append(measured)

    for system in systems:
        for instructions in args.instructions:
            keep(f"hecc {instructions}".strip(), hecc(args, network, instructions))
        keep(system, other(args, system, network))
    for instructions in args.instructions:
        keep(f"hecc {instructions}".strip(), hecc(args, network, instructions))
    return {
        name: {
            "latency_s": statistics.median(latency for latency, _ in measured),
            "largest_error": max(error for _, error in measured),
        }
        for name, measured in found.items()
    }


def table(network, found):
    """Lines of a table; ratios are to the first system, which is hecc."""
    first = next(iter(found.values()))["latency_s"]
    for name, row in found.items():
        latency, error = row["latency_s"], row["largest_error"]
        yield f"{network:12} {name:12} {latency * 1e3:10.1f} {latency / first:8.1f} {error:10.1e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--hecc", type=Path, required=True, help="its binary")
    parser.add_argument("--environments", type=Path, required=True, help="folder of venv-SYSTEM")
    parser.add_argument("--networks", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--runs", type=int, default=3, help="of each other system")
    parser.add_argument("--hecc-runs", type=int, default=11, help="of hecc, each time")
    parser.add_argument(
        "--instructions",
        nargs="+",
        default=["", "avx2"],
        help="what hecc may use, as HECC_INSTRUCTIONS has it; '' for all of this processor's",
    )
    parser.add_argument("--time-limit", type=float, default=1800, help="seconds for a process")
    parser.add_argument("--json", type=Path, help="file for the results")
    args = parser.parse_args()

    installed = [
        name for name in SYSTEMS if (args.environments / f"venv-{name}/bin/python").exists()
    ]
    print(f"{'network':12} {'system':12} {'latency ms':>10} {'times':>8} {'error':>10}")
    results = {}
    for network in args.networks:
        systems = [name for name in installed if network in BY_HAND.get(name, MODELS)]
        results[network] = runs_of(args, network, systems)
        print("\n".join(table(network, results[network])), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
