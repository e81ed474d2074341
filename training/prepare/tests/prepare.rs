//! From random weights to a pruned network that compiles.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

#[path = "prepare/bars.rs"]
mod bars;
#[path = "prepare/book.rs"]
mod book;
#[path = "prepare/group.rs"]
mod group;
#[path = "../../../compiler/tests/support/idx.rs"]
mod idx;
#[path = "prepare/resume.rs"]
mod resume;

use bars::{Folder, MODEL};
use hecc::cli::session::Built;
use hecc::cli::summary;
use hecc::front::{LoadOptions, load};
use hecc::model::{LayerKind, Model};

fn n_zeros(model: &Model) -> usize {
    let weights = model.layers.iter().filter_map(|layer| layer.kind.weights());
    weights.flatten().filter(|weight| **weight == 0.0).count()
}

#[test]
fn from_random_weights_to_a_pruned_program() {
    let folder = Folder::new();
    let trained = folder.json("train bars.hec --data bars --epochs 12 --minibatch 20 --rate 5e-3 -o dense");
    assert!(trained["accuracy"].as_f64().unwrap() > 0.9, "{trained}");
    let refused = folder.compile("dense/bars").err().unwrap();
    assert_eq!(refused.iter().next().unwrap().code.as_str(), "H031");

    let friendly = folder.json("friendly dense/bars.hec --data bars --epochs 4 --minibatch 20 -o friendly");
    assert!(friendly["accuracy"].as_f64().unwrap() > 0.85, "{friendly}");
    let replaced: Vec<&str> =
        friendly["replaced"].as_array().unwrap().iter().map(|r| r["layer"].as_str().unwrap()).collect();
    assert_eq!(replaced, ["p", "r", "s"]);
    let dense = folder.compile("friendly/bars").unwrap();
    assert!(summary::sparsity(&dense).is_empty());

    let prune =
        "prune friendly/bars.hec --data bars --keep 0.85 --steps 2 --epochs 8 --minibatch 20 --max-loss 30";
    let pruned = folder.json(&format!("{prune} -o pruned"));
    assert!(pruned["cost"].as_f64().unwrap() <= 0.9, "{pruned}");
    assert!(pruned["accuracy"].as_f64().unwrap() > 0.6, "{pruned}");
    assert!(n_zeros(&folder.model("pruned/bars.hec")) > 50, "{pruned}");
    let sparse = folder.compile("pruned/bars").unwrap();
    let [dense_ns, sparse_ns] = [&dense, &sparse].map(|built: &Built| built.compiled.cost_ns);
    assert!(sparse_ns < 0.95 * dense_ns, "{sparse_ns} of {dense_ns}");
    let conv = &summary::sparsity(&sparse)[0];
    assert_eq!((conv.layer.as_str(), conv.weights), ("c", 36));

    let again = folder.json(&format!("{prune} -o again"));
    assert_eq!(again["accuracy"], pruned["accuracy"]);
    assert_eq!(folder.model("again/bars.hec"), folder.model("pruned/bars.hec"));
}

