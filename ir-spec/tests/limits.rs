//! Small texts that ask for much are refused, and soon.

use hecc_ir::text;

fn refused_with(text: &str, code: &str) {
    let errors = text::parse(text).expect_err("the text is refused");
    assert_eq!(errors[0].code, code, "{}", errors[0]);
}

fn with_home(cts: &str, shape: &str, home: &str) -> String {
    format!(
        "hecc-ir 1 circuit \"t\" abstract slots 65536 input \"x\" range (0, 1) layout {shape} {{ cts {cts} home {home} }}"
    )
}

#[test]
fn homes_are_bounded() {
    let dims = ["2 by 0"; 9].join(", ");
    refused_with(&with_home("1", "[4]", &format!("0:0 ({dims})")), "T010");
    refused_with(&with_home("1", "[4]", "0:0 (65536 by 0, 65536 by 0)"), "T010");
    refused_with(
        &with_home("1", "[4]", "0:0 (18446744073709551615 by 0, 18446744073709551615 by 0)"),
        "T010",
    );
    refused_with(&with_home("1", "[4]", "0:0 (4 by 9223372036854775807)"), "T007");
    refused_with(&with_home("1", "[4]", "4294967295:65535 (4 by -1)"), "T007");
    refused_with(&with_home("18446744073709551615", "[4]", "0:0 (4 by 1)"), "T010");
    refused_with(&with_home("1", "[99999999999x99999999999x99999999999]", "0:0"), "V017");
    refused_with(&with_home("1024", "[16777216]", &["0:0 (8388608 by 1)"; 3].join(", ")), "T010");
}

#[test]
fn plaintexts_are_bounded() {
    let header = "hecc-ir 1 circuit \"t\" abstract slots 65536";
    let many: String = (0..5000).map(|i| format!(" const ${i} period 65536 {{ 0*65535 1 }}")).collect();
    refused_with(&format!("{header}{many}"), "T010");
    refused_with(&format!("{header} const $0 period 65536 {{ (1*65536)*18446744073709551615 }}"), "T007");
    refused_with(
        &format!("{header} const $0 period 65536 {{ {} }}", "1*18446744073709551615 ".repeat(3)),
        "T007",
    );
}

#[test]
fn deep_and_long_texts_return() {
    refused_with(&format!("hecc-ir 1 {}", "(".repeat(100_000)), "T002");
    refused_with(&format!("hecc-ir 1 circuit \"{}", "\\".repeat(100_000)), "T001");
    refused_with(
        &format!(
            "hecc-ir 1 circuit \"t\" abstract slots 4 const $0 period 4 {{ {} }}",
            "(1)*".repeat(50_000)
        ),
        "T002",
    );
}
