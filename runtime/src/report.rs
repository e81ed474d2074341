//! What a run measured: time by layer and instruction kind, and memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Results of a run and what it cost.
#[derive(Clone, Debug)]
pub struct RunReport<Ct> {
    /// Ciphertexts of each output, in manifest order.
    pub outputs: Vec<Vec<Ct>>,
    /// Time and memory.
    pub cost: RunCost,
}

/// Time and memory of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunCost {
    /// Time by layer and instruction kind, in layer order.
    pub timings: Vec<LayerTime>,
    /// Time from start to end.
    pub wall: Duration,
    /// Most bytes of ciphertexts alive at once, inputs included.
    pub peak_bytes: usize,
    /// Worker threads used.
    pub n_threads: usize,
}

/// Time spent on the instructions of one kind in one layer, summed over
/// threads. With several threads a worker that waits inside one instruction
/// may run another, whose time then counts for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerTime {
    /// Name of the model layer.
    pub layer: String,
    /// Kind of the instructions.
    pub mnemonic: &'static str,
    /// How many there are.
    pub count: usize,
    /// Time they took together.
    pub time: Duration,
}

/// Counts and times by layer index and kind.
#[derive(Debug, Default)]
pub(crate) struct Clock(BTreeMap<(u32, &'static str), (usize, Duration)>);

impl Clock {
    /// Adds one instruction.
    pub(crate) fn add(&mut self, layer: u32, mnemonic: &'static str, time: Duration) {
        let entry = self.0.entry((layer, mnemonic)).or_default();
        *entry = (entry.0 + 1, entry.1 + time);
    }

    /// The table with layers named.
    pub(crate) fn table(self, name: impl Fn(u32) -> String) -> Vec<LayerTime> {
        let row =
            |((layer, mnemonic), (count, time))| LayerTime { layer: name(layer), mnemonic, count, time };
        self.0.into_iter().map(row).collect()
    }
}

/// Bytes alive now and at most.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Meter {
    /// Most bytes alive at once.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }
}

/// A ciphertext whose bytes count as alive until it is dropped.
#[derive(Debug)]
pub(crate) struct Live<Ct> {
    ct: Option<Ct>,
    bytes: usize,
    meter: Arc<Meter>,
}

impl<Ct> Live<Ct> {
    /// Starts to count `bytes`.
    pub(crate) fn new(ct: Ct, bytes: usize, meter: &Arc<Meter>) -> Live<Ct> {
        let now = meter.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        meter.peak.fetch_max(now, Ordering::Relaxed);
        Live { ct: Some(ct), bytes, meter: meter.clone() }
    }

    /// The ciphertext.
    pub(crate) fn get(&self) -> &Ct {
        self.ct.as_ref().expect("a live ciphertext is there until it is taken")
    }

    /// Stops counting and hands the ciphertext out.
    pub(crate) fn take(mut self) -> Ct {
        self.ct.take().expect("a live ciphertext is taken once")
    }
}

impl<Ct> Drop for Live<Ct> {
    fn drop(&mut self) {
        self.meter.now.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