#[test]
fn blocks_are_pruned_where_they_are_named() {
    let folder = Folder::new();
    let prune = "prune bars.hec --data bars --keep 0.25 --steps 1 --epochs 1 --limit 90 --max-loss 100";
    folder.json(&format!("{prune} --block h=4x6 --score magnitude --schedule one-shot -o pruned"));
    let load_all = LoadOptions { accept_unfriendly: true, ..LoadOptions::default() };
    let model = load(&folder.path("pruned/bars.hec"), &load_all).unwrap();
    let zeros: Vec<(&str, usize)> = model
        .layers
        .iter()
        .filter_map(|layer| match &layer.kind {
            LayerKind::Dense(dense) => {
                Some((layer.name.as_str(), dense.weight.iter().filter(|w| **w == 0.0).count()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(zeros, [("h", 16 * 36 * 3 / 4), ("y", 0)]);
}

#[test]
fn layers_keep_the_channels_that_are_asked_for() {
    let folder = Folder::new();
    let narrow = "narrow bars.hec --data bars --channels r=2 --channels h=5 --epochs 1 --limit 90";
    let report = folder.json(&format!("{narrow} -o narrow"));
    assert_eq!(report["kept"].as_array().unwrap().len(), 2);
    let load_all = LoadOptions { accept_unfriendly: true, ..LoadOptions::default() };
    let model = load(&folder.path("narrow/bars.hec"), &load_all).unwrap();
    let shape = |name: &str| model.layers.iter().find(|layer| layer.name == name).unwrap().shape.0.clone();
    assert_eq!((shape("c"), shape("h"), shape("y")), (vec![2, 6, 6], vec![5], vec![3]));
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let folder = Folder::new();
    let quick = "--data bars --epochs 1 --limit 60 -o out";
    assert_eq!(folder.code(&format!("prune bars.hec --block z=2x2 {quick}")), "H068");
    assert_eq!(folder.code(&format!("prune bars.hec --block h=2x2x2 {quick}")), "H068");
    assert_eq!(folder.code(&format!("prune bars.hec --block h {quick}")), "H080");
    assert_eq!(folder.code(&format!("prune bars.hec {quick}")), "H031");
    assert_eq!(folder.code(&format!("friendly bars.hec --degree 1 {quick}")), "H080");
    for (channels, code) in
        [("h=17", "H083"), ("h=0", "H083"), ("y=2", "H083"), ("z=2", "H083"), ("h", "H080")]
    {
        assert_eq!(folder.code(&format!("narrow bars.hec --channels {channels} {quick}")), code);
    }
    assert_eq!(folder.code(&format!("train bars.hec --rate 1e39 {quick}")), "H067");
    assert_eq!(folder.code("train bars.hec --data bars.hec -o out"), "H002");
    assert_eq!(folder.code("train bars.hec --data bars"), "H091", "the result would replace its model");
    std::fs::write(folder.path("two.hec"), MODEL.replace("features = 3", "features = 2")).unwrap();
    assert_eq!(folder.code(&format!("train two.hec {quick}")), "H051");
    // As many pixels in other rows.
    std::fs::write(folder.path("wide.hec"), MODEL.replace("[1, 8, 8]", "[1, 4, 16]")).unwrap();
    assert_eq!(folder.code(&format!("train wide.hec {quick}")), "H051");
    assert!(!folder.path("out").exists(), "nothing is written");
}

#[test]
fn batch_normalisation_vanishes_in_the_weights_before_it() {
    let folder = Folder::new();
    let normalised = MODEL
        .replace("r = relu(c)", "n = batch_norm(c)\n  r = relu(n)")
        .replace("f = flatten(p)", "m = batch_norm(p)\n  f = flatten(m)");
    std::fs::write(folder.path("bars.hec"), normalised).unwrap();
    folder.json("friendly bars.hec --data bars --epochs 1 --limit 90 -o friendly");
    let model = folder.model("friendly/bars.hec");
    let left = model.layers.iter().filter(|layer| matches!(layer.kind, LayerKind::Affine { .. }));
    let names: Vec<&str> = left.map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["m"], "the pool before it has no weights");
}

#[test]
fn maximum_pools_become_convolutions_where_they_are_asked_for() {
    let folder = Folder::new();
    let convert = |pool: &str| {
        let line = format!("friendly bars.hec --data bars --epochs 1 --limit 200 --pool {pool} -o {pool}");
        folder.json(&line)
    };
    assert_eq!(convert("mean")["replaced"][0]["by"], "mean");
    assert_eq!(convert("conv")["replaced"][0]["by"], "convolution");
    let best = convert("best");
    let [mean, convolution] = ["mean", "convolution"].map(|kind| best["pools"][kind].as_f64().unwrap());
    let expected = if convolution > mean + 0.0025 { "convolution" } else { "mean" };
    assert_eq!(best["replaced"][0]["by"], expected, "{best}");
    let pool = folder.model("conv/bars.hec").layers.into_iter().find(|layer| layer.name == "p").unwrap();
    assert!(matches!(&pool.kind, LayerKind::Conv(conv) if conv.groups == 4 && conv.stride == [2, 2]));
    folder.compile("conv/bars").unwrap();
}

/// A window that reaches into the padding has fewer elements to divide by.
#[test]
fn pools_with_padding_become_means_and_that_is_said() {
    let folder = Folder::new();
    let padded = MODEL.replace("max_pool(r, kernel = 2)", "max_pool(r, kernel = 2, padding = 1)");
    std::fs::write(folder.path("bars.hec"), padded).unwrap();
    let output = folder.run("friendly bars.hec --data bars --epochs 0 --limit 60 --pool best -o out");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("p: mean instead of maximum, since a convolution would count"), "{said}");
}
