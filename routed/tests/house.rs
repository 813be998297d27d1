//! What a command can see of the house: the invariants of ARCHITECTURE.md
//! that are about the shape of the code, not about what it does.

use std::fs;
use std::path::{Path, PathBuf};

/// The longest file that one sits down to read.
const LINES: usize = 500;

/// Crates without a clock and without a socket.
const ENGINES: [&str; 8] = [
    "routed/net",
    "routed/bgp",
    "routed/rip",
    "routed/bfd",
    "routed/monitor",
    "routed/rib",
    "policy",
    "ipam",
];

/// What an engine must not name in its dependencies.
const SHELL: [&str; 7] = ["tokio", "socket2", "netlink-sys", "rtnetlink", "nix", "libc", "tonic"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("routed/ lies in the workspace").to_owned()
}

fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory of the workspace") {
        let entry = entry.expect("its entries");
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn all_rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    rust_files(&root(), &mut files);
    assert!(files.len() > 50, "the walk found the workspace");
    files
}

#[test]
fn files_are_short() {
    let long: Vec<String> = all_rust_files()
        .into_iter()
        .filter_map(|file| {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            (lines > LINES).then(|| format!("{} has {lines} lines", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "over {LINES} lines; is there a wall to draw? {long:#?}");
}

#[test]
fn engines_do_no_io() {
    for engine in ENGINES {
        let manifest = fs::read_to_string(root().join(engine).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        for name in SHELL {
            assert!(
                !dependencies.contains_key(name),
                "{engine} names {name}; an engine is given time and bytes"
            );
        }
    }
}

#[test]
fn unsafe_code_stands_in_one_file() {
    let marker = ["expect(", "unsafe_code"].concat();
    let with: Vec<_> = all_rust_files()
        .into_iter()
        .filter(|file| fs::read_to_string(file).unwrap().contains(&marker))
        .collect();
    assert!(with.iter().all(|file| file.ends_with("routed/kernel/src/sockopt.rs")), "{with:#?}");
}
