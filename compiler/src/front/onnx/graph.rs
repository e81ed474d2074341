//! The order in which nodes are computed.

use super::{node::Node, proto};
use crate::diag::{Code, Diagnostic, Diagnostics, Label};
use petgraph::{Direction, algo, graph::DiGraph, graph::NodeIndex, visit::Dfs};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// Nodes that the output depends on, operands before users.
pub(super) struct Order<'a> {
    /// The nodes.
    pub nodes: Vec<Node<'a>>,
    /// How often each value is read by them or is the output.
    pub uses: HashMap<&'a str, usize>,
    /// Values on cycles, which were reported.
    pub cyclic: Vec<&'a str>,
}

/// Orders the nodes that `output` depends on. Cycles and values defined twice
/// are reported; nodes on a cycle are left out.
pub(super) fn order<'a>(
    graph: &'a proto::Graph,
    output: &'a str,
    view: impl Fn(&'a proto::Node) -> Node<'a>,
    diagnostics: &mut Diagnostics,
) -> Order<'a> {
    let dependencies = dependencies(graph, &view, diagnostics);
    constants_are_defined_once(graph, &view, diagnostics);
    let mut wanted = reachable(graph, &dependencies, output);
    let mut cyclic = Vec::new();
    for mut component in algo::kosaraju_scc(&dependencies) {
        component.sort_unstable();
        let first = component[0];
        if component.len() > 1 || dependencies.contains_edge(first, first) {
            let members: Vec<_> = component.iter().map(|&i| view(&graph.node[i.index()])).collect();
            if !diagnostics.is_full() {
                diagnostics.push(cycle(&members));
            }
            cyclic.extend(members.iter().flat_map(|node| &node.proto.output).map(String::as_str));
            component.iter().for_each(|i| wanted[i.index()] = false);
        }
    }
    let nodes: Vec<_> = sort(&dependencies, &wanted).into_iter().map(|i| view(&graph.node[i])).collect();
    let mut uses = HashMap::from([(output, 1)]);
    for input in nodes.iter().flat_map(|node| &node.proto.input) {
        *uses.entry(input.as_str()).or_insert(0) += 1;
    }
    Order { nodes, uses, cyclic }
}

/// The wanted nodes, operands first and otherwise in the order of the file, so
/// that problems are reported as a reader would meet them.
fn sort(dependencies: &DiGraph<(), ()>, wanted: &[bool]) -> Vec<usize> {
    let node = |index: usize| NodeIndex::new(index);
    let n_missing =
        |index: usize| dependencies.neighbors(node(index)).filter(|operand| wanted[operand.index()]).count();
    let mut missing: Vec<usize> = (0..wanted.len()).map(n_missing).collect();
    let ready = (0..wanted.len()).filter(|&i| wanted[i] && missing[i] == 0).map(Reverse);
    let mut ready: BinaryHeap<_> = ready.collect();
    let mut sorted = Vec::new();
    while let Some(Reverse(next)) = ready.pop() {
        sorted.push(next);
        for user in dependencies.neighbors_directed(node(next), Direction::Incoming) {
            missing[user.index()] -= 1;
            if missing[user.index()] == 0 && wanted[user.index()] {
                ready.push(Reverse(user.index()));
            }
        }
    }
    sorted
}

/// Edges from users to operands.
fn dependencies<'a>(
    graph: &'a proto::Graph,
    view: impl Fn(&'a proto::Node) -> Node<'a>,
    diagnostics: &mut Diagnostics,
) -> DiGraph<(), ()> {
    let mut definition = HashMap::new();
    let mut edges = DiGraph::with_capacity(graph.node.len(), graph.node.len());
    for node in &graph.node {
        let index = edges.add_node(());
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            if definition.insert(output.as_str(), index).is_some() && !diagnostics.is_full() {
                let title = format!("value `{output}` is defined twice");
                diagnostics.push(view(node).problem(Code::DuplicateName, title));
            }
        }
    }
    for (user, node) in graph.node.iter().enumerate() {
        for operand in node.input.iter().filter_map(|name| definition.get(name.as_str())) {
            edges.add_edge(NodeIndex::new(user), *operand, ());
        }
    }
    edges
}

/// Reports constants and inputs that share a name, and nodes that compute one again. A
/// constant may be listed as an input, where it has a default of that name.
fn constants_are_defined_once<'a>(
    graph: &'a proto::Graph,
    view: &impl Fn(&'a proto::Node) -> Node<'a>,
    diagnostics: &mut Diagnostics,
) {
    let title = |name: &str| format!("value `{name}` is defined twice");
    let mut names = HashSet::new();
    for tensor in &graph.initializer {
        if !names.insert(tensor.name.as_str()) && !diagnostics.is_full() {
            let file = graph.node.first().map_or("", |node| view(node).file);
            let place = Label::item(file, format!("tensor `{}`", tensor.name), "");
            diagnostics.push(Diagnostic::error(Code::DuplicateName, title(&tensor.name)).label(place));
        }
    }
    names.extend(graph.input.iter().map(|input| input.name.as_str()));
    for node in &graph.node {
        for output in node.output.iter().filter(|name| names.contains(name.as_str())) {
            if !diagnostics.is_full() {
                diagnostics.push(view(node).problem(Code::DuplicateName, title(output)));
            }
        }
    }
}

