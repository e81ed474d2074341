//! Builds the layer that a call describes.

use super::arguments::Arguments;
use super::ast::Expression;
use super::resolve::Resolver;
use super::weights::Weights;
use crate::diag::{Code, Diagnostic, Label, list};
use crate::front::shapes;
use crate::front::weights::Tensor;
use crate::model::{AvgPool, Conv, Dense, LayerId, LayerKind, MaxPool, Nonlinear, within_limits};
use hecc_ir::Shape;
use std::ops::Range;

/// What a layer is and, if it chooses it, its shape.
type Built = Result<(LayerKind, Option<Shape>), Diagnostic>;

impl Resolver<'_> {
    /// Adds the layer that a call describes.
    pub(super) fn build(
        &mut self,
        name: &str,
        arguments: &Arguments<'_, '_>,
        operands: &[LayerId],
    ) -> Result<LayerId, Diagnostic> {
        let x = self.builder.shape(operands[0]).clone();
        let (kind, stated) = match arguments.call.function.value {
            "conv" => self.conv(arguments, &x),
            "dense" => self.dense(arguments, &x),
            "square" => Ok((LayerKind::Polynomial { coefficients: vec![0.0, 0.0, 1.0] }, None)),
            "poly" => polynomial(arguments),
            "avg_pool" => average_pool(arguments),
            "global_avg_pool" => global_average_pool(arguments, &x),
            "batch_norm" => self.batch_norm(arguments, &x),
            "affine" => self.affine(arguments, &x),
            "add" => Ok((LayerKind::Add, None)),
            "flatten" => Ok(stay(&x, vec![x.n_elements()])),
            "reshape" => reshape(arguments, &x),
            "transpose" => transpose(arguments, &x),
            "max_pool" => max_pool(arguments),
            function => Ok((LayerKind::Nonlinear(nonlinear(function)), None)),
        }?;
        self.builder.push(name, kind, operands, stated).map_err(|error| {
            let whole = Label::text(self.source, arguments.call.span.clone(), "");
            let mut diagnostic = shapes::diagnostic(&error, name).label(whole);
            for (n, id) in operands.iter().enumerate() {
                if let Ok((_, span)) = arguments.operand(n) {
                    let message = format!("has shape {}", self.builder.shape(*id));
                    diagnostic.labels.push(Label::text(self.source, span, message));
                }
            }
            diagnostic
        })
    }

    /// A tensor argument: one of the weights file, or numbers in the text.
    fn tensor(&self, arguments: &Arguments<'_, '_>, name: &str) -> Result<Option<Tensor>, Diagnostic> {
        let Some(argument) = arguments.get(name) else { return Ok(None) };
        let span = argument.value.span.clone();
        match (&argument.value.value, &self.weights) {
            (Expression::Text(tensor), Weights::File(file)) => {
                let found = file.get(tensor).cloned();
                let here = Label::text(self.source, span, "asked for here");
                found.map(Some).map_err(|mut problem| {
                    problem.labels.insert(0, here);
                    problem
                })
            }
            (Expression::Text(_), Weights::None | Weights::Random(_) | Weights::Broken) => {
                Err(self.no_file(arguments, span))
            }
            (Expression::List(values), _) => {
                let (shape, values) = (vec![values.len()], values.clone());
                Ok(Some(Tensor { shape, values, integral: false }))
            }
            (Expression::Number(value), _) => {
                Ok(Some(Tensor { shape: vec![], values: vec![*value], integral: false }))
            }
            (Expression::Name(_), _) => {
                let title = format!("`{name}` has the wrong form");
                Err(arguments.problem(title, span, "expected the name of a tensor in quotes"))
            }
        }
    }

    fn no_file(&self, arguments: &Arguments<'_, '_>, span: Range<usize>) -> Diagnostic {
        let title = "the model has no weights file to take a tensor from".to_owned();
        let diagnostic = arguments.problem(title, span, "asked for here");
        diagnostic.help("declare one: `weights \"model.npz\"`")
    }

    /// Values per output channel: a tensor of that length or one number.
    fn per_channel(
        &self,
        arguments: &Arguments<'_, '_>,
        name: &str,
        channels: usize,
    ) -> Result<Option<Vec<f64>>, Diagnostic> {
        let Some(tensor) = self.tensor(arguments, name)? else { return Ok(None) };
        match tensor.values.len() {
            1 if tensor.shape.is_empty() => Ok(Some(vec![tensor.values[0]; channels])),
            n if n == channels => Ok(Some(tensor.values)),
            n => {
                let title = format!("`{name}` has {n} elements for {channels} channels");
                let span = arguments.get(name).map_or(0..0, |a| a.value.span.clone());
                let label = Label::text(self.source, span, format!("expected {channels} elements"));
                Err(Diagnostic::error(Code::ShapeMismatch, title).label(label))
            }
        }
    }

    fn conv(&mut self, arguments: &Arguments<'_, '_>, x: &Shape) -> Built {
        let groups = arguments.size("groups")?.unwrap_or(1);
        let weight = match self.tensor(arguments, "weight")? {
            Some(weight) => weight,
            None => self.random_conv(arguments, x, groups)?,
        };
        let Ok(weight_shape) = <[usize; 4]>::try_from(&weight.shape[..]) else {
            let expected = "expected [out, in / groups, rows, columns]";
            return Err(self.wrong_weight(arguments, &weight, expected));
        };
        self.must_have_elements(arguments, &weight)?;
        let bias = self.bias(arguments, weight_shape[0])?;
        let stride = arguments.pair("stride")?.unwrap_or([1; 2]);
        let dilation = arguments.pair("dilation")?.unwrap_or([1; 2]);
        let padding = arguments.padding()?;
        let weight = weight.values;
        let conv = Conv { weight, weight_shape, bias, stride, padding, dilation, groups };
        Ok((LayerKind::Conv(conv), None))
    }

    fn wrong_weight(&self, arguments: &Arguments<'_, '_>, weight: &Tensor, expected: &str) -> Diagnostic {
        let title = format!("the weight has shape {}", Shape(weight.shape.clone()));
        let span = arguments.get("weight").map_or(arguments.call.span.clone(), |a| a.value.span.clone());
        let label = Label::text(self.source, span, expected);
        Diagnostic::error(Code::ShapeMismatch, title).label(label)
    }

    /// Refuses weights without elements: as many outputs as one of their extents says need not have room.
    fn must_have_elements(&self, arguments: &Arguments<'_, '_>, weight: &Tensor) -> Result<(), Diagnostic> {
        match weight.values.is_empty() {
            true => Err(self.wrong_weight(arguments, weight, "expected no extent of zero")),
            false => Ok(()),
        }
    }

    fn bias(&mut self, arguments: &Arguments<'_, '_>, outputs: usize) -> Result<Vec<f64>, Diagnostic> {
        match self.per_channel(arguments, "bias", outputs)? {
            Some(bias) => Ok(bias),
            None => match &mut self.weights {
                Weights::Random(random) => Ok(random.even(outputs, 0.1)),
                Weights::None | Weights::Broken | Weights::File(_) => Ok(Vec::new()),
            },
        }
    }

    fn random_conv(
        &mut self,
        arguments: &Arguments<'_, '_>,
        x: &Shape,
        groups: usize,
    ) -> Result<Tensor, Diagnostic> {
        self.must_be_random(arguments)?;
        let out = arguments.size("out_channels")?.ok_or_else(|| arguments.missing("out_channels"))?;
        let kernel = arguments.pair("kernel")?.ok_or_else(|| arguments.missing("kernel"))?;
        let per_group = x.0.first().map_or(0, |channels| channels / groups.max(1));
        self.random_tensor(arguments, vec![out, per_group, kernel[0], kernel[1]])
    }

    fn must_be_random(&self, arguments: &Arguments<'_, '_>) -> Result<(), Diagnostic> {
        match self.weights {
            Weights::Random(_) => Ok(()),
            Weights::None | Weights::Broken | Weights::File(_) => Err(arguments.missing("weight")),
        }
    }

    /// Weights whose products with even inputs keep their size.
    fn random_tensor(
        &mut self,
        arguments: &Arguments<'_, '_>,
        shape: Vec<usize>,
    ) -> Result<Tensor, Diagnostic> {
        let placed = Shape(shape);
        let fits = within_limits(&placed).and_then(|()| self.builder.reserve(placed.n_elements()));
        fits.map_err(|error| {
            let diagnostic = shapes::diagnostic(&error, arguments.call.function.value);
            diagnostic.label(Label::text(self.source, arguments.call.span.clone(), ""))
        })?;
        let fan_in: usize = placed.0[1..].iter().product();
        let bound = (3.0 / fan_in as f64).sqrt();
        let values = match &mut self.weights {
            Weights::Random(random) => random.even(placed.n_elements(), bound),
            Weights::None | Weights::Broken | Weights::File(_) => Vec::new(),
        };
        Ok(Tensor { shape: placed.0, values, integral: false })
    }

    fn dense(&mut self, arguments: &Arguments<'_, '_>, x: &Shape) -> Built {
        let weight = match self.tensor(arguments, "weight")? {
            Some(weight) => weight,
            None => {
                self.must_be_random(arguments)?;
                let outputs = arguments.size("features")?.ok_or_else(|| arguments.missing("features"))?;
                self.random_tensor(arguments, vec![outputs, x.n_elements()])?
            }
        };
        let [outputs, inputs] = weight.shape[..] else {
            return Err(self.wrong_weight(arguments, &weight, "expected [out, in]"));
        };
        self.must_have_elements(arguments, &weight)?;
        if x.0.len() == 1 && inputs != x.n_elements() {
            let expected = format!("expected [out, {}]", x.n_elements());
            return Err(self.wrong_weight(arguments, &weight, &expected));
        }
        let bias = self.bias(arguments, outputs)?;
        Ok((LayerKind::Dense(Dense { weight: weight.values, bias }), None))
    }

    fn batch_norm(&mut self, arguments: &Arguments<'_, '_>, x: &Shape) -> Built {
        let channels = x.0[0];
        if let Weights::Random(random) = &mut self.weights
            && arguments.get("mean").is_none()
        {
            let scale = random.even(channels, 0.5).iter().map(|v| 1.0 + v).collect();
            return Ok((LayerKind::Affine { scale, shift: random.even(channels, 0.1) }, None));
        }
        let value = |name: &str| match self.per_channel(arguments, name, channels)? {
            Some(values) => Ok(values),
            None => Err(arguments.missing(name)),
        };
        let (mean, variance) = (value("mean")?, value("var")?);
        let gamma = self.per_channel(arguments, "gamma", channels)?.unwrap_or(vec![1.0; channels]);
        let beta = self.per_channel(arguments, "beta", channels)?.unwrap_or(vec![0.0; channels]);
        let epsilon = arguments.number("eps", 1e-5)?;
        if let Some(at) = variance.iter().position(|v| v + epsilon <= 0.0) {
            let span = arguments.get("var").map_or(0..0, |a| a.value.span.clone());
            let title = format!("the variance of channel {at} is not positive");
            let label = Label::text(self.source, span, "");
            return Err(Diagnostic::error(Code::BadParameter, title).label(label));
        }
        let factor = |(gamma, variance): (&f64, &f64)| gamma / (variance + epsilon).sqrt();
        let scale: Vec<f64> = gamma.iter().zip(&variance).map(factor).collect();
        let shift = (0..channels).map(|c| beta[c] - mean[c] * scale[c]).collect();
        Ok((LayerKind::Affine { scale, shift }, None))
    }

    fn affine(&mut self, arguments: &Arguments<'_, '_>, x: &Shape) -> Built {
        let channels = x.0[0];
        let scale = self.per_channel(arguments, "scale", channels)?;
        let shift = self.per_channel(arguments, "shift", channels)?;
        if scale.is_none() && shift.is_none() {
            return Err(arguments.missing("scale"));
        }
        let scale = scale.unwrap_or(vec![1.0; channels]);
        Ok((LayerKind::Affine { scale, shift: shift.unwrap_or(vec![0.0; channels]) }, None))
    }
}

