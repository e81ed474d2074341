"""Speed of single operations: hecc-ckks, SEAL and OpenFHE side by side.

    tests/peers/run.sh                      # makes the environment, runs both scripts
    python tests/peers/op_times.py --hecc target/release/examples/op_times [--full] [--json FILE]

needs the Python that `run.sh` sets up (CPython 3.10 with the wheels `openfhe` and
`tenseal`; the latter binds SEAL 4 itself) and the example built by
`cargo build --release -p hecc-ckks --examples`.

What is compared. Rotation, eight rotations of one ciphertext, one term of a sum of 64
products with encoded plaintexts, the product of two ciphertexts with
relinearisation, rescaling, encoding of a full vector of slots, encryption with the secret
and with the public key, and a dense 1024 x 1024 matrix times a vector, all on
fresh ciphertexts at the top of the prime chain. The ratio is that of hecc to the
faster of the two others, against the speed-up that is aimed at.

How fair. One ring degree and the same number and width of ciphertext primes for all; one
thread each; one process per measurement, systems in turn, in several rounds, so that
a machine that slows down slows all; medians over the rounds, and minima. Every system
is called in its best way (see `peers.py`), on operands that are all distinct. The
calls from Python cost about a microsecond each; converting lists for SEAL's encoder is
subtracted. All may keep freed memory (hecc by itself, the others by the settings of
the allocator). The wheels are portable builds without Intel HEXL, and hecc picks
its vector instructions when it runs: builds of SEAL or OpenFHE for one machine may be faster.
hecc takes every special prime below 2^50, OpenFHE has 60 bits; both are words.

The last lines of a table relate the sum of products to the memory bandwidth of one
thread: the bytes that the operands of a term hold, over the time of a term.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from peers import Ring

HERE = Path(__file__).resolve().parent
SYSTEMS = ("hecc", "seal", "openfhe")
NAMES = {"hecc": "hecc", "seal": "SEAL", "openfhe": "OpenFHE"}

# Operation: what it is called in the table, and how many times faster than the
# better peer it should be.
OPS = {
    "rotate": ("rotation", 5),
    "rotate_eight": ("eight rotations", 6),
    "mac": ("multiply-accumulate, per term", 6),
    "mul_relin": ("ct product, relinearised", 5),
    "rescale": ("rescale", 5),
    "encode": ("encode", 3),
    "encrypt_symmetric": ("encrypt, secret key", 3),
    "encrypt_public": ("encrypt, public key", 3),
    "dense": ("dense 1024 x 1024", 6),
}
RINGS = [Ring(8192, 4, 40), Ring(16384, 8, 40)]
LARGE_RINGS = [Ring(32768, 16, 40), Ring(65536, 24, 40)]

# One thread, and an allocator that keeps what is freed.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
}


def command(system, hecc):
    """How a system's measurements are started."""
    if system == "hecc":
        return [str(hecc)]
    return [sys.executable, str(HERE / "measure_peer.py"), "--system", system]


def measure(system, ring, op, reps, babies, hecc):
    """One operation of one system in a process of its own."""
    options = ["--op", op, "--reps", str(reps), "--babies", str(babies)]
    full = command(system, hecc) + ring.arguments() + options
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(full, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(full)}\n{done.stderr}")
    result = json.loads(done.stdout)
    if (result["error"] or 0) > 1e-5:
        raise SystemExit(f"{NAMES[system]} computes {op} with an error of {result['error']:.1e}")
    return result


