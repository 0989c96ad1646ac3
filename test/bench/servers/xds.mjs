// The xDS server alone, fed with a made-up catalogue, for the bench row `xds`: what the go-control-plane
// peer does (test/support/servers/gcp), with the same control address. Plain JavaScript on dist/, so that
// the code that is measured is the code that is shipped.
//
//   node xds.mjs --dist FOLDER --xds 127.0.0.1:0 --clusters 1000 --endpoints 10
//
// Prints {"xds":PORT,"ctl":PORT} when it is up. GET /bump?v=TEXT&cluster=I changes one endpoint of one
// service: its address becomes TEXT, which must be one. GET /rate?perSecond=N&seconds=S does so N times a second,
// all services in turn (no neighbours in one update), in updates 10 ms apart, and answers at the end with the event loop's delay
// (`{"delayP99Ms":…,"delayMaxMs":…}`). GET /memory: `{"used":BYTES}` after a collection. SIGTERM ends it.
import { createServer } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setInterval } from 'node:timers/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

const { values } = parseArgs({
  options: {
    dist: { type: 'string', default: 'dist' },
    xds: { type: 'string', default: '127.0.0.1:0' },
    clusters: { type: 'string', default: '1000' },
    endpoints: { type: 'string', default: '10' },
  },
});
/** A module of the built tree. */
const built = (file) => import(pathToFileURL(join(values.dist, file)).href);
const { NO_LOCALITY } = await built('model/endpoint.js');
const { plainSlice } = await built('model/snapshot.js');
const { systemClock } = await built('lib/clock.js');
const { createLogger } = await built('telemetry/logger.js');
const { createMetrics } = await built('telemetry/metrics.js');
const { BucketMap } = await built('lib/bucket-map.js');
const { createXdsServer } = await built('xds-server/server.js');

const clusters = Number(values.clusters);
const endpoints = Number(values.endpoints);

/** The shards of service `i`; its first endpoint has the address `first` if that is given. */
function slice(i, first) {
  const service = `svc-${i}.default`;
  const group = {
    service,
    aliases: [],
    ports: [{ name: '', port: 0, protocol: 'http' }],
    primaryPort: '',
    endpoints: Array.from({ length: endpoints }, (_, h) => ({
      address:
        h === 0 && first !== undefined ? first : `127.${1 + Math.floor(i / 200)}.${i % 200}.${(h % 250) + 1}`,
      port: 8080 + Math.floor(h / 250),
      portName: '',
      network: '',
      health: 'healthy',
      weight: 1,
      labels: {},
      locality: { ...NO_LOCALITY, zone: 'a' },
    })),
  };
  return plainSlice(service, new Map([['bench', group]]));
}

const server = createXdsServer({
  log: createLogger('error'),
  clock: systemClock,
  metrics: createMetrics(),
});
let services = BucketMap.empty().with(
  new Map(Array.from({ length: clusters }, (_, i) => [`svc-${i}.default`, slice(i)])),
);
let version = 1;
server.update({ version, services, sources: new Map() });
server.setReady(true);

/** @param changes service number → address of its first endpoint. */
function bump(changes) {
  services = services.with(new Map(Array.from(changes, ([i, text]) => [`svc-${i}.default`, slice(i, text)])));
  version += 1;
  server.update({ version, services, sources: new Map() });
}

async function changeAtRate(perSecond, seconds) {
  const loop = monitorEventLoopDelay({ resolution: 5 });
  loop.enable();
  const began = performance.now();
  const all = perSecond * seconds;
  let done = 0;
  for await (const _ of setInterval(10)) {
    const due = Math.min(all, Math.floor(((performance.now() - began) / 1_000) * perSecond));
    const changes = new Map();
    for (; done < due; done += 1)
      changes.set((done * 37) % clusters, `10.${done >> 16}.${(done >> 8) & 255}.${done & 255}`);
    if (changes.size > 0) bump(changes);
    if (done === all) break;
  }
  loop.disable();
  return { delayP99Ms: loop.percentile(99) / 1e6, delayMaxMs: loop.max / 1e6 };
}

function memoryUsed() {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const between = (n, least, most) => Number.isInteger(n) && n >= least && n <= most;

const control = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1');
  const number = (name) => Number(url.searchParams.get(name) ?? '0');
  const text = url.searchParams.get('v');
  if (
    url.pathname === '/rate' &&
    between(number('perSecond'), 1, 100_000) &&
    between(number('seconds'), 1, 600)
  ) {
    void changeAtRate(number('perSecond'), number('seconds')).then((said) =>
      response.end(JSON.stringify(said)),
    );
    return;
  }
  if (url.pathname === '/memory') {
    response.end(JSON.stringify({ used: memoryUsed() }));
    return;
  }
  if (url.pathname === '/bump' && text !== null && between(number('cluster'), 0, clusters - 1)) {
    bump(new Map([[number('cluster'), text]]));
  } else if (url.pathname !== '/ready') {
    response.statusCode = 400;
  }
  response.end('ok\n');
});

const { port: xds } = await server.listen(values.xds);
control.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ xds, ctl: control.address().port })}\n`);
});
// Nothing to drain; a profile is written by process.exit().
process.once('SIGTERM', () => process.exit(0));
