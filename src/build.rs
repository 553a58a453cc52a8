//! Tells the tests what this machine has, so that a test of what it lacks counts as ignored and not as passed.

#![allow(clippy::print_stdout)] // cargo reads it

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rerun-if-changed=Cargo.lock");
    // Where a test is built is not always where it runs; then it is asked for by --include-ignored.
    let runs_here = std::env::var_os("HOST") == std::env::var_os("TARGET");
    let here = [
        ("has_cxx20", has_cxx20()),
        ("has_metadata", has_metadata()),
        ("has_mpi", has_mpi()),
        ("has_shared_data", has_shared_data()),
    ];
    for (name, is_here) in here {
        println!("cargo::rustc-check-cfg=cfg({name})");
        if runs_here && is_here {
            println!("cargo::rustc-cfg={name}");
        }
    }
}

/// A compiler of C++20, which the CUDA kernels are run by on a CPU.
fn has_cxx20() -> bool {
    println!("cargo::rerun-if-env-changed=CXX");
    let mut compiler = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
    compiler.args(["-std=c++20", "-fsyntax-only", "-x", "c++", "-"]);
    let child = compiler.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.is_ok_and(|mut child| {
        let written = child.stdin.take().is_some_and(|mut source| source.write_all(b"#include <barrier>\n").is_ok());
        child.wait().is_ok_and(|status| status.success() && written)
    })
}

/// The packages of every platform, as `cargo metadata` lists them without a network.
fn has_metadata() -> bool {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--format-version", "1", "--locked", "--offline", "--all-features"]);
    cargo.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The program built for MPI, and MPI's launcher.
fn has_mpi() -> bool {
    let mut mpirun = Command::new("mpirun");
    mpirun.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    std::env::var_os("CARGO_FEATURE_MPI").is_some() && mpirun.status().is_ok_and(|status| status.success())
}

/// MNIST and CIFAR-10 themselves, beside the repository.
fn has_shared_data() -> bool {
    ["mnist", "cifar10"].iter().all(|set| Path::new("../shared/data").join(set).is_dir())
}
