//! What an executor asks of an encryption scheme, and the schemes it knows.

pub mod ckks;
pub mod clear;
pub mod sim;

use crate::memory::MappedBytes;
use crate::{Cancel, Error};
use hecc_ir::size::Sizes;
use hecc_ir::target::{Basis, RingCost};
use hecc_ir::{CtType, KeyPlan, Level, Manifest, Params, Plain, Scale, Step};

/// What a plaintext is encoded for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlainType {
    /// Level of the ciphertexts it meets.
    pub level: Level,
    /// Scale of its slots.
    pub scale: Scale,
    /// Whether it multiplies rotations, or sums of them, wherever it is used: a
    /// back end may then encode it so that products need not be finished one by one.
    pub rotations: bool,
}

/// A way to compute on ciphertexts: one method for each instruction.
///
/// Methods are called from several threads at once and give the same result
/// from any of them. They refuse operands of unfit types with
/// [`Error::Operands`]; slot `i` below is one of the program, in every lane, and taken
/// modulo their number.
pub trait Backend: Send + Sync {
    /// A ciphertext.
    type Ct: Clone + Send + Sync;
    /// An encoded plaintext.
    type Plain: Send + Sync;
    /// An inner product to which terms are still to be added.
    type Partial: Send;

    /// The ring it was made for.
    fn params(&self) -> &Params;

    /// How many runs of a program its ciphertexts hold side by side: each slot of a
    /// program is that many of the ring ([`Manifest::lanes`](hecc_ir::Manifest::lanes)).
    fn lanes(&self) -> usize;

    /// Checks that every key of `needed` is there.
    ///
    /// # Errors
    /// [`Error::MissingKeys`] with all that are not.
    fn check_keys(&self, needed: &KeyPlan) -> Result<(), Error>;

    /// Level, scale and degree of a ciphertext.
    fn ct_type(&self, ct: &Self::Ct) -> CtType;

    /// Bytes of memory a ciphertext takes.
    fn ct_bytes(&self, ct: &Self::Ct) -> usize;

    /// Bytes of memory a ciphertext of a type takes, over the primes of its level or the special ones too: by
    /// default those of its polynomials, a word for each coefficient and prime.
    fn type_bytes(&self, ty: CtType, basis: Basis) -> usize {
        (usize::from(ty.degree) + 1) * Sizes(self.params()).poly(ty.level, basis)
    }

    /// Bytes of memory that the keys for a manifest will take which it does not hold yet: none by default.
    fn missing_key_bytes(&self, _manifest: &Manifest) -> usize {
        0
    }

    /// Times of the steps that its operations consist of, measured now on this machine; nothing by default.
    fn step_times(&self) -> Option<RingCost> {
        None
    }

    /// Bytes of memory its keys take.
    fn key_bytes(&self) -> usize;

    /// Bytes of memory a plaintext takes when it is encoded.
    fn plain_bytes(&self, plain: &Plain, ty: PlainType) -> usize;

    /// Encodes a plaintext.
    fn encode(&self, plain: &Plain, ty: PlainType) -> Result<Self::Plain, Error>;

    /// Appends the bytes of an encoded plaintext to `out`, for [`Backend::map_plain`].
    ///
    /// # Errors
    /// [`Error::Unmappable`] of a back end that keeps none in files.
    fn write_plain(&self, _plain: &Self::Plain, _out: &mut Vec<u8>) -> Result<(), Error> {
        Err(Error::Unmappable)
    }

    /// The plaintext that [`Backend::write_plain`] wrote, of the type it was encoded
    /// for. It is to refer to the bytes rather than to copy them.
    ///
    /// # Errors
    /// As [`Backend::write_plain`], and when the bytes are not what it wrote.
    fn map_plain(&self, _bytes: MappedBytes, _ty: PlainType) -> Result<Self::Plain, Error> {
        Err(Error::Unmappable)
    }

    /// An encryption of zero without noise.
    fn zero(&self, ty: CtType) -> Result<Self::Ct, Error>;

    /// For each step, `ct[i + step]`; the rotations may share work, and put off what
    /// sums and inner products of them need only once. This, as all operations of any number
    /// of terms, asks `cancel` between them and may end with any error once it is stopped.
    fn rotate_many(&self, ct: &Self::Ct, steps: &[Step], cancel: &Cancel) -> Result<Vec<Self::Ct>, Error>;

    /// Adds `ct[i] * plain[i]` over the terms, in their order, to `sum` or to zero.
    /// The result does not depend on how terms are divided into calls.
    fn add_products(
        &self,
        sum: Option<Self::Partial>,
        terms: &[(&Self::Ct, &Self::Plain)],
        cancel: &Cancel,
    ) -> Result<Self::Partial, Error>;

    /// The inner product when all terms are added.
    fn total(&self, sum: Self::Partial) -> Result<Self::Ct, Error>;

    /// Several inner products, which may share work where they share ciphertexts.
    fn inner_products(
        &self,
        rows: &[Vec<(&Self::Ct, &Self::Plain)>],
        cancel: &Cancel,
    ) -> Result<Vec<Self::Ct>, Error> {
        rows.iter().map(|terms| self.total(self.add_products(None, terms, cancel)?)).collect()
    }

    /// Sum of ciphertexts of one type.
    fn sum(&self, terms: &[&Self::Ct], cancel: &Cancel) -> Result<Self::Ct, Error>;

    /// `a[i] - b[i]`.
    fn sub(&self, a: &Self::Ct, b: &Self::Ct) -> Result<Self::Ct, Error>;

    /// `-ct[i]`.
    fn neg(&self, ct: &Self::Ct) -> Result<Self::Ct, Error>;

    /// `ct[i] + plain[i]`, both at one level and scale.
    fn add_plain(&self, ct: &Self::Ct, plain: &Self::Plain) -> Result<Self::Ct, Error>;

    /// `ct[i] * scalar`, the scalar rounded to a multiple of `1 / scale`.
    fn mul_scalar(&self, ct: &Self::Ct, scalar: f64, scale: Scale) -> Result<Self::Ct, Error>;

    /// `a[i] * b[i]`, of degree two.
    fn mul(&self, a: &Self::Ct, b: &Self::Ct) -> Result<Self::Ct, Error>;

    /// `ct[i] * ct[i]`, of degree two.
    fn square(&self, ct: &Self::Ct) -> Result<Self::Ct, Error> {
        self.mul(ct, ct)
    }

    /// The same slots at degree one.
    fn relin(&self, ct: &Self::Ct) -> Result<Self::Ct, Error>;

    /// The same slots without the last prime, in level and scale.
    fn rescale(&self, ct: &Self::Ct) -> Result<Self::Ct, Error>;

    /// The same slots and scale at a lower level.
    fn drop_level(&self, ct: &Self::Ct, level: Level) -> Result<Self::Ct, Error>;
}
