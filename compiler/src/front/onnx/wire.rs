//! How much memory an ONNX file takes when it is decoded, told from its bytes before.
//!
//! A message without content has two bytes in a file and hundreds in memory. So the file is walked over as the decoder
//! will do it, and what the decoder will keep is added up. The walk allocates nothing, and goes no deeper than kept
//! messages lie within each other. Damage ends it, as it ends decoding. Fields are those of [`proto`]; a test holds
//! the two together.

use super::proto;
use hecc_ir::limits::allocated;

/// Says what the decoder makes of a field.
#[derive(Clone, Copy)]
enum Field {
    /// It is skipped, or a number with a place in its message.
    Nothing,
    /// A text or bytes, with a place in its message.
    Bytes,
    /// A text of a list.
    Text,
    /// Integers of a list, which take so many bytes each.
    Integers(usize),
    /// Other numbers of a list, which take so many bytes each, in the file too.
    Floats(usize),
    /// A message with a place in its message.
    Message(Fields),
    /// A message of a list, which takes so many bytes.
    Element(Fields, usize),
}

/// The fields of a message by their number.
type Fields = fn(u32) -> Field;

fn model(tag: u32) -> Field {
    match tag {
        7 => Field::Message(graph),
        8 => Field::Element(operator_set, size_of::<proto::OperatorSet>()),
        14 => Field::Element(entry, size_of::<proto::Entry>()),
        _ => Field::Nothing,
    }
}

fn operator_set(tag: u32) -> Field {
    match tag {
        1 => Field::Bytes,
        _ => Field::Nothing,
    }
}

fn entry(tag: u32) -> Field {
    match tag {
        1 | 2 => Field::Bytes,
        _ => Field::Nothing,
    }
}

fn graph(tag: u32) -> Field {
    match tag {
        1 => Field::Element(node, size_of::<proto::Node>()),
        2 => Field::Bytes,
        5 => Field::Element(tensor, size_of::<proto::Tensor>()),
        11 | 12 => Field::Element(value_info, size_of::<proto::ValueInfo>()),
        _ => Field::Nothing,
    }
}

fn node(tag: u32) -> Field {
    match tag {
        1 | 2 => Field::Text,
        3 | 4 | 7 => Field::Bytes,
        5 => Field::Element(attribute, size_of::<proto::Attribute>()),
        _ => Field::Nothing,
    }
}

fn attribute(tag: u32) -> Field {
    match tag {
        1 | 4 => Field::Bytes,
        5 => Field::Message(tensor),
        7 => Field::Floats(size_of::<f32>()),
        8 => Field::Integers(size_of::<i64>()),
        _ => Field::Nothing,
    }
}

fn tensor(tag: u32) -> Field {
    match tag {
        1 | 7 | 11 => Field::Integers(size_of::<i64>()),
        4 => Field::Floats(size_of::<f32>()),
        5 => Field::Integers(size_of::<i32>()),
        8 | 9 => Field::Bytes,
        10 => Field::Floats(size_of::<f64>()),
        13 => Field::Element(entry, size_of::<proto::Entry>()),
        _ => Field::Nothing,
    }
}

fn value_info(tag: u32) -> Field {
    match tag {
        1 => Field::Bytes,
        2 => Field::Message(value_type),
        _ => Field::Nothing,
    }
}

fn value_type(tag: u32) -> Field {
    match tag {
        1 => Field::Message(tensor_type),
        _ => Field::Nothing,
    }
}

fn tensor_type(tag: u32) -> Field {
    match tag {
        2 => Field::Message(tensor_shape),
        _ => Field::Nothing,
    }
}

fn tensor_shape(tag: u32) -> Field {
    match tag {
        1 => Field::Element(dimension, size_of::<proto::Dimension>()),
        _ => Field::Nothing,
    }
}

fn dimension(tag: u32) -> Field {
    match tag {
        2 => Field::Bytes,
        _ => Field::Nothing,
    }
}

/// Kinds of fields in a file. Groups are those of an older format, which the decoder passes over.
const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const DELIMITED: u64 = 2;
const GROUP: u64 = 3;
const END_OF_GROUP: u64 = 4;
const FOUR_BYTES: u64 = 5;

/// Elements that a list has room for at first. It doubles when it is full.
const LEAST_ROOM: u64 = 4;

/// Bytes of memory that a file takes when it is decoded, at most.
pub(super) fn memory(bytes: &[u8]) -> u64 {
    taken(model, bytes)
}