fn polynomial(arguments: &Arguments<'_, '_>) -> Built {
    Ok((LayerKind::Polynomial { coefficients: arguments.numbers("coefficients")? }, None))
}

fn nonlinear(name: &str) -> Nonlinear {
    let found = Nonlinear::ALL.into_iter().find(|function| function.name() == name);
    found.unwrap_or_else(|| unreachable!("`{name}` is listed but not built"))
}

/// Kernel of a pool and its stride, which is the kernel unless it is given.
fn window(arguments: &Arguments<'_, '_>) -> Result<([usize; 2], [usize; 2]), Diagnostic> {
    let kernel = arguments.pair("kernel")?.ok_or_else(|| arguments.missing("kernel"))?;
    Ok((kernel, arguments.pair("stride")?.unwrap_or(kernel)))
}

fn max_pool(arguments: &Arguments<'_, '_>) -> Built {
    let (kernel, stride) = window(arguments)?;
    let padding = arguments.padding()?;
    Ok((LayerKind::MaxPool(MaxPool { kernel, stride, padding }), None))
}

fn average_pool(arguments: &Arguments<'_, '_>) -> Built {
    let (kernel, stride) = window(arguments)?;
    let count_include_pad = arguments.truth("count_include_pad", true)?;
    let padding = arguments.padding()?;
    Ok((LayerKind::AvgPool(AvgPool { kernel, stride, padding, count_include_pad }), None))
}

