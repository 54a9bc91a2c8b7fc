//! What the handler costs without a server: routing under 2 microseconds, a configuration under 50.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark ends where something is not as it should be"
)]

use std::hint::black_box;
use std::path::Path;

use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use handset::device::DeviceRecord;
use handset::device::DeviceSettings;
use handset::device::publication_key;
use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::mac::MacAddress;
use handset::path::RequestPath;
use handset::release::sha256_hex;
use handset::route;
use handset::route::Asked;
use handset::route::Candidates;
use handset::route::Verb;
use handset::user_agent::UserAgent;
use handset::variables::Subject;
use handset::variables::Variables;
use handset::vendor::Vendor;

const AGENT: &str =
    "FileTransport PolycomVVX-VVX_500-UA/5.9.7.1234 (SN:0004f2000500) Type/Application";

fn office() -> Fleet {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/office");
    fleet::compile(&directory, &mut Hashes::default()).expect("the fixture is sound")
}

fn device(fleet: &Fleet, mac: MacAddress) -> DeviceSettings {
    serde_json::from_slice(&fleet.snapshot.devices["hq"][&mac]).expect("the compiler wrote it")
}

fn routing(criterion: &mut Criterion) {
    let fleet = office();
    let site = fleet.snapshot.sites["hq"].clone();
    let release = fleet.snapshot.releases[&site.release].clone();
    let mac: MacAddress = "0004f2000500".parse().expect("an address");
    let mut record = DeviceRecord::default();
    let settings = Some(device(&fleet, mac));
    let name = publication_key(site.publication);
    record.settings.insert(name, settings);
    let mut group = criterion.benchmark_group("route");
    for (name, target) in [
        ("configuration", "/hq/0004f2000500-device.cfg"),
        ("image", "/hq/3111-44500-001.sip.ld"),
        ("override", "/hq/overrides/0004f2000500-phone.cfg"),
        ("shared", "/hq/shared.cfg"),
        ("unknown", "/hq/index.html"),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let path = RequestPath::parse(black_box(target)).expect("a path");
                let address =
                    route::locate(&fleet.snapshot.deployment, None, None, &path).expect("a site");
                let candidates = Candidates::of(&release, &address.path);
                let device = candidates.mac().map(|_| &record);
                let asked = Asked {
                    verb: Verb::Read,
                    agent: UserAgent::parse(AGENT),
                    site: &site,
                    release: &release,
                    device,
                    settings: device
                        .and_then(|record| record.at(&site).expect("its own publication"))
                        .map(|(_, settings)| settings),
                };
                black_box(asked.route(&candidates));
            });
        });
    }
    group.finish();
}

fn rendering(criterion: &mut Criterion) {
    let fleet = office();
    let site = fleet.snapshot.sites["hq"].clone();
    let release = fleet.snapshot.releases[&site.release].clone();
    let mac: MacAddress = "0004f2000500".parse().expect("an address");
    let bytes = &fleet.snapshot.devices["hq"][&mac];
    criterion.bench_function("render a Polycom device's configuration", |bencher| {
        bencher.iter(|| {
            let settings: DeviceSettings =
                serde_json::from_slice(black_box(bytes)).expect("a record");
            let model = release.model(None, &settings.model);
            let subject = Subject {
                own_address: false,
                site: &site,
                release: &release,
                base: site.base(),
                vendor: Vendor::find("polycom"),
                model,
                device: Some((mac, &settings)),
                opened: None,
            };
            let variables = Variables::of(&subject);
            let text = release
                .templates
                .render("polycom/{mac}-device.cfg", &variables)
                .expect("it renders");
            black_box(sha256_hex(text.as_bytes()));
        });
    });
}

criterion_group!(benches, routing, rendering);
criterion_main!(benches);
