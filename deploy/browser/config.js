// Settings that are known only where the pages are served, and what this catalog's items show beside their fields.
const quoted = (text) => JSON.stringify(text);
const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);
const IMAGE = ['batch', 'bands', 'band', 'channel', 'channels', 'c', 'height', 'y', 'width', 'x'];
// One input of named bands of an image, and no other axis.
const takesScene = ([input, ...others]) => {
  const axes = input?.input?.dim_order ?? [];
  return !others.length && input?.bands?.length > 0 && axes.length > 2 && axes.every((axis) => IMAGE.includes(axis));
};

window.STAC_BROWSER_CONFIG = {
  // Links to the server's own address are part of this catalog.
  catalogUrl: `${window.location.origin}/`,
  // A thumbnail of a model shows what it gives; stretched over the footprint of its training data it would be a map.
  displayPreview: false,
  displayOverview: false,
  // How to load the model, with its id.
  preprocessSTAC: (stac) => {
    const said = stac?.properties;
    if (stac?.type !== 'Feature' || !said || !Object.keys(said).some((name) => name.startsWith('mlm:'))) return stac;
    const place = window.location.origin;
    const id = String(stac.id);
    said['interop:try_python'] = [
      'import modelstac',
      '',
      `model = modelstac.load(${quoted(id)}, catalog=${quoted(place)})`,
      'print(model.signature)',
    ].join('\n');
    said['interop:try_shell'] = [
      `export MODELSTAC_CATALOG=${shell(place)}`,
      `modelstac show ${shell(id)}`,
      takesScene(Array.isArray(said['mlm:input']) ? said['mlm:input'] : [])
        ? `modelstac predict ${shell(id)} scene.tif --output map.tif`
        : `modelstac predict ${shell(id)} --input input.npy --output output.npz`,
    ].join('\n');
    return stac;
  },
};
