//! Compares products with sums in float64: on tiles where the CPU has them, and on an imitation everywhere.

mod case;
mod gemv;
mod imitation;

use std::ops::Range;

use crate::amx::Tiles;
use crate::kernel::MatrixUnit;
use crate::scratch::Line;
use crate::{Activation, Bfloat16, Format, Layer, Number, OneThread, Parallel, has_tiles};
use case::Case;
use imitation::Imitation;

const FORMATS: [Format; 3] = [Format::Float32, Format::Bfloat16, Format::Int8];
/// Rows, inputs and outputs. The sizes cover whole tiles and parts of tiles, one block and several blocks,
/// and more rows than are packed at once.
const SIZES: [[usize; 3]; 7] = [
    [1, 1, 1],
    [5, 40, 3],
    [32, 64, 32],
    [33, 100, 70],
    [70, 600, 300],
    [40, 1300, 65],
    [2100, 600, 40],
];

/// Calls `check` for the imitation, and for tiles if the CPU has tiles.
macro_rules! on_every_unit {
    ($check:ident) => {
        $check::<Imitation>();
        if has_tiles() {
            $check::<Tiles>();
        } else {
            eprintln!("this CPU has no tiles: products were checked on their imitation alone");
        }
    };
}

/// The largest error of an answer, relative to the sum of absolute products.
fn largest_error<U: MatrixUnit, T: Number>(case: &Case) -> f64 {
    let answer = case.answer::<U, T>(Activation::None, &OneThread);
    let n_out = case.layer.n_out;
    let errors = answer.iter().enumerate().map(|(i, it)| {
        let (exact, size) = case.exact::<T>(i / n_out, i % n_out);
        (f64::from(it.to_f32()) - exact).abs() / (size + exact.abs())
    });
    errors.fold(0.0, f64::max)
}

/// The root of the mean square error of an answer. Each square is relative to its sum of absolute products.
fn usual_error(case: &Case, answer: &[f32]) -> f64 {
    let n_out = case.layer.n_out;
    let squares = answer.iter().enumerate().map(|(i, &it)| {
        let (exact, size) = case.exact::<f32>(i / n_out, i % n_out);
        (f64::from(it) - exact).powi(2) / size
    });
    (squares.sum::<f64>() / answer.len() as f64).sqrt()
}

#[test]
fn float32_is_more_exact_than_float32_sums_in_order() {
    fn check<U: MatrixUnit>() {
        for size in [[40, 600, 64], [33, 1300, 65]] {
            let case = Case::new(Format::Float32, size);
            let Layer { n_in, n_out, .. } = case.layer;
            let in_order = |i: usize| {
                let row = &case.rows[i / n_out * n_in..][..n_in];
                let weights = &case.weight[i % n_out * n_in..][..n_in];
                let products = row.iter().zip(weights);
                products.fold(case.bias[i % n_out], |sum, (x, w)| x.mul_add(*w, sum))
            };
            let plain: Vec<f32> = (0..case.n_rows * n_out).map(in_order).collect();
            let ours = case.answer::<U, f32>(Activation::None, &OneThread);
            let [ours, plain] = [ours, plain].map(|it| usual_error(&case, &it));
            assert!(ours < plain, "{size:?}: {ours:e}, {plain:e}");
        }
    }
    on_every_unit!(check);
}

#[test]
fn float32_is_exact_to_its_last_bits_in_every_place() {
    fn check<U: MatrixUnit>() {
        for size in SIZES {
            let error = largest_error::<U, f32>(&Case::new(Format::Float32, size));
            // Rounding the answer alone makes an error of up to 2^-24, which is 6e-8.
            assert!(error < 3e-7, "{size:?}: {error:e}");
        }
    }
    on_every_unit!(check);
}

#[test]
fn bfloat16_rounds_its_answer_and_nothing_before() {
    fn check<U: MatrixUnit>() {
        for size in SIZES {
            let error = largest_error::<U, Bfloat16>(&Case::new(Format::Bfloat16, size));
            // Rounding the answer to bfloat16 makes an error of up to 2^-9, and the float32 sums add a
            // little.
            assert!(error < 0.001_955, "{size:?}: {error:e}");
        }
    }
    on_every_unit!(check);
}

#[test]
fn int8_multiplies_the_nearest_bytes_of_a_row() {
    fn check<U: MatrixUnit, T: Number>(rounding: f64) {
        for size in SIZES {
            let mut case = Case::new(Format::Int8, size);
            let answer = case.answer::<U, T>(Activation::None, &OneThread);
            // Only the rounding of rows to bytes loses anything. So the exact sums are those of the rounded
            // rows.
            case.rows = case.rows::<T>().iter().map(|it| it.to_f32()).collect();
            for row in case.rows.chunks_exact_mut(case.layer.n_in) {
                let scale = row.iter().fold(0.0, |most: f32, it| most.max(it.abs())) / 127.0;
                let bytes = |it: f32| (it * (1.0 / scale)).round_ties_even() * scale;
                row.iter_mut().for_each(|it| *it = bytes(*it));
            }
            for (i, it) in answer.iter().enumerate() {
                let n_out = case.layer.n_out;
                let (exact, sum) = case.exact::<f32>(i / n_out, i % n_out);
                let off = (f64::from(it.to_f32()) - exact).abs();
                assert!(
                    off <= 1e-6 * sum + rounding * exact.abs(),
                    "{size:?}, {i}: {off:e}"
                );
            }
        }
    }
    fn check_both<U: MatrixUnit>() {
        check::<U, f32>(1e-6);
        // Rounding the answer to bfloat16 makes an error of up to 2^-8, and the order of additions a little.
        check::<U, Bfloat16>(0.003_92);
    }
    on_every_unit!(check_both);
}

