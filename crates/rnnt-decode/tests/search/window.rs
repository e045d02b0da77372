//! Compares the cost of the adaptive window with that of the best fixed window.

use std::num::NonZeroUsize;

use rnnt_decode::{Emission, Head, SearchRules, SearchStats, TokenId, Window};

use crate::scripted::{BLANK, Scripted};

/// Thirty seconds of talk in every lane, different in each lane. A token comes every one to five frames, and
/// one token in ten is followed by a pause of up to four seconds.
fn talk(n_lanes: usize) -> Scripted<impl Fn(usize, usize, &[TokenId]) -> Emission> {
    let mut state = 1u64;
    let mut below = move |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut tokens_until = Vec::new();
    for _ in 0..n_lanes {
        let mut on_frame = [0; 375];
        let mut frame = below(20);
        while let Some(tokens) = on_frame.get_mut(frame as usize) {
            *tokens += 1;
            frame += [0, 1, 1, 2, 3, 4][below(6) as usize];
            frame += if below(10) == 0 { below(50) } else { 1 };
        }
        let sum = |n: &mut usize, on_frame| {
            *n += on_frame;
            Some(*n)
        };
        tokens_until.push(on_frame.into_iter().scan(0, sum).collect::<Vec<_>>());
    }
    Scripted::new(
        Head::Rnnt,
        vec![375; n_lanes],
        move |lane, frame, history: &[TokenId]| {
            let is_blank = history.len() >= tokens_until[lane][frame];
            Emission {
                token: if is_blank { BLANK } else { 0 },
                duration: is_blank.into(),
                log_prob: 0.0,
            }
        },
    )
}

fn stats(n_lanes: usize, window: Window) -> SearchStats {
    talk(n_lanes)
        .search(&SearchRules {
            window,
            ..SearchRules::default()
        })
        .stats
}

fn cost(n_lanes: usize, call_cost: u32, window: Window) -> u64 {
    let stats = stats(n_lanes, window);
    stats.score_calls * u64::from(call_cost) + stats.scored_frames
}

#[track_caller]
fn check(n_lanes: usize, call_cost: u32, window: Window) {
    let fixed = (1..=64)
        .filter_map(NonZeroUsize::new)
        .map(|w| (cost(n_lanes, call_cost, Window::Fixed(w)), w));
    let (best, fixed) = fixed.min().expect("there are windows");
    let adaptive = cost(n_lanes, call_cost, window);
    // One tenth is allowed, because the window is a power of two and follows the talk with a delay of some
    // calls.
    assert!(
        adaptive * 10 <= best * 11,
        "{adaptive} against {best} with a window of {fixed}"
    );
}

#[test]
fn one_lane_on_a_cpu_costs_at_most_a_tenth_more_than_with_the_best_window() {
    check(1, 12, Window::default());
}

#[test]
fn sixteen_lanes_on_a_cpu_cost_at_most_a_tenth_more_than_with_the_best_window() {
    check(16, 12, Window::default());
}

#[test]
fn one_lane_on_a_gpu_costs_at_most_a_tenth_more_than_with_the_best_window() {
    check(1, 5000, Window::Adaptive { call_cost: 5000 });
}

#[test]
fn sixteen_lanes_on_a_gpu_cost_at_most_a_tenth_more_than_with_the_best_window() {
    check(16, 5000, Window::Adaptive { call_cost: 5000 });
}

#[test]
fn the_default_window_is_more_than_one_frame() {
    for n_lanes in [1, 8, 32] {
        let window = stats(n_lanes, Window::default()).mean_window();
        assert!(window > Some(1.5), "{window:?} frames with {n_lanes} lanes");
    }
}