fn reachable(graph: &proto::Graph, edges: &DiGraph<(), ()>, output: &str) -> Vec<bool> {
    let mut needed = vec![false; graph.node.len()];
    let defines = |node: &proto::Node| node.output.iter().any(|name| name == output);
    let Some(last) = graph.node.iter().position(defines) else { return needed };
    let mut search = Dfs::new(edges, NodeIndex::new(last));
    while let Some(found) = search.next(edges) {
        needed[found.index()] = true;
    }
    needed
}

fn cycle(members: &[Node<'_>]) -> Diagnostic {
    const SHOWN: usize = 8;
    let title = match members.len() {
        1 => "a node depends on itself".to_owned(),
        n => format!("{n} nodes depend on each other"),
    };
    let mut diagnostic = Diagnostic::error(Code::GraphCycle, title);
    diagnostic.labels = members.iter().take(SHOWN).map(|node| node.label("")).collect();
    diagnostic.help("export the model again; a feed-forward network has no cycle")
}

/// The one input and the one output of a graph, and the shape of the input.
pub(super) struct Signature<'a> {
    /// Name of the input.
    pub input: &'a str,
    /// Extents of the input; the batch is one if it is open.
    pub shape: Vec<usize>,
    /// Samples per run that the graph was exported for.
    pub batch: usize,
    /// Name of the output.
    pub output: &'a str,
}

/// Finds input and output; anything but one of each is reported.
pub(super) fn signature<'a>(
    file: &str,
    graph: &'a proto::Graph,
    diagnostics: &mut Diagnostics,
) -> Option<Signature<'a>> {
    let constants: HashSet<_> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let is_input = |i: &&proto::ValueInfo| !constants.contains(i.name.as_str());
    let inputs: Vec<_> = graph.input.iter().filter(is_input).collect();
    let input = diagnostics.take(single(file, "input", &inputs));
    let output = diagnostics.take(single(file, "output", &graph.output.iter().collect::<Vec<_>>()));
    let (shape, batch) = diagnostics.take(input_shape(file, input?))?;
    Some(Signature { input: &input?.name, shape, batch, output: &output?.name })
}

fn single<'a>(
    file: &str,
    what: &str,
    found: &[&'a proto::ValueInfo],
) -> Result<&'a proto::ValueInfo, Diagnostic> {
    if let [one] = found {
        return Ok(one);
    }
    let title = format!("the model has {} {what}s, hecc needs exactly one", found.len());
    let mut diagnostic = Diagnostic::error(Code::InputsAndOutputs, title);
    let place = |value: &&proto::ValueInfo| Label::item(file, format!("{what} `{}`", value.name), "");
    const SHOWN: usize = 8;
    diagnostic.labels = found.iter().take(SHOWN).map(place).collect();
    if found.is_empty() {
        diagnostic.labels.push(Label::file(file, ""));
    }
    Err(diagnostic.help(match found.is_empty() {
        true => format!("export the network with its {what} as one of the graph, not as a constant"),
        false => format!("export a part of the network with a single {what}"),
    }))
}

/// Most samples per run of a graph.
const MAX_BATCH: usize = 1 << 20;

/// Extents of the input with its batch.
fn input_shape(file: &str, input: &proto::ValueInfo) -> Result<(Vec<usize>, usize), Diagnostic> {
    let unusable = |title: String| {
        Diagnostic::error(Code::InputShape, title)
            .label(Label::item(file, format!("input `{}`", input.name), ""))
            .help("export with a fixed size: [batch, channels, height, width] or [batch, features]")
    };
    let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let dims = match tensor.and_then(|t| t.shape.as_ref()) {
        Some(shape) => &shape.dim,
        None => return Err(unusable("the input has no shape".to_owned())),
    };
    if !(1..=4).contains(&dims.len()) {
        return Err(unusable(format!("the input has {} axes", dims.len())));
    }
    let extent = |(axis, dim): (usize, &proto::Dimension)| match dim.dim_value {
        Some(value) if value > 0 => usize::try_from(value).ok(),
        // The batch may be open; hecc encrypts one sample at a time.
        Some(_) | None => (axis == 0 && dims.len() > 1).then_some(1),
    };
    let shape: Option<Vec<usize>> = dims.iter().enumerate().map(extent).collect();
    let shape = shape.ok_or_else(|| unusable("an extent of the input is open".to_owned()))?;
    let batch = if matches!(shape.len(), 2 | 4) { shape[0] } else { 1 };
    match batch <= MAX_BATCH {
        true => Ok((shape, batch)),
        false => Err(unusable(format!("the input has a batch of {batch}, more than {MAX_BATCH}"))),
    }
}
