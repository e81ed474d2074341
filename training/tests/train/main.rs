//! Training, conversion, grouping and pruning of small networks on small data made from a seed.

#![allow(clippy::unwrap_used)]

mod blocks;
mod bundles;
mod channels;
mod fit;
mod forward;
mod friendly;
mod group;
mod narrow;
mod nets;
mod pools;
mod prune;
mod refuse;
mod resume;
mod samples;
