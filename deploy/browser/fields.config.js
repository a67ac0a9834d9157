// Labels, units and groups of the fields of models, for STAC Browser (@radiantearth/stac-fields).
// What a formatter returns is shown as HTML: every value of an item is escaped.
import { Registry } from '@radiantearth/stac-fields';

const escaped = (value) => String(value ?? '').replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);
const number = (value) => (typeof value === 'number' ? Number(value.toPrecision(3)).toString() : escaped(value));
const lines = (format) => (list) => (Array.isArray(list) ? list : [list]).map(format).join('<br>');
const table = (head, rows) => {
  const row = (cells, tag) => `<tr>${cells.map((cell) => `<${tag} class="pr-3">${cell}</${tag}>`).join('')}</tr>`;
  return `<table>${head ? row(head, 'th') : ''}${rows.map((cells) => row(cells, 'td')).join('')}</table>`;
};
const facts = (rows) => table(null, rows.filter(([, value]) => value !== undefined && value !== null));

const step = ({ source_format, target_format, tool, version }) =>
  `${escaped(source_format)} → ${escaped(target_format)}: ${escaped(tool)} ${escaped(version)}`;
const tensor = ({ name, input, result }) => {
  const { shape = [], dim_order = [], data_type } = input ?? result ?? {};
  const sizes = shape.map((size, i) => `${escaped(dim_order[i])} ${size < 0 ? 'any' : escaped(size)}`);
  return `${escaped(name)}: ${sizes.join(' × ')} (${escaped(data_type)})`;
};
const environment = ({ python, packages }) =>
  [`Python ${escaped(python)}`, ...Object.entries(packages ?? {}).map((pair) => pair.map(escaped).join(' '))].join(', ');
const seconds = (value) => (value === undefined ? value : value < 1 ? `${number(value * 1e3)} ms` : `${number(value)} s`);

const parity = (found) => facts([
  ['Outputs agree', found.passed ? 'yes' : 'no'],
  ['Compared with', escaped(found.source)],
  ['Largest difference', number(found.max_absolute_difference)],
  ['Largest relative difference', number(found.max_relative_difference)],
  ['Root mean square difference', number(found.root_mean_square_difference)],
  ['Allowed', `${number(found.absolute_tolerance)} + ${number(found.relative_tolerance)} × value`],
  ['Cases', number(found.cases)],
  ['Change of RMSE on real data', found.rmse_change == null ? null : number(found.rmse_change)],
  ['Largest change of CSI on real data', found.csi_change == null ? null : number(found.csi_change)],
]);
const timing = (found) => facts([
  ['Conversion', seconds(found.conversion_seconds)],
  ['One prediction', seconds(found.latency_seconds)],
  ['One prediction of its source', seconds(found.source_latency_seconds)],
  ['Shape of the input', escaped((found.shape ?? []).join(' × '))],
]);

// persistence_csi_0.5_mm_h is the score "CSI, 0.5 mm/h" of the forecast "persistence".
const OTHERS = ['persistence', 'extrapolation'];
const score = (name) => {
  const [first, ...rest] = name.replace(/_mm_(per_)?h/, ' mm/h').replace(/_(\d+)_px/, ', $1 px').split(/[_ ]/);
  return escaped([first.length < 5 ? first.toUpperCase() : first, rest.join(' ')].filter(Boolean).join(', '));
};
const scores = (found) => {
  const others = OTHERS.filter((other) => Object.keys(found).some((name) => name.startsWith(`${other}_`)));
  const own = Object.keys(found).filter((name) => !others.some((other) => name.startsWith(`${other}_`)));
  const value = (name) => (name in found ? number(found[name]) : '');
  return table(
    ['Score', 'Model', ...others],
    own.map((name) => [score(name), value(name), ...others.map((other) => value(`${other}_${name}`))]),
  );
};

// Groups stand in the order of these names, before those of other extensions.
const groups = {
  a1model: ['Model', {
    'mlm:name': 'Name',
    'mlm:framework': 'Framework',
    'mlm:framework_version': 'Version of the framework',
    'interop:backend': 'Backend',
    'interop:backend_version': 'Version of the backend',
    'interop:format': 'File format',
    'interop:precision': 'Precision',
    'mlm:input': { label: 'Input', formatter: lines(tensor) },
    'mlm:output': { label: 'Output', formatter: lines(tensor) },
    'mlm:architecture': 'Architecture',
    'mlm:tasks': 'Tasks',
    'mlm:total_parameters': { label: 'Parameters', formatter: (n) => escaped(Number(n).toLocaleString('en')) },
    'mlm:memory_size': { label: 'Memory', format: 'FileSize' },
    'mlm:accelerator': 'Accelerator',
    'mlm:artifact_type': 'Written by',
    'interop:variant': 'Variant',
    'interop:aliases': 'Aliases',
  }],
  a2agreement: ['Conversion and agreement', {
    'interop:route': { label: 'How it was converted', formatter: lines(step) },
    'interop:parity': { label: 'Agreement with its source', formatter: parity },
    'interop:timing': { label: 'Time it takes', formatter: timing },
    'interop:verified': { label: 'Loads and agrees in', formatter: lines(environment) },
  }],
  a3training: ['Training', {
    'interop:scores': { label: 'Scores', formatter: scores },
    'mlm:pretrained': 'Pretrained',
    'mlm:pretrained_source': 'Pretrained on',
    'mlm:hyperparameters': 'Settings',
    'interop:job': 'Digest of its job',
  }],
  zsearch: ['Used by searches', {
    'interop:framework_version_key': 'Version of the framework, sortable',
    'interop:backend_version_key': 'Version of the backend, sortable',
    'interop:model_title': 'Title of the model',
  }],
};
for (const [group, [label, fields]] of Object.entries(groups)) {
  Registry.addExtension(group, label);
  for (const [name, given] of Object.entries(fields)) {
    Registry.addMetadataField(name, { ...(typeof given === 'string' ? { label: given } : given), ext: group });
  }
}
Registry.addExtension('mlm', 'Model');
Registry.addExtension('interop', 'Interoperability');
