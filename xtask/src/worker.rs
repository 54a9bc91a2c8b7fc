//! The Workers' bundles, `index.js` and `index_bg.wasm` each: `build/worker` for phones, `build/operator` for operators.
//!
//! cargo makes the module, wasm-bindgen its JavaScript glue, esbuild one script of glue and entry. What
//! `wrangler deploy` uploads is what the tests run.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use wasm_bindgen_cli_support::Bindgen;

use crate::node;
use crate::parts::root;
use crate::parts::run;
use crate::wasm_targets;

const TARGET: &str = "wasm32-unknown-unknown";
/// Where the Worker's own scripts are: the entry, and what the module imports.
const SCRIPTS: &str = "src/platform/workers";

/// A Worker: the folder of its bundle below `build/`, the features that it has, and what it may weigh at most: bytes of
/// script and module together, each through gzip, as Cloudflare counts a Worker.
struct Bundle {
    name: &'static str,
    features: &'static [&'static str],
    largest: usize,
}

/// The standard library as the rest is compiled: for size, and only what is used of it. The one that comes with the
/// compiler is made for speed, and the bundle was over its limit with it.
const SMALL_STD: [&str; 4] = [
    "-Z",
    "build-std=std,panic_abort",
    "-Z",
    "build-std-features=optimize_for_size",
];

const BUNDLES: [Bundle; 2] = [
    Bundle {
        name: "worker",
        features: &["--no-default-features"],
        largest: 350_000,
    },
    // No phone waits for it to start: the limit is that of Cloudflare's free plan.
    Bundle {
        name: "operator",
        features: &[],
        largest: 3_000_000,
    },
];

/// Builds the bundles and prints their sizes; one that is too large is an error.
pub(crate) fn build() -> Result<(), String> {
    node::ensure()?;
    wasm_targets::ensure_all()?;
    wasm_targets::ensure_library_sources()?;
    BUNDLES.iter().try_for_each(Bundle::build)
}

impl Bundle {
    fn build(&self) -> Result<(), String> {
        let build = ["build", "--lib", "--locked", "--target", TARGET];
        let build = [
            &build[..],
            self.features,
            &["--profile", "worker"],
            &SMALL_STD,
        ]
        .concat();
        // `build-std` is unstable in name only: it compiles the library of this very compiler.
        run(Command::new("cargo")
            .args(build)
            .env("RUSTC_BOOTSTRAP", "1"))?;
        let built = target_directory()?.join(TARGET).join("worker/handset.wasm");
        let output = root().join("build").join(self.name);
        let unbundled = root().join("build/unbundled").join(self.name);
        fs::create_dir_all(&unbundled)
            .map_err(|error| format!("{}: {error}", unbundled.display()))?;
        glue(&built, &unbundled)?;
        bundle(&unbundled, &output)?;
        self.report(&output)
    }

    fn report(&self, output: &Path) -> Result<(), String> {
        let (bundle, largest) = (self.name, self.largest);
        let mut total = 0;
        for name in ["index.js", "index_bg.wasm"] {
            let bytes = fs::read(output.join(name)).map_err(|error| format!("{name}: {error}"))?;
            let compressed = compressed(&bytes).map_err(|error| format!("{name}: {error}"))?;
            println!(
                "build/{bundle}/{name}: {} bytes, {compressed} by gzip",
                bytes.len()
            );
            total += compressed;
        }
        println!("{bundle}: together {total} bytes by gzip, of {largest} at most");
        if total > largest {
            return Err(format!("the bundle {bundle} is too large"));
        }
        Ok(())
    }
}

/// The module with what JavaScript needs to call it.
fn glue(built: &Path, unbundled: &Path) -> Result<(), String> {
    let failed = |error| format!("wasm-bindgen: {error:#}");
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(built)
        .out_name("index")
        .typescript(false)
        .demangle(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .reset_state_function(true)
        .force_enable_abort_handler(true);
    bindgen.module(true).map_err(failed)?;
    bindgen.generate(unbundled).map_err(failed)?;
    // Runtimes load a compiled module by a plain import; the proposal's spelling is newer than they are.
    let script = unbundled.join("index.js");
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let text = read(&script)?.replace("import source ", "import ");
    fs::write(&script, text).map_err(|error| format!("{}: {error}", script.display()))?;
    for name in ["entry.js", "host.js"] {
        let from = root().join(SCRIPTS).join(name);
        fs::copy(&from, unbundled.join(name))
            .map_err(|error| format!("{SCRIPTS}/{name}: {error}"))?;
    }
    Ok(())
}

fn bundle(unbundled: &Path, output: &Path) -> Result<(), String> {
    run(Command::new(node::tool("esbuild"))
        .arg(unbundled.join("entry.js"))
        .arg(format!("--outfile={}", output.join("index.js").display()))
        .args([
            "--bundle",
            "--minify",
            "--format=esm",
            "--log-level=warning",
        ])
        // wasm-bindgen names a script once for each of its extern blocks.
        .arg("--log-override:duplicate-object-key=silent")
        .args(["--external:./index_bg.wasm", "--external:cloudflare:*"]))?;
    let module = "index_bg.wasm";
    fs::copy(unbundled.join(module), output.join(module))
        .map_err(|error| format!("{module}: {error}"))?;
    optimize(&output.join(module))
}

/// What the compiler leaves that nothing needs. At any higher level the module is smaller, and larger by gzip.
fn optimize(module: &Path) -> Result<(), String> {
    run(Command::new(node::tool("wasm-opt"))
        // wasm-bindgen's; what else the module has it says itself.
        .args(["--enable-exception-handling", "--strip-target-features"])
        // A second time finds what the first has left.
        .args(["-O1", "-O1", "-o"])
        .arg(module)
        .arg(module))
}

fn compressed(bytes: &[u8]) -> std::io::Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory() -> Result<PathBuf, String> {
    let metadata = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output();
    let metadata = metadata.map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let directory = metadata.get("target_directory").and_then(|it| it.as_str());
    directory
        .map(PathBuf::from)
        .ok_or_else(|| "cargo metadata: no target_directory".to_owned())
}
