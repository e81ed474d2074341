//! RNS-CKKS for compiled circuits.
