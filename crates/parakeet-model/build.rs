//! Compiles the C++ shims over what tch does not bind: libtorch's accelerator, and its operators.

#![allow(
    clippy::disallowed_methods,
    reason = "cargo gives a build script its settings in the environment"
)]

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=src/libtorch/accelerator.cpp");
    println!("cargo:rerun-if-changed=src/libtorch/guarded.h");
    println!("cargo:rerun-if-changed=src/libtorch/streams.cpp");
    println!("cargo:rerun-if-changed=src/libtorch/gemm_ops.cpp");
    println!("cargo:rerun-if-changed=src/libtorch/tiles.h");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let libtorch = env::var_os("LIBTORCH").map(PathBuf::from);
    let libtorch = libtorch.expect("LIBTORCH is set by .cargo/config.toml, or by hand");
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        // Their headers are not ours to mend.
        .warnings(false)
        .include(libtorch.join("include"))
        .file("src/libtorch/accelerator.cpp")
        .file("src/libtorch/streams.cpp")
        .file("src/libtorch/gemm_ops.cpp");
    let system = env::var("CARGO_CFG_TARGET_OS").expect("cargo says which system it builds for");
    if system == "linux" {
        // libtorch's threads are OpenMP's there, out of the library that it brings.
        build.flag("-fopenmp");
    }
    build.compile("parakeet_accelerator");
    if system == "linux" {
        println!("cargo:rustc-link-lib=dylib=gomp");
    }
}
