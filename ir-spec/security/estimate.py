#!/usr/bin/env python3
"""Estimates what attacks on ring-LWE with a uniform ternary secret cost.

The formulas are those of the lattice estimator (Albrecht, Player and Scott, "On the Concrete
Hardness of Learning with Errors", 2015), written down here anew for the one kind of instance
that keys and ciphertexts are. An attack is lattice reduction by BKZ with blocks of `beta`,
whose basis then follows the geometric series assumption:

- the primal attack embeds secret and error as an unusually short vector (Alkim, Ducas,
  Poeppelmann and Schwabe, "Post-quantum Key Exchange", 2016; the scaling of small secrets is
  Bai and Galbraith's, 2014);
- the dual attack distinguishes by short vectors of the dual lattice, and guesses some
  coordinates of the secret (Espitau, Joux and Kharchenko, 2020), under the independence
  heuristic, which favours the attacker.

Hybrids of the primal attack with guessing gain from sparse secrets alone and are left out.
Any number of samples is granted. Needs nothing but Python.

    python3 ir-spec/security/estimate.py                 # tables, as in the book
    python3 ir-spec/security/estimate.py --write          # rewrites tables/estimates-*.json
    python3 ir-spec/security/estimate.py 16384 430       # one ring and modulus
    hecc compile MODEL --json | python3 ir-spec/security/estimate.py --json
"""

import json
import sys
from functools import cache
from math import ceil, e, exp, inf, log, log2, pi, sqrt
from pathlib import Path

SECRET_WIDTH = sqrt(2 / 3)
ERROR_WIDTH = 3.2
RINGS = [1 << k for k in range(10, 17)]
LEVELS = [128, 192, 256]
STEPS = [64, 80, 96, 112, 128, 160, 192, 224, 256]
TABLES = Path(__file__).parent / "tables"


# What BKZ with blocks of beta costs in dimension d, base-2 logarithms.


def calls(d):
    """SVP calls of BKZ, all its tours together (Chen, 2013)."""
    return log2(8 * d)


def bdgl16(beta, d):
    """Classical sieving with its experimental constant (Becker, Ducas, Gama, Laarhoven, 2016)."""
    return 0.292 * beta + 16.4 + calls(d)


def matzov(beta, d):
    """Classical gates of nearest-neighbour search, progressive, dimensions for free (Albrecht,
    Gheorghiu, Postlethwaite and Schanck, 2020, as MATZOV, 2022, improved on it)."""
    progressive = log2(5.46)
    free = max(beta * log(4 / 3) / log(beta / (2 * pi * e)), 0)
    search = 0.29613500308205365 * (beta - free) + 20.387885985467914
    return search + 2 * progressive + log2(max(d - beta, 1))


def core_svp(beta, _d):
    """One SVP call and no constant: below the cost of any attack by sieving (ADPS16)."""
    return 0.292 * beta


def quantum(beta, d):
    """Quantum sieving (Chailloux and Loyer, 2021), without any constant for a step of it."""
    return 0.257 * beta + calls(d)


def quantum_2014(beta, d):
    """Quantum sieving as of Laarhoven, Mosca and van de Pol, 2014, with the classical constant."""
    return 0.265 * beta + 16.4 + calls(d)


# How far a basis is reduced by blocks of beta.


@cache
def log_delta(beta):
    """Natural logarithm of the root Hermite factor (Chen, 2013)."""
    return (log(beta / (2 * pi * e)) + log(pi * beta) / beta) / (2 * (beta - 1))


