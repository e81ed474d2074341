//! Reads a picture and labels of CIFAR-10; what is read is of equal shapes,
//! labelled and in range. The first two bytes are the length of the picture.
#![no_main]

use hecc::front::data::DataSet;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((length, files)) = data.split_first_chunk() else { return };
    let n_bytes = usize::from(u16::from_le_bytes(*length)).min(files.len());
    let (picture, labels) = files.split_at(n_bytes);
    if let Ok(data) = DataSet::parse_cifar(&[("picture", picture)], ("labels", labels)) {
        assert_eq!(data.labels.map(|labels| labels.len()), Some(data.samples.len()));
        assert!(data.samples.iter().all(|sample| sample.len() == data.shape.n_elements()));
        assert!(data.samples.iter().flatten().all(|pixel| (0.0..=1.0).contains(pixel)));
    }
});
