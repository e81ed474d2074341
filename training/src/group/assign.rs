//! Which channels of a convolution go into which group.
//!
//! Groups keep the weights between their own channels alone. Where channels may stand in any
//! order, groups are grown around strong weights, and then channels change places as long
//! as more of the weights is kept.

use hecc_model::Conv;

/// Rounds of exchanges after which what was found is taken.
const MAX_ROUNDS: usize = 64;
/// Share of all weights that an exchange has to keep more: less may be a matter of rounding.
const LEAST_GAIN: f64 = 1e-12;

/// Which channels may stand in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Free {
    pub inputs: bool,
    pub outputs: bool,
}

/// The group of every channel; all groups are of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
}

/// Sums of squared weights between channels of one side, the rows, and of the other.
struct Strengths {
    n_columns: usize,
    values: Vec<f64>,
}

/// Groups for the channels of a dense convolution. Channels that are not free are in
/// groups by their order.
pub(super) fn assign(conv: &Conv, n_groups: usize, free: Free) -> Assignment {
    let outputs = Strengths::of(conv);
    let inputs = outputs.transposed();
    let mut found = match free {
        Free { inputs: true, outputs: true } => grown([&outputs, &inputs], n_groups),
        Free { .. } => Assignment {
            inputs: in_order(inputs.n_rows(), n_groups),
            outputs: in_order(outputs.n_rows(), n_groups),
        },
    };
    match free {
        Free { inputs: false, outputs: true } => {
            found.outputs = filled(&outputs.with_groups(&found.inputs, n_groups), n_groups);
        }
        Free { inputs: true, outputs: false } => {
            found.inputs = filled(&inputs.with_groups(&found.outputs, n_groups), n_groups);
        }
        Free { .. } => {}
    }
    let least_gain = outputs.values.iter().sum::<f64>() * LEAST_GAIN;
    for _ in 0..MAX_ROUNDS {
        let of_outputs = outputs.with_groups(&found.inputs, n_groups);
        let mut is_news = free.outputs && exchange(&of_outputs, &mut found.outputs, least_gain);
        let of_inputs = inputs.with_groups(&found.outputs, n_groups);
        is_news |= free.inputs && exchange(&of_inputs, &mut found.inputs, least_gain);
        if !is_news {
            break;
        }
    }
    found
}

/// Channels by their groups, in order within each.
pub(super) fn order(groups: &[usize]) -> Vec<usize> {
    let mut channels: Vec<usize> = (0..groups.len()).collect();
    channels.sort_by_key(|&channel| groups[channel]);
    channels
}

fn in_order(n: usize, n_groups: usize) -> Vec<usize> {
    (0..n).map(|channel| channel / (n / n_groups)).collect()
}

impl Strengths {
    /// Of a dense convolution; rows are outputs.
    fn of(conv: &Conv) -> Strengths {
        let [_, n_columns, rows, columns] = conv.weight_shape;
        let kernels = conv.weight.chunks(rows * columns);
        Strengths { n_columns, values: kernels.map(|taps| taps.iter().map(|w| w * w).sum()).collect() }
    }

    fn n_rows(&self) -> usize {
        self.values.len() / self.n_columns
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.n_columns..][..self.n_columns]
    }

    fn transposed(&self) -> Strengths {
        let column = |column: usize| (0..self.n_rows()).map(move |row| self.row(row)[column]);
        Strengths { n_columns: self.n_rows(), values: (0..self.n_columns).flat_map(column).collect() }
    }

    /// The strengths of rows with groups of columns.
    fn with_groups(&self, groups: &[usize], n_groups: usize) -> Strengths {
        let mut values = vec![0.0; self.n_rows() * n_groups];
        for (row, sums) in values.chunks_mut(n_groups).enumerate() {
            self.row(row).iter().zip(groups).for_each(|(strength, &group)| sums[group] += strength);
        }
        Strengths { n_columns: n_groups, values }
    }
}

/// Groups that take, each in turn, what is strongest with what they have: outputs and inputs
/// as evenly as their numbers allow, and the strongest input first.
fn grown(sides: [&Strengths; 2], n_groups: usize) -> Assignment {
    let sizes = sides.map(|side| side.n_rows() / n_groups);
    let mut group_of = sides.map(|side| vec![None; side.n_rows()]);
    for group in 0..n_groups {
        let mut pulls = sides.map(|side| vec![0.0; side.n_rows()]);
        let mut n_members = [0, 0];
        for turn in 0..sizes[0] + sizes[1] {
            let side = usize::from(n_members[1] * sizes[0] <= n_members[0] * sizes[1]);
            let channel = match turn {
                0 => strongest(|input| sides[1].row(input).iter().sum(), &group_of[1]),
                _ => strongest(|channel| pulls[side][channel], &group_of[side]),
            };
            group_of[side][channel] = Some(group);
            n_members[side] += 1;
            let others = pulls[1 - side].iter_mut().zip(sides[side].row(channel));
            others.for_each(|(pull, strength)| *pull += strength);
        }
    }
    let [outputs, inputs] =
        group_of.map(|groups| groups.into_iter().map(|group| group.expect("groups take all")).collect());
    Assignment { inputs, outputs }
}

