//! What the command does to files: it loses none, leaves none half-written, reads none without bound.

#![cfg(unix)]
// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/folder.rs"]
mod folder;
#[path = "support/idx.rs"]
mod idx;
#[path = "files/killed.rs"]
mod killed;
#[path = "support/npz.rs"]
mod npz;
#[path = "files/read.rs"]
mod read;

use folder::{Folder, MODEL};
use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::{Command, Output, Stdio};

/// Names of drafts, which nobody is to find.
const DRAFT: &str = ".hecc-";

impl Folder {
    /// A copy of a file, and what it holds.
    fn contents(&self, names: &[&str]) -> Vec<Option<Vec<u8>>> {
        names.iter().map(|name| fs::read(self.path(name)).ok()).collect()
    }

    /// Encrypts, evaluates and decrypts the first sample with the keys of these names.
    fn goes_round(&self, secret: &str, keys: &str) -> bool {
        let line = |line: String| self.hecc(&line).status.success();
        line(format!("encrypt small.hecm --secret {secret} --data data.npz -o in.hect --force"))
            && line(format!("eval small.hecp --eval-keys {keys} --input in.hect -o out.hect --force"))
            && self.decrypts_right(secret, "out.hect")
    }

    /// Whether a result of the first sample is what plain evaluation says.
    fn decrypts_right(&self, secret: &str, result: &str) -> bool {
        let output =
            self.hecc(&format!("decrypt small.hecm --secret {secret} --input {result} --any-input --json"));
        let Ok(found) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else { return false };
        let model = hecc::front::load(&self.path("small.hec"), &Default::default()).unwrap();
        let sample: Vec<f64> = (0..16).map(|i| 0.5 + 0.4 * f64::from(i).sin()).collect();
        let expected = model.logits(&sample);
        let values = found["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
        values.zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-3)
    }

    /// Runs a line of the shell, in which `hecc` is the command.
    fn shell(&self, line: &str) -> Output {
        let mut shell = Command::new("bash");
        shell.current_dir(self.path("")).env("HECC", env!("CARGO_BIN_EXE_hecc")).env("NO_COLOR", "1");
        shell.args(["-c", &format!("hecc() {{ $HECC \"$@\"; }}; {line}")]).output().unwrap()
    }

    fn fifo(&self, name: &str) {
        assert!(Command::new("mkfifo").arg(self.path(name)).status().unwrap().success());
    }

    /// What a command says that refuses and changes nothing.
    fn refuses_with(&self, code: &str, line: &str) {
        let names: Vec<String> = self.names().into_iter().collect();
        let plain = |name: &&String| fs::metadata(self.path(name)).is_ok_and(|found| found.is_file());
        let names: Vec<&str> = names.iter().filter(plain).map(String::as_str).collect();
        let before = self.contents(&names);
        let message = self.refuses(line);
        assert!(message.contains(&format!("error[{code}]")), "{message}");
        assert!(self.contents(&names) == before, "{line} changed a file");
    }
}

#[test]
fn keys_are_never_replaced() {
    let folder = Folder::deployed();
    folder.prints("eval small.hecp");
    assert!(folder.decrypts_right("small.hecs", "result.hect"));
    folder.refuses_with("H090", "keygen small.hecm");
    folder.refuses_with("H090", "keygen small.hecm --eval-keys other.heck");
    folder.refuses_with("H090", "keygen small.hecm --secret other.hecs");
    let names = ["small.hecs", "small.heck"];
    let mut kept = vec![folder.contents(&names)];
    for number in 1..3 {
        folder.prints("keygen small.hecm --force");
        assert!(folder.goes_round("small.hecs", "small.heck"));
        kept.push(folder.contents(&names));
        for (number, before) in (1..=number).zip(&kept) {
            let [secret, keys] = names.map(|name| format!("{name}.{number}"));
            assert!(folder.contents(&[&secret, &keys]) == *before);
        }
    }
    assert!(folder.goes_round("small.hecs.2", "small.heck.2"));
    assert!(folder.decrypts_right("small.hecs.1", "result.hect"));
    assert!(!folder.decrypts_right("small.hecs", "result.hect"));
}

