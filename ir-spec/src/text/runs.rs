//! Compact forms of long lists: affine runs of positions and repeated values.

/// Addresses `start + sum of i_k * stride_k`, the last dimension fastest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Affine {
    pub start: i64,
    /// Count and stride, outermost first.
    pub dims: Vec<(usize, i64)>,
}

/// Most dimensions of one run.
pub(super) const MAX_DIMS: usize = 8;

/// Groups addresses into affine runs, in order and without loss.
pub(super) fn affine_runs(addresses: impl Iterator<Item = i64>) -> Vec<Affine> {
    let mut runs: Vec<Affine> = addresses.map(|start| Affine { start, dims: Vec::new() }).collect();
    for _ in 0..MAX_DIMS {
        let before = runs.len();
        runs = merge(runs);
        if runs.len() == before {
            break;
        }
    }
    runs
}

/// Joins neighbours of equal form whose starts are evenly spaced.
fn merge(runs: Vec<Affine>) -> Vec<Affine> {
    let mut merged = Vec::new();
    let mut at = 0;
    while at < runs.len() {
        let count = evenly_spaced(&runs[at..]);
        let mut run = runs[at].clone();
        if count > 1 {
            run.dims.insert(0, (count, runs[at + 1].start - run.start));
        }
        merged.push(run);
        at += count;
    }
    merged
}

fn evenly_spaced(runs: &[Affine]) -> usize {
    let Some(second) = runs.get(1) else { return 1 };
    let stride = second.start - runs[0].start;
    let fits = |pair: &[Affine]| pair[1].dims == pair[0].dims && pair[1].start - pair[0].start == stride;
    1 + runs.windows(2).take_while(|pair| fits(pair)).count()
}

/// Values that repeat: each with a count, the whole `times` times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Repeated {
    pub items: Vec<(f64, usize)>,
    pub times: usize,
}

/// Longest pattern looked for.
const MAX_PATTERN: usize = 8;

/// Groups values into repeated patterns, in order and without loss.
pub(super) fn repeated_runs(values: &[f64]) -> Vec<Repeated> {
    let runs = equal_runs(values);
    let mut groups = Vec::new();
    let mut at = 0;
    while at < runs.len() {
        let (length, times) = best_pattern(&runs[at..]);
        groups.push(Repeated { items: runs[at..at + length].to_vec(), times });
        at += length * times;
    }
    groups
}

fn equal_runs(values: &[f64]) -> Vec<(f64, usize)> {
    values.chunk_by(|a, b| a.to_bits() == b.to_bits()).map(|run| (run[0], run.len())).collect()
}

/// The pattern at the front that saves most: its length and repetitions.
fn best_pattern(runs: &[(f64, usize)]) -> (usize, usize) {
    let mut best = (1, 1);
    for length in 2..=MAX_PATTERN.min(runs.len() / 2) {
        let times =
            1 + runs.chunks_exact(length).skip(1).take_while(|chunk| same(chunk, &runs[..length])).count();
        if length * (times - 1) > best.0 * (best.1 - 1) {
            best = (length, times);
        }
    }
    best
}

fn same(a: &[(f64, usize)], b: &[(f64, usize)]) -> bool {
    a.iter().zip(b).all(|(x, y)| x.0.to_bits() == y.0.to_bits() && x.1 == y.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_one_run() {
        let image = (0..4).flat_map(|c| (0..3).flat_map(move |h| (0..5).map(move |w| c * 64 + h * 8 + w)));
        let runs = affine_runs(image);
        assert_eq!(runs, [Affine { start: 0, dims: vec![(4, 64), (3, 8), (5, 1)] }]);
    }

    #[test]
    fn a_mask_is_one_pattern_and_a_rest() {
        let mask: Vec<f64> = (0..64).map(|i| if i < 32 && i % 8 < 5 { 1.0 } else { 0.0 }).collect();
        let groups = repeated_runs(&mask);
        assert_eq!(groups[0], Repeated { items: vec![(1.0, 5), (0.0, 3)], times: 3 });
        assert_eq!(groups.len(), 3);
    }

    #[test]
    fn signs_of_zero_are_kept_apart() {
        assert_eq!(equal_runs(&[0.0, -0.0]).len(), 2);
    }
}
