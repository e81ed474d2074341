//! The two halves of an application as two processes.

use hecc_ir::program::{Expected, Port, RangeBasis};
use hecc_ir::{CtType, Instr, KeyPlan, Layout, Manifest, Params, Program, Reg, Scale};
use hecc_ir::{SecurityLevel, Shape, Step, artifact};
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Eight numbers, rotated to the left by one, with 128-bit security.
fn rotation() -> Program {
    let q = vec![0x3_ffff_ffff_c001, 0xff_fffd_c001];
    let p = vec![0x3_ffff_fffc_c001];
    let params = Params { ring_degree: 8192, q, p, digit_limbs: 1, security: SecurityLevel::Classical128 };
    let ty = CtType { level: params.max_level(), scale: Scale::from_log2(40.0), degree: 1 };
    let layout = Layout::contiguous(Shape(vec![8]), params.n_slots());
    let port = |name: &str| Port {
        name: name.into(),
        layout: layout.clone(),
        ty,
        range: (-10.0, 10.0),
        declared: (-10.0, 10.0),
        basis: RangeBasis::Samples,
        expected: None,
    };
    let result = Port { expected: Some(Expected::of_error(1e-6, 1)), ..port("y") };
    let (inputs, outputs) = (vec![port("x")], vec![result]);
    let step = Step::new(1, params.n_slots());
    let keys = KeyPlan { rotations: [(step, ty.level)].into(), relin: None };
    Program {
        manifest: Manifest { name: "rotation".into(), params, inputs, outputs, keys },
        target: "any".into(),
        consts: Vec::new(),
        plains: Vec::new(),
        types: vec![ty; 2],
        instrs: vec![
            Instr::Input { dst: Reg(0), input: 0, ct: 0 },
            Instr::Rotate { src: Reg(0), outs: vec![(step, Reg(1))] },
        ],
        source_of: vec![0; 2],
        sources: vec!["rotate".into()],
        outputs: vec![vec![Reg(1)]],
    }
}

/// A server that ends with the test.
struct Served {
    process: Child,
    /// Kept open for what it prints later.
    _output: BufReader<ChildStdout>,
    address: String,
}

impl Served {
    fn start(program: &Path) -> Outcome<Served> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_embed_server"));
        let mut process = command.arg(program).arg("127.0.0.1:0").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().ok_or("no output")?);
        output.read_line(&mut line)?;
        let address = line.split_whitespace().last().ok_or("no address")?.to_owned();
        Ok(Served { process, _output: output, address })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn client(manifest: &Path, address: &str, input: &Path) -> Outcome<(bool, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_embed_client"));
    let output = command.arg(manifest).arg(address).arg(input).output()?;
    let said = String::from_utf8([output.stdout, output.stderr].concat())?;
    Ok((output.status.success(), said))
}

#[test]
fn two_processes_agree() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let program = rotation();
    std::fs::write(at("model.hecp"), artifact::write_program(&program))?;
    std::fs::write(at("model.hecm"), artifact::write_manifest(&program.manifest))?;
    std::fs::write(at("good.txt"), "8\n1 2 3 4 5 6 7 8")?;
    std::fs::write(at("large.txt"), "8\n1 2 3 44 5 6 7 8")?;
    std::fs::write(at("short.txt"), "7\n1 2 3 4 5 6 7")?;
    let server = Served::start(&at("model.hecp"))?;

    let (succeeded, said) = client(&at("model.hecm"), &server.address, &at("good.txt"))?;
    assert!(succeeded, "{said}");
    assert!(said.contains("y: 2.0000e0 3.0000e0 4.0000e0 5.0000e0 6.0000e0 7.0000e0 8.0000e0 "), "{said}");

    let (succeeded, said) = client(&at("model.hecm"), &server.address, &at("large.txt"))?;
    assert!(!succeeded && said.contains("element 3"), "{said}");

    let (succeeded, said) = client(&at("model.hecm"), &server.address, &at("short.txt"))?;
    assert!(!succeeded && said.contains("tensors of shape [8], found [7]"), "{said}");
    Ok(())
}