/// Whatever a secret's name leads to, it stays.
#[test]
fn secrets_go_to_new_plain_files_alone() {
    let folder = Folder::deployed();
    folder.fifo("pipe");
    symlink("nowhere.hecs", folder.path("dangling")).unwrap();
    symlink("small.hecs", folder.path("link")).unwrap();
    fs::create_dir(folder.path("folder")).unwrap();
    for name in ["pipe", "dangling", "link", "folder", "/dev/null", "/dev/stdout"] {
        for force in ["", "--force"] {
            folder
                .refuses_with("H093", &format!("keygen small.hecm --secret {name} --eval-keys new {force}"));
        }
    }
    folder.write("note", "not a key");
    folder.refuses_with("H092", "keygen small.hecm --secret note --eval-keys new");
    folder.write("profile.json", "{}");
    let refused = folder.refuses("keygen small.hecm --secret profile.json --eval-keys new");
    assert!(refused.contains("`profile.json` holds a profile or labels, not a secret key"), "{refused}");
    folder.prints("keygen small.hecm --secret note --eval-keys new --force");
    assert_eq!(folder.read("note.1"), b"not a key");
    folder.refuses_with("H091", "keygen small.hecm --secret new.hecs --eval-keys new.hecs");
    folder.refuses_with("H091", "keygen small.hecm --secret new.hecs --eval-keys ./folder/../new.hecs");
}

#[test]
fn secrets_are_readable_by_their_owner_alone_from_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::deployed();
    let mode = |name: &str| fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(folder.path("small.hecs"), fs::Permissions::from_mode(0o644)).unwrap();
    folder.prints("keygen small.hecm --force");
    assert_eq!((mode("small.hecs"), mode("small.hecs.1")), (0o600, 0o644));
    fs::set_permissions(folder.path("input.hect"), fs::Permissions::from_mode(0o640)).unwrap();
    folder.prints("encrypt small.hecm --data data.npz");
    assert_eq!(mode("input.hect"), 0o640);
}

/// Two models in one folder have keys of their own, which commands find.
#[test]
fn keys_are_called_like_their_model() {
    let folder = Folder::deployed();
    folder.write("other.hec", MODEL.replace("model small", "model other").replace("seed = 1", "seed = 2"));
    folder.prints("compile other.hec");
    let wrote = folder.prints_json("keygen other.hecm --json");
    assert_eq!(
        (wrote["secret"].as_str(), wrote["eval_keys"].as_str()),
        (Some("other.hecs"), Some("other.heck"))
    );
    for model in ["small", "other"] {
        folder.prints(&format!("encrypt {model}.hecm --data data.npz"));
        folder.prints(&format!("eval {model}.hecp"));
        assert!(folder.prints(&format!("decrypt {model}.hecm")).contains("prediction"));
    }
}

/// Every output of every command, by every way to name one of its inputs.
#[test]
fn no_command_replaces_what_it_reads() {
    let folder = Folder::deployed();
    fs::create_dir(folder.path("below")).unwrap();
    let inputs =
        ["small.hec", "small.hecp", "small.hecm", "small.hecs", "small.heck", "input.hect", "data.npz"];
    for name in inputs {
        symlink(format!("../{name}"), folder.path(&format!("below/{name}.link"))).unwrap();
        fs::hard_link(folder.path(name), folder.path(&format!("below/{name}.hard"))).unwrap();
    }
    let commands: [(&str, &[&str]); 5] = [
        ("keygen small.hecm --secret new.hecs --eval-keys", &["small.hecm"]),
        ("keygen small.hecm --eval-keys new.heck --secret", &["small.hecm"]),
        ("encrypt small.hecm --data data.npz -o", &["small.hecm", "small.hecs", "data.npz"]),
        ("eval small.hecp -o", &["small.hecp", "small.heck", "input.hect"]),
        ("bench small.hec below/small.hec.hard --data data.npz --count 1 --plot", &["small.hec", "data.npz"]),
    ];
    for (command, inputs) in commands {
        for input in inputs {
            for path in [input.to_string(), format!("./below/../{input}"), format!("below/{input}.hard")] {
                folder.refuses_with("H091", &format!("{command} {path}"));
                folder.refuses_with("H091", &format!("{command} {path} --force"));
            }
            let is_secret = command.ends_with("--secret");
            let code = if is_secret { "H093" } else { "H091" };
            folder.refuses_with(code, &format!("{command} below/{input}.link --force"));
        }
    }
}

/// Outputs that take their names from the model, which may be those of files that it is read from.
#[test]
fn compiling_replaces_nothing_that_it_reads() {
    let folder = Folder::new();
    let model = MODEL
        .replace("random(seed = 1)", "\"small.hecp\"")
        .replace("features = 6", "weight = \"w\", bias = [0, 0, 0, 0, 0, 0]");
    let model = model.replace("features = 3", "weight = \"v\", bias = [0, 0, 0]");
    folder.write("named.hec", model);
    let file = std::io::BufWriter::new(fs::File::create(folder.path("small.hecp")).unwrap());
    let mut archive = zip::ZipWriter::new(file);
    npz::array(&mut archive, "w", &[6, 16], vec![0.1; 96]);
    npz::array(&mut archive, "v", &[3, 6], vec![0.1; 18]);
    drop(archive);
    folder.refuses_with("H091", "compile named.hec --force");
    folder.prints("compile named.hec -o out");
    fs::copy(folder.path("data.npz"), folder.path("out/small.hecm")).unwrap();
    folder.refuses_with("H092", "compile named.hec -o out");
    folder.refuses_with("H091", "compile small.hec --calibrate out/small.hecm -o out --force");
    folder.prints("compile small.hec --calibrate data.npz -o out --force");
}

