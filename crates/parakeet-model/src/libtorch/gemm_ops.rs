//! Gives libtorch the products of `cpu-linear`, which archives call as operators.
//!
//! An archive asks whether the CPU has tiles (`parakeet::has_tiles`) and packs its weights at the first call
//! (`parakeet::lay_out`), as `xtask/python/exporter/linear.py` says. gemm_ops.cpp registers the operators and
//! describes their tensors; this file alone knows which tensors make a layer.
//!
//! An archive is input and may call the operators with anything. Whatever `cpu-linear` would panic on is
//! refused here, and the operator then throws an error of libtorch: a panic cannot cross into C++ and would
//! abort.

use std::ffi::{CStr, c_char, c_void};
use std::ops::Range;
use std::slice;
use std::str;
use std::sync::Once;

use cpu_linear::{Activation, Bfloat16, Format, Layer, Line, Number, Parallel};

/// Gives the operators their functions. [`super::module::Module::load`] calls this before it reads an
/// archive, because an archive may call an operator while it is being loaded.
#[expect(unsafe_code, reason = "the operators are registered in C++")]
pub(super) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ops = GemmOps {
            has_tiles,
            n_packed_bytes,
            pack,
            activation_number,
            activation_names: ACTIVATION_NAMES.as_ptr(),
            add: Activation::Add as i8,
            multiply,
        };
        // SAFETY: the call stores the struct. `ONCE` keeps two threads from storing it at the same time.
        unsafe { parakeet_set_gemm_ops(ops) }
    });
}

/// The names of [`Activation::NAMED`], as an error message lists them.
const ACTIVATION_NAMES: &CStr = c"none, relu or silu";

/// libtorch's numbers of element types (`c10::ScalarType`).
const CHAR: i8 = 1;
const FLOAT: i8 = 6;
const BFLOAT16: i8 = 15;

/// The most weights of a layer. No machine holds as many, and sizes computed from them do not overflow.
const MAX_WEIGHTS: usize = 1 << 40;

/// The most inputs of an int8 layer: `cpu-linear` sums in 32 bits and panics beyond.
const MAX_INT8_INPUTS: usize = 1 << 17;

/// The layer with weights (n_out, n_in) of a type; `None` if `cpu-linear` has no such layer.
fn layer_of(kind: i8, n_in: i64, n_out: i64) -> Option<Layer> {
    let format = match kind {
        CHAR => Format::Int8,
        FLOAT => Format::Float32,
        BFLOAT16 => Format::Bfloat16,
        _ => return None,
    };
    let [n_in, n_out] = [usize::try_from(n_in).ok()?, usize::try_from(n_out).ok()?];
    let n_weights = n_in.checked_mul(n_out)?;
    let is_summed = format != Format::Int8 || n_in <= MAX_INT8_INPUTS;
    ((1..=MAX_WEIGHTS).contains(&n_weights) && is_summed).then_some(Layer {
        format,
        n_in,
        n_out,
    })
}

fn n_bytes_of(layer: Layer) -> usize {
    layer.n_lines() * size_of::<Line>()
}

/// A contiguous tensor, as gemm_ops.cpp describes it; both files assert the size of the struct.
#[repr(C)]
#[derive(Clone, Copy)]
struct Matrix {
    numbers: *mut c_void,
    n_rows: i64,
    n_columns: i64,
    /// libtorch's number of the element type.
    kind: i8,
}

const _: () = assert!(size_of::<Matrix>() == 32);

impl Matrix {
    fn n_numbers(self) -> usize {
        // A tensor's number of elements is an `int64_t` of libtorch and not negative.
        (self.n_rows * self.n_columns) as usize
    }

    /// # Safety
    ///
    /// The elements are of type `T`, the matrix is not empty, and nothing writes it during `'a`.
    #[expect(unsafe_code, reason = "libtorch gives addresses")]
    unsafe fn as_slice<'a, T>(self) -> &'a [T] {
        // SAFETY: a tensor that is not empty has an address, and the caller vouches for the rest.
        unsafe { slice::from_raw_parts(self.numbers.cast(), self.n_numbers()) }
    }

    /// # Safety
    ///
    /// As [`Self::as_slice`], and nothing else reads the matrix during `'a`.
    #[expect(unsafe_code, reason = "libtorch gives addresses")]
    unsafe fn as_slice_mut<'a, T>(self) -> &'a mut [T] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(self.numbers.cast(), self.n_numbers()) }
    }
}

type Part = extern "C" fn(context: *const c_void, begin: i64, end: i64);
type ParallelFor = extern "C" fn(n: i64, context: *const c_void, part: Part);

/// The functions of the operators, in the order of gemm_ops.cpp.
#[repr(C)]
struct GemmOps {
    has_tiles: extern "C" fn() -> bool,
    n_packed_bytes: extern "C" fn(Matrix) -> i64,
    pack: unsafe extern "C" fn(Matrix, *const f32, *const f32, *mut c_void, ParallelFor),
    activation_number: unsafe extern "C" fn(*const c_char, usize) -> i8,
    activation_names: *const c_char,
    add: i8,
    multiply: unsafe extern "C" fn(Matrix, Matrix, Matrix, i8, ParallelFor) -> bool,
}