/// Bytes of memory that a message takes beside its own fields.
fn taken(fields: Fields, bytes: &[u8]) -> u64 {
    let mut walk = Walk { rest: bytes, taken: 0 };
    // Decoding stops at damage too, with what it has taken until there.
    let _ = walk.message(fields, bytes.len());
    walk.taken
}

/// A walk over a file. Its functions give nothing where the file is damaged.
struct Walk<'a> {
    /// What was not walked over yet, of the whole file: the decoder finds only at the end of a message that one within it was
    /// longer.
    rest: &'a [u8],
    taken: u64,
}

impl Walk<'_> {
    /// Walks over a message of so many bytes.
    fn message(&mut self, fields: Fields, n_bytes: usize) -> Option<()> {
        let end = self.rest.len() - n_bytes;
        let mut seen = 0;
        while self.rest.len() > end {
            self.field(fields, &mut seen)?;
        }
        (self.rest.len() == end).then_some(())
    }

    /// Walks over a field. `seen` has a bit for each number of a field that its message had before.
    fn field(&mut self, fields: Fields, seen: &mut u32) -> Option<()> {
        let key = self.varint()?;
        let (tag, kind) = (u32::try_from(key >> 3).ok()?, key & 7);
        let bit = 1u32.checked_shl(tag).unwrap_or(0);
        let is_first = *seen & bit == 0;
        *seen |= bit;
        match (fields(tag), kind) {
            (Field::Nothing, _) => self.skip(kind),
            (field, DELIMITED) => {
                let n_bytes = self.length()?;
                self.content(field, n_bytes, is_first)
            }
            (Field::Integers(size) | Field::Floats(size), _) => {
                self.elements(1, size, is_first);
                self.skip(kind)
            }
            // The decoder refuses it.
            (_, _) => None,
        }
    }

    /// Walks over the content of a field that states its length.
    fn content(&mut self, field: Field, n_bytes: usize, is_first: bool) -> Option<()> {
        match field {
            Field::Nothing => (),
            Field::Bytes => self.allocation(n_bytes),
            Field::Text => {
                self.elements(1, size_of::<String>(), is_first);
                self.allocation(n_bytes);
            }
            Field::Integers(size) => {
                let n = self.rest[..n_bytes].iter().filter(|&&byte| byte < 0x80).count();
                self.elements(n, size, is_first);
            }
            Field::Floats(size) => self.elements(n_bytes / size, size, is_first),
            Field::Message(fields) => return self.message(fields, n_bytes),
            Field::Element(fields, size) => {
                self.elements(1, size, is_first);
                return self.message(fields, n_bytes);
            }
        }
        self.advance(n_bytes)
    }

    /// Counts elements of a list, which has room for twice as many at most, and for a few at least.
    fn elements(&mut self, n: usize, size: usize, is_first: bool) {
        let least = if is_first && n > 0 { LEAST_ROOM } else { 0 };
        let room = (n as u64).saturating_mul(2).max(least);
        self.taken = self.taken.saturating_add(room.saturating_mul(size as u64));
    }

    fn allocation(&mut self, n_bytes: usize) {
        self.taken = self.taken.saturating_add(allocated(n_bytes) as u64);
    }

    /// Walks over a field that is not kept.
    fn skip(&mut self, kind: u64) -> Option<()> {
        match kind {
            VARINT => self.varint().map(drop),
            EIGHT_BYTES => self.advance(8),
            DELIMITED => {
                let n_bytes = self.length()?;
                self.advance(n_bytes)
            }
            GROUP => self.skip_group(),
            FOUR_BYTES => self.advance(4),
            _ => None,
        }
    }

    /// Walks to the end of a group, which may hold others.
    fn skip_group(&mut self) -> Option<()> {
        let mut depth = 1u64;
        while depth > 0 {
            match self.varint()? & 7 {
                GROUP => depth += 1,
                END_OF_GROUP => depth -= 1,
                kind => self.skip(kind)?,
            }
        }
        Some(())
    }

    fn advance(&mut self, n_bytes: usize) -> Option<()> {
        self.rest = self.rest.get(n_bytes..)?;
        Some(())
    }

    /// A length that the rest of the file has.
    fn length(&mut self) -> Option<usize> {
        let n_bytes = usize::try_from(self.varint()?).ok()?;
        (n_bytes <= self.rest.len()).then_some(n_bytes)
    }

    /// An integer of seven bits a byte, the lowest first.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use prost::encoding::{WireType, encode_key, encode_varint};

    const MANY: usize = 1000;

    /// A field of this content, so many times.
    fn repeated(tag: u32, content: &[u8], n: usize) -> Vec<u8> {
        let mut field = Vec::new();
        encode_key(tag, WireType::LengthDelimited, &mut field);
        encode_varint(content.len() as u64, &mut field);
        field.extend(content);
        field.repeat(n)
    }

    /// Holds the fields of a message against what the decoder keeps of it.
    fn counts_what_is_kept<T: Message + Default>(fields: Fields) {
        for tag in 1..40 {
            // Texts, bytes and numbers; no message has fields of number zero.
            let filled = repeated(tag, &[1; 96], MANY);
            if let Ok(message) = T::decode(&filled[..]) {
                let n_kept = message.encoded_len();
                assert!(taken(fields, &filled) >= n_kept as u64, "field {tag}");
            }
            // Messages; one that is no element of a list has its place already.
            let empty = repeated(tag, &[], MANY);
            if let Ok(message) = T::decode(&empty[..]) {
                let is_list = message.encoded_len() >= MANY;
                assert!(!is_list || taken(fields, &empty) >= 48 * MANY as u64, "field {tag}");
            }
        }
    }

    #[test]
    fn what_is_kept_is_counted() {
        counts_what_is_kept::<proto::Model>(model);
        counts_what_is_kept::<proto::OperatorSet>(operator_set);
        counts_what_is_kept::<proto::Entry>(entry);
        counts_what_is_kept::<proto::Graph>(graph);
        counts_what_is_kept::<proto::Node>(node);
        counts_what_is_kept::<proto::Attribute>(attribute);
        counts_what_is_kept::<proto::Tensor>(tensor);
        counts_what_is_kept::<proto::ValueInfo>(value_info);
        counts_what_is_kept::<proto::Type>(value_type);
        counts_what_is_kept::<proto::TensorType>(tensor_type);
        counts_what_is_kept::<proto::TensorShape>(tensor_shape);
        counts_what_is_kept::<proto::Dimension>(dimension);
    }

    /// Bytes that lists take whose elements lie this deep within a file.
    fn nested(path: &[u32]) -> u64 {
        let (last, outer) = path.split_last().expect("there is a field");
        let innermost = repeated(*last, &[], MANY);
        memory(&outer.iter().rev().fold(innermost, |content, &tag| repeated(tag, &content, 1)))
    }

    #[test]
    fn messages_are_counted_wherever_they_are() {
        let lists: [(&[u32], usize); 9] = [
            (&[8], size_of::<proto::OperatorSet>()),
            (&[14], size_of::<proto::Entry>()),
            (&[7, 1], size_of::<proto::Node>()),
            (&[7, 5], size_of::<proto::Tensor>()),
            (&[7, 12], size_of::<proto::ValueInfo>()),
            (&[7, 1, 5], size_of::<proto::Attribute>()),
            (&[7, 5, 13], size_of::<proto::Entry>()),
            (&[7, 1, 5, 5, 13], size_of::<proto::Entry>()),
            (&[7, 11, 2, 1, 2, 1], size_of::<proto::Dimension>()),
        ];
        for (path, size) in lists {
            assert!(nested(path) >= (MANY * size) as u64, "{path:?}");
        }
        assert_eq!(nested(&[7, 3]), 0);
    }

    #[test]
    fn damage_hides_nothing_that_comes_before() {
        let elements = repeated(5, &[], MANY);
        // A graph that ends within its node, and that ends within the file.
        let mut node = Vec::new();
        encode_key(1, WireType::LengthDelimited, &mut node);
        encode_varint(elements.len() as u64, &mut node);
        let mut file = repeated(7, &node, 1);
        file.extend(&elements);
        assert!(proto::Model::decode(&file[..]).is_err());
        assert!(memory(&file) >= (MANY * size_of::<proto::Attribute>()) as u64);
        file.truncate(file.len() - 1);
        assert_eq!(memory(&file), 0, "a length beyond the file is refused at once");
    }

    #[test]
    fn groups_are_walked_over() {
        let deep = [[0x0b_u8].repeat(MANY), [0x0c].repeat(MANY)].concat();
        let entries = repeated(14, &[], 2);
        assert_eq!(memory(&[&deep[..], &entries].concat()), memory(&entries));
        assert_eq!(memory(&[&deep[1..], &entries].concat()), 0);
    }
}
