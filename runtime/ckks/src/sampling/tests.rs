//! Every sampler against the distribution it claims.
//!
//! Seeds are fixed, so that a test either always passes or never does. What a
//! right sampler makes of a seed nobody chose exceeds the bounds below once in
//! a million tests. Beside each test stands a wrong sampler that it catches.

use super::*;

/// Standard deviations that a right sampler exceeds, on either side, with
/// probability 10^-6.
const BOUND: f64 = 4.9;

/// Pearson's statistic of counts against probabilities, made nearly normal:
/// Wilson and Hilferty, "The distribution of chi-square" (1931).
fn deviation(counts: &[u64], probabilities: &[f64]) -> f64 {
    assert_eq!(counts.len(), probabilities.len());
    let n = counts.iter().sum::<u64>() as f64;
    let term = |(&count, &p): (&u64, &f64)| (count as f64 - n * p).powi(2) / (n * p);
    let statistic: f64 = counts.iter().zip(probabilities).map(term).sum();
    let freedom = (counts.len() - 1) as f64;
    let spread = 2.0 / (9.0 * freedom);
    ((statistic / freedom).cbrt() - 1.0 + spread) / spread.sqrt()
}

fn counted(n_bins: usize, bins: impl Iterator<Item = usize>) -> Vec<u64> {
    let mut counts = vec![0; n_bins];
    bins.for_each(|bin| counts[bin] += 1);
    counts
}

/// Far more than [`BOUND`], so that a wrong sampler is caught for every seed.
fn caught(deviation: f64) -> bool {
    deviation.abs() > 2.0 * BOUND
}

#[track_caller]
fn assert_fits(deviation: f64) {
    assert!(deviation.abs() < BOUND, "{deviation} standard deviations");
}

fn uniform(n_bins: usize) -> Vec<f64> {
    vec![1.0 / n_bins as f64; n_bins]
}

fn words(seed: u8, n: usize) -> Vec<u64> {
    let mut rng = Prng::from_seed([seed; 32]);
    (0..n).map(|_| rng.0.next_u64()).collect()
}

mod gaussian {
    use super::*;

    const N: usize = 1 << 20;

    /// Values from here on share a bin on either side: some ten samples of [`N`].
    const TAIL: i64 = 14;

    /// The density at the integers, summed and divided by its sum.
    fn probabilities() -> Vec<f64> {
        let density = |x: i64| (-((x * x) as f64) / (2.0 * 3.2 * 3.2)).exp();
        let total: f64 = (-60..=60).map(density).sum();
        let tail: f64 = (TAIL..=60).map(density).sum::<f64>() / total;
        let inner = (1 - TAIL..TAIL).map(|x| density(x) / total);
        [tail].into_iter().chain(inner).chain([tail]).collect()
    }

    fn fit(samples: impl Iterator<Item = i64>) -> f64 {
        let bin = |x: i64| (x.clamp(-TAIL, TAIL) + TAIL) as usize;
        deviation(&counted(2 * TAIL as usize + 1, samples.map(bin)), &probabilities())
    }

    #[test]
    fn fits_the_density() {
        for seed in 1..=4 {
            assert_fits(fit(Prng::from_seed([seed; 32]).gaussian(N).iter().copied()));
        }
    }

    #[test]
    fn a_binomial_of_nearly_its_width_does_not_fit() {
        let binomial = |word: u64| i64::from((word & ((1 << 41) - 1)).count_ones()) - 20;
        assert!(caught(fit(words(1, N).into_iter().map(binomial))));
    }

    #[test]
    fn a_cut_tail_does_not_fit() {
        let samples = Prng::from_seed([1; 32]).gaussian(N);
        assert!(caught(fit(samples.iter().map(|&x| if x.abs() > 11 { 0 } else { x }))));
    }

    #[test]
    fn zero_counted_once_for_each_sign_does_not_fit() {
        let wrong =
            |word: u64| if gaussian_from(word) == 0 && word >> 62 == 0 { 1 } else { gaussian_from(word) };
        assert!(caught(fit(words(1, N).into_iter().map(wrong))));
    }

    /// Numbers with 90 bits after the point.
    mod fixed {
        pub const ONE: u128 = 1 << 90;

