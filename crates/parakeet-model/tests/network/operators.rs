//! The operators that archives call: arguments that make no layer are an error of libtorch and no crash.

use std::fs;
use std::path::Path;
use std::process::Command;

use tch::{CModule, Device, IValue, Kind, TchError, Tensor};

use crate::tiny::{archive, project};

/// A module whose methods pass their arguments to the operators.
const MODULE: &str = r#"
import sys

import torch
from torch import Tensor

import exporter.gemm_ops


class Operators(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def has_tiles(self, weight: Tensor) -> bool:
        return torch.ops.parakeet.has_tiles(weight)

    @torch.jit.export
    def pack(self, weight: Tensor) -> Tensor:
        return torch.ops.parakeet.lay_out(weight, None, None)

    @torch.jit.export
    def multiply(self, rows: Tensor, packed: Tensor, n_out: int, activation: str) -> Tensor:
        return torch.ops.parakeet.multiply(rows, packed, n_out, activation)

    @torch.jit.export
    def add_product(self, out: Tensor, rows: Tensor, packed: Tensor) -> Tensor:
        return torch.ops.parakeet.add_product_(out, rows, packed)


torch.jit.script(Operators()).save(sys.argv[1])
"#;

/// Compiles [`MODULE`] to an archive, and loads it.
///
/// # Panics
///
/// If Python fails: a test that cannot run must not look as if it had passed.
fn operators() -> CModule {
    // Loading a model registers the operators.
    archive();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, compiled) = (folder.join("operators.py"), folder.join("operators.pt"));
    fs::write(&source, MODULE).expect("it can be written");
    let mut python = Command::new(project().join(".venv/bin/python"));
    python
        .current_dir(project())
        .env("PYTHONPATH", "xtask/python")
        .args(["-W", "ignore"])
        .args([&source, &compiled]);
    let output = python
        .output()
        .unwrap_or_else(|why| panic!("{python:?}: {why}; `cargo xtask setup` installs it"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{python:?}: {stderr}");
    CModule::load(&compiled).expect("it was compiled just now")
}

fn zeros(size: &[i64], kind: Kind) -> Tensor {
    Tensor::zeros(size, (kind, Device::Cpu))
}

#[test]
fn an_operator_refuses_what_makes_no_layer() {
    let operators = operators();
    let call = |method, arguments: &[IValue]| -> Result<Tensor, TchError> {
        operators.method_is(method, arguments)?.try_into()
    };
    #[track_caller]
    fn refused(answer: Result<Tensor, TchError>, expected: &str) {
        let why = answer.expect_err("it makes no layer").to_string();
        assert!(why.contains(expected), "{why}");
    }

    for (size, kind) in [
        (&[][..], Kind::Float),
        (&[40], Kind::Float),
        (&[1, 50, 40], Kind::Float),
        (&[0, 40], Kind::Float),
        (&[50, 0], Kind::Float),
        (&[50, 40], Kind::Double),
        // Bytes without a scale.
        (&[50, 40], Kind::Int8),
    ] {
        let packed = call("pack", &[zeros(size, kind).into()]);
        refused(packed, "no tiles multiply");
    }

    let weight = zeros(&[50, 40], Kind::Float);
    let answer = operators.method_is("has_tiles", &[IValue::from(weight.shallow_clone())]);
    let has_tiles = answer.and_then(bool::try_from);
    let has_tiles = has_tiles.expect("any CPU knows whether it has tiles");
    let packed = call("pack", &[weight.into()]).expect("any CPU packs a layer");
    let multiply = |rows: &Tensor, packed: &Tensor, n_out: i64, activation: &str| {
        let (rows, packed) = (rows.shallow_clone().into(), packed.shallow_clone().into());
        let activation = activation.to_owned().into();
        call("multiply", &[rows, packed, n_out.into(), activation])
    };
    let rows = zeros(&[3, 40], Kind::Float);
    // A CPU without tiles refuses every product with the text of a misfit, so what follows shows little there.
    // The unit tests of gemm_ops.rs check the shapes on every CPU.
    let is_multiplied = multiply(&rows, &packed, 50, "none").is_ok();
    assert_eq!(
        is_multiplied, has_tiles,
        "tiles multiply what makes a layer"
    );
    for unknown in ["gelu", "", "add", "Relu"] {
        let expected = format!("followed by none, relu or silu, and not by {unknown}");
        refused(multiply(&rows, &packed, 50, unknown), &expected);
    }
    let misfit = "are not those of the layer's tiles";
    for n_out in [0, 32, 65, 1 << 20] {
        refused(multiply(&rows, &packed, n_out, "none"), misfit);
    }
    let no_rows = zeros(&[0, 40], Kind::Float);
    refused(multiply(&no_rows, &packed, i64::MAX, "none"), misfit);
    let bfloat16 = zeros(&[3, 40], Kind::BFloat16);
    refused(multiply(&bfloat16, &packed, 50, "none"), misfit);
    let cut = packed.narrow(0, 0, packed.size()[0] - 16);
    refused(multiply(&rows, &cut, 50, "none"), misfit);
    let unaligned = zeros(&[packed.size()[0] + 1], Kind::Float).narrow(0, 1, packed.size()[0]);
    refused(multiply(&rows, &unaligned, 50, "none"), misfit);
    let scalar = zeros(&[], Kind::Float);
    let no_dimension = multiply(&scalar, &packed, 50, "none");
    refused(no_dimension, "rows have no dimension");

    let add = |out: &Tensor, rows: &Tensor| {
        let tensors = [out, rows, &packed].map(|it| it.shallow_clone().into());
        call("add_product", &tensors)
    };
    // An output without a dimension, with other rows, and with the memory of its own layer.
    for out in [&scalar, &zeros(&[2, 50], Kind::Float), &packed] {
        refused(add(out, &rows), misfit);
    }
}
