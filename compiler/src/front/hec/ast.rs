//! A model text as written.

use std::ops::Range;

/// Something and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    /// The thing.
    pub value: T,
    /// Bytes of the text.
    pub span: Range<usize>,
}

impl<T> Spanned<T> {
    /// From the parser's locations.
    pub fn new(start: usize, value: T, end: usize) -> Spanned<T> {
        Spanned { value, span: start..end }
    }
}

/// A whole text.
#[derive(Clone, Debug, PartialEq)]
pub struct File<'source> {
    /// Name of the model.
    pub name: Spanned<&'source str>,
    /// Its statements, in order.
    pub statements: Vec<Statement<'source>>,
}

/// A line of a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement<'source> {
    /// `weights "file"`
    WeightsFile(Spanned<&'source str>),
    /// `weights random(seed = 1)`
    WeightsRandom(Call<'source>),
    /// `input x: [1, 28, 28] in 0..1`
    Input(Input<'source>),
    /// `y = square(x)`
    Layer(Spanned<&'source str>, Call<'source>),
    /// `output y`
    Output(Spanned<&'source str>),
    /// One that does not parse; it was reported.
    Bad,
}

/// The encrypted input.
#[derive(Clone, Debug, PartialEq)]
pub struct Input<'source> {
    /// Name.
    pub name: Spanned<&'source str>,
    /// Extents.
    pub shape: Spanned<Vec<f64>>,
    /// Smallest and largest element.
    pub range: Option<Spanned<(f64, f64)>>,
}

/// A layer with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call<'source> {
    /// Kind of layer.
    pub function: Spanned<&'source str>,
    /// Arguments, in order.
    pub arguments: Vec<Argument<'source>>,
    /// From the kind to the closing parenthesis.
    pub span: Range<usize>,
}

/// An argument, with a name or without.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument<'source> {
    /// Name, for those after the operands.
    pub name: Option<Spanned<&'source str>>,
    /// Value.
    pub value: Spanned<Expression<'source>>,
}

/// Value of an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression<'source> {
    /// A layer, `true` or `false`.
    Name(&'source str),
    /// A tensor of the weights file.
    Text(&'source str),
    /// A number.
    Number(f64),
    /// Numbers.
    List(Vec<f64>),
}
