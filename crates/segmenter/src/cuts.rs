//! Chooses the cuts of least cost, by dynamic programming.

use std::ops::Range;

use crate::chunk_rules::ChunkRules;
use crate::loudness::Border;

/// Cost of a cut outside of a pause, in addition to its loudness. It equals the cost of the length of an
/// empty chunk.
const HARD: f64 = 1.0;

/// Amount by which a cut is cheaper where the loudness steps by 30 dB. The encoder normalises a chunk as a
/// whole, so a quiet part is lost in a chunk with a loud one.
///
/// Of 1036 words with such a step every half minute the tiny model missed 46 with the amount 0, 28 with 0.25
/// and with 0.5, and 30 with 1, where every longer pause became a cut.
const STEP: f64 = 0.5;

/// The borders between the chunks of `span`, from its start to its end, both included.
///
/// A border is a frame number: border n is the one before frame n. No chunk encodes more than [`Pads::max`]
/// frames, and no other choice of borders costs less.
///
/// The cheapest cuts up to a border contain the cheapest cuts up to the last border before it, because a cost
/// depends on one chunk or one border alone. So one pass over the borders finds them. A chunk has at most
/// [`Pads::max`] frames, so the pass takes time in proportion to the length of the span.
pub(crate) fn cut(
    borders: &[Border],
    span: &Range<usize>,
    pads: &Pads,
    wanted: usize,
) -> Vec<usize> {
    let longest = pads.max.min(span.len());
    let length_costs: Vec<_> = (0..=longest).map(|it| length_cost(it, wanted)).collect();
    // For each border from the span's start on: the cost of the cheapest cuts up to it, and the last border
    // before it in these cuts.
    let mut best = vec![(0.0, span.start)];
    for end in span.start + 1..=span.end {
        let first = span.start.max(end.saturating_sub(pads.max));
        let (mut cost, mut start) = (f64::INFINITY, span.start);
        for (earlier, &(cost_before, _)) in (first..end).zip(&best[first - span.start..]) {
            let total = cost_before + length_costs[end - earlier];
            // The innermost loop. `fits` takes longest, so it is asked last.
            if total < cost && pads.fits(borders, span, earlier..end) {
                (cost, start) = (total, earlier);
            }
        }
        let at_end = if end == span.end {
            0.0
        } else {
            cut_cost(borders[end])
        };
        best.push((cost + at_end, start));
    }
    debug_assert!(
        best[span.len()].0.is_finite(),
        "half of a chunk is free for any cuts"
    );
    // Follows the stored borders back from the span's end.
    let mut cuts = vec![span.end];
    let mut at = span.end;
    while at > span.start {
        at = best[at - span.start].1;
        cuts.push(at);
    }
    cuts.reverse();
    cuts
}

/// The frames around two neighbouring cuts that a chunk encodes in addition to those between them.
#[derive(Debug, Clone)]
pub(crate) struct Pads {
    /// Most frames that a chunk encodes.
    max: usize,
    /// Frames that are encoded, but not searched, on each side.
    pub(crate) context: usize,
    /// Frames beyond a hard cut that the chunk on each side of the cut searches.
    half_overlap: usize,
}

impl Pads {
    /// Context and overlap each take at most an eighth of a chunk on each side. So at least half of the
    /// longest chunk lies between its cuts, and a plan exists for every audio.
    pub(crate) fn new(rules: &ChunkRules) -> Self {
        let max = rules.max_frames.get();
        Self {
            max,
            context: rules.context_frames.min(max / 8),
            half_overlap: rules.overlap_frames.div_ceil(2).min(max / 8),
        }
    }

    /// Frames beyond a border that the chunk on each side of the border searches.
    pub(crate) fn overlap(&self, borders: &[Border], span: &Range<usize>, at: usize) -> usize {
        let is_inside = span.start < at && at < span.end;
        if is_inside && !borders[at].is_pause {
            self.half_overlap
        } else {
            0
        }
    }

    /// Whether a chunk may lie between two borders: it is not too long, and its two overlaps do not
    /// meet, so that at most two chunks search a frame.
    fn fits(&self, borders: &[Border], span: &Range<usize>, between: Range<usize>) -> bool {
        let [before, after] =
            [between.start, between.end].map(|at| self.overlap(borders, span, at));
        let n_frames = borders.len() - 1;
        let start = between.start.saturating_sub(before + self.context);
        let end = (between.end + after + self.context).min(n_frames);
        end - start <= self.max && between.len() > before + after
    }
}

fn cut_cost(border: Border) -> f64 {
    let hard = if border.is_pause { 0.0 } else { HARD };
    f64::from(border.loudness) + hard - STEP * f64::from(border.step)
}

fn length_cost(length: usize, wanted: usize) -> f64 {
    (length as f64 / wanted as f64 - 1.0).powi(2)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use proptest::prelude::*;

    use super::*;

    fn pads(max: usize, context: usize, overlap: usize) -> Pads {
        Pads::new(&ChunkRules {
            context_frames: context,
            overlap_frames: overlap,
            ..ChunkRules::of_length(
                NonZeroUsize::MIN,
                NonZeroUsize::new(max).expect("chunks have frames"),
            )
        })
    }

    fn total(borders: &[Border], span: &Range<usize>, wanted: usize, cuts: &[usize]) -> f64 {
        let lengths = cuts
            .windows(2)
            .map(|edges| length_cost(edges[1] - edges[0], wanted));
        let inner = cuts.iter().filter(|&&at| span.start < at && at < span.end);
        lengths.sum::<f64>() + inner.map(|&at| cut_cost(borders[at])).sum::<f64>()
    }

    prop_compose! {
        fn borders()(
            borders in prop::collection::vec((0..4u8, any::<bool>(), 0..3u8), 2..13)
        ) -> Vec<Border> {
            let border = |(loudness, is_pause, step)| Border {
                loudness: f32::from(loudness) / 4.0,
                is_pause,
                step: f32::from(step) / 2.0,
            };
            borders.into_iter().map(border).collect()
        }
    }

    proptest! {
        #[test]
        fn no_choice_of_cuts_costs_less(
            borders in borders(), max in 1..20usize, context in 0..3usize, overlap in 0..5usize,
            wanted in 1..10usize, skipped in 0..3usize,
        ) {
            let pads = pads(max, context, overlap);
            let span = skipped.min(borders.len() - 2)..borders.len() - 1;
            let found = cut(&borders, &span, &pads, wanted);
            let least = (0u32..1 << (span.len() - 1)).filter_map(|chosen| {
                let inner = (span.start + 1..span.end)
                    .filter(|at| chosen & (1 << (at - span.start - 1)) != 0);
                let cuts: Vec<_> =
                    [span.start].into_iter().chain(inner).chain([span.end]).collect();
                let fits = cuts.windows(2).all(|it| pads.fits(&borders, &span, it[0]..it[1]));
                fits.then(|| total(&borders, &span, wanted, &cuts))
            });
            let least = least.min_by(f64::total_cmp).expect("there is a plan");
            // The two sums add the same numbers in different orders, so their last bits may differ.
            prop_assert!((total(&borders, &span, wanted, &found) - least).abs() < 1e-9);
            prop_assert!(found.windows(2).all(|it| pads.fits(&borders, &span, it[0]..it[1])));
        }
    }
}
