//! A proxy that adds TLS to a server without TLS: a Redis at `rediss://`, a store at `https://`.

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

/// A private certificate authority, as a company may have: only a client that is configured to trust it
/// accepts its certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// Makes a new authority.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("keys can be made");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Clients look issuers up by name. With equal names, the error would be a bad signature and not an
        // unknown issuer.
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

    /// The file with its certificate as PEM, for `SSL_CERT_FILE`.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// The configuration of a server at 127.0.0.1.
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

/// A proxy on its own port. Dropping the value ends the proxy and all its connections.
#[derive(Debug)]
pub struct TlsProxy {
    port: u16,
    // Dropping the runtime ends every task, and with the tasks their sockets.
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

/// Serves one connection of a client. A client that does not accept the certificate ends the handshake.
async fn connection(client: TcpStream, server: String, acceptor: TlsAcceptor) {
    let Ok(mut client) = acceptor.accept(client).await else {
        return;
    };
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
