//! An S3 service in the test's own process. It verifies signatures, as s3s does it.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;

use async_trait::async_trait;
use handset::fleet::entries;
use handset::fleet::fill::fill;
use handset::platform::native::s3::HttpWire;
use handset::secret::DeploymentSecrets;
use handset::store::directory::Snapshot;
use handset::store::directory::Upload;
use handset::store::s3::Address;
use handset::store::s3::Credentials;
use handset::store::s3::S3;
use handset::store::single::SingleStore;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::S3Request;
use s3s::S3Response;
use s3s::S3Result;
use s3s::auth::SimpleAuth;
use s3s::dto;
use s3s::host::SingleDomain;
use s3s::service::S3Service;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::RwLock;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

pub(crate) const BUCKET: &str = "phones";
pub(crate) const KEY: &str = "AKIDHANDSET";
pub(crate) const SECRET: &str = "a secret for tests";

/// A service with one empty bucket; it ends when dropped.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    calls: Arc<Counters>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    root: TempDir,
}

/// Whether a service looks at If-Match and If-None-Match.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Conditions {
    Honoured,
    Ignored,
    IgnoredIfMatch,
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::with(Conditions::Honoured)
    }

    pub(crate) fn with(conditions: Conditions) -> Self {
        Self::begin(conditions, None)
    }

    /// With a certificate that nobody knows.
    pub(crate) fn secure() -> Self {
        let chain = CertificateDer::pem_file_iter(certificate()).unwrap();
        let key = PrivateKeyDer::from_pem_file(certificate().with_file_name("key.pem"));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key.unwrap());
        let tls = TlsAcceptor::from(Arc::new(config.unwrap()));
        Self::begin(Conditions::Honoured, Some(tls))
    }

    fn begin(conditions: Conditions, tls: Option<TlsAcceptor>) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::<Counters>::default();
        let objects = Serial {
            calls: calls.clone(),
            files: FileSystem::new(root.path()).unwrap(),
            root: root.path().to_owned(),
            order: RwLock::default(),
            conditions,
        };
        let mut service = S3ServiceBuilder::new(objects);
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let domain = format!("s3.localhost:{}", address.port());
        service.set_host(Host(
            address.to_string(),
            SingleDomain::new(&domain).unwrap(),
        ));
        let service = service.build();
        let connections = Arc::<AtomicUsize>::default();
        let (stop, stopped) = oneshot::channel();
        let counter = connections.clone();
        let serve = move || {
            let serving = accept(listener, tls, service, counter);
            runtime.block_on(async {
                tokio::select! {
                    () = serving => {}
                    _ = stopped => {}
                }
            });
        };
        Self {
            address,
            connections,
            calls,
            stop: Some(stop),
            thread: Some(thread::spawn(serve)),
            root,
        }
    }

    /// Its bucket's address.
    pub(crate) fn place(&self, prefix: &str) -> Address {
        let endpoint = self.address;
        let text = format!("s3://{BUCKET}/{prefix}?endpoint=http://{endpoint}");
        text.parse().unwrap()
    }

    /// A part of its bucket that holds a compiled fleet directory.
    pub(crate) fn filled(&self, prefix: &str, snapshot: &Snapshot) -> SingleStore<S3<HttpWire>> {
        let store = store(self.place(prefix));
        let entries = entries::of(snapshot);
        block_on(fill(
            &store.bucket,
            &store.bucket,
            Some(&secrets()),
            &entries,
            Upload::of_file,
        ))
        .unwrap();
        store
    }

    /// Files that uploads in parts have left.
    pub(crate) fn unfinished(&self) -> usize {
        let names = std::fs::read_dir(self.root.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_string_lossy().contains(".part-"))
            .count()
    }

    /// Requests since this was asked last: those that read an object, and all.
    pub(crate) fn calls(&self) -> (u64, u64) {
        let [reads, all] = self
            .calls
            .each_ref()
            .map(|calls| calls.swap(0, Ordering::Relaxed));
        (reads, all)
    }

    /// Connections that it has taken.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: S3Service,
    connections: Arc<AtomicUsize>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.fetch_add(1, Ordering::Relaxed);
        stream.set_nodelay(true).unwrap();
        match tls.clone() {
            None => drop(tokio::spawn(serve(stream, service.clone()))),
            Some(tls) => {
                let service = service.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, service).await;
                    }
                });
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, service: S3Service) {
    let mut protocol = http1::Builder::new();
    let connection = protocol
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    // Tests break connections on purpose.
    let _ = connection.await;
}

