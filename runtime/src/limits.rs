//! What a caller allows: memory, time, and until when.
//!
//! Programs, manifests and bundles come from outside, and a small one may ask for much. So memory is counted
//! before it is taken and time before a run starts, both from sizes that are known then, and work that has begun
//! asks between its steps whether it is to go on.

use crate::Error;
use hecc_ir::machine::{Bound, Excess};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What work may take. By default memory that is free, and any time.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Memory for what a client or server holds of one kind: the tables of a ring, evaluation keys, the
    /// ciphertexts of a run. Plaintexts of a program get no more than these leave.
    pub memory: Bound,
    /// Longest time of a run. One that is predicted to take longer is not started, and one that does is stopped.
    pub time: Option<Duration>,
    /// Stops work.
    pub cancel: Cancel,
}

impl Limits {
    /// Other memory.
    pub fn with_memory(self, memory: Bound) -> Limits {
        Limits { memory, ..self }
    }

    /// A longest time for runs.
    pub fn with_time(self, time: Duration) -> Limits {
        Limits { time: Some(time), ..self }
    }

    /// A token that stops work.
    pub fn with_cancel(self, cancel: &Cancel) -> Limits {
        Limits { cancel: cancel.clone(), ..self }
    }

    /// Refuses to hold so many bytes of something.
    pub(crate) fn allow(&self, what: Held, bytes: u64) -> Result<(), Error> {
        let needed = usize::try_from(bytes).unwrap_or(usize::MAX);
        let refused = |Excess { needed, available }| Error::Memory { what, needed, available };
        self.memory.check(needed).map_err(refused)
    }

    /// The token of a run that starts now.
    pub(crate) fn token(&self) -> Cancel {
        self.time.map_or_else(|| self.cancel.clone(), |time| self.cancel.within(time))
    }
}

/// What takes memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Tables of a ring, and a secret.
    Ring,
    /// Evaluation keys.
    Keys,
    /// Evaluation keys and the ciphertexts of a run.
    KeysAndCiphertexts,
    /// Ciphertexts, and what they are made from or travel as.
    Ciphertexts,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Held::Ring => "the tables of its ring",
            Held::Keys => "its evaluation keys",
            Held::KeysAndCiphertexts => "its evaluation keys and ciphertexts",
            Held::Ciphertexts => "its ciphertexts",
        })
    }
}

/// A token that stops work from any thread. Clones are the same token.
///
/// Work asks before each instruction, key and plaintext, and in the middle of instructions of many terms, so that
/// it ends within about the time of one elementary operation.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    asked: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Cancel {
    /// A token nobody has used.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Stops all work with this token, for good.
    pub fn cancel(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// The same token for work that also ends at an instant, or at the one it ends at already if that is earlier.
    pub fn by(&self, deadline: Instant) -> Cancel {
        let deadline = self.deadline.map_or(deadline, |earlier| earlier.min(deadline));
        Cancel { asked: self.asked.clone(), deadline: Some(deadline) }
    }

    /// As [`Cancel::by`], for an instant so far from now.
    pub fn within(&self, time: Duration) -> Cancel {
        Instant::now().checked_add(time).map_or_else(|| self.clone(), |deadline| self.by(deadline))
    }

    /// Refuses to go on once the token was used or its deadline has passed.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Deadline`].
    pub fn check(&self) -> Result<(), Error> {
        if self.asked.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Error::Deadline),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether work is to stop.
    pub fn is_stopped(&self) -> bool {
        self.check().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stop_their_clones_and_deadlines_only_those_that_have_them() {
        let token = Cancel::new();
        let [clone, late, early] =
            [token.clone(), token.within(Duration::from_secs(3600)), token.within(Duration::ZERO)];
        assert!(!token.is_stopped() && !clone.is_stopped() && !late.is_stopped());
        assert!(matches!(early.check(), Err(Error::Deadline)));
        assert!(matches!(early.within(Duration::from_secs(3600)).check(), Err(Error::Deadline)));
        clone.cancel();
        assert!([token, clone, late].iter().all(|token| matches!(token.check(), Err(Error::Cancelled))));
    }
}
