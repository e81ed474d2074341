"""Results of every operation of hecc-ckks beside those of OpenFHE and of plain numbers.

    tests/peers/run.sh                      # makes the environment, runs both scripts
    python tests/peers/op_results.py --hecc target/release/examples/op_results [--seed 1]

needs the Python that `run.sh` sets up and the example built by
`cargo build --release -p hecc-ckks --examples`.

The same random vectors between -1 and 1 are encoded and encrypted with the secret key
in both libraries, on one ring with the same scale and number of primes; every operation
of the evaluator runs on ciphertexts; results are decrypted and compared with each
other and with numpy, slot by slot. The exit status is 1 if any of the three
differences exceeds its bound, or an operation of hecc has no counterpart here.

Bounds follow from the noise, not from what was seen. With error width s, a coefficient
of a fresh encryption has variance s^2, encoding adds 1/12, and dividing by a prime (a
rescale, the end of a key switch) adds (1 + 2N/3)/12 for the ternary secret; key
switching adds the noise of its digits. A slot is a sum of N coefficients, of which the
real part keeps half the variance. Operations carry these with values of at most 1 as
weights. A bound is 14 standard deviations: errors that the secret multiplies are wide
where the secret is, so that their tails are exponential and not Gaussian. Per run of
some 20 operations and 4096 slots, one of ten thousand may exceed it by chance.

OpenFHE has two more errors, which its bounds include. Decryption adds noise as large as
the error it estimates, and N/8 units at least. The end of a key switch rounds down and
not to nearest, once per special prime: half a unit in every coefficient is nothing in
most slots, and much in those whose root of unity is near 1.

In OpenFHE's mode FIXEDMANUAL a rescale divides by a prime and books 2^bits. Its results
are multiplied by what was booked wrongly, so that they mean what they are compared with.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from math import sqrt
from pathlib import Path

import numpy as np

from peers import OpenFhe, add_ring_arguments, n_special_primes, ring_of

N_VECTORS = 8
STEPS = [3, 1, 100, 2047]
SCALAR = -0.731
MARGIN = 14.0


def inputs(ring, seed):
    """Vectors to encrypt (x) and to encode (y), rotations and a scalar."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-1, 1, (2, N_VECTORS, ring.n_slots))
    return {"x": x, "y": y, "steps": [step % ring.n_slots for step in STEPS], "scalar": SCALAR}


