//! Compares products of a few rows with sums in float64.

use super::case::Case;
use super::{FORMATS, SIZES};
use crate::simd::Vectors;
use crate::{Activation, Format, Layer};

fn answer(vectors: Vectors, case: &Case, activation: Activation) -> Vec<f32> {
    let mut out = vec![0.5; case.n_rows * case.layer.n_out];
    case.layer
        .gemv_on(vectors, &case.lines(), &case.rows, &mut out, activation);
    out
}

#[test]
fn no_row_is_rounded_in_any_format() {
    for format in FORMATS {
        for size in SIZES {
            let case = Case::new(format, size);
            let n_out = case.layer.n_out;
            for (i, it) in answer(Vectors::widest(), &case, Activation::None)
                .iter()
                .enumerate()
            {
                let (exact, sum) = case.exact::<f32>(i / n_out, i % n_out);
                let off = (f64::from(*it) - exact).abs();
                // At most 1300 roundings, each at random up to 2^-24 of the sum so far.
                assert!(
                    off <= 1e-6 * sum + 1e-7,
                    "{format:?}, {size:?}, {i}: {off:e}"
                );
            }
        }
    }
}

#[test]
fn every_number_of_rows_and_every_cpu_has_the_same_answer() {
    for format in FORMATS {
        let whole = Case::new(format, [19, 100, 70]);
        let expected = answer(Vectors::baseline(), &whole, Activation::None);
        for n_rows in 1..=19 {
            let mut some = Case::new(format, [19, 100, 70]);
            some.n_rows = n_rows;
            some.rows.truncate(n_rows * 100);
            let expected = &expected[..n_rows * 70];
            let activation = Activation::None;
            assert_eq!(
                answer(Vectors::widest(), &some, activation),
                expected,
                "{format:?}"
            );
            assert_eq!(
                answer(Vectors::baseline(), &some, activation),
                expected,
                "{format:?}"
            );
        }
    }
}

#[test]
fn a_product_is_added_to_what_is_there() {
    for format in FORMATS {
        let case = Case::new(format, [5, 100, 70]);
        let plain = answer(Vectors::widest(), &case, Activation::None);
        let added = answer(Vectors::widest(), &case, Activation::Add);
        assert!(plain.iter().zip(added).all(|(x, added)| added == 0.5 + x));
    }
}

#[test]
fn what_is_not_finite_stays_in_its_row() {
    for format in FORMATS {
        for number in [f32::NAN, f32::INFINITY] {
            let mut case = Case::new(format, [5, 100, 70]);
            case.rows[2 * 100 + 41] = number;
            let answer = answer(Vectors::widest(), &case, Activation::None);
            for (i, it) in answer.iter().enumerate() {
                assert_eq!(it.is_finite(), i / 70 != 2, "{format:?}, {number}: {it}");
            }
        }
    }
}

#[test]
fn no_rows_have_no_answer() {
    let layer = Layer {
        format: Format::Float32,
        n_in: 3,
        n_out: 2,
    };
    let lines = vec![crate::Line([0; 16]); layer.n_lines()];
    layer.gemv(&lines, &[], &mut [], Activation::None);
}