#[test]
fn files_of_other_kinds_are_not_replaced_by_accident() {
    let folder = Folder::deployed();
    folder.prints("compile small.hec -o build");
    folder.digits("digits", [4, 4]);
    folder.write("empty", "");
    folder.write("notes.txt", "notes");
    for name in [
        "build/small.hecm",
        "build/small.hecp",
        "small.hecs",
        "data.npz",
        "small.hec",
        "digits/t10k-images-idx3-ubyte",
    ] {
        for command in [
            "eval small.hecp -o",
            "calibrate --samples 1 -o",
            "bench small.hec small.hec --data digits --plot",
        ] {
            let is_read = (command.starts_with("bench") && name == "small.hec") as usize;
            folder.refuses_with(["H092", "H091"][is_read], &format!("{command} {name}"));
        }
    }
    folder.refuses_with("H092", "eval small.hecp -o build/../data.npz");
    for name in ["empty", "result.hect", "result.hect"] {
        folder.prints(&format!("eval small.hecp -o {name}"));
        assert!(folder.decrypts_right("small.hecs", name));
    }
    folder.refuses_with("H092", "eval small.hecp -o notes.txt");
    folder.prints("eval small.hecp -o notes.txt --force");
    assert!(folder.decrypts_right("small.hecs", "notes.txt"));
    folder.prints("eval small.hecp -o build/small.hecp --force");
    assert!(folder.decrypts_right("small.hecs", "build/small.hecp"));
}