        pub fn mul(a: u128, b: u128) -> u128 {
            const HALF: u128 = 1 << 45;
            let ((a1, a0), (b1, b0)) = ((a / HALF, a % HALF), (b / HALF, b % HALF));
            a1 * b1 + (a1 * b0 + a0 * b1 + a0 * b0 / HALF) / HALF
        }

        /// exp(-25/512) by its series.
        pub fn exp_step() -> u128 {
            let (mut sum, mut term) = (ONE, ONE);
            for k in 1..30 {
                term = term * 25 / 512 / k;
                sum = if k % 2 == 1 { sum - term } else { sum + term };
            }
            sum
        }

        /// floor(2^63 · a / b) for a < b.
        pub fn ratio(mut a: u128, b: u128) -> i64 {
            (0..63).fold(0, |quotient, _| {
                a *= 2;
                let bit = u128::from(a >= b);
                a -= b * bit;
                quotient << 1 | bit as i64
            })
        }
    }

    #[test]
    fn the_table_is_exact() {
        let step = fixed::exp_step();
        let power = |exponent: usize| (0..exponent).fold(fixed::ONE, |power, _| fixed::mul(power, step));
        let weights: Vec<u128> = (0..36).map(|k| power(k * k) * if k == 0 { 1 } else { 2 }).collect();
        let total = weights.iter().sum();
        let at_most = |k: usize| fixed::ratio(weights[..=k].iter().sum(), total);
        assert_eq!(AT_MOST.to_vec(), (0..AT_MOST.len()).map(at_most).collect::<Vec<_>>());
    }

    /// Deep tails, which no sample reaches: the inverse at each of its steps.
    #[test]
    fn words_at_each_bound_fall_on_either_side_of_it() {
        for (k, &bound) in (0..).zip(&AT_MOST) {
            let word = |point: i64, sign: u64| (point as u64) << 1 | sign;
            for (point, value) in [(bound - 1, k), (bound, k + 1)] {
                assert_eq!(gaussian_from(word(point, 0)), value);
                assert_eq!(gaussian_from(word(point, 1)), -value);
            }
        }
        assert_eq!((gaussian_from(0), gaussian_from(1)), (0, 0));
        assert_eq!((gaussian_from(u64::MAX - 1), gaussian_from(u64::MAX)), (29, -29));
    }
}

mod wide {
    use super::*;

    const N: usize = 1 << 17;

    /// Samples in 62 bins of a tenth of the width and two tails, against the
    /// density summed over the integers of each bin.
    fn fit(samples: &[i64], sigma: f64) -> f64 {
        let n_bins = 64;
        let bin = |x: i64| ((x as f64 / sigma * 10.0).floor() + 32.0).clamp(0.0, 63.0) as usize;
        let mut expected = vec![0.0; n_bins];
        let reach = (10.0 * sigma) as i64;
        for x in -reach..=reach {
            expected[bin(x)] += (-(x as f64 / sigma).powi(2) / 2.0).exp();
        }
        let total: f64 = expected.iter().sum();
        expected.iter_mut().for_each(|weight| *weight /= total);
        deviation(&counted(n_bins, samples.iter().map(|&x| bin(x))), &expected)
    }

    fn draw(sigma: f64) -> (Vec<i64>, f64) {
        let wide = WideGaussian::at_least(sigma).unwrap();
        (wide.draw(&mut Prng::from_seed([9; 32]), N).to_vec(), wide.sigma())
    }

    #[test]
    fn fits_the_density() {
        for sigma in [1.0, 200.0, 5000.0, 1e5] {
            let (samples, sigma) = draw(sigma);
            assert_fits(fit(&samples, sigma));
        }
    }

    #[test]
    fn a_width_off_by_a_twentieth_does_not_fit() {
        let (samples, sigma) = draw(5000.0);
        assert!(caught(fit(&samples, 1.05 * sigma)));
    }

