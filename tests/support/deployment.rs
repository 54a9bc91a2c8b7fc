//! A small deployment, made by hand: one open site with a template, an image, a resource and two phones.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use handset::mac::MacAddress;
use handset::map::Map;
use handset::release::BlobRecord;
use handset::release::Release;
use handset::release::ReleaseRecord;
use handset::release::TemplateRecord;
use handset::site::Access;
use handset::site::Deployment;
use handset::site::Images;
use handset::site::Layer;
use handset::site::SiteRecord;
use handset::site::UploadLimits;
use handset::store::directory::Snapshot;
use handset::store::directory::SourceFile;
use handset::vendor::Format;

pub(crate) const SITE: &str = "lync";
pub(crate) const HOST: &str = "phones.example";
pub(crate) const IMAGE: &str = "3111-46157-002.sip.ld";
pub(crate) const RESOURCE: &str = "ring (1).wav";
pub(crate) const LARGEST_UPLOAD: u64 = 1 << 20;
pub(crate) const VVX: &str = "0004f28062d6";
pub(crate) const SPIP: &str = "0004f2a6af1b";

/// Two files in `fleet`, the image of `image` bytes, and what they compile to.
pub(crate) fn snapshot(fleet: &Path, image: u64) -> Snapshot {
    let files = [
        source_file(&fleet.join(IMAGE), image),
        source_file(&fleet.join(RESOURCE), 4096),
    ];
    let [image, resource] = files.clone().map(|(blob, _)| blob);
    let record = ReleaseRecord {
        deployment: Layer {
            firmware: [("polycom".to_owned(), "5.9".to_owned())].into(),
            ..Layer::default()
        },
        firmware: [(
            "polycom".to_owned(),
            [("5.9".to_owned(), images(image))].into(),
        )]
        .into(),
        resources: [(RESOURCE.to_owned(), resource)].into(),
        templates: [template("shared.cfg"), template("{mac}-device.cfg")].into(),
        ..ReleaseRecord::default()
    };
    let (id, _) = record.encode();
    let release = Release::parse(id.clone(), record).unwrap();
    let site = SiteRecord {
        name: SITE.to_owned(),
        tenant: None,
        public_url: None,
        release: id.clone(),
        layer: Layer::default(),
        uploads: UploadLimits {
            largest: LARGEST_UPLOAD,
            ..UploadLimits::default()
        },
        images: Images::default(),
        passwords: Default::default(),
        relay_cache: false,
        publication: 1,
        previous: None,
        void: Vec::new(),
        canary: None,
    };
    let device = |(mac, model): (&str, &str)| -> (MacAddress, Box<[u8]>) {
        let settings = format!(r#"{{"model": "{model}"}}"#);
        (mac.parse().unwrap(), settings.into_bytes().into())
    };
    let devices = [(VVX, "VVX 400"), (SPIP, "SoundPoint IP 331")].map(device);
    Snapshot {
        deployment: Arc::new(Deployment {
            hosts: [(HOST.to_owned(), SITE.to_owned())].into(),
            sites: [(SITE.to_owned(), Access::Open)].into(),
            ..Deployment::default()
        }),
        sites: [(SITE.to_owned(), Arc::new(site))].into(),
        releases: [(id, Arc::new(release))].into(),
        devices: [(SITE.to_owned(), devices.into())].into(),
        files: files
            .into_iter()
            .map(|(blob, file)| (blob.sha256, file))
            .collect(),
    }
}

/// The bytes of every file here: no two places within 16 MB look alike.
pub(crate) fn content(length: u64) -> Vec<u8> {
    let numbers = (0..length.div_ceil(4)).map(|at| at as u32);
    let mut bytes: Vec<u8> = numbers.flat_map(u32::to_be_bytes).collect();
    bytes.truncate(length as usize);
    bytes
}

fn source_file(path: &Path, length: u64) -> (BlobRecord, SourceFile) {
    fs::write(path, content(length)).unwrap();
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let since = modified.duration_since(UNIX_EPOCH).unwrap();
    let blob = BlobRecord {
        sha256: format!("{length:064x}"),
        length,
        modified: since.as_secs(),
    };
    let file = SourceFile {
        path: path.to_owned(),
        length,
        modified,
    };
    (blob, file)
}

fn images(image: BlobRecord) -> Map<BlobRecord> {
    [(IMAGE.to_owned(), image)].into()
}

fn template(name: &str) -> (String, TemplateRecord) {
    let record = TemplateRecord {
        format: Format::Xml,
        text: "<PHONE_CONFIG>\n  <file name=\"{{ 'a<b' }}\"/>\n</PHONE_CONFIG>\n".to_owned(),
        file: None,
    };
    (format!("polycom/{name}"), record)
}