#[test]
fn keys_are_lost_to_nothing_else() {
    let folder = Folder::deployed();
    for line in [
        "eval small.hecp -o small.hecs --force",
        "eval small.hecp -o small.heck --force",
        "keygen small.hecm --secret new.hecs --eval-keys small.hecs --force",
    ] {
        folder.refuses_with(if line.contains("small.heck") { "H091" } else { "H092" }, line);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_standard_output_does_not_take_is_told() {
    let folder = Folder::new();
    for line in [
        "compile small.hec",
        "--help",
        "--version",
        "help eval",
        "compile --help",
        "prepare train --help",
        "explain all",
        "explain small.hec",
        "inspect small.hecm",
        "inspect small.hec --explain",
        "run small.hec --data data.npz --count 1",
        "check small.hec --data data.npz --count 1 --backend clear",
        "keygen small.hecm",
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = folder.command(line).stdout(full).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}\n{message}");
        assert!(message.contains("error[H070]: cannot write to standard output"), "{line}\n{message}");
    }
}

/// What a file is that something else was wanted for.
#[test]
fn files_of_other_kinds_are_named() {
    let folder = Folder::deployed();
    for (line, said) in [
        (
            "encrypt small.hecm --secret small.hecm --data data.npz -o new.hect",
            "holds a manifest, not a secret key",
        ),
        ("eval small.hecp --eval-keys data.npz", "holds weights or samples, not evaluation keys"),
        ("eval small.heck", "holds evaluation keys, not a program"),
        ("keygen small.hec --secret new.hecs --eval-keys new.heck", "holds a model, not a manifest"),
    ] {
        let refused = folder.refuses(line);
        assert!(refused.contains(said), "{refused}");
    }
}

#[test]
fn outputs_go_through_links_pipes_and_devices() {
    let folder = Folder::deployed();
    fs::create_dir(folder.path("there")).unwrap();
    folder.write("there/old", "");
    for (target, link) in
        [("there/old", "to_old"), ("there/new", "to_new"), ("to_old", "to_link"), ("there", "to_folder")]
    {
        symlink(target, folder.path(link)).unwrap();
    }
    for (link, end) in [
        ("to_old", "there/old"),
        ("to_new", "there/new"),
        ("to_link", "there/old"),
        ("to_folder/x", "there/x"),
    ] {
        let _ = fs::write(folder.path("there/old"), "");
        folder.prints(&format!("eval small.hecp -o {link}"));
        assert!(folder.decrypts_right("small.hecs", end), "{link}");
        assert_eq!(folder.path(link).is_symlink(), link != "to_folder/x");
    }
    folder.refuses_with("H093", "eval small.hecp -o to_folder");
    folder.refuses_with("H093", "eval small.hecp -o there");
    symlink("loop", folder.path("loop")).unwrap();
    folder.refuses_with("H093", "eval small.hecp -o loop");
    assert!(folder.prints("eval small.hecp -o /dev/null").contains("wrote /dev/null"));
    folder.fifo("pipe");
    let piped = folder.shell("cat pipe > copy & hecc eval small.hecp -o pipe && wait");
    assert!(piped.status.success() && folder.decrypts_right("small.hecs", "copy"));
    assert!(fs::metadata(folder.path("pipe")).unwrap().file_type().is_fifo());
}

/// The whole way through pipes; what is said goes to standard error.
#[test]
fn standard_output_holds_the_output_alone() {
    let folder = Folder::deployed();
    let piped = folder.shell(
        "set -o pipefail; hecc encrypt small.hecm --data data.npz -o /dev/stdout \
         | hecc eval small.hecp --input /dev/stdin -o /dev/stdout | hecc decrypt small.hecm --input /dev/stdin",
    );
    let said = String::from_utf8_lossy(&piped.stderr);
    assert!(piped.status.success() && said.contains("wrote /dev/stdout"), "{said}");
    assert!(String::from_utf8_lossy(&piped.stdout).contains("prediction"));
    for line in [
        "hecc eval small.hecp -o /dev/stdout > out",
        "hecc eval small.hecp -o /dev/fd/1 >> out",
        "hecc eval small.hecp -o /dev/fd/3 3> out",
    ] {
        let _ = fs::remove_file(folder.path("out"));
        assert!(folder.shell(line).status.success(), "{line}");
        assert!(folder.decrypts_right("small.hecs", "out"), "{line}");
    }
    folder.write("after", "before");
    assert!(folder.shell("hecc eval small.hecp -o /dev/stdout >> after").status.success());
    assert!(folder.read("after").starts_with(b"beforeHECB"));
    assert!(
        folder
            .shell("hecc keygen small.hecm --secret new.hecs --eval-keys /dev/stdout > new.heck")
            .status
            .success()
    );
    assert!(folder.goes_round("new.hecs", "new.heck"));
}

/// Files of at most so many blocks, as on a disk that is full then.
#[test]
fn full_disks_leave_what_was_there() {
    let folder = Folder::deployed();
    folder.prints("eval small.hecp");
    fs::create_dir(folder.path("out")).unwrap();
    let names: Vec<String> = folder.names().into_iter().collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let before = folder.contents(&names);
    for line in [
        "keygen small.hecm --force",
        "keygen small.hecm --secret new.hecs --eval-keys new.heck",
        "compile small.hec",
        "compile small.hec -o out",
        "eval small.hecp",
        "encrypt small.hecm --data data.npz",
    ] {
        for blocks in [0, 1, 4] {
            let output = folder.shell(&format!("trap '' XFSZ; ulimit -f {blocks}; hecc {line}"));
            let said = String::from_utf8_lossy(&output.stderr);
            let (done, out) = (output.status.success(), folder.path("out"));
            assert!(
                done || said.contains("error[H070]") && said.contains("help: make room"),
                "{line}: {said}"
            );
            assert!(!done || line.starts_with("compile") && blocks > 1, "{line} {blocks}");
            assert!(done || folder.contents(&names) == before, "{line} {blocks}");
            assert_eq!(
                fs::read_dir(&out).unwrap().count(),
                if done && line.ends_with("out") { 2 } else { 0 }
            );
            fs::remove_dir_all(&out).and_then(|()| fs::create_dir(&out)).unwrap();
        }
    }
    assert!(folder.names().iter().all(|name| !name.starts_with(DRAFT)));
}

/// What fails is the last of two files, or its folder.
#[test]
fn keys_do_not_change_without_their_secret() {
    let folder = Folder::deployed();
    folder.write("file", "");
    let before = folder.contents(&["small.heck", "small.hecs"]);
    for secret in ["file/new.hecs", "/proc/new.hecs"] {
        folder.refuses_with("H070", &format!("keygen small.hecm --force --secret {secret}"));
        folder.refuses_with("H070", &format!("keygen small.hecm --secret {secret} --eval-keys new.heck"));
    }
    folder.refuses_with("H070", "keygen small.hecm --force --eval-keys /dev/full");
    assert!(folder.contents(&["small.heck", "small.hecs"]) == before);
}

/// A pipe without reader keeps the command between the keys and the secret.
#[test]
fn the_secret_is_the_last_that_appears() {
    let folder = Folder::new();
    folder.prints("compile small.hec");
    folder.fifo("pipe");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hecc"));
    command.current_dir(folder.path("")).args("keygen small.hecm --eval-keys pipe".split(' '));
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let reader = fs::File::open(folder.path("pipe")).unwrap();
    assert!(!folder.names().contains("small.hecs"));
    child.kill().unwrap();
    child.wait().unwrap();
    drop(reader);
    let names = folder.names();
    assert!(names.iter().all(|name| name != "small.hecs" && !name.starts_with(DRAFT)), "{names:?}");
}
