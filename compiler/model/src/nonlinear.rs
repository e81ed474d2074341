//! Activation functions that training replaces by polynomials.

use serde::{Deserialize, Serialize};

/// An activation function of networks in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Nonlinear {
    /// `max(x, 0)`.
    Relu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// `x sigmoid(x)`, also called swish.
    Silu,
    /// `x` times the normal distribution function of `x`.
    Gelu,
}

impl Nonlinear {
    /// All of them.
    pub const ALL: [Nonlinear; 5] =
        [Nonlinear::Relu, Nonlinear::Sigmoid, Nonlinear::Tanh, Nonlinear::Silu, Nonlinear::Gelu];

    /// The name in model files.
    pub fn name(self) -> &'static str {
        match self {
            Nonlinear::Relu => "relu",
            Nonlinear::Sigmoid => "sigmoid",
            Nonlinear::Tanh => "tanh",
            Nonlinear::Silu => "silu",
            Nonlinear::Gelu => "gelu",
        }
    }

    /// The function's value.
    pub fn value(self, x: f64) -> f64 {
        match self {
            Nonlinear::Relu => x.max(0.0),
            Nonlinear::Sigmoid => sigmoid(x),
            Nonlinear::Tanh => x.tanh(),
            Nonlinear::Silu => x * sigmoid(x),
            Nonlinear::Gelu => x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2) / 2.0,
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_their_known_values() {
        let at_one =
            [1.0, 0.731_058_578_630_005, 0.761_594_155_955_765, 0.731_058_578_630_005, 0.841_344_746_068_543];
        for (function, expected) in Nonlinear::ALL.into_iter().zip(at_one) {
            assert!((function.value(1.0) - expected).abs() < 1e-14, "{}", function.name());
            let limits = [function.value(-800.0), function.value(800.0)];
            assert!(limits.iter().all(|x| x.is_finite()), "{}: {limits:?}", function.name());
        }
    }
}
