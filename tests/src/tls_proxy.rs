//! TLS in front of a server that speaks none: a Redis at `rediss://`, a store at `https://`.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use uuid::Uuid;

use crate::program::new_folder;

/// An authority that signs certificates, as a company has one of its own: nobody trusts it who was not
/// told to.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("keys can be made");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Issuers are looked up by name, and one of the same name is not an unknown one.
        let name = Uuid::new_v4().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("the key can sign");
        let folder = new_folder("authority");
        let file = folder.path().join(FILE);
        fs::write(file, certificate.pem()).expect("the folder is ours");
        Self {
            issuer: Issuer::new(params, key),
            folder,
        }
    }

    /// Its certificate as PEM, for `SSL_CERT_FILE`.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// What a server at 127.0.0.1 needs.
    fn server(&self) -> ServerConfig {
        let key = KeyPair::generate().expect("keys can be made");
        let params = CertificateParams::new([Ipv4Addr::LOCALHOST.to_string()]);
        let params = params.expect("an address is a subject");
        let certificate = params.signed_by(&key, &self.issuer).expect("it can sign");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .expect("the key is the certificate's")
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

const FILE: &str = "authority.pem";

/// A proxy on a port of its own; it and all its connections are gone when this value is.
#[derive(Debug)]
pub struct TlsProxy {
    port: u16,
    // Its end ends every task.
    _runtime: Runtime,
}

impl TlsProxy {
    /// Starts a proxy to the server at this address, with a certificate of this authority.
    pub fn start(server: &str, authority: &Authority) -> Self {
        let server = server.to_owned();
        let acceptor = TlsAcceptor::from(Arc::new(authority.server()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a thread can be started");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, server.clone(), acceptor.clone()));
            }
        });
        Self {
            port,
            _runtime: runtime,
        }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// One client's connection; a client that does not trust us ends it.
async fn connection(client: TcpStream, server: String, acceptor: TlsAcceptor) {
    let Ok(mut client) = acceptor.accept(client).await else {
        return;
    };
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
