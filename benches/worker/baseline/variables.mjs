// The variables of a template: five layers of settings, the nearest winning, and what is no setting.

const VENDOR = "polycom";
// The vendor's own table, as far as the benchmark's devices need it.
const MODELS = {
  "VVX 400": { token: "VVX400", family: "vvx", image: "3111-46157-002.sip.ld" },
};
// What a file that several phones get may not see.
const SECRET = new Set(["admin_password", "keys", "lines", "user_password"]);

export function variables(place, from, mac, device) {
  const layers = [
    from.deployment.settings,
    from.tenant.settings,
    place.layer.settings,
    device && from.models[device.model]?.settings,
    device?.settings,
  ];
  const settings = merge(layers, device !== undefined);
  const values = {
    ...settings,
    settings,
    own: merge(layers.slice(3), device !== undefined),
    site: place.name,
    tenant: place.tenant,
    vendor: VENDOR,
    models: models(from),
    own_firmware: device?.firmware !== undefined,
  };
  const base = place.public_url && `${place.public_url}/${place.name}`;
  if (base) values.base = base;
  if (device) addDevice(values, place, from, mac, device, base);
  return values;
}

function addDevice(values, place, from, mac, device, base) {
  const model = describe(from, device.model);
  const version = device.firmware ?? pinned(place, from, device.model);
  values.mac = mac;
  values.mac_upper = mac.toUpperCase();
  values.model = model;
  if (version) {
    const url = base && `${base}/firmware/${version}/${model.image}`;
    values.firmware = { version, file: model.image, url };
  }
}

// A version pinned for the model, else for the vendor, each from the site outwards.
function pinned(place, from, model) {
  const layers = [place.layer.firmware, from.tenant.firmware, from.deployment.firmware];
  const by = (key) => layers.find((pins) => pins?.[key])?.[key];
  return by(model) ?? by(VENDOR);
}

function models(from) {
  const own = Object.keys(from.models).filter((name) => from.models[name].vendor === VENDOR);
  return own.map((name) => describe(from, name));
}

function describe(from, name) {
  const settings = Object.entries(from.models[name]?.settings ?? {});
  const shared = Object.fromEntries(settings.filter(([setting]) => !SECRET.has(setting)));
  return { ...shared, name, ...MODELS[name] };
}

function merge(layers, secret) {
  const merged = {};
  for (const layer of layers) {
    for (const [name, value] of Object.entries(layer ?? {})) {
      if (secret || !SECRET.has(name)) put(merged, name, value);
    }
  }
  for (const name of Object.keys(merged)) if (merged[name] === null) delete merged[name];
  completeLists(merged);
  return merged;
}

// The nearer value replaces the farther one; the vendor's own parameters are replaced one by one.
function put(merged, name, value) {
  if (name !== "parameters" || value === null) {
    merged[name] = value;
  } else if (value[VENDOR]) {
    merged.parameters = { ...merged.parameters, ...value[VENDOR] };
  }
}

// Keys get their positions, and lines the site's server where they name none.
function completeLists(merged) {
  const { sip_server: server, sip_port: port, sip_transport: transport } = merged;
  const defaults = Object.entries({ server, port, transport }).filter(([, value]) => value !== undefined);
  if (merged.lines) {
    merged.lines = merged.lines.map((line) => ({
      ...(line.user === undefined ? {} : { auth_id: line.user }),
      ...Object.fromEntries(defaults),
      ...line,
    }));
  }
  if (merged.keys) {
    merged.keys = merged.keys.map((key, index) => ({ position: index + 1, ...key }));
  }
}
