// Labels, units and groups of the fields of models, for STAC Browser (@radiantearth/stac-fields).
// What a formatter returns is shown as HTML: every value of an item is escaped.
import { Registry } from '@radiantearth/stac-fields';

const escaped = (value) => String(value ?? '').replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);
const number = (value) => (typeof value === 'number' ? Number(value.toPrecision(3)).toString() : escaped(value));
const lines = (format) => (list) => (Array.isArray(list) ? list : [list]).map(format).join('<br>');
const table = (head, rows) => {
  const row = (cells, tag) => `<tr>${cells.map((cell) => `<${tag} style="padding-right:1em">${cell}</${tag}>`).join('')}</tr>`;
  return `<table>${head ? row(head, 'th') : ''}${rows.map((cells) => row(cells, 'td')).join('')}</table>`;
};
const facts = (rows) => table(null, rows.filter(([, value]) => value !== undefined && value !== null));

const step = ({ source_format, target_format, tool, version }) =>
  `${escaped(source_format)} → ${escaped(target_format)}: ${escaped(tool)} ${escaped(version)}`;
const list = (value) => (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]);

// "from 16 in steps of 16", as the axis of an input says in interop:sizes.
const length = (size, open) => {
  if (size >= 0) return escaped(size);
  const { at_least: least = 1, step = 1, at_most: most } = open ?? {};
  const parts = [
    least > 1 || step > 1 ? `from ${escaped(least)}` : null,
    step > 1 ? `in steps of ${escaped(step)}` : null,
    most === undefined ? null : `to ${escaped(most)}`,
  ].filter(Boolean);
  return parts.join(' ') || 'any';
};
// "image: height from 4 in steps of 4, width any", of lengths or of halos by tensor and axis.
const axes = (format) => (found) =>
  Object.entries(found ?? {})
    .map(([name, by]) => `${escaped(name)}: ${Object.entries(by ?? {}).map(([axis, one]) => `${escaped(axis)} ${format(one)}`).join(', ')}`)
    .join('<br>');
const lengths = axes((open) => length(-1, open));
const halos = axes((reach) => (typeof reach === 'object' ? escaped(JSON.stringify(reach)) : escaped(reach)));
const STEPS = {
  'min-max': (s) => `(x − ${number(s.minimum)}) / (${number(s.maximum)} − ${number(s.minimum)})`,
  'z-score': (s) => `(x − ${number(s.mean)}) / ${number(s.stddev)}`,
  clip: (s) => `clip to ${number(s.minimum)} … ${number(s.maximum)}`,
  'clip-min': (s) => `at least ${number(s.minimum)}`,
  'clip-max': (s) => `at most ${number(s.maximum)}`,
  offset: (s) => `x − ${number(s.value)}`,
  scale: (s) => `x / ${number(s.value)}`,
};
const scaling = (one) => (Object.hasOwn(STEPS, one?.type) ? STEPS[one.type](one) : escaped(one?.expression ?? one?.type ?? 'unchanged'));
const colour = (found) => {
  const hex = /^#?([0-9A-Fa-f]{6})$/.exec(found ?? '');
  return hex ? `<span style="display:inline-block;width:1em;height:1em;border:1px solid #888;vertical-align:-0.1em;background:#${hex[1]}" title="#${hex[1]}"></span>` : '';
};

// Axes with sizes and halo; bands, or variables, with their scaling; classes with their colours.
const tensor = (item) => (found) => {
  const { name, input, result, value_scaling, bands, variables } = found ?? {};
  const { shape = [], dim_order = [], data_type } = input ?? result ?? {};
  const { 'interop:sizes': open, 'interop:halo': halo } = item?.properties ?? {};
  const axes = list(shape).map((size, i) => {
    const reach = halo?.[name]?.[dim_order[i]];
    const seen = typeof reach === 'number' || typeof reach === 'string' ? ` (halo ${escaped(reach)})` : '';
    return `${escaped(dim_order[i])} ${length(size, open?.[name]?.[dim_order[i]])}${seen}`;
  });
  const steps = list(value_scaling).map(scaling);
  const named = [bands, found?.['interop:bands'], variables].map(list).find((names) => names.length) ?? [];
  const each = steps.length > 1 && steps.length === named.length;
  const parts = [`<b>${escaped(name)}</b>: ${axes.join(' × ')} (${escaped(data_type)})`];
  if (named.length) {
    const rows = named.map((one, i) => [escaped(one?.name ?? one), each ? steps[i] : steps.join(', then ') || '–']);
    parts.push(table([list(variables).length ? 'Variable' : 'Band', 'Scaled'], rows));
  } else if (steps.length) {
    parts.push(`scaled: ${steps.join(', then ')}`);
  }
  const classes = list(found?.['classification:classes']);
  if (classes.length) {
    parts.push(table(['Class', 'Value', ''], classes.map((one) => [
      escaped(one?.title ?? one?.description ?? one?.name), escaped(one?.value), colour(one?.color_hint),
    ])));
  }
  return parts.join('<br>').replaceAll('<br><table>', '<table>').replaceAll('</table><br>', '</table>');
};
const tensors = (value, field, spec, item) => list(value).map(tensor(item)).join('<br>');
const code = (found) => `<pre style="white-space:pre-wrap"><code>${escaped(found)}</code></pre>`;
const environment = ({ python, packages }) =>
  [`Python ${escaped(python)}`, ...Object.entries(packages ?? {}).map((pair) => pair.map(escaped).join(' '))].join(', ');
