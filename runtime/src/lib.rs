//! Runs compiled HE programs.