class Noise:
    """Standard deviations of slot errors at the scale of the ring."""

    ERROR_WIDTH = 3.2

    def __init__(self, ring):
        self.ring = ring
        slot = sqrt(ring.ring_degree / 2) / ring.scale
        self.encoded = sqrt(1 / 12) * slot
        self.fresh = sqrt(self.ERROR_WIDTH**2 + 1 / 12) * slot
        self.divided = self.secret() * sqrt(1 / 12) * slot
        self.digits = self.digit() * sqrt(ring.ring_degree / 12) * self.ERROR_WIDTH * slot

    def secret(self):
        """What a ciphertext with parts of variance 1 has after decryption."""
        return sqrt(1 + 2 * self.ring.ring_degree / 3)

    def digit(self):
        """Size of all digits together, over that of the special primes."""
        ring = self.ring
        n_digits = -(-ring.limbs // ring.digit_limbs)
        return sqrt(n_digits) * 2.0 ** (ring.digit_limbs * (ring.bits - ring.special_bits))

    def rotated(self, step):
        """What a rotation adds in each slot."""
        return join(self.divided, self.digits)

    def read(self, deviation):
        """The deviation after decryption."""
        return deviation


class OpenFheNoise(Noise):
    """With what OpenFHE adds, see above."""

    def rotated(self, step):
        """Rounding down once per special prime, before or after the slots turn."""
        ring, n_special = self.ring, n_special_primes(self.ring)
        exponents = [pow(5, slot, 2 * ring.ring_degree) for slot in range(ring.n_slots)]
        roots = np.exp(1j * np.pi * np.array(exponents) / ring.ring_degree)
        halves = n_special * self.secret() / np.abs(1 - roots) / ring.scale
        divided = sqrt(n_special) * self.divided
        return join(divided, np.maximum(halves, np.roll(halves, -step)))

    def read(self, deviation):
        least = self.ring.ring_degree / 8 / self.ring.scale
        return join(deviation, np.maximum(deviation, least))


def join(*deviations):
    """Deviation of a sum of independent errors."""
    return np.sqrt(sum(np.square(deviation) for deviation in deviations))


def exact(data, n_products):
    """What every operation computes, by name."""
    x, y, steps, scalar = data["x"], data["y"], data["steps"], data["scalar"]
    rows = {
        "add": x[0] + x[1],
        "sub": x[0] - x[1],
        "neg": -x[0],
        "sum": x.sum(axis=0),
        "add_plain": x[0] + y[0],
        "drop_level": x[0],
        "mul_plain": x[0] * y[0],
        "inner_product": (x * y).sum(axis=0),
        "mul_scalar": x[0] * scalar,
        "mul_relin": x[0] * x[1],
        "square_relin": x[0] ** 2,
        "rescale": x[0] * y[0],
        "rotate": np.roll(x[0], -steps[0]),
        "product_rotate_product": np.roll(x[0] * x[1], -steps[0]) * y[0],
        "product_chain": x[0] * x[1] ** n_products,
    }
    return rows | {f"rotate_many {step}": np.roll(x[0], -step) for step in steps}


def deviations(steps, noise, n_products):
    """Deviation of the error of every operation, by name. A product of ciphertexts
    has twice the scale, where a key switch adds nothing that counts."""
    fresh, plain = noise.fresh, join(noise.fresh, noise.encoded)
    pair, turned = join(fresh, fresh), noise.rotated(steps[0])
    product = join(pair, noise.divided)
    rows = {
        "add": pair,
        "sub": pair,
        "neg": fresh,
        "sum": sqrt(N_VECTORS) * fresh,
        "add_plain": plain,
        "drop_level": fresh,
        "mul_plain": plain,
        "inner_product": sqrt(N_VECTORS) * plain,
        "mul_scalar": join(fresh, 1 / noise.ring.scale),
        "mul_relin": pair,
        "square_relin": 2 * fresh,
        "rescale": join(plain, noise.divided),
        "rotate": join(fresh, turned),
        "product_rotate_product": join(product, turned, noise.encoded, noise.divided),
        "product_chain": sqrt(n_products) * product,
    }
    rows |= {f"rotate_many {step}": join(fresh, noise.rotated(step)) for step in steps}
    return {op: noise.read(deviation) for op, deviation in rows.items()}


def hecc_results(example, ring, data):
    """Decrypted slots by operation, from the Rust example."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        listed = {**data, "x": data["x"].tolist(), "y": data["y"].tolist()}
        json.dump(listed, file)
        file.flush()
        command = [str(example), "--inputs", file.name, *ring.arguments()]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return {op: np.array(slots) for op, slots in json.loads(done.stdout).items()}


class OpenFheResults:
    """Decrypted slots of OpenFHE, by operation."""

    def __init__(self, ring, data):
        self.peer, self.data = OpenFhe(ring), data
        self.peer.prepare(steps=data["steps"], relin=True)
        # By how much a value shrinks with each rescale, from the top.
        self.shrunk = [prime / ring.scale for prime in self.peer.dropped_primes()]
        self.y = [self.peer.encode(self.peer.values(row)) for row in data["y"]]
        self.x = [self.peer.encrypt(self.peer.encode(self.peer.values(row))) for row in data["x"]]

    def run(self):
        groups = (self.linear(), self.products(), self.rotations(), self.chains())
        return {op: self.slots(*result) for group in groups for op, result in group.items()}

    def slots(self, ct, n_rescales=0):
        return self.peer.decrypt(ct) * np.prod(self.shrunk[:n_rescales])

    def linear(self):
        context, x = self.peer.context, self.x
        return {
            "add": (context.EvalAdd(x[0], x[1]),),
            "sub": (context.EvalSub(x[0], x[1]),),
            "neg": (context.EvalNegate(x[0]),),
            "sum": (self.peer.sum(x),),
            "add_plain": (context.EvalAdd(x[0], self.y[0]),),
            "drop_level": (context.LevelReduce(x[0], None, 1),),
        }

    def products(self):
        context, x, y = self.peer.context, self.x, self.y
        return {
            "mul_plain": (self.peer.mul_plain(x[0], y[0]),),
            "inner_product": (self.peer.inner_product(x, y),),
            "mul_scalar": (context.EvalMult(x[0], self.data["scalar"]),),
            "mul_relin": (self.peer.mul_relin(x[0], x[1]),),
            "square_relin": (context.EvalSquare(x[0]),),
            "rescale": (self.peer.rescale(self.peer.mul_plain(x[0], y[0])), 1),
        }

    def rotations(self):
        steps = self.data["steps"]
        many = self.peer.rotate_many(self.x[0], steps)
        named = {f"rotate_many {step}": (ct,) for step, ct in zip(steps, many)}
        return {"rotate": (self.peer.rotate(self.x[0], steps[0]),), **named}

    def chains(self):
        peer, x = self.peer, self.x
        first = peer.rescale(peer.mul_relin(x[0], x[1]))
        turned = peer.rotate(first, self.data["steps"][0])
        level_one = peer.encode(peer.values(self.data["y"][0]), level=1)
        product, n_products = x[0], peer.ring.limbs - 2
        for level in range(n_products):
            factor = peer.context.LevelReduce(x[1], None, level) if level else x[1]
            product = peer.rescale(peer.mul_relin(product, factor))
        return {
            "product_rotate_product": (peer.rescale(peer.mul_plain(turned, level_one)), 2),
            "product_chain": (product, n_products),
        }


def worst(got, wanted, deviation):
    """Difference and bound in the slot that comes closest to its bound."""
    difference = np.abs(got - wanted)
    bound = np.broadcast_to(MARGIN * deviation, difference.shape)
    at = np.argmax(difference / bound)
    return difference[at], bound[at]


def compare(rows, ours, theirs, our_noise, their_noise):
    """Prints a line per operation; returns those that differ."""
    print(f"{'':26}{'hecc - exact':>22}{'OpenFHE - exact':>22}{'hecc - OpenFHE':>22}")
    print(f"{'operation':26}" + 3 * f"{'error':>12}{'bound':>10}")
    wrong = []
    for op, row in rows.items():
        pairs = [
            worst(ours[op], row, our_noise[op]),
            worst(theirs[op], row, their_noise[op]),
            worst(ours[op], theirs[op], join(our_noise[op], their_noise[op])),
        ]
        fine = all(difference <= bound for difference, bound in pairs)
        cells = "".join(f"{difference:>12.1e}{bound:>10.1e}" for difference, bound in pairs)
        print(f"{op:26}{cells}  {'ok' if fine else 'DIFFERS'}")
        wrong += [] if fine else [op]
    return wrong


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hecc", type=Path, required=True, help="the built example op_results")
    parser.add_argument("--seed", type=int, default=1, help="of the input vectors")
    add_ring_arguments(parser)
    return parser.parse_args()


def main():
    args = parse_arguments()
    ring = ring_of(args)
    data = inputs(ring, args.seed)
    n_products = ring.limbs - 2
    rows = exact(data, n_products)
    ours = hecc_results(args.hecc, ring, data)
    if rows.keys() != ours.keys():
        raise SystemExit(f"hecc and this script differ in operations: {rows.keys() ^ ours.keys()}")
    print(f"{ring}, seed {args.seed}: the slot that comes closest to its bound\n")
    noises = [deviations(data["steps"], noise(ring), n_products) for noise in (Noise, OpenFheNoise)]
    wrong = compare(rows, ours, OpenFheResults(ring, data).run(), *noises)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
