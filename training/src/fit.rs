//! Training by gradient descent.

use crate::TrainError;
use crate::adam::Momentum;
use crate::checkpoint::Checkpoint;
use crate::samples::Samples;
use crate::trainee::{Role, Trainee, Weight, batch_tensor, floats, into_floats, n_correct, tensor};
use burn_tensor::{Gradients, Tensor, TensorData, activation};

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Times that every sample is seen.
    pub epochs: usize,
    /// Samples per step.
    pub batch: usize,
    /// Learning rate at the start; it falls to zero along a cosine.
    pub rate: f64,
    /// Weight, 0 to 1, of the teacher's outputs in the loss; the rest is the labels'.
    pub distillation: f64,
    /// Seed of the order of samples.
    pub seed: u64,
}

impl Default for Recipe {
    fn default() -> Recipe {
        Recipe { epochs: 5, batch: 64, rate: 1e-3, distillation: 0.0, seed: 1 }
    }
}

/// Where training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Epochs that are over.
    pub epoch: usize,
    /// Epochs in all.
    pub n_epochs: usize,
    /// Steps of this epoch that are over.
    pub step: usize,
    /// Steps of an epoch.
    pub n_steps: usize,
    /// Mean loss of this epoch so far.
    pub loss: f64,
    /// Share of the samples of this epoch so far that were right when it was their turn.
    pub accuracy: f64,
}

/// What happens in a training.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A step is over.
    Step(Progress),
    /// An epoch is over, and training can go on from here another time.
    Epoch(Checkpoint),
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop as soon as possible.
    Stop,
}

/// Stops where the caller says so.
pub(crate) fn go_on(flow: Flow) -> Result<(), TrainError> {
    match flow {
        Flow::Continue => Ok(()),
        Flow::Stop => Err(TrainError::Stopped),
    }
}

/// What a batch says of the weights.
pub(crate) struct Descent {
    loss: f64,
    n_correct: usize,
    pub gradients: Gradients,
}

/// Weight of leaving the range that a polynomial was fitted for.
const RANGE_WEIGHT: f64 = 1.0;
/// Coefficients act on all elements at once: they move more slowly.
const COEFFICIENT_RATE: f64 = 0.1;
/// Softness of the teacher's outputs.
const TEMPERATURE: f64 = 2.0;

impl Trainee {
    /// Trains on all samples. `watch` hears of every step.
    ///
    /// # Errors
    /// When samples do not fit, the recipe makes no sense, the loss is no number any more,
    /// or `watch` says stop. The weights are then those after the last whole epoch.
    pub fn fit(
        &mut self,
        samples: &Samples,
        recipe: &Recipe,
        teacher: Option<&Trainee>,
        watch: &mut dyn FnMut(Progress) -> Flow,
    ) -> Result<(), TrainError> {
        self.fit_from(samples, recipe, teacher, None, &mut |event| match event {
            Event::Step(now) => watch(now),
            Event::Epoch(_) => Flow::Continue,
        })
    }

    /// Trains as [`Trainee::fit`], from a checkpoint of the same training if there is one:
    /// with the same samples, recipe and teacher the weights are in the end those of a
    /// training that was never stopped. `watch` hears of every step, and gets a checkpoint
    /// after every epoch.
    ///
    /// # Errors
    /// As [`Trainee::fit`], and [`TrainError::Checkpoint`].
    pub fn fit_from(
        &mut self,
        samples: &Samples,
        recipe: &Recipe,
        teacher: Option<&Trainee>,
        from: Option<&Checkpoint>,
        watch: &mut dyn FnMut(Event) -> Flow,
    ) -> Result<(), TrainError> {
        samples.fit(&self.model)?;
        recipe.check()?;
        teacher.map_or(Ok(()), |teacher| self.can_learn_from(teacher))?;
        match from {
            Some(from) if from.epoch > recipe.epochs => {
                return Err(TrainError::Checkpoint("more epochs are over than there are"));
            }
            Some(from) => self.restore(from)?,
            // Every fit starts anew, so that the weights alone say where training stands.
            None => self.forget_momentum(),
        }
        for epoch in from.map_or(0, Checkpoint::epoch)..recipe.epochs {
            let kept = self.weights.clone();
            if let Err(error) = self.epoch(epoch, samples, recipe, teacher, watch) {
                self.weights = kept;
                return Err(error);
            }
            go_on(watch(Event::Epoch(self.checkpoint(epoch + 1))))?;
        }
        Ok(())
    }

