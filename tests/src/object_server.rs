//! A real S3 server on free ports: SeaweedFS, which checks signatures.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::program::{Program, free_port, new_folder, server, wait_until};

/// A SeaweedFS with one bucket. Tests share it, because it takes about 4 s to start.
#[derive(Debug)]
pub struct ObjectServer {
    /// The process. [`Signal::STOP`](crate::Signal::STOP) stops its answers.
    pub program: Program,
    ports: [u16; 8],
    store: AmazonS3,
    runtime: Runtime,
}

impl ObjectServer {
    /// Dalston's default bucket.
    pub const BUCKET: &str = "dalston-artifacts";
    /// The access key of the only identity that may read and write.
    pub const ACCESS_KEY: &str = "access-key-of-the-tests";
    /// The secret key of that identity. No log of a worker may show it.
    pub const SECRET_KEY: &str = "s3-secret-of-the-tests";

    /// The shared server of this test program. It starts on the first call and ends when the last user drops
    /// it.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<ObjectServer>> = Mutex::new(Weak::new());
        // A panic in `start` poisons the lock and leaves the value as it was: the next test tries again.
        let mut shared = SHARED
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start());
        *shared = Arc::downgrade(&started);
        started
    }

    /// Starts a server and waits until it has stored an object.
    pub fn start() -> Self {
        let folder = new_folder("weed");
        let identities = json!({"identities": [{
            "name": "dalston",
            "credentials": [{"accessKey": Self::ACCESS_KEY, "secretKey": Self::SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        let identities_file = folder.path().join("identities.json");
        fs::write(&identities_file, identities.to_string()).expect("the folder is ours");

        let ports: [u16; 8] = std::array::from_fn(|_| free_port());
        let mut command = Command::new(server("weed"));
        command
            .args(["-logtostderr", "server", "-s3", "-dir"])
            .arg(folder.path());
        command.arg("-s3.config").arg(&identities_file);
        for (option, port) in PORT_OPTIONS.iter().zip(ports) {
            command.arg(format!("-{option}={port}"));
        }
        command.args(OPTIONS);
        let program = Program::start("weed", command, folder);

        let runtime = Runtime::new().expect("threads can be started");
        let store = AmazonS3Builder::new()
            .with_endpoint(endpoint(ports))
            .with_allow_http(true)
            .with_virtual_hosted_style_request(false)
            .with_bucket_name(Self::BUCKET)
            .with_region("us-east-1")
            .with_access_key_id(Self::ACCESS_KEY)
            .with_secret_access_key(Self::SECRET_KEY)
            .with_retry(object_store::RetryConfig {
                max_retries: 0,
                ..Default::default()
            })
            .build()
            .expect("every setting is given");
        let this = Self {
            program,
            ports,
            store,
            runtime,
        };
        let ready = wait_until(Duration::from_secs(60), || {
            this.try_put("ready", "ready".into())
        });
        assert!(ready, "weed stores nothing: {}", this.program.log());
        this
    }

    /// `http://127.0.0.1:port`, the value of `DALSTON_S3_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        endpoint(self.ports)
    }

    /// `127.0.0.1:port`, for a proxy.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// Stores an object.
    #[track_caller]
    pub fn put(&self, key: &str, content: impl Into<PutPayload>) {
        assert!(self.try_put(key, content.into()), "cannot store {key}");
    }

    /// Stores many objects, 32 at a time.
    pub fn put_all(&self, objects: Vec<(String, Vec<u8>)>) {
        self.runtime.block_on(async {
            for some in objects.chunks(32) {
                let puts = some.iter().map(|(key, content)| {
                    let store = self.store.clone();
                    let (key, content) = (Path::from(key.as_str()), content.clone());
                    self.runtime
                        .spawn(async move { store.put(&key, content.into()).await })
                });
                for put in puts.collect::<Vec<_>>() {
                    put.await
                        .expect("a put does not panic")
                        .expect("the server accepts the object");
                }
            }
        });
    }

    /// The content of an object; `None` if there is no such object.
    #[track_caller]
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let content = self
            .runtime
            .block_on(async { self.store.get(&Path::from(key)).await?.bytes().await });
        match content {
            Ok(bytes) => Some(bytes.to_vec()),
            Err(object_store::Error::NotFound { .. }) => None,
            Err(why) => panic!("cannot read {key}: {why}"),
        }
    }

    fn try_put(&self, key: &str, content: PutPayload) -> bool {
        let key = Path::from(key);
        let put = self.store.put(&key, content);
        self.runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(20), put).await })
            .is_ok_and(|stored| stored.is_ok())
    }
}

impl Drop for ObjectServer {
    fn drop(&mut self) {
        self.program.kill();
        // SeaweedFS makes a local socket for each port in /tmp, and has no option to change that for all of
        // them.
        for (option, port) in PORT_OPTIONS.iter().zip(self.ports) {
            let name = option.replace(".port", "").replace('.', "-");
            let _ = fs::remove_file(PathBuf::from(format!("/tmp/seaweedfs-{name}-{port}.sock")));
        }
    }
}

/// The options for ports; the S3 port comes first.
const PORT_OPTIONS: [&str; 8] = [
    "s3.port",
    "s3.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
];

/// Listens on loopback only, sends no telemetry, elects itself at once, and uses little disk space.
const OPTIONS: [&str; 9] = [
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-master.telemetry=false",
    "-master.electionTimeout=1s",
    "-master.volumeSizeLimitMB=256",
    "-volume.max=20",
    "-s3.iam=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
];

fn endpoint(ports: [u16; 8]) -> String {
    format!("http://127.0.0.1:{}", ports[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_back_what_was_stored_and_refuses_a_wrong_secret() {
        let server = ObjectServer::shared();
        server.put("jobs/a/b", "content".as_bytes().to_vec());
        assert_eq!(server.get("jobs/a/b").unwrap(), b"content");
        assert_eq!(server.get("jobs/a/c"), None);

        let unauthorized = AmazonS3Builder::new()
            .with_endpoint(server.endpoint())
            .with_allow_http(true)
            .with_bucket_name(ObjectServer::BUCKET)
            .with_region("us-east-1")
            .with_access_key_id(ObjectServer::ACCESS_KEY)
            .with_secret_access_key("a guess")
            .build()
            .unwrap();
        let refused = server
            .runtime
            .block_on(unauthorized.get(&Path::from("jobs/a/b")));
        assert!(
            matches!(refused, Err(object_store::Error::PermissionDenied { .. })),
            "{refused:?}"
        );
    }
}
