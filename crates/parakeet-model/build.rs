//! Compiles the C++ shims over libtorch's accelerator, for which tch has no binding.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=src/accelerator.cpp");
    println!("cargo:rerun-if-changed=src/guarded.h");
    println!("cargo:rerun-if-changed=src/streams.cpp");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let libtorch = env::var_os("LIBTORCH").map(PathBuf::from);
    let libtorch = libtorch.expect("LIBTORCH is set by .cargo/config.toml, or by hand");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        // Their headers are not ours to mend.
        .warnings(false)
        .include(libtorch.join("include"))
        .file("src/accelerator.cpp")
        .file("src/streams.cpp")
        .compile("parakeet_accelerator");
}
