"""Times of single operations of a peer on one thread, as JSON lines.

    python measure_peer.py --system seal --op rotate --reps 20

Prints the lines of hecc's example `op_times` (`cargo run --release -p hecc-ckks
--example op_times -- --help`): the same operations by the same names, each after
two calls that warm up, with `min_ns` and `median_ns` per unit of work. Freeing a
result counts, as it does there.

Converting a Python list of numbers is not encoding: what it costs in SEAL's binding
is measured beside it and subtracted. OpenFHE's binding reads arrays directly.
"""

import argparse
import json
import time

import numpy as np

from peers import PEERS, add_ring_arguments, ring_of

N_TERMS = 64
DENSE = 1024


def timed(run, reps):
    """Sorted times of `reps` calls, in nanoseconds."""
    run()
    run()
    nanos = []
    for _ in range(max(reps, 1)):
        start = time.perf_counter_ns()
        run()
        nanos.append(time.perf_counter_ns() - start)
    return sorted(nanos)


def summary(nanos, units=1, error=None, less=0):
    """Times per unit of work, after `less` nanoseconds that are not the work."""

    def per_unit(value):
        return (value - less) / units

    median = nanos[len(nanos) // 2]
    return {
        "min_ns": per_unit(nanos[0]),
        "median_ns": per_unit(median),
        "reps": len(nanos),
        "units": units,
        "error": error,
    }


def vector(n, seed):
    return np.sin((np.arange(n) + 1.0) * 12.9898 + seed * 78.233)


def pt(peer, seed):
    return peer.encode(peer.values(vector(peer.ring.n_slots, seed)))


def ct(peer, seed):
    return peer.encrypt(pt(peer, seed))


def rotate(peer, args):
    peer.prepare(steps=[1])
    x = ct(peer, 1)
    return summary(timed(lambda: peer.rotate(x, 1), args.reps))


def rotate_eight(peer, args):
    steps = list(range(1, 9))
    peer.prepare(steps=steps)
    x = ct(peer, 1)
    return summary(timed(lambda: peer.rotate_many(x, steps), args.reps))


def mac(peer, args):
    cts = [ct(peer, i) for i in range(N_TERMS)]
    pts = [pt(peer, N_TERMS + i) for i in range(N_TERMS)]
    return summary(timed(lambda: peer.inner_product(cts, pts), args.reps), units=N_TERMS)


def mul_relin(peer, args):
    peer.prepare(relin=True)
    a, b = ct(peer, 1), ct(peer, 2)
    return summary(timed(lambda: peer.mul_relin(a, b), args.reps))


def rescale(peer, args):
    product = peer.mul_plain(ct(peer, 1), pt(peer, 2))
    return summary(timed(lambda: peer.rescale(product), args.reps))


def encode(peer, args):
    values = peer.values(vector(peer.ring.n_slots, 1))
    convert = getattr(peer, "convert", None)
    less = timed(lambda: convert(values), args.reps)[0] if convert else 0
    return summary(timed(lambda: peer.encode(values), args.reps), less=less)


def encrypt_symmetric(peer, args):
    x = pt(peer, 1)
    return summary(timed(lambda: peer.encrypt(x), args.reps))


def encrypt_public(peer, args):
    x = pt(peer, 1)
    return summary(timed(lambda: peer.encrypt_public(x), args.reps))


def weights():
    return np.sin(np.arange(DENSE * DENSE).reshape(DENSE, DENSE) * 0.618) / 32.0


class Dense:
    """A dense matrix by generalised diagonals, split in baby and giant steps."""

    def __init__(self, peer, n_babies):
        self.peer = peer
        self.babies = list(range(n_babies))
        self.giants = list(range(0, DENSE, n_babies))
        peer.prepare(steps=self.babies[1:] + self.giants[1:])
        self.diagonals = [self.row(weights(), giant) for giant in self.giants]

    def row(self, matrix, giant):
        """Diagonals of one giant step, turned back by it."""
        rows = (np.arange(DENSE) - giant) % DENSE
        columns = [(np.arange(DENSE) + baby) % DENSE for baby in self.babies]
        return [self.encode(matrix[rows, column]) for column in columns]

    def encode(self, values):
        repeated = np.tile(values, self.peer.ring.n_slots // DENSE)
        return self.peer.encode(self.peer.values(repeated))

    def apply(self, x):
        """The matrix times a vector that is repeated to fill the slots, rescaled."""
        peer = self.peer
        turned = peer.rotate_many(x, self.babies)
        sums = [peer.inner_product(turned, row) for row in self.diagonals]
        parts = [peer.rotate(part, giant) for part, giant in zip(sums[1:], self.giants[1:])]
        return peer.rescale(peer.sum(sums[:1] + parts))


def dense(peer, args):
    matrix = Dense(peer, args.babies)
    values = vector(DENSE, 1)
    x = peer.encrypt(matrix.encode(values))
    got = peer.decrypt(matrix.apply(x))[:DENSE]
    error = float(np.abs(got - weights() @ values).max())
    return summary(timed(lambda: matrix.apply(x), args.reps), error=error)


OPS = {
    measure.__name__: measure
    for measure in (
        rotate,
        rotate_eight,
        mac,
        mul_relin,
        rescale,
        encode,
        encrypt_symmetric,
        encrypt_public,
        dense,
    )
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--system", choices=PEERS, required=True, help="library to measure")
    parser.add_argument("--op", choices=[*OPS, "all"], default="all", help="operation to measure")
    parser.add_argument("--reps", type=int, default=20, help="timed repetitions of each")
    parser.add_argument("--babies", type=int, default=32, help="baby steps of the dense product")
    add_ring_arguments(parser)
    args = parser.parse_args()
    for name in OPS if args.op == "all" else [args.op]:
        peer = PEERS[args.system](ring_of(args))
        print(json.dumps({"op": name, **OPS[name](peer, args)}), flush=True)


if __name__ == "__main__":
    main()
