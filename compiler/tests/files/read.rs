//! Files that never end, or say that they are longer than any of their kind.

use crate::folder::Folder;
use crate::symlink;
use std::fs;

/// Enough for every command on the small model, and far less than what is announced.
const MEMORY: &str = "ulimit -v 3000000;";

/// Every way to hand a file to a command.
const READERS: [&str; 13] = [
    "keygen FILE --secret new.hecs --eval-keys new.heck",
    "encrypt FILE --data data.npz -o new.hect",
    "encrypt small.hecm --secret FILE --data data.npz -o new.hect",
    "encrypt small.hecm --data FILE -o new.hect",
    "eval FILE -o new.hect",
    "eval small.hecp --eval-keys FILE -o new.hect",
    "eval small.hecp --input FILE -o new.hect",
    "decrypt FILE",
    "decrypt small.hecm --input FILE",
    "compile FILE -o new",
    "compile small.hec --calibrate FILE -o new",
    "compile small.hec --target FILE -o new",
    "bench small.hec --data FILE",
];

impl Folder {
    /// A command is given a file through `how`, and refuses it in time and in bounds.
    fn is_refused(&self, line: &str, how: &str) {
        let names = self.names();
        let output =
            self.shell(&format!("{MEMORY} {}", how.replace("COMMAND", &format!("timeout 60 $HECC {line}"))));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}, {how}\n{said}");
        assert!(said.starts_with("error[H"), "{line}, {how}\n{said}");
        assert_eq!(self.names(), names);
    }
}

#[test]
fn what_never_ends_is_refused() {
    let folder = Folder::deployed();
    for name in ["zero.hecm", "zero.hecp", "zero.hec", "zero.onnx", "zero.hecir"] {
        symlink("/dev/zero", folder.path(name)).unwrap();
    }
    let inspected = ["zero.hecm", "zero.hecp", "zero.hec", "zero.onnx", "zero.hecir"];
    for line in inspected.map(|name| format!("inspect {name}")) {
        folder.is_refused(&line, "COMMAND");
    }
    for line in READERS {
        folder.is_refused(&line.replace("FILE", "/dev/zero"), "COMMAND");
        folder.is_refused(&line.replace("FILE", "/dev/stdin"), "yes | COMMAND");
    }
}

/// Right headers of every kind, which announce more than there can be or more than comes.
#[test]
fn lengths_are_checked_before_they_are_believed() {
    let folder = Folder::deployed();
    folder.prints("eval small.hecp");
    let kinds: [(&str, usize, std::ops::Range<usize>, &[&str]); 6] = [
        ("small.hecm", 19, 7..15, &["keygen FILE --secret new.hecs --eval-keys new.heck", "decrypt FILE"]),
        ("small.hecp", 19, 7..15, &["eval FILE -o new.hect"]),
        ("small.hecs", 71, 55..63, &["encrypt small.hecm --secret FILE --data data.npz -o new.hect"]),
        ("small.heck", 71, 55..63, &["eval small.hecp --eval-keys FILE -o new.hect"]),
        ("input.hect", 71, 55..63, &["eval small.hecp --input FILE -o new.hect"]),
        ("result.hect", 71, 55..63, &["decrypt small.hecm --input FILE"]),
    ];
    for (name, n_header, length, lines) in kinds {
        let whole = folder.read(name);
        assert_eq!(
            u64::from_le_bytes(whole[length.clone()].try_into().unwrap()) as usize,
            whole.len() - n_header
        );
        for announced in [whole.len() as u64, 1 << 36, u64::MAX] {
            let mut bytes = whole.clone();
            bytes[length.clone()].copy_from_slice(&announced.to_le_bytes());
            folder.write("long", bytes);
            for line in lines {
                folder.is_refused(&line.replace("FILE", "long"), "COMMAND");
                folder.is_refused(&line.replace("FILE", "/dev/stdin"), "cat long /dev/zero | COMMAND");
            }
            // A file of that length without contents.
            let sparse = fs::OpenOptions::new().write(true).open(folder.path("long")).unwrap();
            sparse.set_len(announced.min(1 << 36)).unwrap();
            lines.iter().for_each(|line| folder.is_refused(&line.replace("FILE", "long"), "COMMAND"));
        }
    }
}

/// Files without a header of ours are bounded by their length.
#[test]
fn long_files_are_refused_unread() {
    let folder = Folder::new();
    for name in ["long.hec", "long.onnx", "long.npz", "long.json", "long.hecir", "long"] {
        fs::File::create(folder.path(name)).unwrap().set_len(1 << 36).unwrap();
    }
    for line in [
        "compile long.hec -o new",
        "compile long.onnx -o new",
        "compile long -o new",
        "inspect long.hecir",
        "compile small.hec --calibrate long.npz -o new",
        "compile small.hec --target long.json -o new",
        "bench small.hec --data long.npz",
    ] {
        folder.is_refused(line, "COMMAND");
    }
}

/// Weights are read from the model's folder or below, however their path is written.
#[test]
fn models_name_no_weights_elsewhere() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("model/part")).unwrap();
    let file = std::io::BufWriter::new(fs::File::create(folder.path("w.npz")).unwrap());
    crate::npz::array(&mut zip::ZipWriter::new(file), "w", &[4, 4], vec![0.5; 16]);
    fs::copy(folder.path("w.npz"), folder.path("model/part/w.npz")).unwrap();
    symlink("../w.npz", folder.path("model/out.npz")).unwrap();
    symlink("part/w.npz", folder.path("model/in.npz")).unwrap();
    symlink("..", folder.path("model/up")).unwrap();
    let compile = |weights: &str| {
        let model = format!(
            "model m {{\n  weights \"{weights}\"\n  input x: [4] in 0..1\n  y = dense(x, weight = \"w\")\n  output y\n}}\n"
        );
        folder.write("model/m.hec", model);
        folder.hecc("compile model/m.hec -o new")
    };
    for inside in ["part/w.npz", "./part/w.npz", "in.npz"] {
        assert!(compile(inside).status.success(), "{inside}");
    }
    let absolute = folder.path("model/part/w.npz").display().to_string();
    for outside in
        ["../w.npz", "part/../../w.npz", "part/../in.npz", "out.npz", "up/w.npz", &absolute, "/dev/zero", ""]
    {
        let output = compile(outside);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("error[H039]"), "{outside}: {said}");
        assert!(said.contains("model/m.hec:2:11"), "{said}");
    }
}
