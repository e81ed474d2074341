//! A model whose weights are tensors.

use crate::TrainError;
use crate::adam::Momentum;
use crate::samples::Samples;
use burn_tensor::{Device, Tensor, TensorData};
use hecc_model::{LayerId, LayerKind, Model};

/// Samples evaluated at once.
const EVALUATION_BATCH: usize = 250;

/// A model in training.
#[derive(Clone)]
pub struct Trainee {
    /// Layers; the numbers in them are those at the start, see [`Trainee::model`].
    pub(crate) model: Model,
    pub(crate) weights: Vec<Weight>,
    /// Largest magnitude that the operand of a polynomial should have.
    pub(crate) limits: Vec<(LayerId, f64)>,
    pub(crate) device: Device,
}

/// What a tensor of weights is to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Weights of a convolution or dense layer.
    Kernel,
    /// Summands per channel or output.
    Bias,
    /// Factors per channel.
    Scale,
    /// Coefficients of a polynomial.
    Coefficients,
}

/// Trainable numbers of one layer, flat.
#[derive(Clone)]
pub(crate) struct Weight {
    pub layer: LayerId,
    pub role: Role,
    pub values: Tensor<1>,
    /// 1 where the number is trained, 0 where it stays zero.
    pub mask: Option<Tensor<1>>,
    /// None before the first step.
    pub momentum: Option<Momentum>,
}

impl Trainee {
    /// A model to be trained on the CPU.
    pub fn new(model: Model) -> Trainee {
        let device = Device::flex();
        let narrow = |x: &f64| x.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        let tensor = |values: &[f64]| tensor(values.iter().map(narrow).collect(), &device);
        let mut weights = Vec::new();
        for (index, layer) in model.layers.iter().enumerate() {
            let parts: Vec<(Role, &[f64])> = match &layer.kind {
                LayerKind::Conv(conv) => vec![(Role::Kernel, &conv.weight), (Role::Bias, &conv.bias)],
                LayerKind::Dense(dense) => vec![(Role::Kernel, &dense.weight), (Role::Bias, &dense.bias)],
                LayerKind::Affine { scale, shift } => vec![(Role::Scale, scale), (Role::Bias, shift)],
                LayerKind::Polynomial { coefficients } => vec![(Role::Coefficients, coefficients)],
                LayerKind::Input { .. }
                | LayerKind::AvgPool(_)
                | LayerKind::MaxPool(_)
                | LayerKind::Nonlinear(_)
                | LayerKind::Add
                | LayerKind::Move { .. } => Vec::new(),
            };
            for (role, values) in parts.into_iter().filter(|(_, values)| !values.is_empty()) {
                let (layer, values) = (LayerId(index), tensor(values));
                weights.push(Weight { layer, role, values, mask: None, momentum: None });
            }
        }
        Trainee { model, weights, limits: Vec::new(), device }
    }

    /// The model with the weights as they are now.
    pub fn model(&self) -> Model {
        let mut model = self.model.clone();
        for weight in &self.weights {
            let mut values: Vec<f64> = floats(&weight.values).into_iter().map(f64::from).collect();
            match (weight.role, &mut model.layers[weight.layer.0].kind) {
                (Role::Kernel, LayerKind::Conv(conv)) => conv.weight = values,
                (Role::Bias, LayerKind::Conv(conv)) => conv.bias = values,
                (Role::Kernel, LayerKind::Dense(dense)) => dense.weight = values,
                (Role::Bias, LayerKind::Dense(dense)) => dense.bias = values,
                (Role::Scale, LayerKind::Affine { scale, .. }) => *scale = values,
                (Role::Bias, LayerKind::Affine { shift, .. }) => *shift = values,
                (Role::Coefficients, LayerKind::Polynomial { coefficients }) => {
                    keep_degree(&mut values);
                    *coefficients = values;
                }
                (role, kind) => unreachable!("{role:?} of {kind:?}"),
            }
        }
        model
    }

    /// A narrower model in the place of this one. What is zero in it stays zero where it did so
    /// before and the layer is as it was.
    pub(crate) fn with_model(&self, model: Model) -> Trainee {
        let mut other = Trainee { limits: self.limits.clone(), ..Trainee::new(model) };
        for weight in &mut other.weights {
            let same = self.weights.iter().find(|w| (w.layer, w.role) == (weight.layer, weight.role));
            weight.mask =
                same.filter(|same| same.values.dims() == weight.values.dims()).and_then(|w| w.mask.clone());
        }
        other
    }