#[expect(unsafe_code, reason = "the C++ shim, src/libtorch/gemm_ops.cpp")]
unsafe extern "C" {
    fn parakeet_set_gemm_ops(ops: GemmOps);
}

extern "C" fn has_tiles() -> bool {
    cpu_linear::has_tiles()
}

extern "C" fn n_packed_bytes(weight: Matrix) -> i64 {
    let layer = layer_of(weight.kind, weight.n_columns, weight.n_rows);
    layer.map_or(0, |it| n_bytes_of(it) as i64)
}

/// Packs a weight (n_out, n_in).
///
/// # Safety
///
/// [`n_packed_bytes`] of the weight is not 0, and `packed` has as many bytes, which libtorch has just
/// allocated. `bias` is null or holds n_out numbers; `scale` holds n_out numbers for int8 and is null for
/// other types.
#[expect(unsafe_code, reason = "libtorch gives addresses")]
unsafe extern "C" fn pack(
    weight: Matrix,
    scale: *const f32,
    bias: *const f32,
    packed: *mut c_void,
    parallel_for: ParallelFor,
) {
    let Some(layer) = layer_of(weight.kind, weight.n_columns, weight.n_rows) else {
        unreachable!("gemm_ops.cpp packs only weights that have a packed size");
    };
    let threads = Threads(parallel_for);
    // SAFETY: the caller vouches for the addresses. libtorch aligns what it allocates to 64 bytes, as `Line`
    // is.
    unsafe {
        let per_output = |numbers: *const f32| {
            (!numbers.is_null()).then(|| slice::from_raw_parts(numbers, layer.n_out))
        };
        let (scale, bias) = (per_output(scale), per_output(bias));
        let lines = slice::from_raw_parts_mut(packed.cast::<Line>(), layer.n_lines());
        match layer.format {
            Format::Float32 => {
                let weight = weight.as_slice::<f32>();
                layer.pack(|i| weight[i], scale, bias, lines, &threads);
            }
            Format::Bfloat16 => {
                let weight = weight.as_slice::<Bfloat16>();
                layer.pack(|i| weight[i].to_f32(), scale, bias, lines, &threads);
            }
            Format::Int8 => {
                let weight = weight.as_slice::<i8>();
                layer.pack(|i| f32::from(weight[i]), scale, bias, lines, &threads);
            }
        }
    }
}

/// The number of the activation that an archive names; -1 if there is none of this name.
///
/// # Safety
///
/// `name` is the address of as many bytes.
#[expect(unsafe_code, reason = "libtorch gives addresses")]
unsafe extern "C" fn activation_number(name: *const c_char, n_name_bytes: usize) -> i8 {
    // SAFETY: see above; the address of a C++ string is never null.
    let name = unsafe { slice::from_raw_parts(name.cast(), n_name_bytes) };
    let activation = str::from_utf8(name).ok().and_then(Activation::named);
    activation.map_or(-1, |it| it as i8)
}

/// Multiplies rows (n_rows, n_in) with a packed layer into `out` (n_rows, n_out), through an activation by
/// its number. Returns false, with `out` untouched, if the matrices do not belong to one layer or this CPU has
/// no tiles.
///
/// # Safety
///
/// The matrices describe contiguous tensors on the CPU that live until this returns. `out` overlaps neither
/// of the others, and no other thread uses it.
#[expect(unsafe_code, reason = "libtorch gives addresses")]
unsafe extern "C" fn multiply(
    packed: Matrix,
    rows: Matrix,
    out: Matrix,
    activation: i8,
    parallel_for: ParallelFor,
) -> bool {
    let layer = layer_of_product(packed, rows, out);
    let (Some(layer), Some(activation)) = (layer, Activation::from_number(activation)) else {
        return false;
    };
    // Asked here and not in `layer_of_product`, so that tests of the shapes hold on a CPU without tiles.
    if !cpu_linear::has_tiles() {
        return false;
    }
    // An empty tensor may have no address, and a slice needs one.
    if rows.n_rows == 0 {
        return true;
    }
    let threads = Threads(parallel_for);
    // SAFETY: `layer_of_product` has checked types and sizes, and that `packed` is aligned for lines; the
    // caller vouches for the rest.
    unsafe {
        let lines = slice::from_raw_parts(packed.numbers.cast::<Line>(), layer.n_lines());
        if rows.kind == FLOAT {
            let (rows, out) = (rows.as_slice::<f32>(), out.as_slice_mut());
            layer.gemm(lines, rows, out, activation, &threads);
        } else {
            let (rows, out) = (rows.as_slice::<Bfloat16>(), out.as_slice_mut());
            layer.gemm(lines, rows, out, activation, &threads);
        }
    }
    true
}

