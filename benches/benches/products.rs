//! Measures linear layers on a CPU: `cargo bench -p benches --no-default-features --bench products`.

use cpu_linear::{Activation, Bfloat16, Format, Layer, Line, Number, OneThread, has_tiles};
use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};

/// The first layer of a feed-forward block of rnnt-0.6b, with 30 s of audio.
const N_ROWS: usize = 376;
const N_IN: usize = 1024;
const N_OUT: usize = 4096;

fn bench_gemm(criterion: &mut Criterion) {
    if !has_tiles() {
        eprintln!("this CPU has no tiles (AMX): there is nothing to measure");
        return;
    }
    let mut group = criterion.benchmark_group("products");
    // An element is one multiplication or one addition.
    group.throughput(Throughput::Elements((2 * N_ROWS * N_IN * N_OUT) as u64));
    let mut product = |name, format, measure: fn(Layer, &[Line], &mut Bencher)| {
        let layer = Layer {
            format,
            n_in: N_IN,
            n_out: N_OUT,
        };
        let mut lines = vec![Line([0; 16]); layer.n_lines()];
        let scale = (format == Format::Int8).then(|| vec![0.01; N_OUT]);
        let weight = |i: usize| (i % 251) as f32 - 125.0;
        layer.pack(weight, scale.as_deref(), None, &mut lines, &OneThread);
        group.bench_function(name, |bencher| measure(layer, &lines, bencher));
    };
    product("float32", Format::Float32, gemm::<f32>);
    product("bfloat16", Format::Bfloat16, gemm::<Bfloat16>);
    product("int8", Format::Int8, gemm::<Bfloat16>);
    group.finish();
}

fn gemm<T: Number>(layer: Layer, lines: &[Line], bencher: &mut Bencher) {
    let row = |i: usize| T::from_f32((i % 113) as f32 * 0.01 - 0.5);
    let rows: Vec<T> = (0..N_ROWS * N_IN).map(row).collect();
    let mut out = vec![T::from_f32(0.0); N_ROWS * N_OUT];
    bencher.iter(|| layer.gemm(lines, &rows, &mut out, Activation::None, &OneThread));
}

/// The three large layers of a step of the predictor, at the size of rnnt-0.6b, with one to eight lanes.
fn bench_gemv(criterion: &mut Criterion) {
    const WIDTH: usize = 640;
    let mut group = criterion.benchmark_group("few");
    for (name, format) in [
        ("float32", Format::Float32),
        ("bfloat16", Format::Bfloat16),
        ("int8", Format::Int8),
    ] {
        let layer = Layer {
            format,
            n_in: WIDTH,
            n_out: 4 * WIDTH,
        };
        let scale = (format == Format::Int8).then(|| vec![0.01; layer.n_out]);
        let weight = |i: usize| (i % 251) as f32 - 125.0;
        let layers = [(); 3].map(|()| {
            let mut lines = vec![Line([0; 16]); layer.n_lines()];
            layer.pack(weight, scale.as_deref(), None, &mut lines, &OneThread);
            lines
        });
        for n_rows in [1, 3, 5, 8] {
            let rows: Vec<_> = (0..n_rows * WIDTH)
                .map(|i| (i % 113) as f32 * 0.01)
                .collect();
            let mut out = vec![0.0; n_rows * layer.n_out];
            group.throughput(Throughput::Bytes(
                layers.iter().map(|it| it.len() as u64 * 64).sum(),
            ));
            group.bench_function(format!("{name}/{n_rows}"), |bencher| {
                bencher.iter(|| {
                    for lines in &layers {
                        layer.gemv(lines, &rows, &mut out, Activation::Add);
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench_gemm, bench_gemv);
criterion_main!(benches);
