//! Small texts that ask for much are refused, and soon.

use hecc_ir::primes::is_ntt_prime;
use hecc_ir::program::{Port, ProgramRule, RangeBasis};
use hecc_ir::{CtType, KeyPlan, Layout, Level, Manifest, Params, Scale, SecurityLevel, Shape, Step, text};

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

/// A manifest of the largest ring with 40 primes, one input in `n_cts` ciphertexts
/// and keys for `n_keys` rotations.
fn manifest(n_inputs: usize, n_cts: usize, n_keys: i64) -> Manifest {
    const N: usize = 1 << 16;
    let mut primes: Vec<u64> =
        (1u64 << 40..).step_by(2 * N).map(|c| c + 1).filter(|&c| is_ntt_prime(c, N)).take(41).collect();
    let p = primes.split_off(40);
    let params = Params { ring_degree: N, q: primes, p, digit_limbs: 1, security: SecurityLevel::Insecure };
    let ty = CtType { level: params.max_level(), scale: Scale::from_log2(40.0), degree: 1 };
    let layout = Layout { n_cts, ..Layout::contiguous(Shape(vec![4]), N / 2) };
    let port = |i| Port {
        name: format!("x{i}"),
        layout: layout.clone(),
        ty,
        range: (0.0, 1.0),
        declared: (0.0, 1.0),
        basis: RangeBasis::Samples,
        expected: None,
    };
    let rotations = (1..=n_keys).map(|step| (Step::new(step, N / 2), Level(39))).collect();
    let keys = KeyPlan { rotations, relin: None };
    Manifest {
        name: "m".into(),
        params,
        inputs: (0..n_inputs).map(port).collect(),
        outputs: Vec::new(),
        keys,
    }
}

#[test]
fn manifests_ask_for_bounded_memory() {
    let broken = |manifest: Manifest| manifest.verify().map_err(|errors| errors[0].rule);
    let few = manifest(1, 1, 1);
    assert_eq!(few.key_bytes(), 2 * 40 * 41 * (6 << 16));
    assert_eq!(few.sent_key_bytes(), 40 * 41 * 41 * (1 << 16) / 8);
    assert_eq!(few.port_bytes(), 2 * 40 * (8 << 16));
    assert_eq!(broken(few), Ok(()));
    assert_eq!(broken(manifest(1, 1, 32767)), Err(ProgramRule::KeyRange));
    assert_eq!(broken(manifest(2, 2048, 1)), Err(ProgramRule::PortSound));
    assert_eq!(broken(manifest(1, usize::MAX, 1)), Err(ProgramRule::PortSound));
}