/// The layer by which `rows` become `out`; `None` if there is none, or `packed` is not a layer of that shape.
fn layer_of_product(packed: Matrix, rows: Matrix, out: Matrix) -> Option<Layer> {
    let layer = layer_of(packed.kind, rows.n_columns, out.n_columns)?;
    let element_size = match layer.format {
        Format::Float32 => size_of::<f32>(),
        Format::Bfloat16 => size_of::<Bfloat16>(),
        Format::Int8 => size_of::<i8>(),
    };
    let is_packed = packed.n_numbers().checked_mul(element_size) == Some(n_bytes_of(layer))
        && packed.numbers.cast::<Line>().is_aligned();
    let have_types = matches!(rows.kind, FLOAT | BFLOAT16)
        && out.kind == rows.kind
        && (packed.kind == rows.kind || packed.kind == CHAR);
    let fit = is_packed && have_types && rows.n_rows == out.n_rows;
    fit.then_some(layer)
}

/// libtorch's threads, by its `parallel_for`.
struct Threads(ParallelFor);

// SAFETY: libtorch's `parallel_for` gives each number of the range to one thread, once.
#[expect(unsafe_code, reason = "libtorch divides the range")]
unsafe impl Parallel for Threads {
    fn run(&self, n: usize, part: &(dyn Fn(Range<usize>) + Sync)) {
        extern "C" fn call(context: *const c_void, begin: i64, end: i64) {
            // SAFETY: `context` is the address of `part` below. `parallel_for` returns only when all threads
            // are done, so the reference is still there.
            #[expect(unsafe_code, reason = "C++ carries no closures")]
            let part = unsafe { *context.cast::<&(dyn Fn(Range<usize>) + Sync)>() };
            part(begin as usize..end as usize);
        }
        (self.0)(n as i64, (&raw const part).cast(), call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "C++ calls the function with an address")]
    fn an_activation_is_known_by_its_whole_name_alone() {
        let number_of = |name: &[u8]| {
            // SAFETY: a slice is as many bytes as its length.
            unsafe { activation_number(name.as_ptr().cast(), name.len()) }
        };
        for (name, activation) in Activation::NAMED {
            assert_eq!(number_of(name.as_bytes()), activation as i8, "{name}");
        }
        let listed = ACTIVATION_NAMES.to_str().expect("names are ASCII");
        let listed = listed.split(", ").flat_map(|it| it.split(" or "));
        assert!(
            listed.eq(Activation::NAMED.map(|(name, _)| name)),
            "the message lists every name"
        );
        for unknown in [&b""[..], b"gelu", b"relu\0", b"Relu", b"add", b"\xff"] {
            assert_eq!(number_of(unknown), -1, "{unknown:?}");
        }
    }

    #[test]
    fn a_layer_that_would_make_cpu_linear_panic_is_refused() {
        assert!(layer_of(FLOAT, 1, 1).is_some());
        assert!(layer_of(CHAR, 1 << 17, 1).is_some());
        for (kind, n_in, n_out) in [
            (5, 1, 1),
            (FLOAT, 0, 1),
            (FLOAT, 1, 0),
            (FLOAT, -1, 1),
            (BFLOAT16, i64::MAX, i64::MAX),
            (BFLOAT16, 1 << 41, 1),
            (CHAR, (1 << 17) + 1, 1),
        ] {
            let layer = layer_of(kind, n_in, n_out);
            assert_eq!(layer, None, "type {kind}, {n_in} to {n_out}");
        }
    }

    #[test]
    fn matrices_that_do_not_belong_to_one_layer_are_refused() {
        // No address is read: the answer depends on types and sizes.
        let matrix = |kind, n_rows, n_columns| Matrix {
            numbers: size_of::<Line>() as *mut c_void,
            n_rows,
            n_columns,
            kind,
        };
        let layer = layer_of(FLOAT, 40, 50).expect("there is such a layer");
        let packed = matrix(FLOAT, 1, (n_bytes_of(layer) / 4) as i64);
        let (rows, out) = (matrix(FLOAT, 7, 40), matrix(FLOAT, 7, 50));
        assert_eq!(layer_of_product(packed, rows, out), Some(layer));
        for (packed, rows, out) in [
            (matrix(FLOAT, 1, packed.n_columns - 16), rows, out),
            (matrix(CHAR, 1, packed.n_columns), rows, out),
            (packed, matrix(FLOAT, 7, 400), out),
            (packed, matrix(FLOAT, 6, 40), out),
            (packed, matrix(BFLOAT16, 7, 40), out),
            (packed, rows, matrix(BFLOAT16, 7, 50)),
            (packed, rows, matrix(FLOAT, 7, 0)),
        ] {
            assert_eq!(layer_of_product(packed, rows, out), None);
        }
        let mut unaligned = packed;
        unaligned.numbers = (size_of::<Line>() + 4) as *mut c_void;
        assert_eq!(layer_of_product(unaligned, rows, out), None);
    }
}
