"""SEAL and OpenFHE behind one small interface, as an expert would call them.

Both come as wheels: OpenFHE from `openfhe`, SEAL 4 from `tenseal`, whose module
`tenseal.sealapi` binds SEAL's own classes. Both classes below offer the same
methods, on one ring whose ciphertext primes all have the width of the scale:

    prepare(steps, relin)     makes evaluation keys
    encode, encrypt, encrypt_public, decrypt
    rotate, rotate_many, inner_product, mul_plain, mul_relin, sum, rescale

What the libraries fix themselves:

* Key switching in SEAL has one prime per digit and one special prime. OpenFHE
  gets as many digits as the ring asks for, and chooses special primes of 60 bits.
* SEAL has no hoisting: `rotate_many` rotates one by one. OpenFHE decomposes
  once (EvalFastRotationPrecompute, EvalFastRotation). The wheel cannot encode
  plaintexts in OpenFHE's extended basis, so hoisting past products is out of reach.
* Special primes of 60 bits may exceed the bound of 128-bit security where the ring
  as such does not (N = 8192: 220 bits of 218). OpenFHE's check is off there: how
  wide a prime within a word is costs no time. SEAL's table of bounds ends at
  N = 32768, and its check is off above.
* OpenFHE runs in FIXEDMANUAL, its leanest mode: nothing is rescaled or adjusted
  behind the caller's back.
"""

from dataclasses import dataclass

import numpy as np

OPENFHE_SPECIAL_BITS = 60
# What OpenFHE takes for that level; its table is the more lenient one of 2018.
MAX_LOG_QP = {8192: 218, 16384: 438, 32768: 881, 65536: 1747}


@dataclass(frozen=True)
class Ring:
    """A ring degree and a prime chain, as `hecc-ckks` examples take them."""

    ring_degree: int
    limbs: int
    bits: int
    special_bits: int = 50
    digit_limbs: int = 1

    @property
    def n_slots(self):
        return self.ring_degree // 2

    @property
    def scale(self):
        return 2.0**self.bits

    def arguments(self):
        """The ring on the command line of the Rust examples and of the peers."""
        fields = ("ring_degree", "limbs", "bits", "special_bits", "digit_limbs")
        return [
            text
            for field in fields
            for text in (f"--{field.replace('_', '-')}", str(getattr(self, field)))
        ]

    def __str__(self):
        chain = f"N = {self.ring_degree}, {self.limbs} primes of {self.bits} bits"
        return f"{chain}, {self.digit_limbs} per key-switching digit"


def add_ring_arguments(parser):
    """Declares on an argparse parser what `Ring.arguments` writes."""
    parser.add_argument("--ring-degree", type=int, default=8192, help="N; N/2 slots")
    parser.add_argument("--limbs", type=int, default=4, help="ciphertext primes")
    parser.add_argument("--bits", type=int, default=40, help="bits of each, and of the scale")
    parser.add_argument("--special-bits", type=int, default=50, help="bits of each special prime")
    parser.add_argument("--digit-limbs", type=int, default=1, help="primes per key-switching digit")


def ring_of(args):
    """The ring of parsed arguments."""
    return Ring(args.ring_degree, args.limbs, args.bits, args.special_bits, args.digit_limbs)


class Seal:
    """Microsoft SEAL by `tenseal.sealapi`."""

    name = "SEAL"

    def __init__(self, ring):
        import tenseal.sealapi as seal

        self.api, self.ring = seal, ring
        widths = [ring.bits] * ring.limbs + [ring.special_bits]
        params = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
        params.set_poly_modulus_degree(ring.ring_degree)
        params.set_coeff_modulus(seal.CoeffModulus.Create(ring.ring_degree, widths))
        level = seal.SEC_LEVEL_TYPE
        security = level.TC128 if ring.ring_degree <= 32768 else level.NONE
        self.context = seal.SEALContext(params, True, security)
        if not self.context.parameters_set():
            raise ValueError(f"SEAL refuses {ring}: {self.context.parameters_error_message()}")
        self.top = self.context.first_parms_id()
        self.keygen = seal.KeyGenerator(self.context)
        public = seal.PublicKey()
        self.keygen.create_public_key(public)
        self.encoder = seal.CKKSEncoder(self.context)
        self.encryptor = seal.Encryptor(self.context, public, self.keygen.secret_key())
        self.decryptor = seal.Decryptor(self.context, self.keygen.secret_key())
        self.evaluator = seal.Evaluator(self.context)

    def prepare(self, steps=(), relin=False):
        self.galois, self.relin = self.api.GaloisKeys(), self.api.RelinKeys()
        # The binding takes Galois elements; SEAL's generator of rotations is 3.
        elements = [pow(3, step, 2 * self.ring.ring_degree) for step in steps]
        if elements:
            self.keygen.create_galois_keys(elements, self.galois)
        if relin:
            self.keygen.create_relin_keys(self.relin)

    def values(self, vector):
        """A vector in the form that `encode` reads fastest."""
        return [float(value) for value in vector]

    def encode(self, values):
        pt = self.api.Plaintext()
        self.encoder.encode(values, self.top, self.ring.scale, pt)
        return pt

    def convert(self, values):
        """What `encode` spends on a Python list before SEAL sees it: one value
        too many is refused once the list is converted."""
        try:
            self.encode(values + [0.0])
        except ValueError:
            return
        raise AssertionError("SEAL refuses more values than slots")

    def encrypt(self, pt):
        ct = self.api.Ciphertext()
        self.encryptor.encrypt_symmetric(pt, ct)
        return ct

    def encrypt_public(self, pt):
        ct = self.api.Ciphertext()
        self.encryptor.encrypt(pt, ct)
        return ct

    def decrypt(self, ct):
        pt = self.api.Plaintext()
        self.decryptor.decrypt(ct, pt)
        return np.array(self.encoder.decode_double(pt))

    def rotate(self, ct, step):
        out = self.api.Ciphertext()
        self.evaluator.rotate_vector(ct, step, self.galois, out)
        return out

    def rotate_many(self, ct, steps):
        return [self.rotate(ct, step) if step else ct for step in steps]

    def mul_plain(self, ct, pt):
        out = self.api.Ciphertext()
        self.evaluator.multiply_plain(ct, pt, out)
        return out

    def inner_product(self, cts, pts):
        total = self.mul_plain(cts[0], pts[0])
        product = self.api.Ciphertext()
        for ct, pt in zip(cts[1:], pts[1:]):
            self.evaluator.multiply_plain(ct, pt, product)
            self.evaluator.add_inplace(total, product)
        return total

    def mul_relin(self, a, b):
        out = self.api.Ciphertext()
        self.evaluator.multiply(a, b, out)
        self.evaluator.relinearize_inplace(out, self.relin)
        return out

    def sum(self, cts):
        out = self.api.Ciphertext()
        self.evaluator.add_many(cts, out)
        return out

    def rescale(self, ct):
        out = self.api.Ciphertext()
        self.evaluator.rescale_to_next(ct, out)
        return out