    /// The same network with layers put in between, weights left out or channels in another
    /// order. What was pruned stays zero, and limits stay with their layers.
    pub(crate) fn regrouped(&self, model: Model) -> Trainee {
        let mut other = Trainee::new(model);
        let name = |id: LayerId| &self.model.layer(id).name;
        let found = |name: &str| other.model.layers.iter().position(|layer| layer.name == name).map(LayerId);
        let limits = self.limits.iter().filter_map(|&(id, limit)| Some((found(name(id))?, limit)));
        let limits: Vec<(LayerId, f64)> = limits.collect();
        let pruned = self.weights.iter().filter(|weight| weight.mask.is_some());
        let pruned: Vec<_> = pruned.filter_map(|w| Some((found(name(w.layer))?, w.role))).collect();
        other.limits = limits;
        for weight in other.weights.iter_mut().filter(|w| pruned.contains(&(w.layer, w.role))) {
            weight.mask = Some(weight.values.clone().not_equal_elem(0.0).float());
        }
        other
    }

    /// Forgets what the optimiser remembers.
    pub(crate) fn forget_momentum(&mut self) {
        self.weights.iter_mut().for_each(|weight| weight.momentum = None);
    }

    /// Puts another layer in the place of one with operands and result of the same shape,
    /// with weights of its own.
    pub(crate) fn replace(&mut self, layer: LayerId, kind: LayerKind) {
        let mut model = self.model();
        model.layers[layer.0].kind = kind;
        let masks: Vec<(LayerId, Role, Option<Tensor<1>>)> =
            self.weights.iter().map(|w| (w.layer, w.role, w.mask.clone())).collect();
        let limits = std::mem::take(&mut self.limits);
        *self = Trainee { limits, ..Trainee::new(model) };
        for (id, role, mask) in masks {
            let same = |w: &&mut Weight| (w.layer, w.role) == (id, role) && id != layer;
            if let Some(weight) = self.weights.iter_mut().find(same) {
                weight.mask = mask;
            }
        }
    }

    /// Share of samples whose largest output is at their label.
    ///
    /// # Errors
    /// When the samples do not fit the model or there are none.
    pub fn accuracy(&self, samples: &Samples) -> Result<f64, TrainError> {
        let mut n = 0;
        self.evaluate(samples, |batch, logits| n += n_correct(&floats(&logits), &batch.labels))?;
        Ok(n as f64 / samples.len() as f64)
    }

    /// Mean cross entropy of the labels; infinite or NaN when outputs are.
    ///
    /// # Errors
    /// As [`Trainee::accuracy`].
    pub(crate) fn loss(&self, samples: &Samples) -> Result<f64, TrainError> {
        let mut total = 0.0;
        self.evaluate(samples, |batch, logits| {
            total += batch.len() as f64 * f64::from(floats(&self.label_loss(batch, &logits))[0]);
        })?;
        Ok(total / samples.len() as f64)
    }

    /// Outputs, batch by batch.
    fn evaluate(
        &self,
        samples: &Samples,
        mut found: impl FnMut(&Samples, Tensor<2>),
    ) -> Result<(), TrainError> {
        samples.fit(&self.model)?;
        let tensors = self.values();
        let indices: Vec<usize> = (0..samples.len()).collect();
        for batch in indices.chunks(EVALUATION_BATCH) {
            let batch = samples.select(batch);
            let mut values = self.forward(&tensors, batch_tensor(&batch, &self.device));
            found(&batch, values.swap_remove(self.model.output.0));
        }
        Ok(())
    }

    /// All weights as tensors without gradients.
    pub(crate) fn values(&self) -> Vec<Tensor<1>> {
        self.weights.iter().map(|weight| weight.values.clone()).collect()
    }
}

/// A polynomial keeps its degree, so that it can be trained and is a layer still.
pub(crate) fn keep_degree(coefficients: &mut [f64]) {
    if let Some(leading) = coefficients.last_mut().filter(|leading| **leading as f32 == 0.0) {
        *leading = f64::from(f32::MIN_POSITIVE);
    }
}

/// How many of the labels are those of the largest outputs, row by row.
pub(crate) fn n_correct(logits: &[f32], labels: &[usize]) -> usize {
    let rows = logits.chunks(logits.len() / labels.len());
    rows.zip(labels).filter(|(row, label)| largest(row) == **label).count()
}

/// Index of the largest number, the first of equal ones.
fn largest(row: &[f32]) -> usize {
    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]).then(b.cmp(&a))).unwrap_or(0)
}

pub(crate) fn tensor(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}

/// Samples as rows.
pub(crate) fn batch_tensor(samples: &Samples, device: &Device) -> Tensor<2> {
    let shape = [samples.len(), samples.n_elements()];
    Tensor::from_data(TensorData::new(samples.elements.clone(), shape), device)
}

/// The numbers of a tensor that nothing else needs, without a copy where it can be.
pub(crate) fn into_floats(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("tensors are of 32-bit floats in memory")
}

/// The numbers of a tensor, row-major.
pub(crate) fn floats<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.clone().into_data().iter::<f32>().collect()
}
