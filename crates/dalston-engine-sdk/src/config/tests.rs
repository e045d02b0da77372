//! Correct and wrong environments.

use std::collections::HashMap;
use std::ffi::OsString;

use expect_test::expect_file;

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    let look_up = |name: &str| variables.get(name).map(OsString::from);
    Config::read(&Environment(&look_up), "speech")
}

#[track_caller]
fn read_well(variables: &[(&str, &str)]) -> Config {
    read(variables).unwrap_or_else(|err| panic!("{err}"))
}

#[track_caller]
fn refused(name: &str, value: &str, message: &str) {
    let err = read(&[(name, value)]).expect_err("refused");
    assert_eq!(err.to_string(), message);
}

#[test]
fn an_empty_environment_is_enough() {
    let config = read_well(&[("HOSTNAME", "box")]);
    assert_eq!(config.contract, Contract::M22);
    assert_eq!(config.engine_id, "speech");
    assert_eq!(config.worker_id, "box");
    assert_eq!(config.redis_url.expose(), "redis://localhost:6379");
    assert_eq!(config.store.bucket, "dalston-artifacts");
    assert_eq!(config.metrics_port, 9100);
    assert_eq!(config.lease, Duration::from_secs(15));
    assert_eq!(config.max_deliveries, 3);
    assert_eq!(config.device, DeviceChoice::Auto);
    assert_eq!(config.node_id, NodeId::Hostname);
    assert!(config.metrics_enabled);
}

#[test]
fn todays_name_goes_before_that_of_the_m22_era() {
    let both = [
        ("DALSTON_ENGINE_ID", "new"),
        ("ENGINE_ID", "old"),
        ("DALSTON_S3_BUCKET", "new-bucket"),
        ("S3_BUCKET", "old-bucket"),
        ("DALSTON_DEVICE", "cpu"),
        ("DEVICE", "cuda"),
        ("DALSTON_WORKER_ID", "w1"),
        ("DALSTON_INSTANCE", "w2"),
    ];
    let config = read_well(&both);
    assert_eq!(
        (config.engine_id.as_str(), config.worker_id.as_str()),
        ("new", "w1")
    );
    assert_eq!(config.store.bucket, "new-bucket");
    assert_eq!(config.device, DeviceChoice::Cpu);

    let old: Vec<_> = both.iter().copied().skip(1).step_by(2).collect();
    let config = read_well(&old);
    assert_eq!(
        (config.engine_id.as_str(), config.worker_id.as_str()),
        ("old", "w2")
    );
    assert_eq!(config.store.bucket, "old-bucket");
    assert_eq!(config.device, DeviceChoice::Cuda);
}

#[test]
fn an_empty_value_is_no_value() {
    let config = read_well(&[
        ("DALSTON_DEVICE", ""),
        ("DALSTON_ENGINE_ID", ""),
        ("ENGINE_ID", "old"),
        ("S3_ENDPOINT_URL", ""),
    ]);
    assert_eq!(config.device, DeviceChoice::Auto);
    assert_eq!(config.engine_id, "old");
    assert_eq!(config.store.endpoint, None);
}

#[test]
fn words_are_read_in_any_case() {
    let config = read_well(&[("LOG_LEVEL", "WARNING"), ("LOG_FORMAT", "Console")]);
    assert_eq!(config.logs.level, tracing::Level::WARN);
    assert_eq!(config.logs.format, LogFormat::Console);
}

#[test]
fn a_bad_value_is_refused_under_the_name_it_was_set_with() {
    refused(
        "DALSTON_CONTRACT",
        "m23",
        r#"DALSTON_CONTRACT is "m23", expected m22, m22-typed or streams"#,
    );
    refused(
        "DALSTON_METRICS_PORT",
        "65536",
        r#"DALSTON_METRICS_PORT is "65536", expected a whole number from 0 to 65535"#,
    );
    refused(
        "DALSTON_LEASE_S",
        "0",
        r#"DALSTON_LEASE_S is "0", expected a whole number from 1 to 300"#,
    );
    refused(
        "DEVICE",
        "mps",
        r#"DEVICE is "mps", expected one of auto, cpu, cuda"#,
    );
    refused(
        "S3_BUCKET",
        "a/b",
        r#"S3_BUCKET is "a/b", expected at most 64 letters, digits and . _ -"#,
    );
    refused(
        "DALSTON_WORKER_ID",
        "one two",
        r#"DALSTON_WORKER_ID is "one two", expected at most 64 letters, digits and . _ -"#,
    );
}