#[test]
fn what_is_not_finite_does_not_vanish() {
    fn check<U: MatrixUnit>() {
        for format in FORMATS {
            for (number, bits) in [
                ("NaN", 0x7fc0_0000),
                ("-NaN", 0xffff_ffff),
                ("inf", 0x7f80_0000),
            ] {
                let mut case = Case::new(format, [5, 100, 70]);
                case.rows[2 * 100 + 41] = f32::from_bits(bits);
                for activation in [Activation::None, Activation::Silu, Activation::Add] {
                    let answer = case.answer::<U, f32>(activation, &OneThread);
                    for (i, it) in answer.iter().enumerate() {
                        assert_eq!(
                            it.is_finite(),
                            i / 70 != 2,
                            "{format:?}, {number}, {activation:?}: {it}"
                        );
                    }
                }
                let relu = case.answer::<U, f32>(Activation::Relu, &OneThread);
                let row = &relu[2 * 70..3 * 70];
                assert!(row.iter().any(|it| !it.is_finite()), "{format:?}, {number}");
            }
        }
    }
    on_every_unit!(check);
}

#[test]
fn a_row_is_the_same_alone_and_among_others() {
    fn check<U: MatrixUnit>() {
        for format in FORMATS {
            let whole = Case::new(format, [70, 600, 300]);
            let answer = whole.answer::<U, f32>(Activation::None, &OneThread);
            for row in [0, 31, 32, 69] {
                let mut alone = Case::new(format, [70, 600, 300]);
                alone.n_rows = 1;
                alone.rows = whole.rows[row * 600..][..600].to_vec();
                let alone = alone.answer::<U, f32>(Activation::None, &OneThread);
                assert_eq!(alone, answer[row * 300..][..300], "{format:?}, row {row}");
            }
        }
    }
    on_every_unit!(check);
}

#[test]
fn threads_change_nothing() {
    /// A thread for each number.
    struct Many;

    // SAFETY: every range is one number, and no number comes twice.
    #[expect(unsafe_code, reason = "see the trait")]
    unsafe impl Parallel for Many {
        fn run(&self, n: usize, part: &(dyn Fn(Range<usize>) + Sync)) {
            std::thread::scope(|scope| {
                for i in 0..n {
                    scope.spawn(move || part(i..i + 1));
                }
            });
        }
    }

    fn check<U: MatrixUnit>() {
        for format in FORMATS {
            let case = Case::new(format, [70, 600, 300]);
            let one = case.answer::<U, f32>(Activation::None, &OneThread);
            assert_eq!(
                case.answer::<U, f32>(Activation::None, &Many),
                one,
                "{format:?}"
            );
        }
    }
    on_every_unit!(check);
}

#[test]
fn what_follows_a_product_is_done_to_its_answer() {
    fn check<U: MatrixUnit>() {
        for format in FORMATS {
            let case = Case::new(format, [33, 100, 70]);
            let plain = case.answer::<U, f32>(Activation::None, &OneThread);
            let relu = case.answer::<U, f32>(Activation::Relu, &OneThread);
            let added = case.answer::<U, f32>(Activation::Add, &OneThread);
            let silu = case.answer::<U, f32>(Activation::Silu, &OneThread);
            for (i, &x) in plain.iter().enumerate() {
                assert_eq!(relu[i], x.max(0.0), "{format:?}");
                assert_eq!(added[i], 0.5 + x, "{format:?}");
                let exact = x / (1.0 + (-x).exp());
                let allowed = 1e-6 * exact.abs() + 1e-7;
                assert!((silu[i] - exact).abs() <= allowed, "{format:?}: {x}");
            }
        }
    }
    on_every_unit!(check);
}

#[test]
fn without_a_bias_nothing_is_added() {
    fn check<U: MatrixUnit>() {
        for format in FORMATS {
            let case = Case::new(format, [3, 4, 5]);
            let mut lines = vec![Line([u32::MAX; 16]); case.layer.n_lines()];
            let weight = |i| case.weight[i];
            case.layer
                .pack(weight, case.scale.as_deref(), None, &mut lines, &OneThread);
            let mut out = vec![1.0; 15];
            let zeros = vec![0.0; 12];
            case.layer
                .gemm_on::<U, f32>(&lines, &zeros, &mut out, Activation::None, &OneThread);
            assert_eq!(out, [0.0; 15], "{format:?}");
        }
    }
    on_every_unit!(check);
}

#[test]
fn large_and_small_numbers_keep_their_precision() {
    fn check<U: MatrixUnit>() {
        for size in [1e-20_f32, 1e20] {
            let mut case = Case::new(Format::Float32, [5, 40, 3]);
            case.rows.iter_mut().for_each(|it| *it *= size);
            case.bias.fill(0.0);
            let error = largest_error::<U, f32>(&case);
            assert!(error < 3e-7, "{size}: {error:e}");
        }
    }
    on_every_unit!(check);
}

#[test]
fn rounding_to_bfloat16_is_to_the_nearest_and_to_even() {
    let bits = |value: f32| Bfloat16::from_f32(value).0;
    assert_eq!(bits(1.0), 0x3f80);
    assert_eq!(bits(f32::from_bits(0x3f80_8000)), 0x3f80);
    assert_eq!(bits(f32::from_bits(0x3f80_8001)), 0x3f81);
    assert_eq!(bits(f32::from_bits(0x3f81_8000)), 0x3f82);
    assert_eq!(bits(f32::MAX), 0x7f80);
    assert!(
        Bfloat16::from_f32(f32::from_bits(0x7f80_0001))
            .to_f32()
            .is_nan()
    );
}
