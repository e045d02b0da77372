//! Measures the search, the making of words, and the cutting and joining of long audio: `cargo bench -p
//! benches --no-default-features --bench pure`.

use benches::pure_work;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn bench_pure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pure");
    for work in pure_work() {
        group.throughput(Throughput::Elements(work.n_items as u64));
        group.bench_function(work.name, |bencher| bencher.iter((work.prepare)()));
    }
    group.finish();
}

criterion_group!(benches, bench_pure);
criterion_main!(benches);