    /// Sums that are not of coprime factors, or of terms that are too narrow,
    /// miss some residues.
    #[test]
    fn residues_are_uniform() {
        for sigma in [1.0, 5000.0, 1e12, 6e16] {
            let (samples, _) = draw(sigma);
            for modulus in [2, 3, 4, 7, 25] {
                let counts = counted(modulus, samples.iter().map(|x| x.rem_euclid(modulus as i64) as usize));
                assert_fits(deviation(&counts, &uniform(modulus)));
            }
        }
        let (samples, _) = draw(1e12);
        let even = counted(4, samples.iter().map(|x| (2 * x).rem_euclid(4) as usize));
        assert!(caught(deviation(&even, &uniform(4))));
    }

    #[test]
    fn the_widest_has_its_variance() {
        let (samples, sigma) = draw((1u64 << 56) as f64);
        let variance = samples.iter().map(|&x| (x as f64 / sigma).powi(2)).sum::<f64>() / N as f64;
        assert_fits((variance - 1.0) / (2.0 / N as f64).sqrt());
    }
}

mod ternary {
    use super::*;

    const N: usize = 1 << 22;

    fn fit(samples: impl Iterator<Item = i64>) -> f64 {
        deviation(&counted(3, samples.map(|x| (x + 1) as usize)), &uniform(3))
    }

    #[test]
    fn is_uniform() {
        for seed in 1..=4 {
            assert_fits(fit(Prng::from_seed([seed; 32]).ternary(N).iter().copied()));
        }
    }

    #[test]
    fn seven_bits_per_sample_are_not() {
        assert!(caught(fit(words(2, N).into_iter().map(|word| (((word & 0x7f) * 3) >> 7) as i64 - 1))));
    }
}

mod residues {
    use super::*;

    const N: usize = 1 << 18;
    const N_BINS: usize = 256;

    /// The first prime for transforms of degree 32 at or above a number.
    fn prime_from(least: u64) -> u64 {
        (least.div_ceil(64)..).map(|k| 64 * k + 1).find(|&p| crate::primes::is_prime(p)).unwrap()
    }

    /// Primes just above a power of two, in the middle between two powers, and below
    /// the next; of the words for the longest a fifteenth and more is rejected.
    fn primes() -> impl Iterator<Item = u64> {
        [20, 31, 40, 50, 59].into_iter().flat_map(|bits| {
            let power = 1u64 << bits;
            [power, power / 2 * 3, 2 * power - power / 50].map(prime_from)
        })
    }

    fn draw(p: u64, seed: u8, stream: u64) -> Vec<u64> {
        let mut limb = vec![0; N];
        expand(&[seed; 32], stream, &Modulus::new(p, 32), &mut limb);
        limb
    }

    /// Parts of the range that have the same size but for one residue.
    fn high(p: u64, x: u64) -> usize {
        (u128::from(x) * N_BINS as u128 / u128::from(p)) as usize
    }

    fn fit_high(p: u64, limb: &[u64]) -> f64 {
        deviation(&counted(N_BINS, limb.iter().map(|&x| high(p, x))), &uniform(N_BINS))
    }

    #[test]
    fn are_uniform_in_their_high_and_low_bits() {
        for p in primes() {
            let limb = draw(p, 3, 1);
            assert!(limb.iter().all(|&x| x < p));
            assert_fits(fit_high(p, &limb));
            let low = counted(N_BINS, limb.iter().map(|&x| x as usize % N_BINS));
            assert_fits(deviation(&low, &uniform(N_BINS)));
        }
    }

    /// Seeds in files expand to this: words are rejected here, and what takes their
    /// places is part of the format.
    #[test]
    fn expansion_is_what_the_file_format_says() {
        let limb = draw(prime_from(3 << 59), 7, 5);
        let digest = limb.iter().fold(0u64, |sum, &x| sum.wrapping_mul(31).wrapping_add(x));
        assert_eq!(
            (limb[0], limb[N - 1], digest),
            (893_495_238_843_584_656, 776_474_164_648_982_987, 4_719_127_938_324_049_153)
        );
    }

    #[test]
    fn reduction_and_narrow_masks_are_not_uniform() {
        let p = prime_from(3 << 39);
        let reduced: Vec<u64> = words(3, N).iter().map(|word| (word >> 23) % p).collect();
        assert!(caught(fit_high(p, &reduced)));
        let narrow: Vec<u64> = words(3, N).iter().map(|word| word >> 24).collect();
        assert!(caught(fit_high(p, &narrow)));
    }

