// The layer check: which top-level folder may import which. The stages (adapters, aggregator, migration,
// xds-server, proxy) never import each other; cli/wire*.ts alone join them.
const only = (from, allowed) => ({
  name: `${from}-imports-only`,
  severity: 'error',
  from: { path: `^${from}/` },
  to: {
    path: '^(model|lib|telemetry|config|pki|adapters|aggregator|migration|xds-server|proxy|admin|ui|cli|proto|test)/',
    pathNot: `^(${[from, ...allowed].join('|')})/`,
  },
});

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    only('model', []),
    only('lib', []),
    only('proto', []),
    only('telemetry', ['model', 'lib']),
    only('config', ['model', 'lib']),
    only('adapters', ['model', 'lib', 'telemetry', 'config']),
    only('aggregator', ['model', 'lib', 'telemetry']),
    only('migration', ['model', 'lib', 'telemetry']),
    only('xds-server', ['model', 'lib', 'telemetry', 'config', 'proto']),
    only('proxy', ['model', 'lib', 'telemetry', 'proto']),
    only('admin', ['model', 'lib', 'telemetry', 'config']),
    only('cli', [
      'model',
      'lib',
      'telemetry',
      'config',
      'adapters',
      'aggregator',
      'migration',
      'xds-server',
      'proxy',
      'admin',
      'proto',
    ]),
    {
      name: 'no-adapter-imports-another',
      severity: 'error',
      from: { path: '^adapters/([^/]+)/' },
      to: { path: '^adapters/[^/]+/', pathNot: '^adapters/$1/' },
    },
    {
      name: 'only-wire-joins-the-stages',
      comment: 'cli/wire*.ts are the composition roots; cli/commands may reach a stage through them only',
      severity: 'error',
      from: { path: '^cli/', pathNot: '^cli/wire[a-z-]*\\.ts$' },
      to: { path: '^(adapters|aggregator|migration|xds-server|proxy)/' },
    },
    {
      name: 'model-has-no-packages',
      severity: 'error',
      from: { path: '^model/' },
      to: { dependencyTypes: ['npm', 'npm-dev', 'npm-optional', 'core'] },
    },
    {
      name: 'lib-has-no-packages',
      severity: 'error',
      from: { path: '^lib/' },
      to: { dependencyTypes: ['npm', 'npm-dev', 'npm-optional'] },
    },
    { name: 'no-cycles', severity: 'error', from: { pathNot: '^proto/gen/' }, to: { circular: true } },
  ],
  options: {
    doNotFollow: { path: ['node_modules', 'proto/gen'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.json'] },
  },
};
