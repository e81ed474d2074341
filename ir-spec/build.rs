//! Generates the parser of the text format from its grammar.

fn main() {
    #[cfg(feature = "text")]
    lalrpop::Configuration::new()
        .emit_rerun_directives(true)
        .process_dir("src")
        .expect("the grammar of the text format is valid");
}