def n_special_primes(ring):
    """OpenFHE's special primes: as many as hold a digit."""
    return -(-ring.bits * ring.digit_limbs // OPENFHE_SPECIAL_BITS)


class OpenFhe:
    """OpenFHE by its Python wheel."""

    name = "OpenFHE"

    def __init__(self, ring):
        import openfhe

        self.api, self.ring = openfhe, ring
        self.context = openfhe.GenCryptoContext(self.params())
        features = ("PKE", "KEYSWITCH", "LEVELEDSHE", "ADVANCEDSHE")
        for feature in (getattr(openfhe, name) for name in features):
            self.context.Enable(feature)
        self.order = self.context.GetCyclotomicOrder()
        self.keys = self.context.KeyGen()

    def params(self):
        api, ring = self.api, self.ring
        params = api.CCParamsCKKSRNS()
        params.SetRingDim(ring.ring_degree)
        params.SetMultiplicativeDepth(ring.limbs - 1)
        params.SetScalingModSize(ring.bits)
        params.SetFirstModSize(ring.bits)
        params.SetBatchSize(ring.n_slots)
        params.SetScalingTechnique(api.FIXEDMANUAL)
        params.SetKeySwitchTechnique(api.HYBRID)
        params.SetNumLargeDigits(-(-ring.limbs // ring.digit_limbs))
        secure = self.log_qp() <= MAX_LOG_QP.get(ring.ring_degree, 0)
        params.SetSecurityLevel(api.HEStd_128_classic if secure else api.HEStd_NotSet)
        return params

    def log_qp(self):
        return self.ring.bits * self.ring.limbs + n_special_primes(self.ring) * OPENFHE_SPECIAL_BITS

    def prepare(self, steps=(), relin=False):
        if steps:
            self.context.EvalRotateKeyGen(self.keys.secretKey, list(steps))
        if relin:
            self.context.EvalMultKeyGen(self.keys.secretKey)

    def values(self, vector):
        """A vector in the form that `encode` reads fastest."""
        return np.ascontiguousarray(vector, dtype=np.float64)

    def encode(self, values, level=0):
        """Encodes at `level` primes below all."""
        return self.context.MakeCKKSPackedPlaintext(values, 1, level, None, self.ring.n_slots)

    def encrypt(self, pt):
        return self.context.Encrypt(self.keys.secretKey, pt)

    def encrypt_public(self, pt):
        return self.context.Encrypt(self.keys.publicKey, pt)

    def decrypt(self, ct):
        pt = self.context.Decrypt(self.keys.secretKey, ct)
        pt.SetLength(self.ring.n_slots)
        return np.array(pt.GetRealPackedValue())

    def rotate(self, ct, step):
        return self.context.EvalRotate(ct, step)

    def rotate_many(self, ct, steps):
        digits = self.context.EvalFastRotationPrecompute(ct)
        rotate = self.context.EvalFastRotation
        return [rotate(ct, step, self.order, digits) if step else ct for step in steps]

    def mul_plain(self, ct, pt):
        return self.context.EvalMult(ct, pt)

    def inner_product(self, cts, pts):
        total = self.context.EvalMult(cts[0], pts[0])
        for ct, pt in zip(cts[1:], pts[1:]):
            self.context.EvalAddInPlace(total, self.context.EvalMult(ct, pt))
        return total

    def mul_relin(self, a, b):
        return self.context.EvalMult(a, b)

    def sum(self, cts):
        return self.context.EvalAddMany(cts)

    def rescale(self, ct):
        return self.context.Rescale(ct)

    def dropped_primes(self):
        """What a rescale divides by, first rescale first."""
        one = self.values(np.ones(self.ring.n_slots))
        modulus = [
            int(self.encode(one, level).GetElementModulus()) for level in range(self.ring.limbs)
        ]
        return [high // low for high, low in zip(modulus, modulus[1:])]


PEERS = {"seal": Seal, "openfhe": OpenFhe}