    /// One epoch, of which nothing is kept after an error.
    fn epoch(
        &mut self,
        epoch: usize,
        samples: &Samples,
        recipe: &Recipe,
        teacher: Option<&Trainee>,
        watch: &mut dyn FnMut(Event) -> Flow,
    ) -> Result<(), TrainError> {
        let mut order: Vec<usize> = (0..samples.len()).collect();
        fastrand::Rng::with_seed(recipe.seed.wrapping_add(epoch as u64)).shuffle(&mut order);
        let (n_epochs, n_steps) = (recipe.epochs, samples.len().div_ceil(recipe.batch));
        let (mut total, mut n_seen, mut n_correct) = (0.0, 0, 0);
        for (step, batch) in order.chunks(recipe.batch).enumerate() {
            let done = (epoch * n_steps + step) as f64 / (n_epochs * n_steps) as f64;
            let rate = recipe.rate * (1.0 + (done * std::f64::consts::PI).cos()) / 2.0;
            let (loss, n_right) = self.step(&samples.select(batch), recipe, teacher, rate)?;
            (total, n_seen, n_correct) = (total + loss, n_seen + batch.len(), n_correct + n_right);
            let (loss, accuracy) = (total / (step + 1) as f64, n_correct as f64 / n_seen as f64);
            let progress = Progress { epoch, n_epochs, step: step + 1, n_steps, loss, accuracy };
            go_on(watch(Event::Step(progress)))?;
        }
        match self.infinite_layer() {
            Some(layer) => Err(TrainError::Diverged { layer }),
            None => Ok(()),
        }
    }

    /// The first layer with a weight that is not finite.
    fn infinite_layer(&self) -> Option<String> {
        let is_finite = |values: &Tensor<1>| floats(values).iter().all(|x| x.is_finite());
        let found = self.weights.iter().find(|weight| !is_finite(&weight.values));
        found.map(|weight| self.model.layer(weight.layer).name.clone())
    }

    /// A teacher reads the same samples and has the same outputs.
    fn can_learn_from(&self, teacher: &Trainee) -> Result<(), TrainError> {
        let ends = |trainee: &Trainee| {
            let (input, _) = trainee.model.input();
            [input, trainee.model.output].map(|id| trainee.model.layer(id).shape.clone())
        };
        let mut pairs = ends(self).into_iter().zip(ends(teacher));
        match pairs.find(|(expected, found)| expected.check(found).is_err()) {
            Some((expected, found)) => Err(TrainError::Shape { expected, found }),
            None => Ok(()),
        }
    }

    /// One step; returns the loss before it, and how many samples were right.
    fn step(
        &mut self,
        batch: &Samples,
        recipe: &Recipe,
        teacher: Option<&Trainee>,
        rate: f64,
    ) -> Result<(f64, usize), TrainError> {
        let weights = self.leaves();
        let Descent { loss, n_correct, mut gradients } =
            self.gradients(&weights, batch, recipe.distillation, teacher)?;
        for (weight, leaf) in self.weights.iter_mut().zip(weights) {
            let Some(gradient) = leaf.grad_remove(&mut gradients) else { continue };
            drop(leaf);
            let rate = if weight.role == Role::Coefficients { rate * COEFFICIENT_RATE } else { rate };
            weight.step(into_floats(gradient), rate);
        }
        Ok((loss, n_correct))
    }

    /// The weights as leaves of a computation with gradients.
    pub(crate) fn leaves(&self) -> Vec<Tensor<1>> {
        self.values().into_iter().map(|values| Tensor::from_inner(values).require_grad()).collect()
    }

