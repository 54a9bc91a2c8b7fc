//! `handset import` and `export`: what comes from tables, from FusionPBX and from another server's directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::fleet::export;
use handset::fleet::import::Defaults;
use handset::fleet::import::Import;
use handset::fleet::import::check;
use handset::fleet::import::commit;
use handset::fleet::import::read_fusionpbx;
use handset::fleet::import::read_root;
use handset::fleet::import::read_table;
use tempfile::TempDir;

use crate::tree;

fn written(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

/// A fleet with a site and one phone.
fn fleet_directory() -> TempDir {
    written(&[
        ("handset.toml", ""),
        (
            "sites/s.toml",
            "access = \"open\"\npublic_url = \"http://prov.example\"\n",
        ),
        ("devices/d.csv", "mac,site,model\n0004f2000001,s,VVX 400\n"),
    ])
}

fn defaults() -> Defaults {
    Defaults {
        site: Some("s".to_owned()),
        ..Defaults::default()
    }
}

/// The import, checked; and what is wrong with it.
fn checked(mut import: Import, defaults: &Defaults) -> (Import, Vec<String>) {
    check(&mut import, fleet_directory().path(), defaults).unwrap();
    let found = import
        .found
        .iter()
        .map(|found| format!("{}: {} [{}]", found.place, found.problem, found.code));
    let found = found.collect();
    (import, found)
}

fn compile(directory: &Path) -> Fleet {
    fleet::compile(directory, &mut Hashes::default()).unwrap_or_else(|found| panic!("{found:?}"))
}

#[test]
fn what_is_exported_is_imported_as_it_was() {
    for name in ["lync", "office"] {
        let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(name);
        let before = compile(&fixture);
        let table = export::table(&export::devices(&before, None));
        let directory = tempfile::tempdir().unwrap();
        tree::copy(&fixture, directory.path(), &["devices", "state"]);
        let mut import = read_table("all.csv", &table, &Defaults::default());
        check(&mut import, directory.path(), &Defaults::default()).unwrap();
        assert_eq!(import.found, [], "{table}");
        assert_eq!(
            commit(&import, directory.path(), "all").unwrap(),
            ["devices/all.csv"]
        );
        let after = compile(directory.path());
        assert_eq!(before.snapshot.devices, after.snapshot.devices);
        assert_eq!(export::table(&export::devices(&after, None)), table);
        assert!(
            commit(&import, directory.path(), "all").is_err(),
            "a table was overwritten"
        );
    }
}

#[test]
fn columns_are_known_by_their_names() {
    let table = "Serial,Phone Model,Ext.,Name,Secret,Shoe size\n\
                 00:04:F2:00:00:02,vvx500,1001,Ann,geheim,42\n\
                 0004.f200.0003,VVX 400,1002,Bob,geheim2,\n";
    let defaults = Defaults {
        map: vec![("mac".to_owned(), "Serial".to_owned())],
        ..defaults()
    };
    let (import, found) = checked(read_table("p.csv", table, &defaults), &defaults);
    assert_eq!(found, [] as [String; 0]);
    assert_eq!(
        import.columns.last().unwrap(),
        &("Shoe size".to_owned(), None)
    );
    assert_eq!(
        import.rows[0].shown(),
        "line1.display_name=Ann, line1.password=***, line1.user=1001, mac=0004f2000002, model=vvx500, site=s"
    );
}

#[test]
fn rows_that_are_wrong_are_named_by_their_lines() {
    let table = "mac,site,model,sip_port\n\
                 0004f200000,s,VVX 400,\n\
                 0004f2000001,s,VVX 400,\n\
                 0004f2000002,t,VVX 4000,none\n\
                 0004f2000003,s,VVX 400,5060\n\
                 0004f2000003,s,VVX 400,5060\n\
                 0004f2000004,s\n";
    let (_, found) = checked(read_table("p.csv", table, &defaults()), &defaults());
    assert_eq!(
        found,
        [
            "p.csv:7: the row has 2 cells, the first row names 4 [table-syntax]",
            "p.csv:2: \"0004f200000\" is no hardware address [bad-mac]",
            "p.csv:3: 0004f2000001 stands at devices/d.csv:2 already [duplicate-mac]",
            "p.csv:4: sip_port is \"none\", not a whole number from 0 to 65535 [wrong-type]",
            "p.csv:4: unknown model \"VVX 4000\" [unknown-model]",
            "p.csv:4: unknown site \"t\" [unknown-site]",
            "p.csv:6: 0004f2000003 stands at p.csv:5 already [duplicate-mac]",
        ]
    );
    let (_, found) = checked(read_table("p.csv", "a,b\n1,2\n", &defaults()), &defaults());
    assert_eq!(
        found,
        ["p.csv:1: no column is known for the hardware address [missing-column]"]
    );
}

#[test]
fn fusionpbx_has_a_row_a_line() {
    let table = "device_uuid,device_address,device_label,device_vendor,device_template,device_enabled,line_number,server_address,user_id,password,sip_transport\n\
                 u1,00-04-f2-00-00-05,Ann,polycom,polycom/vvx500,true,1,sip.example,1001,a,UDP\n\
                 u1,00-04-f2-00-00-05,Ann,polycom,polycom/vvx500,true,2,sip.example,1002,b,UDP\n\
                 u2,0004f2000006,Bob,polycom,polycom/vvx500,false,1,sip.example,1003,c,UDP\n\
                 u3,001565000007,Eve,yealink,yealink/t54w,true,1,sip.example,1004,d,UDP\n";
    let (import, found) = checked(read_fusionpbx("f.csv", table), &defaults());
    assert_eq!(found, ["f.csv:5: unknown model \"\" [unknown-model]"]);
    assert_eq!(
        import.rows[0].shown(),
        "line1.password=***, line1.server=sip.example, line1.transport=udp, line1.user=1001, \
         line2.password=***, line2.server=sip.example, line2.transport=udp, line2.user=1002, \
         mac=0004f2000005, model=VVX 500, site=s"
    );
    assert_eq!(
        import.left,
        [("0004f2000006".to_owned(), "disabled in f.csv:4".to_owned())]
    );
}

/// What lay in the root directory of the articles' FTP server, and files of the other vendors.
const ROOT: &[(&str, &str)] = &[
    (
        "000000000000.cfg",
        "<APPLICATION APP_FILE_PATH=\"sip.ld\" CONFIG_FILES=\"shared.cfg,[MACADDRESS]-lync.cfg\"/>\n",
    ),
    (
        "shared.cfg",
        "<LYNC device.set=\"1\" x.label=\"{{ 1 }}\"/>\n",
    ),
    (
        "0004f28062d6-lync.cfg",
        "<LYNC reg.1.address=\"vvx400@mslync.net\" reg.1.auth.password=\"geheim\" device.logincred.user=\"vvx400\"/>\n",
    ),
    (
        "0004f28062d6-phone.cfg",
        "<PHONE_CONFIG><OVERRIDES/></PHONE_CONFIG>\n",
    ),
    ("logs/0004f28062d6-app.log", "x\n"),
    ("3111-46157-002.sip.ld", "image\n"),
    ("sip.ver", "4.1.4.0296\n"),
    ("LoudRing.wav", "RIFF\n"),
    (
        "00908f000420.cfg",
        "system/type=420HD\nvoip/line/0/id=1004\nvoip/line/0/auth_password=geheim\nsystem/ntp/enabled=1\n",
    ),
    (
        "Config0080F0000136.cfg",
        "# Panasonic SIP Phone Standard Format File #\r\n\r\nPHONE_NUMBER_1=\"1006\"\r\nSIP_PASS_1=\"geheim\"\r\n",
    ),
    ("UT13x-01.133_HW1.fw", "image\n"),
    ("notes.doc", "x\n"),
];

#[test]
fn a_servers_root_directory_is_recognised() {
    let root = written(ROOT);
    let defaults = Defaults {
        models: vec!["VVX 400".to_owned(), "KX-UT136".to_owned()],
        ..defaults()
    };
    let (import, found) = checked(read_root(root.path(), &defaults), &defaults);
    assert_eq!(found, [] as [String; 0]);
    let rows: Vec<String> = import.rows.iter().map(|row| row.shown()).collect();
    assert_eq!(
        rows,
        [
            "line1.address=vvx400@mslync.net, line1.password=***, line1.user=vvx400, mac=0004f28062d6, model=VVX 400, \
             parameters.polycom.device.logincred.user=vvx400, site=s",
            "line1.password=***, line1.user=1006, mac=0080f0000136, model=KX-UT136, site=s",
            "line1.password=***, line1.user=1004, mac=00908f000420, model=420HD, \
             parameters.audiocodes.system/ntp/enabled=1, site=s",
        ]
    );
    let files: Vec<&str> = import
        .files
        .keys()
        .chain(import.texts.keys())
        .map(String::as_str)
        .collect();
    assert_eq!(
        files,
        [
            "firmware/panasonic/01.133/UT13x-01.133_HW1.fw",
            "firmware/polycom/4.1.4.0296/3111-46157-002.sip.ld",
            "firmware/polycom/4.1.4.0296/sip.ver",
            "resources/LoudRing.wav",
            "templates/polycom/000000000000.cfg",
            "templates/polycom/shared.cfg",
        ]
    );
    let left: BTreeMap<&str, &str> = import
        .left
        .iter()
        .map(|(file, why)| (file.as_str(), why.as_str()))
        .collect();
    assert_eq!(
        left,
        BTreeMap::from([
            ("0004f28062d6-phone.cfg", "the phone uploads it again"),
            ("logs/0004f28062d6-app.log", "the phone uploads it again"),
            ("notes.doc", "no vendor's phones ask for this name"),
        ])
    );
    let directory = fleet_directory();
    commit(&import, directory.path(), "root").unwrap();
    assert_eq!(compile(directory.path()).devices.len(), 4);
    let shared = fs::read_to_string(directory.path().join("templates/polycom/shared.cfg")).unwrap();
    assert!(shared.starts_with("{% raw %}<LYNC"), "{shared}");
}
