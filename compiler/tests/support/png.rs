//! Pictures whose rows are images.

use png::{BitDepth, ColorType, Encoder};

/// A picture of so many bytes to a row.
pub fn png(color: ColorType, n_columns: u32, bytes: &[u8]) -> Vec<u8> {
    let n_rows = bytes.len() / (n_columns as usize * color.samples());
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, n_columns, n_rows as u32);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(bytes).unwrap();
    file
}

/// Images of CIFAR-10's shape: pixel `p` of image `i` is `(i, p / 4, 255)`.
pub fn images(n: u8) -> Vec<u8> {
    let pixels = (0..n).flat_map(|image| (0..1024).map(move |pixel| [image, (pixel / 4) as u8, 255]));
    png(ColorType::Rgb, 1024, &pixels.flatten().collect::<Vec<u8>>())
}