    /// Loss on a batch, its gradients, and how many samples are right.
    pub(crate) fn gradients(
        &self,
        weights: &[Tensor<1>],
        batch: &Samples,
        distillation: f64,
        teacher: Option<&Trainee>,
    ) -> Result<Descent, TrainError> {
        let x = batch_tensor(batch, &self.device);
        let values = self.forward(weights, Tensor::from_inner(x.clone()));
        let logits = values[self.model.output.0].clone();
        let mut loss = cross_entropy(&logits, Tensor::from_inner(self.one_hot(batch)), 1.0);
        if let Some(teacher) = teacher.filter(|_| distillation > 0.0) {
            let expected = teacher.forward(&teacher.values(), x);
            let expected = activation::softmax(expected[teacher.model.output.0].clone() / TEMPERATURE, 1);
            let taught = cross_entropy(&logits, Tensor::from_inner(expected), TEMPERATURE);
            loss = loss * (1.0 - distillation) + taught * (distillation * TEMPERATURE * TEMPERATURE);
        }
        for &(layer, limit) in &self.limits {
            let operand = values[self.model.layer(layer).inputs[0].0].clone();
            let beyond = activation::relu(operand.abs() - limit) / limit;
            loss = loss + beyond.powi_scalar(2).mean() * RANGE_WEIGHT;
        }
        let number = f64::from(floats(&loss)[0]);
        if !number.is_finite() {
            return Err(self.diverged(&values));
        }
        let n_correct = n_correct(&floats(&logits), &batch.labels);
        Ok(Descent { loss: number, n_correct, gradients: loss.backward() })
    }

    /// Mean cross entropy of the labels of a batch, without gradients.
    pub(crate) fn label_loss(&self, batch: &Samples, logits: &Tensor<2>) -> Tensor<1> {
        cross_entropy(logits, self.one_hot(batch), 1.0)
    }

    fn one_hot(&self, batch: &Samples) -> Tensor<2> {
        let n_classes = self.model.layer(self.model.output).shape.n_elements();
        let mut rows = vec![0.0f32; batch.len() * n_classes];
        batch.labels.iter().enumerate().for_each(|(row, label)| rows[row * n_classes + label] = 1.0);
        Tensor::from_data(TensorData::new(rows, [batch.len(), n_classes]), &self.device)
    }

    fn diverged(&self, values: &[Tensor<2>]) -> TrainError {
        let is_finite = |value: &Tensor<2>| floats(value).iter().all(|x| x.is_finite());
        let first = values.iter().position(|value| !is_finite(value));
        let layer = first.map_or(self.model.output.0, |first| first);
        TrainError::Diverged { layer: self.model.layers[layer].name.clone() }
    }
}

impl Weight {
    /// A step against the gradient.
    fn step(&mut self, gradient: Vec<f32>, rate: f64) {
        let device = self.values.device();
        let nothing = tensor(Vec::new(), &device);
        let mut values = into_floats(std::mem::replace(&mut self.values, nothing));
        let momentum = self.momentum.get_or_insert_with(|| Momentum::new(gradient.len()));
        momentum.step(&mut values, &gradient, rate);
        self.values = tensor(values, &device);
        if let Some(mask) = &self.mask {
            self.values = self.values.clone() * mask.clone();
        }
    }
}

impl Recipe {
    /// Whether the settings make sense.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let settings = [
            ("the batch size", self.batch as f64, self.batch > 0),
            ("the learning rate", self.rate, self.rate > 0.0 && self.rate.is_finite()),
            ("the weight of the teacher", self.distillation, (0.0..=1.0).contains(&self.distillation)),
        ];
        match settings.into_iter().find(|(_, _, is_sound)| !is_sound) {
            Some((what, value, _)) => Err(TrainError::Setting { what, value }),
            None => Ok(()),
        }
    }
}

/// Mean over the rows of the cross entropy between expected shares and outputs.
fn cross_entropy(logits: &Tensor<2>, expected: Tensor<2>, temperature: f64) -> Tensor<1> {
    let n = logits.dims()[0] as f64;
    let log = activation::log_softmax(logits.clone() / temperature, 1);
    (log * expected).sum().neg() / n
}
