//! Checks that the server keeps what the queue stores: it must not evict keys, and should write them to disk.
//!
//! Of the queue's keys, heartbeats, counts and hashes expire by themselves, so even the policies that evict only
//! such keys delete them: a task would then lose its settings, and a living worker its lease. The check reads
//! INFO, because managed servers refuse CONFIG.

use super::claim::QueueError;
use super::server::Server;

/// Checks the settings of the server.
///
/// # Errors
///
/// [`QueueError::Unsuitable`] if the server may evict keys and `allow_eviction` is not set.
pub(super) async fn check(server: &Server, allow_eviction: bool) -> Result<(), QueueError> {
    let (memory, persistence) = (
        server.info("memory").await?,
        server.info("persistence").await?,
    );
    match memory.as_deref().map(evicts) {
        None => tracing::warn!("redis_settings_unknown"),
        Some(Some(policy)) if allow_eviction => tracing::warn!(policy, "redis_may_evict_keys"),
        Some(Some(policy)) => {
            return Err(QueueError::Unsuitable {
                reason: format!(
                    "Redis has maxmemory-policy {policy} and may delete tasks, expected noeviction; change \
                     the setting, or set DALSTON_ALLOW_EVICTION=true to start anyway"
                ),
            });
        }
        Some(None) => {}
    }
    if persistence.is_some_and(|it| field(&it, "aof_enabled") == Some("0")) {
        tracing::warn!("redis_without_append_only_file");
    }
    Ok(())
}

/// The policy by which the server evicts keys; `None` if it evicts none.
fn evicts(memory: &str) -> Option<&str> {
    let is_limited = field(memory, "maxmemory").is_some_and(|it| it != "0");
    let policy = field(memory, "maxmemory_policy").filter(|it| *it != "noeviction");
    policy.filter(|_| is_limited)
}

/// The value of a line `name:value` of a report.
fn field<'a>(report: &'a str, name: &str) -> Option<&'a str> {
    let mut values = report
        .lines()
        .filter_map(|it| it.strip_prefix(name)?.strip_prefix(':'));
    values.next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(maxmemory: &str, policy: &str, expected: Option<&str>) {
        let report = format!(
            "# Memory\r\nused_memory:1\r\nmaxmemory:{maxmemory}\r\nmaxmemory_human:1B\r\n\
             maxmemory_policy:{policy}\r\n"
        );
        assert_eq!(evicts(&report), expected);
    }

    #[test]
    fn a_server_evicts_if_it_has_a_limit_and_a_policy() {
        check("1024", "volatile-lru", Some("volatile-lru"));
        check("1024", "allkeys-random", Some("allkeys-random"));
        check("1024", "noeviction", None);
        check("0", "allkeys-lru", None);
    }

    #[test]
    fn a_report_without_the_settings_says_nothing() {
        assert_eq!(evicts("# Memory\r\nused_memory:1\r\n"), None);
    }
}
