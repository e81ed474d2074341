//! The names that files have where none are given.

use std::path::PathBuf;

/// Most bytes of a model's name in the name of a file: systems take 255 for all of it.
const MAX_BYTES: usize = 200;

/// The secret key of a client of a model.
pub fn secret(model: &str) -> PathBuf {
    PathBuf::from(format!("{}.hecs", stem(model)))
}

/// The evaluation keys that belong to it.
pub fn eval_keys(model: &str) -> PathBuf {
    PathBuf::from(format!("{}.heck", stem(model)))
}

/// The model's name without what does not belong in the name of a file.
pub fn stem(model: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = model.trim_start_matches('.').chars().map(safe).collect();
    match &name[..name.floor_char_boundary(MAX_BYTES)] {
        "" => String::from("model"),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models_become_names_of_files() {
        let named = |model: &str| secret(model).display().to_string();
        assert_eq!(named("lenet5"), "lenet5.hecs");
        assert_eq!(named("v1.2-a_b"), "v1.2-a_b.hecs");
        assert_eq!(named("../../up c:\\x\n"), "_.._up_c__x_.hecs");
        assert_eq!(named(""), "model.hecs");
        assert_eq!(named("..."), "model.hecs");
        let long = "größe".repeat(100);
        assert!(named(&long).len() <= MAX_BYTES + 5 && long.starts_with(&stem(&long)));
    }
}