fn global_average_pool(arguments: &Arguments<'_, '_>, x: &Shape) -> Built {
    let [_, height, width] = x.0[..] else {
        let title = format!("`global_avg_pool` is given a tensor of shape {x}");
        let span = arguments.call.span.clone();
        return Err(arguments.problem(title, span, "expected an image [channels, height, width]"));
    };
    let (kernel, padding) = ([height, width], [0; 4]);
    let pool = AvgPool { kernel, stride: kernel, padding, count_include_pad: true };
    Ok((LayerKind::AvgPool(pool), None))
}

/// Elements that stay in place under another shape.
fn stay(x: &Shape, shape: Vec<usize>) -> (LayerKind, Option<Shape>) {
    (LayerKind::Move { source: (0..x.n_elements()).collect() }, Some(Shape(shape)))
}

fn reshape(arguments: &Arguments<'_, '_>, x: &Shape) -> Built {
    let shape = arguments.sizes("shape")?.ok_or_else(|| arguments.missing("shape"))?;
    if Shape::count(&shape) != Some(x.n_elements()) || shape.is_empty() {
        let title = format!("a tensor of shape {x} cannot take shape {}", Shape(shape));
        let label = Label::text(arguments.source, arguments.call.span.clone(), "");
        return Err(Diagnostic::error(Code::ShapeMismatch, title).label(label));
    }
    Ok(stay(x, shape))
}

fn transpose(arguments: &Arguments<'_, '_>, x: &Shape) -> Built {
    let axes = arguments.sizes("axes")?.ok_or_else(|| arguments.missing("axes"))?;
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..x.0.len()) {
        let title = format!("{} does not permute the axes of a tensor of shape {x}", list(&axes));
        let label = Label::text(arguments.source, arguments.call.span.clone(), "");
        return Err(Diagnostic::error(Code::BadParameter, title).label(label));
    }
    let shape = Shape(axes.iter().map(|&axis| x.0[axis]).collect());
    let kind = LayerKind::Move { source: crate::model::permuted(&x.0, &axes) };
    Ok((kind, Some(shape)))
}
