//! Chooses the plaintexts that stay in memory; [`memory`](crate::memory) has the rule.

use crate::Backend;
use crate::backend::PlainType;
use crate::memory::Overflow;
use hecc_ir::program::PlainUse;
use hecc_ir::{Instr, Program};
use std::cmp::Reverse;

/// Part of a budget that plaintexts encoded on the fly may take.
const SET_ASIDE: usize = 4;

/// Plaintexts that one instruction encodes at once, at most: enough to keep
/// threads busy, few enough that more would not be noticed.
const MAX_AT_ONCE: usize = 16;

/// Which plaintexts stay; indices ascend. Those without readers are in no list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Keep {
    /// Those that stay in memory.
    pub resident: Vec<usize>,
    /// Those that do not.
    pub others: Vec<usize>,
    /// Bytes of each plaintext.
    pub sizes: Vec<usize>,
    /// Most bytes that one instruction encodes at once.
    pub at_once: usize,
}

impl Keep {
    /// Chooses for a program on the current threads.
    pub fn of<B: Backend>(
        program: &Program,
        types: &[PlainType],
        backend: &B,
        budget: Option<usize>,
        overflow: &Overflow,
    ) -> Keep {
        let size = |(used, &ty): (&PlainUse, &PlainType)| {
            backend.plain_bytes(&program.consts[used.constant as usize], ty)
        };
        let sizes = program.plains.iter().zip(types).map(size).collect();
        choose(&reads(program), sizes, budget, overflow, rayon::current_num_threads())
    }
}

/// How often instructions read each plaintext.
fn reads(program: &Program) -> Vec<u32> {
    let mut reads = vec![0; program.plains.len()];
    for instr in &program.instrs {
        match instr {
            Instr::InnerProduct { terms, .. } => terms.iter().for_each(|term| reads[term.1 as usize] += 1),
            Instr::AddPlain { plain, .. } => reads[*plain as usize] += 1,
            Instr::Input { .. }
            | Instr::Zero { .. }
            | Instr::Rotate { .. }
            | Instr::Sum { .. }
            | Instr::Sub { .. }
            | Instr::Neg { .. }
            | Instr::MulScalar { .. }
            | Instr::Mul { .. }
            | Instr::Relin { .. }
            | Instr::Rescale { .. }
            | Instr::DropLevel { .. } => {}
        }
    }
    reads
}

fn choose(
    reads: &[u32],
    sizes: Vec<usize>,
    budget: Option<usize>,
    overflow: &Overflow,
    n_threads: usize,
) -> Keep {
    let mut used: Vec<usize> = (0..sizes.len()).filter(|&index| reads[index] > 0).collect();
    let total = used.iter().fold(0usize, |sum, &index| sum.saturating_add(sizes[index]));
    let budget = match budget {
        Some(budget) if budget < total => budget,
        Some(_) | None => return Keep { resident: used, others: Vec::new(), sizes, at_once: 0 },
    };
    let largest = used.iter().map(|&index| sizes[index]).max().unwrap_or(0);
    let at_once = (budget / SET_ASIDE / n_threads).min(MAX_AT_ONCE.saturating_mul(largest));
    let mut room = match overflow {
        Overflow::Encode => budget.saturating_sub(at_once.max(largest).saturating_mul(n_threads)),
        Overflow::Map(_) => budget,
    };
    used.sort_by_key(|&index| (Reverse(reads[index]), sizes[index], index));
    let fits = |&index: &usize| {
        let fits = sizes[index] <= room;
        room -= if fits { sizes[index] } else { 0 };
        fits
    };
    let (mut resident, mut others): (Vec<usize>, Vec<usize>) = used.into_iter().partition(fits);
    resident.sort_unstable();
    others.sort_unstable();
    Keep { resident, others, sizes, at_once }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(reads: &[u32], sizes: Vec<usize>, budget: usize) -> Keep {
        choose(reads, sizes, Some(budget), &Overflow::Map("folder".into()), 1)
    }

    #[test]
    fn the_most_read_stay_then_the_smaller_then_the_earlier() {
        let (reads, sizes) = ([1, 3, 1, 2, 1], vec![10, 30, 20, 20, 10]);
        let stay = |budget| mapping(&reads, sizes.clone(), budget).resident;
        assert_eq!(stay(30), [1]);
        assert_eq!(stay(50), [1, 3]);
        assert_eq!(stay(60), [0, 1, 3]);
        assert_eq!(stay(89), [0, 1, 3, 4]);
        assert_eq!(stay(90), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_does_not_fit_leaves_room_for_what_does() {
        let keep = mapping(&[9, 1, 1], vec![50, 20, 20], 40);
        assert_eq!((keep.resident, keep.others), (vec![1, 2], vec![0]));
    }

    #[test]
    fn plaintexts_without_readers_are_not_encoded() {
        for budget in [None, Some(5), Some(0)] {
            let keep = choose(&[0, 1], vec![1000, 5], budget, &Overflow::Encode, 1);
            assert!(!keep.resident.contains(&0) && !keep.others.contains(&0));
        }
    }

    #[test]
    fn kept_and_fresh_plaintexts_together_stay_in_the_budget() {
        let sizes: Vec<usize> = (0..200).map(|i| 10 + i % 7).collect();
        let reads = vec![1; 200];
        for n_threads in [1, 2, 8] {
            for budget in [200, 700, 1500, 2500] {
                let keep = choose(&reads, sizes.clone(), Some(budget), &Overflow::Encode, n_threads);
                let resident: usize = keep.resident.iter().map(|&index| sizes[index]).sum();
                assert!(resident + n_threads * keep.at_once.max(16) <= budget, "{n_threads} {budget}");
                assert_eq!(keep.resident.len() + keep.others.len(), 200);
            }
        }
    }

    #[test]
    fn sizes_beyond_all_memory_are_no_trouble() {
        let keep = choose(&[1, 1], vec![usize::MAX, usize::MAX], Some(usize::MAX - 1), &Overflow::Encode, 4);
        assert!(keep.resident.is_empty());
    }
}