def memory_gib(ring, op, babies):
    """Memory of keys and operands, in GiB: what an operation cannot do without."""
    limb = 8 * ring.ring_degree
    n_digits = -(-ring.limbs // ring.digit_limbs)
    key = 2 * n_digits * (ring.limbs + ring.digit_limbs) * limb
    pt = ring.limbs * limb
    n_keys, n_pts = {
        "rotate_eight": (8, 0),
        "mac": (0, 3 * 64),
        "dense": (babies + 1024 // babies, 1024),
    }.get(op, (1, 0))
    return (n_keys * key + n_pts * pt) / 2**30


def n_reps(ring, op, factor):
    """More repetitions of what is short."""
    at_8192 = {"dense": 4, "rotate_eight": 20, "mac": 20}.get(op, 60)
    return max(2, int(factor * at_8192 * 8192 / ring.ring_degree))


def measure_once(ring, op, args, system):
    """The best of the splits that are tried; there is one but in dense products."""
    babies = args.babies if op == "dense" else args.babies[:1]
    reps = n_reps(ring, op, args.reps)
    tried = [measure(system, ring, op, reps, count, args.hecc) for count in babies]
    return min(tried, key=lambda result: result["median_ns"])


def measure_op(ring, op, args):
    """Rounds of one operation, systems in turn: per system the median of the
    medians, and the minimum."""
    rounds = {system: [] for system in args.systems}
    for at in range(args.rounds):
        for system in args.systems if at % 2 == 0 else args.systems[::-1]:
            rounds[system].append(measure_once(ring, op, args, system))
    return {system: combined(results) for system, results in rounds.items()}


def combined(results):
    return {
        "median_ns": statistics.median(result["median_ns"] for result in results),
        "min_ns": min(result["min_ns"] for result in results),
        "bytes": results[0].get("bytes"),
    }


def measure_ring(ring, args):
    """Every operation that fits, by name."""
    ops = {}
    for op in args.ops:
        needed = max(memory_gib(ring, op, count) for count in args.babies)
        if needed > args.memory:
            print(f"{op}: left out, needs {needed:.1f} GiB (--memory)", file=sys.stderr)
            continue
        print(f"{ring}: {op}", file=sys.stderr)
        ops[op] = judged(measure_op(ring, op, args), OPS[op][1])
    return {"ring": asdict(ring), "ops": ops, "bandwidth": bandwidth(ring, ops, args)}


def judged(times, target):
    """Adds the ratio to the better peer, by medians and by minima."""
    peers = [system for system in times if system != "hecc"]

    def ratio(key):
        return min(times[peer][key] for peer in peers) / times["hecc"][key]

    complete = "hecc" in times and bool(peers)
    return {
        **times,
        "target": target,
        "ratio": ratio("median_ns") if complete else None,
        "ratio_of_minima": ratio("min_ns") if complete else None,
    }


def bandwidth(ring, ops, args):
    """Bytes per second that sums of products read, and that one thread can read."""
    if "mac" not in ops or "hecc" not in args.systems:
        return None
    stream = [measure("hecc", ring, "stream", 10, 1, args.hecc) for _ in range(args.rounds)]
    best = max(result["bytes"] / result["min_ns"] for result in stream) * 1e9
    mac = ops["mac"]["hecc"]
    read = mac["bytes"] / mac["median_ns"] * 1e9
    return {"stream_bytes_per_s": best, "mac_bytes_per_s": read, "fraction": read / best}


def shown(nanos):
    return f"{nanos / 1e6:.2f} ms" if nanos >= 1e6 else f"{nanos / 1e3:.1f} us"


def print_table(result, systems):
    print(f"\n{Ring(**result['ring'])}: median (minimum)\n")
    heads = "".join(f"{NAMES[system]:>24}" for system in systems)
    print(f"{'':30}{heads}{'ratio':>8}{'(min)':>8}{'target':>8}")
    for op, row in result["ops"].items():
        print(line_of(OPS[op][0], row, systems))
    if result["bandwidth"]:
        print_bandwidth(result["bandwidth"])


def line_of(label, row, systems):
    def cell(system):
        times = row[system]
        return f"{shown(times['median_ns'])} ({shown(times['min_ns'])})"

    cells = "".join(f"{cell(system):>24}" for system in systems)
    if row["ratio"] is None:
        return f"{label:30}{cells}"
    verdict = "ok" if row["ratio"] >= row["target"] else "below"
    ratios = f"{row['ratio']:>8.1f}{row['ratio_of_minima']:>8.1f}{row['target']:>8}"
    return f"{label:30}{cells}{ratios}  {verdict}"


def print_bandwidth(found):
    read, best = found["mac_bytes_per_s"] / 1e9, found["stream_bytes_per_s"] / 1e9
    print(f"\nmultiply-accumulate in hecc reads {read:.1f} GB/s of operands,", end=" ")
    print(f"{found['fraction']:.0%} of the {best:.1f} GB/s that one thread reads in order")


def machine():
    """What the figures depend on."""
    lines = (
        Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []
    )
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "load": os.getloadavg()[0],
        "openfhe": version("openfhe"),
        "tenseal": version("tenseal"),
    }


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hecc", type=Path, required=True, help="the built example op_times")
    parser.add_argument("--full", action="store_true", help="also N = 32768 and N = 65536")
    parser.add_argument("--ring-degree", type=int, help="only the ring of this degree")
    parser.add_argument("--ops", nargs="+", choices=OPS, default=list(OPS), help="only these")
    parser.add_argument(
        "--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), help="only these"
    )
    parser.add_argument("--rounds", type=int, default=3, help="processes per operation and system")
    parser.add_argument("--reps", type=float, default=1.0, help="factor on the repetitions in each")
    parser.add_argument(
        "--babies", type=int, nargs="+", default=[32], help="baby steps to try; the best counts"
    )
    parser.add_argument(
        "--digit-limbs",
        type=int,
        default=1,
        help="primes per key-switching digit of hecc and OpenFHE; SEAL has one",
    )
    parser.add_argument("--memory", type=float, default=8.0, help="GiB that operands may take")
    parser.add_argument("--json", type=Path, help="also writes the figures there")
    return parser.parse_args()


def rings_of(args):
    rings = RINGS + (LARGE_RINGS if args.full or args.ring_degree else [])
    chosen = [ring for ring in rings if args.ring_degree in (None, ring.ring_degree)]
    return [Ring(**{**asdict(ring), "digit_limbs": args.digit_limbs}) for ring in chosen]


def main():
    args = parse_arguments()
    report = {"machine": machine(), "rounds": args.rounds, "rings": []}
    print(" | ".join(f"{name} {value}" for name, value in report["machine"].items()))
    for ring in rings_of(args):
        report["rings"].append(measure_ring(ring, args))
        print_table(report["rings"][-1], args.systems)
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
