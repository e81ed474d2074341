//! Writes small ONNX files, also ones that no exporter would.

use prost::encoding::{WireType, encode_key, encode_varint};

/// A field of a message.
fn bytes_field(tag: u32, content: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(content.len() as u64, out);
    out.extend(content);
}

fn int_field(tag: u32, value: i64, out: &mut Vec<u8>) {
    encode_key(tag, WireType::Varint, out);
    encode_varint(value as u64, out);
}

/// A constant.
#[derive(Clone)]
pub struct Tensor {
    name: &'static str,
    dims: Vec<i64>,
    /// Elements.
    pub values: Vec<f32>,
    /// File that holds them instead.
    pub location: Option<String>,
    /// Whether they are stored as integers of 64 bits, else in single precision.
    pub integral: bool,
}

impl Tensor {
    /// A constant with small elements.
    pub fn new(name: &'static str, dims: &[i64]) -> Tensor {
        let n = dims.iter().product::<i64>();
        let values = (0..n).map(|i| (i % 5) as f32 - 2.0).collect();
        Tensor { name, dims: dims.to_vec(), values, location: None, integral: false }
    }

    /// A list of integers.
    pub fn list(name: &'static str, values: &[i64]) -> Tensor {
        let dims = vec![values.len() as i64];
        let values = values.iter().map(|&v| v as f32).collect();
        Tensor { name, dims, values, location: None, integral: true }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.dims.iter().for_each(|&d| int_field(1, d, &mut out));
        int_field(2, if self.integral { 7 } else { 1 }, &mut out);
        bytes_field(8, self.name.as_bytes(), &mut out);
        match &self.location {
            None => {
                let raw: Vec<u8> = match self.integral {
                    true => self.values.iter().flat_map(|&v| (v as i64).to_le_bytes()).collect(),
                    false => self.values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                };
                bytes_field(9, &raw, &mut out);
            }
            Some(location) => {
                let mut entry = Vec::new();
                bytes_field(1, b"location", &mut entry);
                bytes_field(2, location.as_bytes(), &mut entry);
                bytes_field(13, &entry, &mut out);
                int_field(14, 1, &mut out);
            }
        }
        out
    }
}

/// An integer setting.
pub fn int(name: &str, value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    bytes_field(1, name.as_bytes(), &mut out);
    int_field(3, value, &mut out);
    out
}

/// A numeric setting.
pub fn float(name: &str, value: f32) -> Vec<u8> {
    let mut out = Vec::new();
    bytes_field(1, name.as_bytes(), &mut out);
    encode_key(2, WireType::ThirtyTwoBit, &mut out);
    out.extend(value.to_le_bytes());
    out
}

/// A text setting.
pub fn text(name: &str, value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    bytes_field(1, name.as_bytes(), &mut out);
    bytes_field(4, value.as_bytes(), &mut out);
    out
}

/// A list setting.
pub fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let mut out = Vec::new();
    bytes_field(1, name.as_bytes(), &mut out);
    values.iter().for_each(|&v| int_field(8, v, &mut out));
    out
}

/// A node without settings.
pub fn node(op: &str, name: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    node_with(op, name, inputs, output, &[])
}

/// A node.
pub fn node_with(op: &str, name: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    node_of(op, name, inputs, &[output], attributes)
}

/// A node with several results.
pub fn node_of(op: &str, name: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    inputs.iter().for_each(|input| bytes_field(1, input.as_bytes(), &mut out));
    outputs.iter().for_each(|output| bytes_field(2, output.as_bytes(), &mut out));
    bytes_field(3, name.as_bytes(), &mut out);
    bytes_field(4, op.as_bytes(), &mut out);
    attributes.iter().for_each(|attribute| bytes_field(5, attribute, &mut out));
    out
}

/// A model with input `x`; an extent of -1 is open.
pub fn model(nodes: &[Vec<u8>], constants: &[Tensor], input: &[i64], output: &str) -> Vec<u8> {
    model_in(17, nodes, constants, input, output)
}

/// The same, in a version of the operator set.
pub fn model_in(opset: i64, nodes: &[Vec<u8>], constants: &[Tensor], input: &[i64], output: &str) -> Vec<u8> {
    let mut graph = Vec::new();
    nodes.iter().for_each(|node| bytes_field(1, node, &mut graph));
    constants.iter().for_each(|constant| bytes_field(5, &constant.encode(), &mut graph));
    bytes_field(11, &value("x", input), &mut graph);
    bytes_field(12, &value(output, &[]), &mut graph);
    let mut version = Vec::new();
    int_field(2, opset, &mut version);
    let mut out = Vec::new();
    int_field(1, 8, &mut out);
    bytes_field(7, &graph, &mut out);
    bytes_field(8, &version, &mut out);
    out
}

fn value(name: &str, extents: &[i64]) -> Vec<u8> {
    let mut shape = Vec::new();
    for &extent in extents {
        let mut dimension = Vec::new();
        match extent {
            -1 => bytes_field(2, b"open", &mut dimension),
            extent => int_field(1, extent, &mut dimension),
        }
        bytes_field(1, &dimension, &mut shape);
    }
    let (mut tensor, mut kind, mut out) = (Vec::new(), Vec::new(), Vec::new());
    bytes_field(2, &shape, &mut tensor);
    bytes_field(1, &tensor, &mut kind);
    bytes_field(1, name.as_bytes(), &mut out);
    bytes_field(2, &kind, &mut out);
    out
}
