//! Evaluation of a batch on tensors.

use crate::trainee::{Role, Trainee};
use burn_tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn_tensor::{Int, Tensor, TensorData, activation, module};
use hecc_model::{Conv, LayerId, LayerKind, Nonlinear};

impl Trainee {
    /// Values of all layers, one row per sample. `weights` stand in for the trainee's own,
    /// in their order.
    pub(crate) fn forward(&self, weights: &[Tensor<1>], x: Tensor<2>) -> Vec<Tensor<2>> {
        let mut values: Vec<Tensor<2>> = Vec::with_capacity(self.model.layers.len());
        for index in 0..self.model.layers.len() {
            let value = self.layer(LayerId(index), weights, &values, &x);
            values.push(value);
        }
        values
    }

    fn layer(&self, id: LayerId, weights: &[Tensor<1>], values: &[Tensor<2>], x: &Tensor<2>) -> Tensor<2> {
        let layer = self.model.layer(id);
        let operand = |n: usize| values[layer.inputs[n].0].clone();
        let weight = |role: Role| {
            let position = self.weights.iter().position(|w| (w.layer, w.role) == (id, role));
            position.map(|at| weights[at].clone())
        };
        let kernel = || weight(Role::Kernel).expect("the layer has weights");
        match &layer.kind {
            LayerKind::Input { .. } => x.clone(),
            LayerKind::Conv(conv) => {
                let image = self.image(id, operand(0));
                let options = conv_options(conv);
                rows(module::conv2d(image, kernel().reshape(conv.weight_shape), weight(Role::Bias), options))
            }
            LayerKind::Dense(_) => {
                let x = operand(0);
                let [n_outputs, n_inputs] = [layer.shape.n_elements(), x.dims()[1]];
                // In this order the gradient of the weights lies in memory as they do.
                let product = kernel().reshape([n_outputs, n_inputs]).matmul(x.transpose()).transpose();
                match weight(Role::Bias) {
                    Some(bias) => product + bias.unsqueeze(),
                    None => product,
                }
            }
            LayerKind::AvgPool(pool) => {
                let mut options = AvgPoolOptions::new(pool.kernel).with_stride(pool.stride);
                options.padding = pairs(pool.padding);
                options.count_include_pad = pool.count_include_pad;
                rows(module::avg_pool2d(self.image(id, operand(0)), options))
            }
            LayerKind::MaxPool(pool) => {
                let mut options = MaxPoolOptions::new(pool.kernel).with_stride(pool.stride);
                options.padding = pairs(pool.padding);
                rows(module::max_pool2d(self.image(id, operand(0)), options))
            }
            LayerKind::Affine { scale, .. } => {
                let per_channel = |role: Role| {
                    let values = weight(role).expect("the layer has a number per channel");
                    values.reshape([1, scale.len(), 1])
                };
                let [n, n_elements] = operand(0).dims();
                let x: Tensor<3> = operand(0).reshape([n, scale.len(), n_elements / scale.len()]);
                (x * per_channel(Role::Scale) + per_channel(Role::Bias)).reshape([n, n_elements])
            }
            LayerKind::Polynomial { coefficients } => {
                let values = weight(Role::Coefficients).expect("the layer has coefficients");
                horner(&values, coefficients.len(), operand(0))
            }
            LayerKind::Nonlinear(function) => nonlinear(*function, operand(0)),
            LayerKind::Add => operand(0) + operand(1),
            LayerKind::Move { source } => moved(source, operand(0)),
        }
    }

    /// The operand of a layer as images.
    fn image(&self, id: LayerId, x: Tensor<2>) -> Tensor<4> {
        let extents = &self.model.layer(self.model.layer(id).inputs[0]).shape.0;
        x.clone().reshape([x.dims()[0], extents[0], extents[1], extents[2]])
    }
}

fn rows(images: Tensor<4>) -> Tensor<2> {
    images.flatten(1, 3)
}

/// Top, left, bottom, right as rows before and after, columns before and after.
fn pairs([top, left, bottom, right]: [usize; 4]) -> [(usize, usize); 2] {
    [(top, bottom), (left, right)]
}

fn conv_options(conv: &Conv) -> ConvOptions<2> {
    ConvOptions::new_with_padding(conv.stride, pairs(conv.padding), conv.dilation, conv.groups)
}

fn horner(coefficients: &Tensor<1>, n: usize, x: Tensor<2>) -> Tensor<2> {
    let coefficient = |k: usize| coefficients.clone().narrow(0, k, 1).reshape([1, 1]);
    let leading: Tensor<2> = x.clone().zeros_like() + coefficient(n - 1);
    (0..n - 1).rev().fold(leading, |sum, k| sum * x.clone() + coefficient(k))
}

fn nonlinear(function: Nonlinear, x: Tensor<2>) -> Tensor<2> {
    match function {
        Nonlinear::Relu => activation::relu(x),
        Nonlinear::Sigmoid => activation::sigmoid(x),
        Nonlinear::Tanh => activation::tanh(x),
        Nonlinear::Silu => activation::silu(x),
        Nonlinear::Gelu => activation::gelu(x),
    }
}

fn moved(source: &[usize], x: Tensor<2>) -> Tensor<2> {
    if source.iter().copied().eq(0..x.dims()[1]) {
        return x;
    }
    let indices: Vec<i64> = source.iter().map(|&at| at as i64).collect();
    let indices: Tensor<1, Int> = Tensor::from_data(TensorData::new(indices, [source.len()]), &x.device());
    x.select(1, indices)
}
