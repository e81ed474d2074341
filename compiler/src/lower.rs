//! Emits the circuit of a packed network.
//!
//! Expects a [`PackingPlan`] of the network; leaves an abstract circuit whose
//! meaning is the model's. Kernels emit whatever the plan holds: the plan has
//! no zero diagonals and the builder folds the rest.

mod activation;
mod linear;

use crate::packing::PackingPlan;
use crate::sparsity::{Network, NodeKind};
use hecc_ir::circuit::{Builder, Circuit, Input, Op, Output, Value};

/// What a circuit needs to know of the model besides its network.
#[derive(Clone, Debug)]
pub struct Ports<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// Name of its input.
    pub input: &'a str,
    /// Smallest and largest input element.
    pub range: (f64, f64),
    /// Name of its output.
    pub output: &'a str,
}

/// Lowers a packed network.
pub fn lower(network: &Network, plan: &PackingPlan, ports: &Ports<'_>) -> Circuit {
    let n_slots = plan.placements[0].layout.n_slots;
    let mut builder = Builder::new(ports.model, n_slots);
    let mut values: Vec<Vec<Value>> = Vec::new();
    for id in network.ids() {
        let node = network.node(id);
        builder.set_source(&node.name);
        let placement = &plan.placements[id.0];
        let computed = match &node.kind {
            NodeKind::Input => input(&mut builder, plan, ports),
            NodeKind::Linear(layer) => {
                let planned = plan.linear[id.0].as_ref().expect("a linear node is planned");
                linear::emit(&mut builder, layer, planned, placement, &values)
            }
            NodeKind::Activation(activation) => {
                let operands = &values[activation.operand.0];
                operands.iter().map(|&x| activation::emit(&mut builder, activation, x)).collect()
            }
        };
        values.push(computed);
    }
    let layout = plan.placements[network.output.0].layout.clone();
    builder.output(Output {
        name: ports.output.to_owned(),
        layout,
        values: values[network.output.0].clone(),
    });
    builder.finish()
}

fn input(builder: &mut Builder, plan: &PackingPlan, ports: &Ports<'_>) -> Vec<Value> {
    let layout = plan.placements[0].layout.clone();
    let n_cts = layout.n_cts as u32;
    let input = builder.declare_input(Input { name: ports.input.to_owned(), layout, range: ports.range });
    (0..n_cts).map(|ct| builder.push(Op::Input { input, ct })).collect()
}
