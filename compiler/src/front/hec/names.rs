//! Names of layers as the model language spells them.

use std::collections::HashMap;

/// Words that are no names.
const RESERVED: [&str; 6] = ["model", "weights", "random", "input", "output", "in"];

/// A name of the language for each of `names`, in order. Those that it could
/// spell stay as they are; all results are different if the names are.
pub(super) fn identifiers<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Vec<String> {
    let mut next: HashMap<String, usize> =
        names.clone().filter(|name| is_identifier(name)).map(|name| (name.to_owned(), 2)).collect();
    let spell =
        |name: &str| if is_identifier(name) { name.to_owned() } else { unique(&mut next, mangled(name)) };
    names.map(spell).collect()
}

/// Whether the language can spell a name.
fn is_identifier(name: &str) -> bool {
    let may_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let may_follow = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(may_start) && name.chars().all(may_follow) && !RESERVED.contains(&name)
}

/// A name that the language can spell, close to the given one.
fn mangled(name: &str) -> String {
    let spelt: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    match spelt.trim_matches('_') {
        name if is_identifier(name) => name.to_owned(),
        "" => "layer".to_owned(),
        rest => format!("_{rest}"),
    }
}

/// The name itself or, if it is taken, with the next number that is free.
fn unique(next: &mut HashMap<String, usize>, name: String) -> String {
    let mut unique = name.clone();
    while next.contains_key(&unique) {
        let number = next.entry(name.clone()).or_insert(2);
        unique = format!("{name}_{number}");
        *number += 1;
    }
    next.insert(unique.clone(), 2);
    unique
}

/// The name itself if the language can spell it, else one that is close to it.
pub(super) fn identifier(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { mangled(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_or_mangled_to_different_ones() {
        let names = ["/conv/Conv", "conv.Conv", "conv_Conv", "3", "in", "", "é", "_x", "conv_Conv_2"];
        let expected =
            ["conv_Conv_3", "conv_Conv_4", "conv_Conv", "_3", "_in", "layer", "layer_2", "_x", "conv_Conv_2"];
        assert_eq!(identifiers(names.into_iter()), expected);
    }
}
