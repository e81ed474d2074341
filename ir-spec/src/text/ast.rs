//! The tree the grammar makes: spellings and places, nothing unfolded.

use super::Span;
use crate::circuit::Stage;
use crate::params::SecurityLevel;

/// Something with its place in the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<T> {
    pub span: Span,
    pub node: T,
}

impl<T> At<T> {
    pub(crate) fn new(start: usize, node: T, end: usize) -> At<T> {
        At { span: Span { start, end }, node }
    }
}

/// The spelling of a token.
pub(crate) type Word<'s> = At<&'s str>;

#[derive(Debug)]
pub(crate) struct File<'s> {
    pub name: Word<'s>,
    pub stage: Stage,
    pub slots: Word<'s>,
    pub params: Option<At<Params<'s>>>,
    pub layers: At<Vec<Word<'s>>>,
    pub inputs: Vec<At<Input<'s>>>,
    pub consts: Vec<At<Const<'s>>>,
    pub groups: Vec<Group<'s>>,
    pub outputs: Vec<At<Output<'s>>>,
}

#[derive(Debug)]
pub(crate) struct Params<'s> {
    pub ring: Word<'s>,
    pub q: Vec<Word<'s>>,
    pub p: Vec<Word<'s>>,
    pub digit_limbs: Word<'s>,
    pub security: SecurityLevel,
}

#[derive(Debug)]
pub(crate) struct Input<'s> {
    pub name: Word<'s>,
    pub range: (Word<'s>, Word<'s>),
    pub layout: Layout<'s>,
}

#[derive(Debug)]
pub(crate) struct Output<'s> {
    pub name: Word<'s>,
    pub values: Vec<Word<'s>>,
    pub layout: Layout<'s>,
}

#[derive(Debug)]
pub(crate) struct Layout<'s> {
    pub shape: Word<'s>,
    pub cts: Word<'s>,
    pub home: Vec<At<HomeRun<'s>>>,
    pub replicas: Vec<Word<'s>>,
    pub dirty: bool,
}

/// A start position and, outermost first, how often and how far it repeats.
#[derive(Debug)]
pub(crate) struct HomeRun<'s> {
    pub start: Word<'s>,
    pub dims: Vec<(Word<'s>, Word<'s>)>,
}

#[derive(Debug)]
pub(crate) struct Const<'s> {
    pub handle: Word<'s>,
    pub period: Word<'s>,
    pub runs: Vec<At<PlainRun<'s>>>,
}

/// A value, or a few, and how often they repeat.
#[derive(Debug)]
pub(crate) enum PlainRun<'s> {
    One(Repeat<'s>),
    Group(Vec<Repeat<'s>>, Word<'s>),
}

#[derive(Debug)]
pub(crate) struct Repeat<'s> {
    pub value: Word<'s>,
    pub count: Option<Word<'s>>,
}

/// Nodes of one layer.
#[derive(Debug)]
pub(crate) struct Group<'s> {
    pub layer: Word<'s>,
    pub nodes: Vec<At<Node<'s>>>,
}

#[derive(Debug)]
pub(crate) struct Node<'s> {
    pub handle: Word<'s>,
    pub mnemonic: Word<'s>,
    pub args: Vec<At<Arg<'s>>>,
    pub ty: Option<Type<'s>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Arg<'s> {
    Value(&'s str),
    Constant(&'s str),
    Number(&'s str),
    Level(&'s str),
    Position(&'s str),
}

#[derive(Debug)]
pub(crate) struct Type<'s> {
    pub level: Word<'s>,
    pub scale: Word<'s>,
    pub degree: Option<Word<'s>>,
}
