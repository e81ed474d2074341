//! Both halves of an application, and bundles whose header fits any payload.
// Each target uses its part.
#![allow(dead_code)]

use hecc_ir::program::{Expected, Port, RangeBasis};
use hecc_ir::{
    CtType, Instr, Layout, Manifest, Params, Program, Reg, Scale, SecurityLevel, Shape, Step, artifact,
};
use hecc_runtime::client::Client;
use hecc_runtime::server::{Server, Session};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A client, and a server with a session for it.
pub struct Halves {
    pub client: Client,
    pub server: Server,
    pub session: Session,
    header: Vec<u8>,
}

/// Made once per process.
pub static HALVES: LazyLock<Halves> = LazyLock::new(|| {
    let program = program();
    let client = Client::generate_insecure(&program.manifest).expect("the manifest is sound");
    let server = Server::load(&artifact::write_program(&program)).expect("the program is sound");
    let keys = client.eval_keys().expect("keys can be made");
    let session = server.session(&keys).expect("the keys are complete");
    Halves { header: keys[..55].to_vec(), client, server, session }
});

impl Halves {
    /// A bundle of a kind, by its number, with `payload` as it is.
    pub fn sealed(&self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = self.header.clone();
        bytes[4] = kind;
        bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        let digest = Sha256::new_with_prefix(&bytes).chain_update(payload).finalize();
        bytes.extend_from_slice(&digest[..8]);
        bytes.extend_from_slice(payload);
        bytes
    }
}

/// An input times its rotation, in a small ring.
fn program() -> Program {
    let (q, p) = (vec![0x3_ffff_ffff_c001, 0xff_fffd_c001], vec![0x3_ffff_fffc_c001]);
    let params = Params { ring_degree: 16, q, p, digit_limbs: 1, security: SecurityLevel::Insecure };
    let fresh = CtType { level: params.max_level(), scale: Scale::from_log2(20.0), degree: 1 };
    let product = CtType { scale: fresh.scale + fresh.scale, ..fresh };
    let layout = Layout::contiguous(Shape(vec![8]), 8);
    let port = |name: &str, ty| Port {
        name: name.into(),
        layout: layout.clone(),
        ty,
        range: (-1.0, 1.0),
        declared: (-1.0, 1.0),
        basis: RangeBasis::Samples,
        expected: None,
    };
    let result = Port { expected: Some(Expected::of_error(1.0, 1)), ..port("y", product) };
    let (inputs, outputs) = (vec![port("x", fresh)], vec![result]);
    let manifest = Manifest { name: "fuzz".into(), params, inputs, outputs, keys: Default::default() };
    let mut program = Program {
        manifest,
        target: "any".into(),
        consts: Vec::new(),
        plains: Vec::new(),
        types: vec![fresh, fresh, CtType { degree: 2, ..product }, product],
        instrs: vec![
            Instr::Input { dst: Reg(0), input: 0, ct: 0 },
            Instr::Rotate { src: Reg(0), outs: vec![(Step::new(1, 8), Reg(1))] },
            Instr::Mul { dst: Reg(2), a: Reg(0), b: Reg(1) },
            Instr::Relin { dst: Reg(3), src: Reg(2) },
        ],
        source_of: vec![0; 4],
        sources: vec!["all".into()],
        outputs: vec![vec![Reg(3)]],
    };
    program.manifest.keys = program.required_keys();
    program
}
