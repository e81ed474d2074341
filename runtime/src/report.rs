//! What a run measured: time by layer and instruction kind, and memory.

use crate::memory::PlainBytes;
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
    /// Memory it took.
    pub memory: RunMemory,
    /// Worker threads used.
    pub n_threads: usize,
}

/// Most bytes of memory a run took, by what they held. The scratch memory of
/// single operations and buffers that wait to be used again are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunMemory {
    /// Ciphertexts alive at once, inputs included.
    pub ciphertexts: usize,
    /// Plaintexts that stay encoded, shared by all runs of the program.
    pub resident_plains: usize,
    /// Plaintexts alive at once that were encoded for one instruction.
    pub on_the_fly_plains: usize,
    /// Plaintexts in a mapped file; the system decides how much of it is in memory.
    pub mapped_plains: usize,
    /// Evaluation keys, shared by all runs with them.
    pub keys: usize,
    /// All of the above but mapped plaintexts, at once: at most their sum, as
    /// not everything is at its most at the same time.
    pub peak: usize,
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
struct Gauge {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Gauge {
    fn add(&self, bytes: usize) {
        let now = self.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    fn sub(&self, bytes: usize) {
        self.now.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What takes memory during a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// A ciphertext.
    Ct,
    /// A plaintext encoded for one instruction.
    Plain,
}

/// Memory of one run: of each kind and of both together.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    cts: Gauge,
    plains: Gauge,
    both: Gauge,
}

impl Meter {
    fn gauges(&self, what: What) -> [&Gauge; 2] {
        let own = match what {
            What::Ct => &self.cts,
            What::Plain => &self.plains,
        };
        [own, &self.both]
    }

    /// The run's memory, beside plaintexts and keys that were there before.
    pub(crate) fn report(&self, plains: PlainBytes, keys: usize) -> RunMemory {
        let peak = |gauge: &Gauge| gauge.peak.load(Ordering::Relaxed);
        RunMemory {
            ciphertexts: peak(&self.cts),
            resident_plains: plains.resident,
            on_the_fly_plains: peak(&self.plains),
            mapped_plains: plains.mapped,
            keys,
            peak: peak(&self.both) + plains.resident + keys,
        }
    }
}

/// Something whose bytes count as alive until it is dropped.
#[derive(Debug)]
pub(crate) struct Live<T> {
    value: Option<T>,
    bytes: usize,
    what: What,
    meter: Arc<Meter>,
}

impl<T> Live<T> {
    /// Starts to count `bytes`.
    pub(crate) fn new(value: T, bytes: usize, what: What, meter: &Arc<Meter>) -> Live<T> {
        meter.gauges(what).iter().for_each(|gauge| gauge.add(bytes));
        Live { value: Some(value), bytes, what, meter: meter.clone() }
    }

    /// What is alive.
    pub(crate) fn get(&self) -> &T {
        self.value.as_ref().expect("a live value is there until it is taken")
    }

    /// Stops counting and hands the value out.
    pub(crate) fn take(mut self) -> T {
        self.value.take().expect("a live value is taken once")
    }
}

impl<T> Drop for Live<T> {
    fn drop(&mut self) {
        self.meter.gauges(self.what).iter().for_each(|gauge| gauge.sub(self.bytes));
    }
}
