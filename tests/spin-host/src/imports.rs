//! `spin:key-value@3.0.0` and `spin:variables@3.0.0`, for components.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wasmtime::component::Accessor;
use wasmtime::component::FutureReader;
use wasmtime::component::HasData;
use wasmtime::component::Linker;
use wasmtime::component::Resource;
use wasmtime::component::StreamReader;

use crate::imports::generated::spin::key_value::key_value;
use crate::imports::generated::spin::key_value::key_value::Error;
use crate::imports::generated::spin::variables::variables;
use crate::instance::Shared;
use crate::instance::State;
use crate::values::Change;

mod generated {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "handset:spin-host/imports",
        imports: { default: async | store | trappable },
        with: { "spin:key-value/key-value.store": super::OpenStore },
    });
}

/// What a `get` may give at most, as in Spin.
const LARGEST_VALUE: usize = 128 * 1024 * 1024;

/// An open store; there is but one.
#[expect(unreachable_pub, reason = "the generated code re-exports it")]
pub struct OpenStore;

/// Gives the imports to components.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    key_value::add_to_linker::<State, Imports>(linker, |state| state)?;
    variables::add_to_linker::<State, Imports>(linker, |state| state)
}

struct Imports;

impl HasData for Imports {
    type Data<'a> = &'a mut State;
}

impl key_value::Host for State {}
impl key_value::HostStore for State {}
impl variables::Host for State {}

impl<T: Send> key_value::HostStoreWithStore<T> for Imports {
    async fn open(
        accessor: &Accessor<T, Self>,
        label: String,
    ) -> wasmtime::Result<Result<Resource<OpenStore>, Error>> {
        if let Err(error) = called(accessor, "open")? {
            return Ok(Err(error));
        }
        if label != "default" {
            return Ok(Err(Error::NoSuchStore));
        }
        accessor.with(|mut access| Ok(Ok(access.get().table.push(OpenStore)?)))
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        _: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let value = called(accessor, "get")?.map(|shared| shared.values.get(&key));
        Ok(value.and_then(|value| match value {
            Some(value) if value.len() > LARGEST_VALUE => Err(other("the value is too large")),
            value => Ok(value),
        }))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        _: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let shared = called(accessor, "set")?;
        Ok(shared.and_then(|shared| shared.values.make(Change::set(key, value)).map_err(other)))
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        _: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let shared = called(accessor, "delete")?;
        Ok(shared.and_then(|shared| shared.values.make(Change::delete(key)).map_err(other)))
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        _: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        Ok(called(accessor, "exists")?.map(|shared| shared.values.exists(&key)))
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        _: Resource<OpenStore>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let (keys, result) = match called(accessor, "get_keys")? {
            Ok(shared) => (shared.values.keys(), Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let result = async move { wasmtime::error::Ok(result) };
            Ok((keys, FutureReader::new(&mut access, result)?))
        })
    }

    async fn drop(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
    ) -> wasmtime::Result<()> {
        accessor.with(|mut access| access.get().table.delete(store))?;
        Ok(())
    }
}

impl<T: Send> variables::HostWithStore<T> for Imports {
    async fn get(
        accessor: &Accessor<T, Self>,
        name: String,
    ) -> wasmtime::Result<Result<String, variables::Error>> {
        let shared = accessor.with(|mut access| access.get().shared.clone());
        shared.counters.count(|counts| counts.variables += 1);
        let value = shared.settings.variables.get(&name);
        Ok(value
            .cloned()
            .ok_or_else(|| variables::Error::Undefined(format!("no variable named {name:?}"))))
    }
}

/// Counts a call of the key-value store; an error if it is to fail, or the end of the instance.
fn called<T: Send>(
    accessor: &Accessor<T, Imports>,
    function: &'static str,
) -> wasmtime::Result<Result<Arc<Shared>, Error>> {
    let shared = accessor.with(|mut access| access.get().shared.clone());
    shared
        .counters
        .count(|counts| *counts.key_value.entry(function).or_default() += 1);
    if shared.trap_key_value.load(Ordering::Relaxed) {
        wasmtime::bail!("the test asked for a trap");
    }
    if shared.fail_key_value.load(Ordering::Relaxed) {
        return Ok(Err(other("the test asked for a failure")));
    }
    Ok(Ok(shared))
}

fn other(reason: impl ToString) -> Error {
    Error::Other(reason.to_string())
}