    /// Deviation of the joint distribution of pairs from independence.
    fn fit_pairs(p: u64, a: &[u64], b: &[u64]) -> f64 {
        let pairs = a.iter().zip(b).map(|(&x, &y)| high(p, x) / 16 * 16 + high(p, y) / 16);
        deviation(&counted(N_BINS, pairs), &uniform(N_BINS))
    }

    #[test]
    fn limbs_streams_and_seeds_are_independent() {
        let p = prime_from(3 << 39);
        let limb = draw(p, 4, 1);
        for other in [draw(p, 4, 0), draw(p, 4, 2), draw(p, 4, 257), draw(p, 5, 1)] {
            assert_fits(fit_pairs(p, &limb, &other));
        }
        assert_eq!(limb, draw(p, 4, 1));
        assert!(caught(fit_pairs(p, &limb, &limb)));
    }

    #[test]
    fn neighbours_are_independent() {
        let p = prime_from(3 << 39);
        let limb = draw(p, 6, 1);
        for lag in [1, 2, 8, 16, 4096] {
            assert_fits(fit_pairs(p, &limb[lag..], &limb));
        }
        let repeated: Vec<u64> = limb.iter().enumerate().map(|(i, _)| limb[i & !1]).collect();
        assert!(caught(fit_pairs(p, &repeated[1..], &repeated)));
    }
}

mod sequences {
    use super::*;

    const N: usize = 1 << 20;

    /// The correlation of two sequences, in standard deviations of that of
    /// independent ones.
    fn correlation(a: &[i64], b: &[i64]) -> f64 {
        let n = a.len().min(b.len());
        let product = |x: &[i64], y: &[i64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<i64>() as f64;
        let (a, b) = (&a[..n], &b[..n]);
        product(a, b) / (product(a, a) * product(b, b)).sqrt() * (n as f64).sqrt()
    }

    type Sampler = fn(&mut Prng, usize) -> Small;
    const SAMPLERS: [Sampler; 2] = [Prng::gaussian, Prng::ternary];

    #[test]
    fn neighbours_are_uncorrelated() {
        for sampler in SAMPLERS {
            let samples = sampler(&mut Prng::from_seed([7; 32]), N);
            for lag in (1..=32).chain([1024, 8192]) {
                assert_fits(correlation(&samples[lag..], &samples));
            }
        }
    }

    #[test]
    fn successive_draws_and_other_seeds_are_uncorrelated() {
        for sampler in SAMPLERS {
            let mut rng = Prng::from_seed([7; 32]);
            let (first, second) = (sampler(&mut rng, N), sampler(&mut rng, N));
            let other = sampler(&mut Prng::from_seed([8; 32]), N);
            assert_fits(correlation(&first, &second));
            assert_fits(correlation(&first, &other));
        }
    }

    #[test]
    fn a_generator_that_remembers_is_caught() {
        let samples = Prng::from_seed([7; 32]).gaussian(N);
        let smooth: Vec<i64> = samples.windows(50).map(|w| w[49] + (w[0] + w[48]) / 8).collect();
        assert!(caught(correlation(&smooth[1..], &smooth)));
    }
}

mod generator {
    use super::*;

    #[test]
    fn is_wiped() {
        fn wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
        wiped(&Prng::from_seed([3; 32]).0);
    }

    /// The key stream of RFC 8439, appendix A.1, is what seeds in files expand by.
    #[test]
    fn is_chacha20() {
        assert_eq!(Prng::from_seed([0; 32]).0.next_u64(), 0x903d_f1a0_ade0_b876);
    }

    #[test]
    fn is_keyed_anew() {
        let draw = || Prng::from_entropy().unwrap().public_seed();
        assert_ne!(draw(), draw());
    }
}

#[test]
fn small_coefficients_lift_to_their_residues() {
    for bits in [20, 40, 60] {
        let m = Modulus::new(crate::primes::near(bits, 32, 1, &[]).unwrap()[0], 32);
        let mut limb = [0; 59];
        let small: Vec<i64> = (-29..30).collect();
        lift_small(&m, &small, &mut limb);
        for (word, x) in limb.into_iter().zip(small) {
            assert_eq!(i128::from(word), i128::from(x).rem_euclid(i128::from(m.p)));
        }
    }
}
