// A catalogue of a million endpoints in the real aggregator, for the bench rows `catalogue`: three sources that
// exist only in this process say what registries would say. Plain JavaScript on dist/, so that the code that is
// measured is the code that is shipped.
//
//   node --expose-gc catalogue.mjs --dist FOLDER --task keep|write|restart --services 100000 --folder FOLDER
//
// Does its task, prints one line of JSON, and ends. What every text of a source costs is counted: each endpoint
// has strings and objects of its own, as JSON.parse makes them.
import { openSync, readSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    dist: { type: 'string', default: 'dist' },
    task: { type: 'string', default: 'keep' },
    services: { type: 'string', default: '100000' },
    endpoints: { type: 'string', default: '10' },
    folder: { type: 'string', default: '.' },
    seconds: { type: 'string', default: '5' },
  },
});
/** A module of the built tree. */
const built = (file) => import(pathToFileURL(join(values.dist, file)).href);
const { systemClock } = await built('lib/clock.js');
const { Latest } = await built('lib/latest.js');
const { createLogger } = await built('telemetry/logger.js');
const { createMetrics } = await built('telemetry/metrics.js');
const { createAggregator } = await built('aggregator/aggregator.js');

const SOURCES = ['east', 'west', 'north'];
const SERVICES = Number(values.services);
const ENDPOINTS = Number(values.endpoints);
const CHANGES_PER_S = 5_000;
const SINGLE_CHANGES = 200;

// --- the made-up registries -----------------------------------------------------------------------------------

/** What the source says of service `i`; `note` makes the first endpoint another one. */
function groupOf(i, note = 'v1') {
  const endpoints = Array.from({ length: ENDPOINTS }, (_, h) => ({
    address: `10.${(i >> 12) & 255}.${(i >> 4) & 255}.${((i & 15) << 4) + h}`,
    port: 8080 + (i >> 20),
    portName: '',
    network: '',
    health: 'healthy',
    weight: 1,
    labels: { version: h === 0 ? note : 'v1', env: 'prod', team: `team-${i % 100}`, instance: `i-${i}-${h}` },
    locality: { region: 'eu', zone: `eu-${h % 3}`, subZone: '' },
  }));
  return JSON.parse(
    JSON.stringify({
      service: `svc-${i}.default`,
      aliases: [],
      ports: [{ name: '', port: 0, protocol: 'http' }],
      primaryPort: '',
      endpoints,
    }),
  );
}

const indices = (source) => {
  const own = [];
  for (let i = SOURCES.indexOf(source); i < SERVICES; i += SOURCES.length) own.push(i);
  return own;
};
const listOf = (source) => indices(source).map((i) => groupOf(i));

/** A discoverer whose words come from here. As an adapter: nothing is lost, the next is taken when there is time. */
function madeUp(source) {
  const words = [];
  const wake = new Latest();
  return {
    say(update) {
      words.push(update);
      wake.put(true);
    },
    discoverer: {
      source,
      kind: 'file',
      async *discover() {
        for await (const _ of wake) while (words.length > 0) yield words.shift();
      },
    },
  };
}

// --- what it costs ----------------------------------------------------------------------------------------------

const RESOLUTION_MS = 5;
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
/** On a busy machine a loop is late although nothing held it: what this thread used between two ticks is one turn. */
const schedstat = openSync('/proc/thread-self/schedstat');
const digits = Buffer.alloc(64);
const threadCpuMs = () =>
  parseInt(digits.toString('latin1', 0, readSync(schedstat, digits, 0, 64, 0)), 10) / 1e6;
let heldCpuMs = 0;
let lastCpuMs = threadCpuMs();
setInterval(() => {
  const cpu = threadCpuMs();
  heldCpuMs = Math.max(heldCpuMs, cpu - lastCpuMs);
  lastCpuMs = cpu;
}, RESOLUTION_MS).unref();
delay.enable();
const turn = () => new Promise((resolve) => setTimeout(resolve, 20));

/** All threads, garbage collection included. */
const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

/** Runs `work`, tells its CPU time, its wall time, and the longest turn while it ran. */
async function cost(work) {
  await turn();
  await turn();
  delay.reset();
  heldCpuMs = 0;
  lastCpuMs = threadCpuMs();
  const [cpu, wall] = [cpuMs(), performance.now()];
  await work();
  const told = { cpuMs: cpuMs() - cpu, wallMs: performance.now() - wall };
  await turn();
  return { ...told, heldMs: heldCpuMs, lateMs: Math.max(0, delay.max / 1e6 - RESOLUTION_MS) };
}

