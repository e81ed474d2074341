//! Generates the parser of the model language from its grammar.

fn main() {
    lalrpop::Configuration::new()
        .set_in_dir("src/front/hec")
        .set_out_dir(std::env::var_os("OUT_DIR").expect("cargo names a folder for output"))
        .emit_rerun_directives(true)
        .process()
        .expect("the grammar is sound");
}
