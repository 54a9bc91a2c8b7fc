//! HTTPS towards the server: its certificate and the relay's, HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::Context;
use std::task::Poll;
use std::thread;

use bytes::Bytes;
use handset::platform::native::log::Log;
use handset::relay::carrier::Carrier;
use handset::relay::carrier::Parts;
use handset::relay::carrier::failure::FailureKind;
use handset::relay::identity::Policy;
use handset::relay::journal::Journal;
use handset::relay::neighbours::Neighbours;
use handset::relay::upstream::Trust;
use handset::relay::upstream::Upstream;
use http::HeaderValue;
use http::Response;
use http_body::Body;
use http_body::Frame;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::server::WebPkiClientVerifier;

use crate::authority::Authority;
use crate::branch::block_on;
use crate::branch::failure;
use crate::branch::fetch;
use crate::programs::Program;

fn file(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    directory.join(name)
}

/// The programs, end to end; whom the relay does not trust is not asked.
#[test]
fn the_native_server() {
    let state = tempfile::tempdir().unwrap();
    let fleet = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lync");
    let (certificate, key) = (file("cert.pem"), file("key.pem"));
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let more = [
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        certificate,
        "--tls-key",
        key,
    ];
    let server = Program::server(&fleet, state.path(), &more);
    let base = format!("{}/lync", server.addresses[0]);
    assert!(base.starts_with("https://"));
    let image = std::fs::read(fleet.join("firmware/polycom/4.1.4/2201-06642-001.sip.ld")).unwrap();
    let more = ["--identity", "any", "--upstream-ca", certificate];
    let (_relay, client) = Program::relay(&base, &more);
    for _ in 0..3 {
        assert!(block_on(client.read(b"2201-06642-001.sip.ld")).unwrap() == image);
    }
    block_on(client.write(b"0004f28062d6-app.log", b"a line\n")).unwrap();
    assert_eq!(
        block_on(client.read(b"0004f28062d6-app.log")).unwrap(),
        b"a line\n"
    );
    let (_stranger, client) = Program::relay(&base, &more[..2]);
    let error = block_on(client.read(b"shared.cfg"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot be reached"), "{error}");
}

/// What a connection to the server was like: its protocol, and whether it showed a certificate.
type Seen = Arc<Mutex<Vec<(Option<Vec<u8>>, bool)>>>;

/// A server that speaks HTTP/2 and wants a certificate.
fn multiplexing(authority: &Authority, directory: &Path) -> (SocketAddr, Seen) {
    let pem = directory.join("authority.pem");
    std::fs::write(&pem, &authority.pem).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&pem).unwrap())
        .unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let chain = vec![CertificateDer::from_pem_file(file("cert.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let seen = Seen::default();
    let (tell, told) = std::sync::mpsc::channel();
    let noted = seen.clone();
    thread::spawn(move || {
        block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let session = stream.get_ref().1;
                let shown = session.peer_certificates().is_some();
                let protocol = session.alpn_protocol().map(<[u8]>::to_vec);
                noted.lock().unwrap().push((protocol, shown));
                task::spawn_local(serve(stream));
            }
        });
    });
    (told.recv().unwrap(), seen)
}

async fn serve(stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>) {
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
        let head = format!(
            "{} {:?}",
            request.uri().path(),
            request.headers().get("handset-relay")
        );
        Ok::<_, Infallible>(Response::new(Whole(head.into())))
    });
    let serving = http2::Builder::new(Local).serve_connection(TokioIo::new(stream), service);
    // The relay closes it when it likes.
    let _ = serving.await;
}

#[test]
fn one_connection_for_all_requests() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("Relays");
    let (address, seen) = multiplexing(&authority, directory.path());
    let (certificate, key) = authority.sign("closet", 2050);
    let paths = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
    std::fs::write(&paths[0], certificate.pem()).unwrap();
    std::fs::write(&paths[1], key.serialize_pem()).unwrap();
    let [certificate, key] = paths;
    let base = format!("https://localhost:{}/office", address.port());
    let carrier = |identity| {
        let trust = Trust {
            authorities: Some(file("cert.pem")),
            identity,
        };
        Carrier::new(Parts {
            upstream: Upstream::new(base.parse().unwrap(), &trust).unwrap(),
            name: HeaderValue::from_static("closet"),
            policy: Policy::Any,
            neighbours: Neighbours::default(),
            journal: Journal::new(Log::to(std::io::sink())),
        })
    };
    block_on(async {
        let trusted = carrier(Some((certificate, key)));
        let phones: Vec<_> = (0..20)
            .map(|number| {
                let trusted = trusted.clone();
                task::spawn_local(async move {
                    let name = format!("file-{number}.cfg");
                    (fetch(&trusted, "192.0.2.7", &name).await, name)
                })
            })
            .collect();
        for phone in phones {
            let (bytes, name) = phone.await.unwrap();
            let expected = format!("/office/{name} Some(\"closet\")");
            assert_eq!(String::from_utf8(bytes.unwrap()).unwrap(), expected);
        }
        assert_eq!(*seen.lock().unwrap(), [(Some(b"h2".to_vec()), true)]);
        let stranger = carrier(None);
        let kind = failure(&stranger, "192.0.2.7", "a.cfg").await;
        assert_eq!(kind, FailureKind::Unreachable);
    });
}

/// A body in one piece.
struct Whole(Bytes);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then_some(Ok(Frame::data(bytes))))
    }
}

#[derive(Clone)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        task::spawn_local(future);
    }
}
