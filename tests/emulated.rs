//! The kernels of CUDA run on a CPU, by a C++ compiler: what they compute can be tested without a card. What no emulation
//! shows are races: threads of a block run in turn.

use std::process::Command;

/// Products are not to be fused with sums, and nothing is to be assumed of NaN.
const FLAGS: [&str; 5] = ["-std=c++17", "-O1", "-ffp-contract=off", "-fno-fast-math", "-w"];

#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(not(has_cxx20), ignore = "needs a C++ compiler: CXX names it")]
fn every_kernel_computes_what_loops_compute() {
    let directory = tempfile::tempdir().unwrap();
    let repository = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").into());
    for values in ["float", "bfloat16"] {
        let program = directory.path().join(values);
        let mut compiler = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
        compiler
            .args(FLAGS)
            .arg(format!("-DV={values}"))
            .args(["ops", "kernels"].map(|folder| format!("-I{repository}/src/{folder}")));
        compiler.arg("-o").arg(&program).arg(format!("{repository}/tests/emulated/main.cpp"));
        let output = compiler.output().expect("a C++ compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let output = Command::new(&program).output().unwrap();
        assert!(output.status.success(), "{values}:\n{}", String::from_utf8_lossy(&output.stdout));
    }
}
