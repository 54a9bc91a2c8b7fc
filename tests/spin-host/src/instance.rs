//! Instances of the component: made, given requests and ended as Spin does it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use tokio::time::Sleep;
use wasmtime::Engine;
use wasmtime::ResourceLimiter;
use wasmtime::Store;
use wasmtime::StoreContextMut;
use wasmtime::component::Component;
use wasmtime::component::GuestTaskId;
use wasmtime::component::Linker;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::WasiCtxView;
use wasmtime_wasi::WasiView;
use wasmtime_wasi_http::WasiHttpCtx;
use wasmtime_wasi_http::WasiHttpCtxView;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::HandlerState;
use wasmtime_wasi_http::handler::Instance;
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::handler::ShouldAccept;
use wasmtime_wasi_http::handler::WorkerExpiration;
use wasmtime_wasi_http::handler::WorkerState;
use wasmtime_wasi_http::handler::WorkerStatus;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::counts::Counters;
use crate::imports;
use crate::outbound::AllowedHost;
use crate::outbound::Outbound;
use crate::settings::Settings;
use crate::values::Values;

/// What all instances have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) allowed: Vec<AllowedHost>,
    pub(crate) values: Values,
    pub(crate) counters: Counters,
    /// Every call of the key-value store fails.
    pub(crate) fail_key_value: AtomicBool,
    /// Every call of the key-value store ends its instance, as a panic would.
    pub(crate) trap_key_value: AtomicBool,
}

impl Shared {
    pub(crate) fn open(settings: Settings) -> wasmtime::Result<Arc<Self>> {
        let mut allowed = Vec::new();
        for host in &settings.allowed_outbound_hosts {
            let parsed = AllowedHost::parse(host);
            allowed.push(
                parsed
                    .ok_or_else(|| wasmtime::format_err!("{host:?} is not scheme://host:port"))?,
            );
        }
        Ok(Arc::new(Self {
            values: Values::open(settings.key_value.as_deref())?,
            settings,
            allowed,
            counters: Counters::default(),
            fail_key_value: AtomicBool::new(false),
            trap_key_value: AtomicBool::new(false),
        }))
    }
}

/// What one instance has.
pub(crate) struct State {
    pub(crate) shared: Arc<Shared>,
    pub(crate) table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.outbound,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// It limits nothing; it is where linear memories can be seen to grow.
impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let counters = &self.shared.counters;
        counters.count(|counts| counts.memory = counts.memory.max(desired));
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// Makes instances.
pub(crate) struct Maker {
    pub(crate) shared: Arc<Shared>,
    engine: Engine,
    pre: ProxyPre<State>,
}

impl Maker {
    /// Compiles the component.
    pub(crate) fn new(shared: Arc<Shared>) -> wasmtime::Result<Self> {
        let mut configuration = wasmtime::Config::new();
        configuration.wasm_component_model_async(true);
        let engine = Engine::new(&configuration)?;
        let mut linker = Linker::new(&engine);
        // Rust's standard library speaks WASI 0.2, spin-sdk 7 speaks 0.3.
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        imports::add_to_linker(&mut linker)?;
        let component = Component::from_file(&engine, &shared.settings.component)?;
        let pre = ServicePre::new(linker.instantiate_pre(&component)?)?;
        Ok(Self {
            shared,
            engine,
            pre: ProxyPre::P3(pre),
        })
    }

    fn state(&self) -> State {
        // Standard output is the host's control channel, so that all that a component prints goes to the other.
        let mut wasi = WasiCtx::builder();
        wasi.inherit_stderr().stdout(wasmtime_wasi::cli::stderr());
        State {
            shared: self.shared.clone(),
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: Outbound {
                shared: self.shared.clone(),
            },
        }
    }
}

impl HandlerState for Maker {
    type StoreData = State;
    type WorkerExpiration = Idle;
    type WorkerState = Reuse;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State, Idle, Reuse>> {
        self.shared.counters.count(|counts| counts.instances += 1);
        let mut store = Store::new(&self.engine, self.state());
        store.limiter(|state| state);
        let proxy = self.pre.instantiate_async(&mut store).await?;
        let idle = Duration::from_millis(self.shared.settings.idle_milliseconds);
        Ok(Instance {
            store,
            proxy,
            view: State::http,
            expiration: Idle {
                limit: idle,
                timer: Box::pin(tokio::time::sleep(idle)),
            },
            state: Reuse {
                shared: self.shared.clone(),
            },
        })
    }
}

/// Ends an instance that has had nothing to do for a while.
pub(crate) struct Idle {
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

impl WorkerExpiration for Idle {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        status: WorkerStatus,
        since: Instant,
    ) -> Poll<()> {
        if status != WorkerStatus::Idle {
            return Poll::Pending;
        }
        let deadline = (since + self.limit).into();
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        self.timer.as_mut().poll(context)
    }
}

/// Says how many requests an instance gets.
pub(crate) struct Reuse {
    shared: Arc<Shared>,
}

impl WorkerState for Reuse {
    type StoreData = State;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.shared.settings.requests {
            ShouldAccept::Never
        } else if concurrent >= self.shared.settings.concurrent_requests {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, State>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        // Spin has no limit either, unless it is told to.
        Box::pin(std::future::pending())
    }

    fn drop(&self, _: Store<State>, result: Result<(), wasmtime::Error>) {
        self.shared.counters.count(|counts| counts.ended += 1);
        if let Err(error) = result {
            self.shared.counters.count(|counts| counts.traps += 1);
            eprintln!("spin-host: an instance ended: {error:?}");
        }
    }
}