#[cfg(unix)]
#[test]
fn what_is_no_text_is_refused_by_name() {
    use std::os::unix::ffi::OsStringExt;

    let look_up = |name: &str| (name == "ENGINE_ID").then(|| OsString::from_vec(vec![0xff]));
    let err = Config::read(&Environment(&look_up), "speech").expect_err("refused");
    assert_eq!(err.to_string(), "ENGINE_ID is not valid UTF-8");
}

#[test]
fn secrets_are_printed_neither_by_a_config_nor_by_an_error() {
    let config = read_well(&[("REDIS_URL", "redis://user:hunter2@queue:6379/0")]);
    assert_eq!(
        config.redis_url.expose(),
        "redis://user:hunter2@queue:6379/0"
    );
    assert!(!format!("{config:?}").contains("hunter2"));
    refused(
        "REDIS_URL",
        "http://user:hunter2@queue",
        "REDIS_URL is ***, expected redis://host:port, rediss://host:port, unix:///path or \
         redis+sentinel://host:port,host:port/primary, with user:password@ before the host and /db at the end",
    );
    refused(
        "S3_ENDPOINT_URL",
        "http://user:hunter2@store",
        "S3_ENDPOINT_URL is ***, expected http://host:port or https://host:port, \
         without credentials",
    );
}

#[test]
fn a_hosts_name_becomes_a_name_that_keys_can_hold() {
    let config = read_well(&[("HOSTNAME", "Bob's box.local")]);
    assert_eq!(config.worker_id, "Bob-s-box.local");
    assert_eq!(config.hostname, "Bob's box.local");
}

/// A compose file gives every container of a machine the machine's name; the containers differ by their own.
#[test]
fn the_name_of_the_machine_never_becomes_the_name_of_a_worker() {
    let config = read_well(&[("HOSTNAME", "3f2a"), ("DALSTON_HOST_HOSTNAME", "box")]);
    assert_eq!(config.worker_id, "3f2a");
    assert_eq!(config.hostname, "box");
    let config = read_well(&[("DALSTON_HOST_HOSTNAME", "box")]);
    assert_eq!(config.worker_id, plain(&host_name()));
}

#[test]
fn the_node_is_asked_for_only_if_it_is_not_named_and_the_setting_says_so() {
    let node_id = |variables: &[_]| read_well(variables).node_id;
    let ask = ("DALSTON_NODE_ID_FROM_AWS", "true");
    let named = ("DALSTON_NODE_ID", "i-1");
    assert_eq!(node_id(&[]), NodeId::Hostname);
    assert_eq!(node_id(&[ask]), NodeId::Ec2Instance);
    assert_eq!(node_id(&[ask, named]), NodeId::Named("i-1".to_owned()));
    assert!(!read_well(&[("DALSTON_METRICS_ENABLED", "False")]).metrics_enabled);
    refused(
        "DALSTON_METRICS_ENABLED",
        "maybe",
        r#"DALSTON_METRICS_ENABLED is "maybe", expected one of true, false"#,
    );
}

#[test]
fn every_variable_is_in_the_manual() {
    let head = "# Settings\n\nWhat a worker reads from its environment. An empty value is no value. \
                Written by the tests of\n`dalston-engine-sdk`: `UPDATE_EXPECT=1 cargo test -p \
                dalston-engine-sdk` writes it anew.\n\n";
    let tail = "\nCredentials of the store come by the usual chain of AWS: `AWS_ACCESS_KEY_ID` and\n\
                `AWS_SECRET_ACCESS_KEY` (and `AWS_SESSION_TOKEN`), web identity, container, instance.\n\n\
                With `rediss://` and `https://`, a server's certificate has to come from an authority \
                that the\nsystem knows. `SSL_CERT_FILE`, a file of PEM certificates, and \
                `SSL_CERT_DIR` replace those of the\nsystem: for an authority of your own beside them \
                set both, the latter to `/etc/ssl/certs`.\n";
    let manual = format!("{head}{}{tail}", markdown());
    expect_file!["../../../../docs/settings.md"].assert_eq(&manual);
}