const seconds = (value) => (value === undefined ? value : value < 1 ? `${number(value * 1e3)} ms` : `${number(value)} s`);

const parity = (found) => facts([
  ['Outputs agree', found.passed ? 'yes' : 'no'],
  ['Compared with', escaped(found.source)],
  ['Largest difference', number(found.max_absolute_difference)],
  ['Largest relative difference', number(found.max_relative_difference)],
  ['Root mean square difference', number(found.root_mean_square_difference)],
  ['Allowed', [
    number(found.allowed_difference ?? found.absolute_tolerance),
    found.tolerance_by == null ? null : escaped(found.tolerance_by),
  ].filter(Boolean).join(', ')],
  ['Cases', found.judged_cases == null || found.judged_cases === found.cases
    ? number(found.cases) : `${number(found.judged_cases)} judged of ${number(found.cases)}`],
  ['Judged on', found.judged_on == null ? null : escaped(found.judged_on)],
  ['Largest difference in the cases not judged', found.unjudged_difference == null ? null : number(found.unjudged_difference)],
  ['Moves with the other samples of a batch', found.batch_difference == null ? null : number(found.batch_difference)],
  ['Change of RMSE on real data', found.rmse_change == null ? null : number(found.rmse_change)],
  ['Largest change of CSI on real data', found.csi_change == null ? null : number(found.csi_change)],
]);
const timing = (found) => facts([
  ['Conversion', seconds(found.conversion_seconds)],
  ['One prediction', seconds(found.latency_seconds)],
  ['One prediction of its source', seconds(found.source_latency_seconds)],
  ['Shape of the input', escaped((found.shape ?? []).join(' × '))],
]);

// persistence_csi_0.5_mm_h is the score "CSI 0.5 mm/h" of the forecast "persistence".
const OTHERS = ['persistence', 'extrapolation'];
const score = (found) => {
  const name = String(found);
  if (/[A-Z]/.test(name)) return escaped(name.replaceAll('_', ' '));
  if (name === 'miou') return 'mIoU';
  const [first, ...rest] = name.replace(/_mm_(per_)?h/, ' mm/h').replace(/_(\d+)_px/, ' $1 px').split(/[_ ]/);
  return escaped([first.length < 5 && first !== 'loss' ? first.toUpperCase() : first, ...rest].filter(Boolean).join(' '));
};
const scores = (found, field, spec, item) => {
  const main = item?.properties?.['interop:main_metric'];
  const others = OTHERS.filter((other) => Object.keys(found).some((name) => name.startsWith(`${other}_`)));
  const own = Object.keys(found).filter((name) => !others.some((other) => name.startsWith(`${other}_`)));
  own.sort((a, b) => (b === main) - (a === main));
  const value = (name) => (name in found ? number(found[name]) : '');
  return table(
    ['Score', 'Model', ...others],
    own.map((name) => [score(name), value(name), ...others.map((other) => value(`${other}_${name}`))]),
  );
};

const MONTHS = [
  'January', 'February', 'March', 'April', 'May', 'June',
  'July', 'August', 'September', 'October', 'November', 'December',
];

// Groups stand in the order of these names, before those of other extensions.
const groups = {
  a0try: ['Try it', {
    'interop:try_python': { label: 'Python', formatter: code },
    'interop:try_shell': { label: 'Shell', formatter: code },
  }],
  a1model: ['Model', {
    'mlm:name': 'Name',
    'mlm:framework': 'Framework',
    'mlm:framework_version': 'Version of the framework',
    'interop:backend': 'Backend',
    'interop:backend_version': 'Version of the backend',
    'interop:format': 'File format',
    'interop:precision': 'Precision',
    'mlm:input': { label: 'Input', formatter: tensors },
    'mlm:output': { label: 'Output', formatter: tensors },
    'mlm:architecture': 'Architecture',
    'mlm:tasks': 'Tasks',
    'mlm:total_parameters': { label: 'Parameters', formatter: (n) => escaped(Number(n).toLocaleString('en')) },
    'mlm:memory_size': { label: 'Memory', format: 'FileSize' },
    'mlm:accelerator': 'Accelerator',
    'mlm:artifact_type': 'Written by',
    'interop:variant': 'Variant',
    'interop:aliases': 'Aliases',
    'interop:sizes': { label: 'Sizes of open axes', formatter: lengths },
    'interop:halo': { label: 'Halo, in pixels', formatter: halos },
    'interop:region': 'Place of the training data',
    'interop:months': { label: 'Months of the training data', formatter: (months) => list(months).map((m) => MONTHS[m - 1] ?? escaped(m)).join(', ') },
    'raster:bands': { label: 'Bands of the model', items: { name: { label: 'Band' }, unit: { label: 'Unit' } } },
  }],
  a2agreement: ['Conversion and agreement', {
    'interop:route': { label: 'How it was converted', formatter: lines(step) },
    'interop:parity': { label: 'Agreement with its source', formatter: parity },
    'interop:timing': { label: 'Time it takes', formatter: timing },
    'interop:verified': { label: 'Loads and agrees in', formatter: lines(environment) },
  }],
  a3training: ['Training', {
    'interop:main_metric': { label: 'The score that matters most', formatter: score },
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
