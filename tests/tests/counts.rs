//! Pins what every example network costs, so that no change moves it unnoticed: one snapshot a
//! network, for both shipped profiles. Networks that take minutes to compile are pinned by
//! `cargo test --release -p hecc-tests --test counts -- --ignored`.

use hecc::cost::shipped_target;
use hecc::front::data::DataSet;
use hecc::front::{LoadOptions, load};
use hecc::pipeline::{Compiled, Options, compile};
use hecc_ir::program::OpCounts;
use hecc_tests::models::{input_for, tensor_for};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Digits that MNIST's networks are calibrated on.
const N_SAMPLES: usize = 16;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// What the programs of a network for each profile cost.
fn costs(file: &str) -> String {
    let model = load(&examples().join(file), &LoadOptions::default()).expect("examples are sound");
    let digits = DataSet::read(&examples().join("data/mnist_test_sample.npz")).expect("digits are there");
    let samples = match digits.fits(&model) {
        Ok(()) => digits.tensors(0..N_SAMPLES),
        // Pictures in colour: any of the declared range.
        Err(_) => (0..2).map(|seed| tensor_for(&model, &input_for(&model, seed))).collect(),
    };
    let mut text = String::new();
    for profile in ["avx512", "avx2"] {
        let target = shipped_target(profile).expect("the profile is shipped");
        let options = Options { samples: samples.clone(), target, validate: false, ..Options::default() };
        let compiled = compile(&model, &options).expect("examples compile");
        describe(&mut text, profile, &compiled).expect("strings can be written to");
    }
    text
}

fn describe(text: &mut String, profile: &str, compiled: &Compiled) -> std::fmt::Result {
    let program = &compiled.program;
    let manifest = &program.manifest;
    let OpCounts { rotations, hoisted_groups, key_switches, mul_plain, mul_scalar, mul_ct, rescales, .. } =
        program.op_counts();
    let bits = |primes: &[u64]| {
        primes.iter().map(|&prime| format!("{:.0}", (prime as f64).log2())).collect::<Vec<_>>().join(" ")
    };
    let file_bytes = hecc_ir::write_program(program).len();
    writeln!(text, "{profile}")?;
    writeln!(text, "  ring           {}", manifest.params.ring_degree)?;
    writeln!(text, "  q              {}", bits(&manifest.params.q))?;
    writeln!(text, "  p              {}", bits(&manifest.params.p))?;
    writeln!(text, "  depth          {}", program.depth())?;
    writeln!(text, "  rotations      {rotations} in {hoisted_groups} groups")?;
    writeln!(text, "  key switches   {key_switches}")?;
    writeln!(text, "  products       {mul_plain} plain, {mul_scalar} scalar, {mul_ct} of ciphertexts")?;
    writeln!(text, "  rescales       {rescales}")?;
    writeln!(text, "  keys           {}, {} bytes", manifest.keys.rotations.len(), manifest.key_bytes())?;
    writeln!(text, "  plaintexts     {}", program.plains.len())?;
    writeln!(text, "  program file   {} kB", file_bytes.div_ceil(1000))
}

/// A test for each network, with its reason where it is left out by default.
macro_rules! pinned {
    ($($(#[$ignored:meta])? $name:ident: $file:literal;)*) => {$(
        #[test]
        $(#[$ignored])?
        fn $name() {
            insta::assert_snapshot!(costs($file));
        }
    )*};
}

pinned! {
    tiny: "models/tiny.hec";
    mlp: "models/mlp.onnx";
    lola: "models/lola.onnx";
    lenet5: "models/lenet5.onnx";
    lenet_pruned: "lenet/pruned/lenet.hec";
    grouped_lenet_pruned: "grouped/lenet/pruned/lenet.hec";
    #[ignore = "takes minutes"]
    lenet_dense: "lenet/dense/lenet.hec";
    #[ignore = "takes minutes"]
    grouped_lenet_dense: "grouped/lenet/dense/lenet.hec";
    #[ignore = "takes minutes"]
    grouped_lenet_grouped: "grouped/lenet/grouped/lenet.hec";
    #[ignore = "takes minutes"]
    hefnet_dense: "grouped/hefnet/dense/hefnet.hec";
    #[ignore = "takes minutes"]
    hefnet_pruned: "grouped/hefnet/pruned/hefnet.hec";
    #[ignore = "takes minutes"]
    vgg5_pruned: "grouped/vgg5/pruned/vgg5.hec";
}