/// The first of the strongest channels that are in no group.
fn strongest(strength: impl Fn(usize) -> f64, group_of: &[Option<usize>]) -> usize {
    let free = (0..group_of.len()).filter(|&channel| group_of[channel].is_none());
    let strengths = free.map(|channel| (channel, strength(channel)));
    let found = strengths.max_by(|(a, x), (b, y)| x.total_cmp(y).then(b.cmp(a)));
    found.expect("groups are as large as there are channels").0
}

/// Rows in the groups that they are strongest with, the strongest first, as long as there is room.
fn filled(strengths: &Strengths, n_groups: usize) -> Vec<usize> {
    let n_rows = strengths.n_rows();
    let mut places: Vec<usize> = (0..n_rows * n_groups).collect();
    places.sort_by(|&a, &b| strengths.values[b].total_cmp(&strengths.values[a]));
    let (mut group_of, mut room) = (vec![None; n_rows], vec![n_rows / n_groups; n_groups]);
    for (row, group) in places.into_iter().map(|place| (place / n_groups, place % n_groups)) {
        if group_of[row].is_none() && room[group] > 0 {
            group_of[row] = Some(group);
            room[group] -= 1;
        }
    }
    group_of.into_iter().map(|group| group.expect("there is room for all")).collect()
}

/// Rows change places as long as that gains more than `least`; false when none did.
fn exchange(strengths: &Strengths, group_of: &mut [usize], least: f64) -> bool {
    let mut is_news = false;
    for a in 0..group_of.len() {
        for b in 0..a {
            let (of_a, of_b) = (group_of[a], group_of[b]);
            let (row_a, row_b) = (strengths.row(a), strengths.row(b));
            if row_a[of_b] + row_b[of_a] - row_a[of_a] - row_b[of_b] > least {
                group_of.swap(a, b);
                is_news = true;
            }
        }
    }
    is_news
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A convolution with weights between channels of one group alone, and weak ones elsewhere.
    fn hidden(inputs: &[usize], outputs: &[usize], weak: f64) -> Conv {
        let mut rng = fastrand::Rng::with_seed(3);
        let places = outputs.iter().flat_map(|o| inputs.iter().map(move |i| o == i));
        let strength = |is_same: bool| if is_same { 1.0 } else { weak };
        let weight =
            places.flat_map(|same| [same; 4]).map(|same| strength(same) * (0.5 + rng.f64())).collect();
        Conv {
            weight,
            weight_shape: [outputs.len(), inputs.len(), 2, 2],
            bias: Vec::new(),
            stride: [1; 2],
            padding: [0; 4],
            dilation: [1; 2],
            groups: 1,
        }
    }

    const BOTH: Free = Free { inputs: true, outputs: true };
    const INPUTS: [usize; 8] = [0, 1, 2, 3, 3, 1, 0, 2];
    const OUTPUTS: [usize; 12] = [3, 3, 0, 1, 2, 2, 1, 0, 3, 2, 0, 1];

    /// Share of the weights that are between channels of one group.
    fn share(conv: &Conv, found: &Assignment) -> f64 {
        let kept = Strengths::of(conv).with_groups(&found.inputs, 4);
        let of_own = found.outputs.iter().enumerate().map(|(row, &group)| kept.row(row)[group]);
        of_own.sum::<f64>() / kept.values.iter().sum::<f64>()
    }

    #[test]
    fn hidden_groups_are_found() {
        let found = assign(&hidden(&INPUTS, &OUTPUTS, 0.0), 4, BOTH);
        let found_groups = |groups: &[usize], hidden: &[usize]| {
            let pairs: std::collections::BTreeSet<(usize, usize)> =
                groups.iter().copied().zip(hidden.iter().copied()).collect();
            pairs.len()
        };
        assert_eq!(found_groups(&found.inputs, &INPUTS), 4);
        assert_eq!(found_groups(&found.outputs, &OUTPUTS), 4);
    }

    #[test]
    fn one_side_follows_the_other() {
        let conv = hidden(&[0, 0, 1, 1, 2, 2, 3, 3], &OUTPUTS, 0.3);
        let found = assign(&conv, 4, Free { inputs: false, outputs: true });
        assert_eq!((&found.inputs[..], &found.outputs[..]), (&[0, 0, 1, 1, 2, 2, 3, 3][..], &OUTPUTS[..]));
        let conv = hidden(&INPUTS, &[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3], 0.3);
        assert_eq!(assign(&conv, 4, Free { inputs: true, outputs: false }).inputs, INPUTS);
    }

    #[test]
    fn channels_without_freedom_stay_in_order() {
        let found = assign(&hidden(&INPUTS, &OUTPUTS, 0.0), 4, Free { inputs: false, outputs: false });
        assert_eq!(found.inputs, [0, 0, 1, 1, 2, 2, 3, 3]);
        assert_eq!(order(&found.outputs), (0..12).collect::<Vec<usize>>());
    }

    /// Among weights without groups in them, more is kept than chance would keep.
    #[test]
    fn more_is_kept_than_by_the_order() {
        let conv = hidden(&INPUTS, &OUTPUTS, 0.9);
        let in_order = assign(&conv, 4, Free { inputs: false, outputs: false });
        let found = assign(&conv, 4, BOTH);
        assert!(share(&conv, &found) > share(&conv, &in_order) + 0.01);
        let mut sizes = [0; 4];
        found.inputs.iter().for_each(|&group| sizes[group] += 1);
        assert_eq!(sizes, [2; 4]);
    }
}
