//! `group` puts convolutions into groups.

use crate::bars::Folder;
use hecc::model::{Conv, LayerKind, Model};
use serde_json::{Value, json};

/// Three convolutions, of which the first reads the input.
const DEEP: &str = "model bars {
  weights random(seed = 1)
  input x: [1, 8, 8] in 0..1
  c = conv(x, out_channels = 4, kernel = 3)
  r = square(c)
  d = conv(r, out_channels = 8, kernel = 3)
  s = square(d)
  e = conv(s, out_channels = 4, kernel = 3)
  f = flatten(e)
  y = dense(f, features = 3)
  output y
}
";

/// A folder with the network as `deep.hec`.
pub fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::write(folder.path("deep.hec"), DEEP).unwrap();
    folder
}

fn conv<'m>(model: &'m Model, name: &str) -> &'m Conv {
    match &model.layers.iter().find(|layer| layer.name == name).unwrap().kind {
        LayerKind::Conv(conv) => conv,
        kind => panic!("{kind:?} is no convolution"),
    }
}

/// Layers with their groups, and whether these were kept.
fn tried(report: &Value) -> Vec<(&str, u64, bool)> {
    let steps = report["steps"].as_array().unwrap().iter();
    steps
        .map(|step| (text(step, "layer"), step["groups"].as_u64().unwrap(), step["is_kept"] == true))
        .collect()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

/// All channels of the images fit one ciphertext, so groups are as many as channels.
#[test]
fn convolutions_are_grouped_as_the_slots_suggest() {
    let folder = folder();
    let group = "group deep.hec --data bars --epochs 1 --last-epochs 1 --minibatch 20 --max-loss 100";
    let report = folder.json(&format!("{group} -o grouped"));
    assert_eq!(tried(&report), [("d", 4, true), ("e", 4, true)]);
    assert_eq!(report["left"], json!([{ "layer": "c", "why": "it reads the input" }]));
    let model = folder.model("grouped/bars.hec");
    assert_eq!((conv(&model, "d").groups, conv(&model, "d").weight_shape), (4, [8, 1, 3, 3]));
    assert_eq!((conv(&model, "e").groups, conv(&model, "e").weight_shape), (4, [4, 2, 3, 3]));
    let ring = folder.compile("grouped/bars").unwrap().compiled.program.manifest.params.ring_degree;
    let with_ring = folder.json(&format!("{group} --ring {ring} -o again"));
    assert_eq!(with_ring["steps"], report["steps"]);
    assert_eq!(folder.model("again/bars.hec"), model);
}

#[test]
fn convolutions_that_lose_too_much_stay_as_they_are() {
    let folder = folder();
    let train = "train deep.hec --data bars --epochs 12 --minibatch 20 --rate 5e-3 -o dense";
    assert!(folder.json(train)["accuracy"].as_f64().unwrap() > 0.9);
    let group = "group dense/bars.hec --data bars --epochs 0 --ring 8192 --max-loss 0 -o grouped";
    let output = folder.run(group);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("d: stays as it is, no number of groups kept the accuracy"), "{said}");
    let report = folder.json(&group.replace("-o grouped", "-o again"));
    assert_eq!(tried(&report)[..2], [("d", 4, false), ("d", 2, false)]);
    assert_eq!(report["accuracy"], report["accuracy_before"]);
    assert_eq!(conv(&folder.model("again/bars.hec"), "d").weight_shape, [8, 4, 3, 3]);
}

#[test]
fn shuffled_groups_survive_being_written() {
    let folder = folder();
    let group = "group deep.hec --data bars --epochs 1 --limit 60 --max-loss 100 --last-epochs 0 \
        --groups d=2 --groups e=2 --shuffle -o grouped";
    assert_eq!(folder.json(group)["steps"].as_array().unwrap().len(), 2);
    let model = folder.model("grouped/bars.hec");
    let moves = model.layers.iter().filter(|layer| matches!(layer.kind, LayerKind::Move { .. }));
    assert_eq!(moves.count(), 4, "a reshape, a transpose, a reshape, and the end");
    folder.compile("grouped/bars").unwrap();
}

#[test]
fn groups_that_cannot_be_are_refused() {
    let folder = folder();
    let code = |groups: &str| {
        folder.code(&format!("group deep.hec --data bars --epochs 1 --limit 60 {groups} -o out"))
    };
    for groups in ["z=2", "y=2", "d=3", "d=1", "d=0", "c=4"] {
        assert_eq!(code(&format!("--groups {groups}")), "H081", "{groups}");
    }
    assert_eq!(code("--groups d=2 --groups d=4"), "H081");
    for groups in ["d", "d=", "d=-2", "d=2x2"] {
        assert_eq!(code(&format!("--groups {groups}")), "H080", "{groups}");
    }
    assert_eq!(code("--ring 12345"), "H061");
    assert_eq!(code("--groups d=2 --distill 2"), "H080");
    assert!(!folder.path("out").exists(), "nothing is written");
}