/// The certificate of a secure service.
pub(crate) fn certificate() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls/cert.pem")
}

/// The deployment's, as all tests have it.
fn secrets() -> DeploymentSecrets {
    DeploymentSecrets::parse(include_str!("secret.txt")).unwrap()
}

/// A store at an address, with the right key.
pub(crate) fn store(address: Address) -> SingleStore<S3<HttpWire>> {
    let bucket = S3::new(address, credentials(SECRET, ""), HttpWire::new().unwrap());
    SingleStore::new(bucket, Some(secrets()))
}

pub(crate) fn credentials(secret: &str, token: &str) -> Credentials {
    let variable = |name: &str| match name {
        "AWS_ACCESS_KEY_ID" => Some(KEY.to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some(secret.to_owned()),
        _ => Some(token.to_owned()),
    };
    Credentials::from_variables(variable).unwrap()
}

/// Runs a future on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, future)
}

/// Buckets by path at the socket's address, and by host name below `s3.localhost`.
struct Host(String, SingleDomain);

impl s3s::host::S3Host for Host {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<s3s::host::VirtualHost<'a>> {
        if host == self.0 {
            return Ok(s3s::host::VirtualHost::new(host));
        }
        self.1.parse_host_header(host)
    }
}

/// Files that are written one at a time, so that between a condition and its write comes nothing else.
struct Serial {
    calls: Arc<Counters>,
    files: FileSystem,
    root: PathBuf,
    order: RwLock<()>,
    conditions: Conditions,
}

/// Requests that read an object, and all.
type Counters = [AtomicU64; 2];

impl Serial {
    fn count(&self, name: &str) {
        let [reads, all] = &*self.calls;
        reads.fetch_add(u64::from(name == "get_object"), Ordering::Relaxed);
        all.fetch_add(1, Ordering::Relaxed);
    }
}

macro_rules! passed_on {
    ($($name:ident($input:ident) -> $output:ident;)*) => {
        #[async_trait]
        impl s3s::S3 for Serial {
            async fn put_object(
                &self,
                mut request: S3Request<dto::PutObjectInput>,
            ) -> S3Result<S3Response<dto::PutObjectOutput>> {
                if self.conditions != Conditions::Honoured {
                    request.input.if_match = None;
                }
                if self.conditions == Conditions::Ignored {
                    request.input.if_none_match = None;
                }
                self.count("put_object");
                let _alone = self.order.write().await;
                let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
                let checked = request.input.checksum_sha256.is_some();
                let put = self.files.put_object(request).await;
                if checked && put.is_err() {
                    // It finds out when the file is there already; S3 stores nothing then.
                    let _ = std::fs::remove_file(self.root.join(bucket).join(key));
                }
                put
            }

            $(async fn $name(
                &self,
                request: S3Request<dto::$input>,
            ) -> S3Result<S3Response<dto::$output>> {
                self.count(stringify!($name));
                let _unwritten = self.order.read().await;
                self.files.$name(request).await
            })*
        }
    };
}

passed_on! {
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput;
    get_object(GetObjectInput) -> GetObjectOutput;
    head_object(HeadObjectInput) -> HeadObjectOutput;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
    upload_part(UploadPartInput) -> UploadPartOutput;
}
