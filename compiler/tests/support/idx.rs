//! Files in MNIST's format.

/// A file of unsigned bytes.
pub fn idx(extents: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, extents.len() as u8];
    bytes.extend(extents.iter().flat_map(|extent| extent.to_be_bytes()));
    bytes.extend(elements);
    bytes
}
