//! The kinds of layers that the model language knows.

/// One kind of layer.
pub(super) struct Kind {
    /// The word.
    pub name: &'static str,
    /// Layers it reads.
    pub n_operands: usize,
    /// Names of its further arguments.
    pub settings: &'static [&'static str],
    /// Whether the first of these may be given without its name.
    pub first_unnamed: bool,
    /// An example.
    pub usage: &'static str,
}

/// A kind with one operand and named settings.
const fn kind(name: &'static str, settings: &'static [&'static str], usage: &'static str) -> Kind {
    Kind { name, n_operands: 1, settings, first_unnamed: false, usage }
}

/// Kinds that have an encrypted form.
const KINDS: &[Kind] = &[
    kind(
        "conv",
        &["weight", "bias", "stride", "padding", "dilation", "groups", "out_channels", "kernel"],
        "write conv(x, weight = \"...\", bias = \"...\", stride = 1, padding = 0)",
    ),
    kind("dense", &["weight", "bias", "features"], "write dense(x, weight = \"...\", bias = \"...\")"),
    kind("square", &[], "write square(x)"),
    Kind {
        first_unnamed: true,
        ..kind("poly", &["coefficients"], "write poly(x, [c0, c1, c2]), constant first")
    },
    kind("avg_pool", &["kernel", "stride", "padding", "count_include_pad"], "write avg_pool(x, kernel = 2)"),
    kind("global_avg_pool", &[], "write global_avg_pool(x)"),
    kind(
        "batch_norm",
        &["mean", "var", "gamma", "beta", "eps"],
        "write batch_norm(x, mean = \"...\", var = \"...\", gamma = \"...\", beta = \"...\")",
    ),
    kind("affine", &["scale", "shift"], "write affine(x, scale = \"...\", shift = \"...\")"),
    Kind { n_operands: 2, ..kind("add", &[], "write add(x, y)") },
    kind("flatten", &[], "write flatten(x)"),
    Kind { first_unnamed: true, ..kind("reshape", &["shape"], "write reshape(x, [16, 5, 5])") },
    Kind { first_unnamed: true, ..kind("transpose", &["axes"], "write transpose(x, [1, 2, 0])") },
];

/// Kinds without encrypted form that training can replace.
const UNFRIENDLY_KINDS: &[Kind] = &[
    kind("relu", &[], "write relu(x)"),
    kind("sigmoid", &[], "write sigmoid(x)"),
    kind("tanh", &[], "write tanh(x)"),
    kind("silu", &[], "write silu(x)"),
    kind("gelu", &[], "write gelu(x)"),
    kind("max_pool", &["kernel", "stride", "padding"], "write max_pool(x, kernel = 2)"),
];

/// The kinds that a model may use.
pub(super) fn kinds(accept_unfriendly: bool) -> impl Iterator<Item = &'static Kind> + Clone {
    let unfriendly = if accept_unfriendly { UNFRIENDLY_KINDS } else { &[] };
    KINDS.iter().chain(unfriendly)
}

/// What to do about a layer that has no encrypted form, if it is one.
pub(super) fn unfriendly(name: &str) -> Option<&'static str> {
    match name {
        "relu" | "sigmoid" | "tanh" | "silu" | "gelu" => {
            Some("`hecc prepare friendly` replaces it by a polynomial through training")
        }
        "max_pool" => Some("`hecc prepare friendly` replaces it by an average pool through training"),
        "relu6" | "leaky_relu" | "prelu" | "elu" | "selu" | "swish" | "mish" | "softplus" | "hard_swish"
        | "hard_sigmoid" | "exp" | "log" | "abs" | "sign" | "clip" => Some(
            "hecc cannot yet make it HE-friendly: replace it by square(x) or poly(x, [...]) and \
             retrain",
        ),
        "global_max_pool" | "maxpool" => {
            Some("hecc cannot yet make it HE-friendly: replace it by avg_pool and retrain")
        }
        "softmax" | "log_softmax" | "argmax" => Some(
            "leave it out: the largest output stays the largest, and the client can apply it \
             after decryption",
        ),
        _ => None,
    }
}
