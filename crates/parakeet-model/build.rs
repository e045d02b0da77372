//! Compiles the C++ shims over the parts of libtorch that tch does not bind.

#![allow(
    clippy::disallowed_methods,
    reason = "cargo gives a build script its settings in the environment"
)]

use std::env;
use std::path::{Path, PathBuf};

/// The folder of the shims, in which each has a Rust file that declares its functions.
const SHIMS: &str = "src/libtorch";

fn main() {
    println!("cargo:rerun-if-changed={SHIMS}/guarded.h");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let libtorch = env::var_os("LIBTORCH").map(PathBuf::from);
    let libtorch = libtorch.expect("LIBTORCH is set by .cargo/config.toml, or by hand");
    let system = env::var("CARGO_CFG_TARGET_OS").expect("cargo says which system it builds for");

    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        // libtorch's headers cause warnings that this project cannot fix.
        .warnings(false)
        .include(libtorch.join("include"));
    for shim in [
        "accelerator.cpp",
        "gemm_ops.cpp",
        "streams.cpp",
        "tensors.cpp",
    ] {
        let path = Path::new(SHIMS).join(shim);
        println!("cargo:rerun-if-changed={}", path.display());
        build.file(path);
    }
    if system == "linux" {
        // `at::parallel_for` is a template over OpenMP, which libtorch for Linux brings as libgomp.
        build.flag("-fopenmp");
    }
    build.compile("parakeet_shims");
    if system == "linux" {
        println!("cargo:rustc-link-lib=dylib=gomp");
    }
}
