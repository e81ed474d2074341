//! Builds a model layer by layer with shapes computed and names kept unique.

use crate::{Layer, LayerId, LayerKind, Model, ShapeError, result_shape};
use hecc_ir::Shape;
use std::collections::HashMap;

/// Most weights and moved elements that a model may hold in all.
const MAX_TOTAL: usize = 1 << 27;

/// A model under construction: every layer in it is sound.
#[derive(Debug, Default)]
pub struct ModelBuilder {
    layers: Vec<Layer>,
    /// Weights and moved elements so far.
    total: usize,
    /// Number that the next layer of a taken name tries first.
    names: HashMap<String, usize>,
}

impl ModelBuilder {
    /// Nothing yet.
    pub fn new() -> ModelBuilder {
        ModelBuilder::default()
    }

    /// Adds a layer and computes its shape; `stated` is the shape of inputs and
    /// moves. A name that is taken gets a number.
    pub fn push(
        &mut self,
        name: &str,
        kind: LayerKind,
        inputs: &[LayerId],
        stated: Option<Shape>,
    ) -> Result<LayerId, ShapeError> {
        let operands: Vec<_> = inputs.iter().map(|id| self.shape(*id)).collect();
        let shape = result_shape(&kind, &operands, stated.as_ref())?;
        self.reserve(kind.n_numbers())?;
        self.total += kind.n_numbers();
        let name = self.unique(name);
        self.layers.push(Layer { name, kind, inputs: inputs.to_vec(), shape });
        Ok(LayerId(self.layers.len() - 1))
    }

    /// Whether `n` more weights stay within the limit; for callers that make
    /// them up.
    pub fn reserve(&self, n: usize) -> Result<(), ShapeError> {
        match self.total.checked_add(n) {
            Some(total) if total <= MAX_TOTAL => Ok(()),
            Some(_) | None => Err(ShapeError::TooManyWeights(MAX_TOTAL)),
        }
    }

    /// Shape of a layer added before.
    pub fn shape(&self, id: LayerId) -> &Shape {
        &self.layers[id.0].shape
    }

    /// Layers that a layer added before reads.
    pub fn inputs(&self, id: LayerId) -> &[LayerId] {
        &self.layers[id.0].inputs
    }

    /// What a layer added before computes.
    pub fn kind(&self, id: LayerId) -> &LayerKind {
        &self.layers[id.0].kind
    }

    /// What a layer added before computes; whoever changes it keeps its shape.
    pub fn kind_mut(&mut self, id: LayerId) -> &mut LayerKind {
        &mut self.layers[id.0].kind
    }

    fn unique(&mut self, name: &str) -> String {
        let mut unique = name.to_owned();
        while self.names.contains_key(&unique) {
            let next = self.names.entry(name.to_owned()).or_insert(2);
            unique = format!("{name}_{next}");
            *next += 1;
        }
        self.names.insert(unique.clone(), 2);
        unique
    }

    /// Which layers `output` depends on, itself included.
    pub fn needed(&self, output: LayerId) -> Vec<bool> {
        let mut needed = vec![false; self.layers.len()];
        needed[output.0] = true;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            if needed[i] {
                layer.inputs.iter().for_each(|input| needed[input.0] = true);
            }
        }
        needed
    }

    /// The model, reduced to the layers that `output` depends on.
    ///
    /// # Panics
    /// If the model has no input or `output` does not depend on it.
    pub fn finish(self, name: &str, output: LayerId) -> Model {
        let needed = self.needed(output);
        let mut new_id = vec![LayerId(0); needed.len()];
        let mut layers = Vec::new();
        for (i, mut layer) in self.layers.into_iter().enumerate().filter(|(i, _)| needed[*i]) {
            new_id[i] = LayerId(layers.len());
            layer.inputs.iter_mut().for_each(|input| *input = new_id[input.0]);
            layers.push(layer);
        }
        let starts_with_input = matches!(layers[0].kind, LayerKind::Input { .. });
        assert!(starts_with_input, "the output depends on the input");
        Model { name: name.to_owned(), layers, output: new_id[output.0] }
    }
}