async function heapUsed() {
  globalThis.gc();
  await turn();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

// --- the tasks --------------------------------------------------------------------------------------------------

const log = createLogger('error');
const metrics = createMetrics();
const over = new AbortController();

function start() {
  const aggregator = createAggregator({ order: SOURCES, clock: systemClock, log, metrics });
  const sources = new Map(SOURCES.map((source) => [source, madeUp(source)]));
  for (const { discoverer } of sources.values()) void aggregator.attach(discoverer, over.signal);
  /** Resolves with the first snapshot for which `when` holds. */
  const seen = (when) =>
    new Promise((resolve) => {
      if (when(aggregator.current)) return resolve(aggregator.current);
      const forget = aggregator.subscribe((snapshot) => {
        if (!when(snapshot)) return;
        forget();
        resolve(snapshot);
      });
    });
  const say = (source, update) => sources.get(source)?.say(update);
  const isLive = (source) => (snapshot) => snapshot.sources.get(source)?.state === 'live';
  return { aggregator, say, seen, isLive };
}

/** The catalogue with all three sources listed; tells the dearest first list. */
async function fill(control) {
  const syncs = [];
  for (const source of SOURCES) {
    const update = { type: 'sync', groups: listOf(source) };
    globalThis.gc();
    syncs.push(
      await cost(async () => {
        control.say(source, update);
        await control.seen(control.isLive(source));
      }),
    );
  }
  return {
    syncCpu: Math.max(...syncs.map(({ cpuMs }) => cpuMs)) / 1_000,
    syncHeld: Math.max(...syncs.map(({ heldMs }) => heldMs)),
    syncLate: Math.max(...syncs.map(({ lateMs }) => lateMs)),
  };
}

const sourceOf = (i) => SOURCES[i % SOURCES.length];
const change = (i, note) => ({ type: 'group', group: groupOf(i, note) });

/** One change, its snapshot, the next change. What the registry's own words cost is taken off. */
async function single({ say, seen, aggregator }) {
  const changes = Array.from({ length: SINGLE_CHANGES }, (_, n) => [
    (n * 7_919) % SERVICES,
    `single-${n}-${process.pid}`,
  ]).map(([i, note]) => [sourceOf(i), change(i, note)]);
  let used = 0;
  for (const [source, update] of changes) {
    const { version } = aggregator.current;
    const cpu = cpuMs();
    say(source, update);
    await seen((snapshot) => snapshot.version > version);
    used += cpuMs() - cpu;
  }
  return used / changes.length;
}

/** As many changes as a second should take, in even portions, each to another service. */
async function sustained({ say, aggregator }) {
  const seconds = Number(values.seconds);
  const total = CHANGES_PER_S * seconds;
  let snapshots = 0;
  const forget = aggregator.subscribe(() => (snapshots += 1));
  let said = 0;
  const all = Array.from({ length: total }, (_, n) => {
    const i = (n * 7_919) % SERVICES;
    return [sourceOf(i), change(i, `rate-${n}`)];
  });
  globalThis.gc();
  const {
    cpuMs: used,
    wallMs,
    heldMs,
    lateMs,
  } = await cost(async () => {
    const began = performance.now();
    while (said < total) {
      const due = Math.min(total, ((performance.now() - began) * CHANGES_PER_S) / 1_000);
      for (; said < due; said += 1) say(...all[said]);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const last = `rate-${total - 1}`;
    const i = ((total - 1) * 7_919) % SERVICES;
    const arrived = () =>
      aggregator.current.services.get(`svc-${i}.default`)?.shards.get(sourceOf(i))?.group.endpoints[0]?.labels
        .version === last;
    while (!arrived()) await turn();
  });
  forget();
  return {
    rate: total / (wallMs / 1_000),
    rateCpu: (used / wallMs) * 100,
    rateHeld: heldMs,
    rateLate: lateMs,
    ratePerChangeUs: (used * 1_000) / total,
    snapshots: snapshots / seconds,
  };
}

async function keep() {
  // Compiled and warm, so that the base is only what is there without endpoints.
  const base = await heapUsed();
  const control = start();
  const filled = await fill(control);
  const heap = await heapUsed();
  const { say, seen, isLive, aggregator } = control;
  const { rss } = process.memoryUsage();
  const memory = (heap - base) / (SERVICES * ENDPOINTS);
  await single(control);
  const singleMs = await single(control);
  const rate = await sustained(control);
  const relist = { type: 'sync', groups: indices('west').map((i) => nowOf(aggregator, i)) };
  globalThis.gc();
  const dark = await cost(async () => {
    say('west', { type: 'stale', cause: new Error('gone') });
    await seen(({ sources }) => sources.get('west').state === 'stale');
  });
  const slices = aggregator.current.services;
  const back = await cost(async () => {
    say('west', relist);
    await seen(isLive('west'));
  });
  let rewritten = 0;
  for (const [name, slice] of aggregator.current.services) if (slices.get(name) !== slice) rewritten += 1;
  const changed = { type: 'sync', groups: indices('west').map((i) => groupOf(i, 'v9')) };
  globalThis.gc();
  const other = await cost(async () => {
    say('west', changed);
    const i = indices('west').at(-1);
    await seen(
      ({ services }) =>
        services.get(`svc-${i}.default`).shards.get('west').group.endpoints[0].labels.version === 'v9',
    );
  });
  return {
    memory,
    rss: rss / 2 ** 20,
    ...filled,
    singleMs,
    ...rate,
    darkHeld: dark.heldMs,
    backHeld: back.heldMs,
    backLate: back.lateMs,
    backCpu: back.cpuMs / 1_000,
    otherHeld: other.heldMs,
    otherCpu: other.cpuMs / 1_000,
    rewritten,
  };
}

/** The same words again, in objects of their own. */
function nowOf({ current }, i) {
  const { group } = current.services.get(`svc-${i}.default`).shards.get(sourceOf(i));
  return JSON.parse(JSON.stringify(group));
}

async function xds() {
  const { createXdsServer } = await built('xds-server/server.js');
  const control = start();
  await fill(control);
  const before = await heapUsed();
  const plain = (await single(control), await single(control));
  const server = createXdsServer({ log, clock: systemClock, metrics });
  const first = await cost(async () => {
    server.update(control.aggregator.current);
    await server.settled();
  });
  server.setReady(true);
  const heap = await heapUsed();
  control.aggregator.subscribe((snapshot) => server.update(snapshot));
  const withXds = (await single(control), await single(control));
  return {
    ...(await routes()),
    xdsFirstHeld: first.heldMs,
    xdsFirstCpu: first.cpuMs / 1_000,
    xdsFirstS: first.wallMs / 1_000,
    xdsMemory: (heap - before) / (SERVICES * ENDPOINTS),
    xdsSingleMs: withXds,
    singleMs: plain,
  };
}

/** The route configuration alone: a service more, and the bytes that each client is sent then. */
async function routes() {
  const { RouteTable } = await built('xds-server/resources/route-table.js');
  const table = new RouteTable();
  const partOf = (name) => [
    { cluster: `${name}.default`, domains: [name, `${name}.default`], headers: [name, `${name}.default`] },
  ];
  const put = (name) => table.set(`${name}.default`, partOf(name));
  for (let i = 0; i < SERVICES; i += 1) put(`svc-${i}`);
  globalThis.gc();
  const more = 100;
  const add = await cost(async () => {
    for (let n = 0; n < more; n += 1) {
      put(`more-${n}`);
      void table.resource().version;
    }
  });
  let size = 0;
  const bytes = await cost(async () => (size = table.resource().delta.length));
  return { routeAddMs: add.cpuMs / more, routeBytesMs: bytes.cpuMs, routeMb: size / 1e6 };
}

async function lkgOptions() {
  const { keepLastKnownGood } = await built('aggregator/lkg/keep.js');
  const { loadLastKnownGood } = await built('aggregator/lkg/load.js');
  return { keepLastKnownGood, loadLastKnownGood };
}

/** Writes the last known good of all sources. */
async function write() {
  const { keepLastKnownGood } = await lkgOptions();
  const control = start();
  await fill(control);
  const known = keepLastKnownGood({ folder: values.folder, clock: systemClock, log, metrics, everyMs: 1e9 });
  known.update(control.aggregator.current);
  const told = await cost(() => known.close());
  const sizes = await Promise.all(SOURCES.map((source) => stat(join(values.folder, `${source}.lkg`))));
  return {
    writeS: told.wallMs / 1_000,
    writeCpu: told.cpuMs / 1_000,
    writeHeld: told.heldMs,
    fileMb: sizes.reduce((sum, { size }) => sum + size, 0) / 1e6,
  };
}

/** What a new process does with them. */
async function restart() {
  const { loadLastKnownGood } = await lkgOptions();
  const control = start();
  const told = await cost(async () => {
    for (const source of SOURCES) {
      const options = { folder: values.folder, clock: systemClock, log, maxAgeMs: 1e9 };
      const known = await loadLastKnownGood(source, 'file', options);
      if (!known) throw new Error(`no last known good of ${source}`);
      await control.aggregator.restore(known, over.signal);
    }
    await control.aggregator.settled(over.signal);
  });
  const { size } = control.aggregator.current.services;
  if (size !== SERVICES) throw new Error(`${size} services, not ${SERVICES}`);
  return { restartS: told.wallMs / 1_000, restartCpu: told.cpuMs / 1_000, restartHeld: told.heldMs };
}

const task = { keep, xds, write, restart }[values.task];
const told = await task();
process.stdout.write(`${JSON.stringify(told)}\n`);
process.exit(0); // a profile is written here