def least(condition, low, high):
    """The least whole number from low to high that a monotone condition is true of."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if condition(middle) else (middle + 1, high)
    return low


def golden(cost, low, high):
    """The least value of a function on whole numbers that falls first and rises then."""
    while high - low > 6:
        a, b = low + (high - low) // 3, high - (high - low) // 3
        low, high = (low, b) if cost(a) <= cost(b) else (a, high)
    return min(cost(x) for x in range(low, high + 1))


def primal(n, log_q, model):
    """Bits of the primal attack."""
    ln_q, xi, tau = log_q * log(2), ERROR_WIDTH / SECRET_WIDTH, ERROR_WIDTH
    ln_secret = (n + 1) * ln_q - n * log(xi) - log(tau)

    def dimension(beta):
        return max(round(sqrt(ln_secret / log_delta(beta))), n + 2, beta + 1)

    def succeeds(beta):
        d = dimension(beta)
        projected = log(ERROR_WIDTH) + log(beta) / 2
        return projected <= (2 * beta - d - 1) * log_delta(beta) + ln_q - ln_secret / d

    beta = least(succeeds, 40, 2 * n)
    return model(beta, dimension(beta))


def dual(n, log_q, model):
    """Bits of the dual attack that guesses coordinates of the secret one by one."""
    ln_c = log(SECRET_WIDTH / ERROR_WIDTH) + log_q * log(2)
    rho = sqrt(4 / 3)
    success = sqrt(0.99)

    def cost(beta, guessed):
        rest = n - guessed
        d = max(ceil(sqrt(rest * ln_c / log_delta(beta))), rest + 1)
        ln_sigma = log(rho * SECRET_WIDTH) + d * log_delta(beta) - (d - rest) / d * ln_c
        if ln_sigma > 6:
            return inf
        size = guessed * log(3)
        ln_vectors = log(4) + 4 * pi**2 * exp(2 * ln_sigma) + log(size - log(-log(success)))
        sieves = max(ln_vectors / log(2) - 0.2075 * beta, 0)
        return add(model(beta, d) + sieves, (size + ln_vectors) / log(2))

    def best(beta):
        return golden(lambda guessed: cost(beta, guessed), 1, min(n // 2, 400))

    reduced = least(lambda beta: cost(beta, 1) < inf, 40, 2 * n)
    return golden(best, reduced, 2 * n)


def add(a, b):
    """The logarithm of a sum, of the logarithms of its terms."""
    return max(a, b) + log2(1 + 2 ** -abs(a - b))


@cache
def bits(n, log_q, model):
    """Bits of the cheaper attack."""
    return min(primal(n, log_q, model), dual(n, log_q, model))


@cache
def max_log_q(n, level, model, parts=1):
    """The largest modulus that keeps a level, in whole bits or in parts of a bit."""
    beyond = least(lambda log_q: bits(n, log_q / parts, model) < level, 8 * parts, n * parts)
    return (beyond - 1) / parts if parts > 1 else beyond - 1


# What is printed.

MODELS = {
    "gates": matzov,
    "sieving": bdgl16,
    "core SVP": core_svp,
    "quantum": quantum,
    "quantum 2014": quantum_2014,
}


def published(name):
    """A table of largest moduli by ring degree and level."""
    return {row[0]: dict(zip(LEVELS, row[1:])) for row in json.loads((TABLES / name).read_text())}


def print_bounds():
    """Largest moduli: the published ones, and those of each model."""
    files = {"standard": "standard-2018.json", "guidelines": "guidelines-2024.json"}
    tables = {name: published(file) for name, file in files.items()}
    for level in LEVELS:
        print(f"\n{level} bits | {' | '.join(map(str, RINGS))}")
        for name, table in tables.items():
            row = [table.get(n, {}).get(level, 0) or "" for n in RINGS]
            print(f"{name} | {' | '.join(map(str, row))}")
        for name, model in MODELS.items():
            print(f"{name} | {' | '.join(str(max_log_q(n, level, model)) for n in RINGS)}")


def write_estimates():
    """Writes the moduli between which the compiler interpolates what it reports: for each ring
    the largest that keep each of STEPS, in tenths of a bit."""
    for name, model in {"classical": matzov, "quantum": quantum}.items():
        rows = [[max_log_q(n, level, model, parts=10) for level in STEPS] for n in RINGS]
        text = "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n]\n"
        (TABLES / f"estimates-{name}.json").write_text(text)


def describe(n, log_q):
    """One line: bits by each model."""
    found = [f"{name} {bits(n, log_q, model):.0f}" for name, model in MODELS.items()]
    print(f"ring {n}, log2(QP) = {log_q}: {', '.join(found)}")


def main(arguments):
    match arguments:
        case []:
            print_bounds()
        case ["--write"]:
            write_estimates()
        case ["--json"]:
            figures = json.load(sys.stdin)
            describe(figures["ring_degree"], figures["log_qp"])
        case [n, log_q]:
            describe(int(n), float(log_q))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
