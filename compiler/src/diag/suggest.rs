//! Words of messages: did-you-mean hints and lists.

/// The candidate a misspelt `name` most likely meant, if one is close enough.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    const MOST: usize = 1000;
    if name.len() > LONGEST {
        return None;
    }
    let tolerated = (name.chars().count() / 3).max(1);
    let near = candidates.into_iter().take(MOST).filter(|c| c.len() <= LONGEST);
    let measured = near.map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate));
    measured.filter(|&(distance, _)| distance <= tolerated).min().map(|(_, candidate)| candidate)
}

/// Numbers as users write them, the first of many.
pub(crate) fn list<T: ToString>(values: &[T]) -> String {
    const SHOWN: usize = 16;
    let shown: Vec<String> = values.iter().take(SHOWN).map(T::to_string).collect();
    let more = if values.len() > SHOWN { ", ..." } else { "" };
    format!("[{}{more}]", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn finds_near_names_only() {
        let names = ["conv", "dense", "avg_pool"];
        assert_eq!(closest("cnov", names), Some("conv"));
        assert_eq!(closest("avgpool", names), Some("avg_pool"));
        assert_eq!(closest("transpose", names), None);
    }
}
