// Labels, units and groups of the fields of models, for STAC Browser (@radiantearth/stac-fields).
import { Registry } from '@radiantearth/stac-fields';

const versions = (list) => list.map((step) => `${step.source_format} → ${step.target_format}: ${step.tool} ${step.version}`).join('<br>');
const inputs = (list) => list.map((input) => {
  const { shape, dim_order, data_type } = input.input || input.result;
  return `${input.name}: ${dim_order.map((name, i) => `${name} ${shape[i] < 0 ? 'any' : shape[i]}`).join(' × ')} (${data_type})`;
}).join('<br>');

Registry.addExtension('mlm', 'Model');
Registry.addMetadataFields({
  'mlm:name': 'Model',
  'mlm:architecture': 'Architecture',
  'mlm:tasks': 'Tasks',
  'mlm:framework': 'Framework',
  'mlm:framework_version': 'Version of the framework',
  'mlm:total_parameters': 'Parameters',
  'mlm:memory_size': { label: 'Memory', formatter: 'fileSize' },
  'mlm:pretrained': 'Pretrained',
  'mlm:pretrained_source': 'Pretrained on',
  'mlm:input': { label: 'Input', formatter: inputs },
  'mlm:output': { label: 'Output', formatter: inputs },
  'mlm:hyperparameters': 'Hyperparameters',
  'mlm:accelerator': 'Accelerator',
});

Registry.addExtension('interop', 'Interoperability');
Registry.addMetadataFields({
  'interop:variant': 'Variant',
  'interop:format': 'File format',
  'interop:backend': 'Backend',
  'interop:backend_version': 'Version of the backend',
  'interop:aliases': 'Aliases',
  'interop:route': { label: 'How it was converted', formatter: versions },
  'interop:parity': 'Agreement with its source',
  'interop:precision': 'Precision',
  'interop:timing': 'Timing',
  'interop:scores': 'Scores',
  'interop:verified': 'Verified in',
  'interop:job': 'Job',
});
