//! Tests of the metrics.

use super::*;

#[test]
fn names_and_labels_are_those_of_dalston() {
    let metrics = Metrics::new("speech");
    let second = Duration::from_secs(1);
    metrics.task_ended(Outcome::Completed, Some("a/b"), second);
    metrics.task_ended(Outcome::Failed, None, second);
    metrics.queue_waited(second);
    metrics.downloaded(second);
    metrics.uploaded(second);
    metrics.redelivered("transcribe", RedeliveryReason::EngineCrash);
    metrics.skipped_cancelled("transcribe");
    metrics.model_loaded(Some("a/b"), second);
    metrics.model_acquired("a/b", false, second);
    metrics.model_acquired("a/b", true, Duration::ZERO);
    metrics.recognized(Some("a/b"), "cpu", second, Some(4.0));
    metrics.batch_filled(0.5);
    metrics.stepped("search", second);
    metrics.stepped("search", second / 2);
    metrics.task_failed(ErrorKind::Input);
    metrics.gpu_memory_used(Some(3));
    metrics.gpu_memory_total(Some(5));
    metrics.holds_tasks(2);
    metrics.stood_still(second / 2);
    let page = metrics.text();
    let of_engine = r#"engine_id="speech",execution_profile="container""#;
    let of_model = r#"engine_id="speech",model="a/b",device="cpu""#;
    for line in [
        r#"tasks_processed_total{engine_id="speech",model="a/b",status="success",execution_profile="container"} 1"#.to_owned(),
        r#"tasks_processed_total{engine_id="speech",model="",status="failure",execution_profile="container"} 1"#.to_owned(),
        r#"task_duration_seconds_count{engine_id="speech",model="a/b",execution_profile="container"} 1"#.to_owned(),
        format!("queue_wait_seconds_count{{{of_engine}}} 1"),
        format!("s3_download_seconds_count{{{of_engine}}} 1"),
        format!("s3_upload_seconds_count{{{of_engine}}} 1"),
        r#"task_redelivery_total{stage="transcribe",reason="engine_crash"} 1"#.to_owned(),
        r#"tasks_skipped_cancelled_total{stage="transcribe"} 1"#.to_owned(),
        r#"model_load_seconds_count{engine_id="speech",model="a/b",execution_profile="container"} 1"#.to_owned(),
        r#"model_acquire_seconds_sum{engine_id="speech",model="a/b",in_memory="false"} 1.0"#.to_owned(),
        r#"model_acquire_seconds_count{engine_id="speech",model="a/b",in_memory="true"} 1"#.to_owned(),
        r#"model_cache_hits_total{engine_id="speech",model="a/b"} 1"#.to_owned(),
        format!("recognize_seconds_count{{{of_model}}} 1"),
        format!("realtime_factor_ratio_sum{{{of_model}}} 0.25"),
        r#"batch_fill_ratio_sum{engine_id="speech"} 0.5"#.to_owned(),
        r#"active_tasks{engine_id="speech"} 2"#.to_owned(),
        r#"seconds_since_progress{engine_id="speech"} 0.5"#.to_owned(),
        r#"step_seconds_total{engine_id="speech",step="search"} 1.5"#.to_owned(),
        r#"task_failures_total{engine_id="speech",kind="input"} 1"#.to_owned(),
        r#"gpu_memory_bytes{engine_id="speech"} 3"#.to_owned(),
        r#"gpu_memory_size_bytes{engine_id="speech"} 5"#.to_owned(),
    ] {
        let line = format!("\ndalston_engine_{line}\n");
        assert!(page.contains(&line), "{line} is not in\n{page}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_read_when_it_is_asked_for() {
    let held = |metrics: &Metrics| {
        let page = metrics.text();
        let mut lines = page.lines();
        let line = lines.find_map(|it| it.strip_prefix("dalston_engine_memory_bytes{"));
        let value = line.and_then(|it| it.rsplit(' ').next()?.parse().ok());
        value.unwrap_or_else(|| panic!("no memory in\n{page}"))
    };
    let metrics = Metrics::new("speech");
    let before: u64 = held(&metrics);
    // Much more than concurrent tests free meanwhile.
    let more = std::hint::black_box(vec![1_u8; 300_000_000]);
    let after = held(&metrics);
    assert!(
        after > before + 150_000_000,
        "{before} before, {after} with {}",
        more.len()
    );
}
