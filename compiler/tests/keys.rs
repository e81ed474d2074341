//! Keys that several commands make at once.

#![cfg(unix)]
// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/folder.rs"]
mod folder;
#[path = "support/idx.rs"]
mod idx;
#[path = "support/npz.rs"]
mod npz;

use folder::Folder;
use std::fs::File;
use std::process::Stdio;

const NAMES: [&str; 2] = ["small.hecs", "small.heck"];

/// Where the header of a bundle says which key pair it belongs to.
const IDENTITY: std::ops::Range<usize> = 39..55;

#[test]
fn keys_wait_for_a_folder_that_another_command_holds() {
    let folder = Folder::deployed();
    let before = NAMES.map(|name| folder.read(name));
    let held = File::open(folder.path("")).unwrap();
    held.lock().unwrap();
    let refused = folder.refuses("keygen small.hecm --force");
    assert!(refused.contains("error[H070]") && refused.contains("holds the folder's lock"), "{refused}");
    assert!(NAMES.map(|name| folder.read(name)) == before);
    // What is no key is written all the same.
    folder.prints("encrypt small.hecm --data data.npz");
    held.unlock().unwrap();
    folder.prints("keygen small.hecm --force");
    assert!(NAMES.map(|name| folder.read(name)) != before);
}

#[test]
fn keys_of_commands_that_run_at_once_do_not_mix() {
    let folder = Folder::deployed();
    for _ in 0..3 {
        let running = [(); 3].map(|()| {
            let mut command = folder.command("keygen small.hecm --force");
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        });
        let codes = running.map(|mut child| child.wait().unwrap().code());
        assert!(codes.contains(&Some(0)), "{codes:?}");
    }
    let names = folder.names();
    let endings: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix(NAMES[0])).collect();
    assert!(endings.len() > 3, "{endings:?}");
    for ending in endings {
        let [secret, keys] = NAMES.map(|name| folder.read(&format!("{name}{ending}")));
        assert_eq!(secret[IDENTITY], keys[IDENTITY], "{ending}");
    }
}
