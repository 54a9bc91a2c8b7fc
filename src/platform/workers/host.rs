//! What `host.js` offers: the runtime's calls, as few and as coarse as they can be.

use js_sys::Array;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(raw_module = "./host.js")]
extern "C" {
    /// The Worker's bindings, as wrangler.toml names them.
    #[derive(Clone)]
    pub type Env;
    /// What outlives a response.
    #[derive(Clone)]
    pub type Context;
    /// A body that the runtime holds.
    pub type Stream;
    /// The Fetch standard's response.
    pub type Response;
    /// A small object.
    pub(super) type Small;
    /// Part of an object.
    pub(super) type Part;

    #[wasm_bindgen(method, getter, js_name = HANDSET_SECRET)]
    pub(super) fn secret(this: &Env) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    pub(super) fn bytes(this: &Small) -> Vec<u8>;
    #[wasm_bindgen(method, getter)]
    pub(super) fn etag(this: &Small) -> String;
    #[wasm_bindgen(method, getter)]
    pub(super) fn size(this: &Part) -> f64;
    #[wasm_bindgen(method, getter)]
    pub(super) fn stream(this: &Part) -> Stream;

    #[wasm_bindgen(catch, js_name = readValue)]
    pub(super) async fn read_value(env: &Env, key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = readObject)]
    pub(super) async fn read_object(env: &Env, key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = openObject)]
    pub(super) async fn open_object(
        env: &Env,
        key: &str,
        offset: f64,
        length: f64,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = writeObject)]
    pub(super) async fn write_object(
        env: &Env,
        key: &str,
        bytes: &[u8],
        etag: Option<&str>,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = putObject)]
    pub(super) async fn put_object(
        env: &Env,
        key: &str,
        stream: Option<Stream>,
        length: f64,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = writeValue)]
    pub(super) async fn write_value(env: &Env, key: &str, bytes: &[u8])
    -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = putContent)]
    pub(super) async fn put_content(
        env: &Env,
        key: &str,
        sha256: &str,
        stream: Option<Stream>,
        length: f64,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) async fn size(env: &Env, key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = listKeys)]
    pub(super) async fn list_keys(
        env: &Env,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = deleteObject)]
    pub(super) async fn delete_object(env: &Env, key: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    pub(super) async fn crypt(way: &str, message: &[u8]) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) async fn collect(stream: Option<Stream>, most: usize) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = listContacts)]
    pub(super) async fn list_contacts(
        env: &Env,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = isLimited)]
    pub(super) async fn is_limited(env: &Env, address: &str) -> JsValue;
    pub(super) async fn pause(milliseconds: f64);
    #[wasm_bindgen(js_name = recordContact)]
    pub(super) fn record_contact(env: &Env, context: &Context, key: &str, text: &str);
    #[wasm_bindgen(js_name = randomNumber)]
    pub(super) fn random_number() -> String;
    pub(super) fn respond(status: u16, lines: &str, body: &JsValue) -> Response;
    pub(super) fn join(
        env: &Env,
        first: &Stream,
        later: Array,
        length: f64,
        context: &Context,
    ) -> Stream;
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console)]
    pub(super) fn error(line: &str);
}
