//! Division of weights into blocks.

use crate::nets::Net;
use hecc_model::{Layer, LayerKind, Model};
use hecc_train::prune::{BlockError, blocks};

/// A convolution of `[5, 2, 3, 3]` and a dense layer of `[3, 20]`.
fn model() -> Model {
    Net::new(&[2, 2, 2], 1).conv("conv", 5).affine("affine").flat().dense("dense", 3).finish()
}

/// Place of a weight along each axis.
fn place(weight: u32, shape: &[usize]) -> Vec<usize> {
    let mut rest = weight as usize;
    let mut place = vec![0; shape.len()];
    for (axis, extent) in shape.iter().enumerate().rev() {
        place[axis] = rest % extent;
        rest /= extent;
    }
    place
}

fn assert_divides(model: &Model, layer: &str, shape: &[usize], block: &[usize]) {
    let groups = blocks(model, layer, block).unwrap();
    let n_blocks: usize = shape.iter().zip(block).map(|(extent, block)| extent.div_ceil(*block)).product();
    assert_eq!(groups.len(), n_blocks, "{layer} by {block:?}");
    let mut seen: Vec<u32> = groups.iter().flat_map(|group| group.weights.iter().copied()).collect();
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..shape.iter().product::<usize>() as u32), "{layer} by {block:?}");
    for group in &groups {
        assert_eq!(model.layer(group.layer).name, layer);
        let blocks_of = |weight: &u32| -> Vec<usize> {
            place(*weight, shape).iter().zip(block).map(|(at, block)| at / block).collect()
        };
        assert!(group.weights.iter().all(|weight| blocks_of(weight) == blocks_of(&group.weights[0])));
    }
}

#[test]
fn blocks_hold_each_weight_once() {
    let model = model();
    for block in [[1, 1, 1, 1], [5, 2, 3, 3], [2, 1, 3, 3], [3, 2, 2, 1], [9, 9, 9, 9], [1, 2, 1, 3]] {
        assert_divides(&model, "conv", &[5, 2, 3, 3], &block);
    }
    for block in [[1, 1], [3, 20], [1, 20], [3, 1], [2, 7], [1, 4], [64, 6]] {
        assert_divides(&model, "dense", &[3, 20], &block);
    }
}

#[test]
fn weights_have_the_shape_of_their_layer() {
    let model = model();
    let shapes = model.layers.iter().map(Layer::weight_shape);
    let found: Vec<Vec<usize>> = shapes.flatten().collect();
    assert_eq!(found, [vec![5, 2, 3, 3], vec![3, 20]]);
    let mut without_bias = model;
    if let LayerKind::Dense(dense) = &mut without_bias.layers.last_mut().unwrap().kind {
        dense.bias.clear();
    }
    assert_eq!(without_bias.layer(without_bias.output).weight_shape(), Some(vec![3, 20]));
}

#[test]
fn blocks_that_do_not_fit_are_refused() {
    let model = model();
    let refused = |layer: &str, block: &[usize]| blocks(&model, layer, block).unwrap_err();
    assert_eq!(refused("missing", &[1, 1]), BlockError::UnknownLayer("missing".into()));
    assert_eq!(refused("x", &[1, 1]), BlockError::NoWeights("x".into()));
    assert_eq!(refused("affine", &[1]), BlockError::NoWeights("affine".into()));
    let rank = |layer: &str, shape: &[usize], found| BlockError::Rank {
        layer: layer.into(),
        shape: shape.to_vec(),
        found,
    };
    assert_eq!(refused("conv", &[1, 1]), rank("conv", &[5, 2, 3, 3], 2));
    assert_eq!(refused("dense", &[]), rank("dense", &[3, 20], 0));
    assert_eq!(refused("dense", &[1, 0]), BlockError::Empty("dense".into()));
    assert_eq!(refused("conv", &[0, 1, 1, 1]), BlockError::Empty("conv".into()));
}
