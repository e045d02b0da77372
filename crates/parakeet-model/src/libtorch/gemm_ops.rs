//! Gives libtorch the products of `cpu-linear`, which archives call as operators.
//!
//! An archive asks the CPU it runs on (`parakeet::has_tiles`) and lays its weights out at the first call, as
//! `xtask/python/exporter/linear.py` says. libtorch's threads do the work: two pools would keep each other waiting.

use std::ffi::c_void;
use std::ops::Range;
use std::slice;
use std::sync::Once;

use cpu_linear::{Activation, Bfloat16, Format, Line, Number, Parallel};

/// Makes the operators known; before any archive is loaded.
#[expect(unsafe_code, reason = "the operators are registered in C++")]
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    let tiles = Tiles {
        are_here: has_tiles,
        n_bytes,
        lay_out,
        multiply,
    };
    // SAFETY: it stores four addresses of functions, before any archive can call one.
    ONCE.call_once(|| unsafe { parakeet_set_tiles(tiles) });
}

/// As in tiles.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Layer {
    kind: i8,
    n_in: i64,
    n_out: i64,
}

impl Layer {
    fn of_tiles(self) -> cpu_linear::Layer {
        cpu_linear::Layer {
            format: match self.kind {
                CHAR => Format::Int8,
                FLOAT => Format::Float32,
                BFLOAT16 => Format::Bfloat16,
                kind => unreachable!("type {kind} of libtorch was refused before"),
            },
            n_in: self.n_in as usize,
            n_out: self.n_out as usize,
        }
    }
}

/// libtorch's numbers of types.
const CHAR: i8 = 1;
const FLOAT: i8 = 6;
const BFLOAT16: i8 = 15;

type Part = extern "C" fn(work: *const c_void, begin: i64, end: i64);
type Run = extern "C" fn(n: i64, work: *const c_void, part: Part);

/// As in tiles.h.
#[repr(C)]
struct Tiles {
    are_here: extern "C" fn() -> bool,
    n_bytes: extern "C" fn(Layer) -> i64,
    lay_out: unsafe extern "C" fn(Layer, *const c_void, *const f32, *const f32, *mut c_void, Run),
    multiply:
        unsafe extern "C" fn(Layer, *const c_void, i8, i64, *const c_void, *mut c_void, i8, Run),
}

#[expect(unsafe_code, reason = "the C++ shim, src/libtorch/gemm_ops.cpp")]
unsafe extern "C" {
    fn parakeet_set_tiles(tiles: Tiles);
}

extern "C" fn has_tiles() -> bool {
    cpu_linear::has_tiles()
}

extern "C" fn n_bytes(layer: Layer) -> i64 {
    (layer.of_tiles().n_lines() * size_of::<Line>()) as i64
}

/// # Safety
///
/// The weights are (n_out, n_in) of the layer's type, scale and bias null or (n_out), and there are
/// [`n_bytes`] to write, all of them contiguous.
#[expect(unsafe_code, reason = "libtorch gives addresses")]
unsafe extern "C" fn lay_out(
    layer: Layer,
    weight: *const c_void,
    scale: *const f32,
    bias: *const f32,
    laid_out: *mut c_void,
    run: Run,
) {
    let kind = layer.kind;
    let layer = layer.of_tiles();
    let n = layer.n_in * layer.n_out;
    // SAFETY: see above. libtorch aligns what it allocates to 64 bytes.
    unsafe {
        let of_outputs = |numbers: *const f32| {
            (!numbers.is_null()).then(|| slice::from_raw_parts(numbers, layer.n_out))
        };
        let [scale, bias] = [scale, bias].map(of_outputs);
        let lines = slice::from_raw_parts_mut(laid_out.cast::<Line>(), layer.n_lines());
        let run = Threads(run);
        match kind {
            FLOAT => {
                let weight = slice::from_raw_parts(weight.cast::<f32>(), n);
                layer.pack(|i| weight[i], scale, bias, lines, &run);
            }
            BFLOAT16 => {
                let weight = slice::from_raw_parts(weight.cast::<Bfloat16>(), n);
                layer.pack(|i| weight[i].to_f32(), scale, bias, lines, &run);
            }
            _ => {
                let weight = slice::from_raw_parts(weight.cast::<i8>(), n);
                layer.pack(|i| f32::from(weight[i]), scale, bias, lines, &run);
            }
        }
    }
}

/// # Safety
///
/// What was laid out is of this layer, rows (n_rows, n_in) and `out` (n_rows, n_out) are of the type that
/// `kind_of_rows` numbers, all of them contiguous, and nobody else knows `out`.
#[expect(unsafe_code, reason = "libtorch gives addresses")]
unsafe extern "C" fn multiply(
    layer: Layer,
    laid_out: *const c_void,
    kind_of_rows: i8,
    n_rows: i64,
    rows: *const c_void,
    out: *mut c_void,
    then: i8,
    run: Run,
) {
    let layer = layer.of_tiles();
    let n_rows = n_rows as usize;
    // As tiles.h numbers them.
    let activation = match then {
        0 => Activation::None,
        1 => Activation::Relu,
        2 => Activation::Silu,
        _ => Activation::Add,
    };
    // SAFETY: see above.
    unsafe {
        let lines = slice::from_raw_parts(laid_out.cast::<Line>(), layer.n_lines());
        let (n_in, n_out) = (n_rows * layer.n_in, n_rows * layer.n_out);
        if kind_of_rows == FLOAT {
            let rows = slice::from_raw_parts(rows.cast::<f32>(), n_in);
            let out = slice::from_raw_parts_mut(out.cast::<f32>(), n_out);
            layer.gemm(lines, rows, out, activation, &Threads(run));
        } else {
            let rows = slice::from_raw_parts(rows.cast::<Bfloat16>(), n_in);
            let out = slice::from_raw_parts_mut(out.cast::<Bfloat16>(), n_out);
            layer.gemm(lines, rows, out, activation, &Threads(run));
        }
    }
}

/// libtorch's threads.
struct Threads(Run);

// SAFETY: libtorch's `parallel_for` gives each number to one thread, once.
#[expect(unsafe_code, reason = "libtorch divides the range")]
unsafe impl Parallel for Threads {
    fn run(&self, n: usize, part: &(dyn Fn(Range<usize>) + Sync)) {
        extern "C" fn call(work: *const c_void, begin: i64, end: i64) {
            // SAFETY: it is the reference below, which lives until libtorch's threads are done.
            #[expect(unsafe_code, reason = "C++ carries no closures")]
            let part = unsafe { *work.cast::<&(dyn Fn(Range<usize>) + Sync)>() };
            part(begin as usize..end as usize);
        }
        (self.0)(n as i64, (&raw const part).cast(), call);
    }
}
