//! The commands through TLS, to a server whose certificate is trusted and to one whose is not.

use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{Process, ndjson, run, run_with_variable};

/// A server behind TLS, with a certificate that nobody knows but who is given it.
struct TlsServer {
    dir: TempDir,
    server: Process,
    acceptor: TlsAcceptor,
}

impl TlsServer {
    /// `protocol` is what is agreed on in the handshake (ALPN).
    async fn start(protocol: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Process::start(&dir.path().join("data"), &[], None).await;
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(dir.path().join("trusted.pem"), cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        Self { dir, server, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    /// Takes TLS off connections and passes them on to `address`; returns where.
    async fn in_front_of(&self, address: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = self.acceptor.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (acceptor, address) = (acceptor.clone(), address.clone());
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let mut server = TcpStream::connect(address).await.unwrap();
                    tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
                });
            }
        });
        format!("https://localhost:{port}")
    }

    fn certificate(&self) -> PathBuf {
        self.dir.path().join("trusted.pem")
    }

    /// Runs a command that trusts the server's certificate.
    async fn run(&self, arguments: &[&str]) -> Output {
        let certificate = self.certificate();
        let variable = ("SSL_CERT_FILE", certificate.to_str().unwrap());
        run_with_variable(arguments, Some(variable), b"").await
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn lines_are_pushed_over_tls_to_a_server_whose_certificate_is_trusted() {
    let tls = TlsServer::start(b"h2").await;
    let to = tls.in_front_of(tls.server.ports().0).await;
    let arguments = ["push", "--to", &to, "--task", "t", "--required", "--", "echo", "hello"];
    let pushed = tls.run(&arguments).await;
    assert_eq!(pushed.status.code(), Some(0), "{}", said(&pushed));
    let lines = ndjson(|path| tls.server.api(path), "t").await;
    assert_eq!(lines[0]["message"], "hello");
    // Without it, the certificate is nobody's.
    let arguments = [&arguments[..5], &["--give-up-after", "1s", "--required", "--", "true"]];
    let refused = run(&arguments.concat(), b"").await;
    assert_eq!(refused.status.code(), Some(5), "{}", said(&refused));
    assert!(said(&refused).contains("certificate"), "{}", said(&refused));
}

#[tokio::test]
async fn logs_and_the_list_of_tasks_are_read_over_tls_from_a_server_that_is_trusted() {
    let tls = TlsServer::start(b"http/1.1").await;
    let to = tls.server.grpc_url();
    let pushed = run(&["push", "--to", &to, "--task", "t", "--", "echo", "hello"], b"").await;
    assert_eq!(pushed.status.code(), Some(0), "{}", said(&pushed));
    let url = tls.in_front_of(tls.server.ports().1).await;
    let tail = ["tail", "--url", &url, "t", "--quiet", "--give-up-after", "1s"];
    let tasks = ["tasks", "--url", &url];

    let tailed = tls.run(&tail).await;
    assert_eq!((tailed.status.code(), &tailed.stdout[..]), (Some(0), &b"hello\n"[..]));
    let listed = tls.run(&tasks).await;
    assert_eq!(listed.status.code(), Some(0), "{}", said(&listed));
    assert!(String::from_utf8_lossy(&listed.stdout).contains("succeeded"));
    let healthy = tls.run(&["health", "--url", &url]).await;
    assert_eq!(healthy.stdout, b"ready\n", "{}", said(&healthy));

    let help = "invalid peer certificate: UnknownIssuer (SSL_CERT_FILE can name";
    for arguments in [&tail[..], &tasks] {
        let refused = run(arguments, b"").await;
        assert_eq!(refused.status.code(), Some(5), "{}", said(&refused));
        assert!(said(&refused).contains(help), "{}", said(&refused));
    }
}
