// One source and the aggregator, for the bench rows `sources`: what a control plane does with a registry,
// without xDS. Plain JavaScript on dist/, so that the code that is measured is the code that is shipped.
//
//   node --expose-gc source.mjs --dist FOLDER --config '{"name":"bench","kind":"consul",…}'
//
// Prints {"ctl":PORT} when it is up. GET /start begins; /state tells {live, services, endpoints, firstSyncMs};
// /memory collects garbage and tells bytes; /phase ends a phase and tells what it saw; SIGTERM ends it.
//
// Changes carry the time at which they were written as a label: `t-` and milliseconds since the epoch. The
// same text is looked for in what sockets read, so both ways of the lag are known: from the writing, and from
// the arrival of the registry's answer (of a packed one: from the last bytes that arrived).
import { openSync, readSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { dist: { type: 'string', default: 'dist' }, config: { type: 'string', default: '{}' } },
});
/** A module of the built tree. */
const built = (file) => import(pathToFileURL(join(values.dist, file)).href);
const { systemClock } = await built('lib/clock.js');
const { createLogger } = await built('telemetry/logger.js');
const { createMetrics } = await built('telemetry/metrics.js');
const { sourceSchema } = await built('config/schema.js');
const { createDiscoverer } = await built('adapters/registry.js');
const { createAggregator } = await built('aggregator/aggregator.js');

/** A mark as the seeder writes it. */
const MARK = /t-(\d{13})/g;
const now = () => performance.timeOrigin + performance.now();

// --- when bytes arrive --------------------------------------------------------------------------------------

/** When a mark was read first; only while changes are under way. */
let arrivals = new Map();
let watching = false;
let lastRead = 0;
const push = Readable.prototype.push;
Readable.prototype.push = function (chunk, encoding) {
  if (chunk instanceof Uint8Array || typeof chunk === 'string') {
    lastRead = now();
    if (watching) {
      const text =
        typeof chunk === 'string'
          ? chunk
          : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1');
      for (const [mark] of text.matchAll(MARK)) if (!arrivals.has(mark)) arrivals.set(mark, lastRead);
    }
  }
  return push.call(this, chunk, encoding);
};

// --- the aggregator, with the time it holds the loop ------------------------------------------------------------

const RESOLUTION_MS = 5;
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
/**
 * On a busy machine a loop is late although nothing held it. So the CPU time of this thread is read at each
 * tick as well: what it used between two ticks is what it did in one turn.
 */
const schedstat = openSync('/proc/thread-self/schedstat');
const digits = Buffer.alloc(64);
const threadCpuMs = () =>
  parseInt(digits.toString('latin1', 0, readSync(schedstat, digits, 0, 64, 0)), 10) / 1e6;
let heldCpuMs = 0;
let lastCpuMs = threadCpuMs();
function tick() {
  const cpu = threadCpuMs();
  heldCpuMs = Math.max(heldCpuMs, cpu - lastCpuMs);
  lastCpuMs = cpu;
}
/** Longest turns of the aggregator in this phase, ms: applying one update, publishing one snapshot. */
let longest = { apply: 0, publish: 0 };
const timed = (what, run) => {
  const began = performance.now();
  run();
  longest[what] = Math.max(longest[what], performance.now() - began);
};
const aggregatorClock = {
  ...systemClock,
  after: (ms, fn) => systemClock.after(ms, () => timed('publish', fn)),
};
/** Between handing an update over and being asked for the next one lies what is done with it. */
function measured(discoverer) {
  return {
    source: discoverer.source,
    kind: discoverer.kind,
    async *discover(signal) {
      for await (const update of discoverer.discover(signal)) {
        const began = performance.now();
        yield update;
        longest.apply = Math.max(longest.apply, performance.now() - began);
      }
    },
  };
}

const log = createLogger('error');
const metrics = createMetrics();
const config = sourceSchema.parse(JSON.parse(values.config));
const discoverer = await createDiscoverer(config, { clock: systemClock, log, metrics });
const aggregator = createAggregator({ order: [config.name], clock: aggregatorClock, log, metrics });

let startedAt = 0;
let firstSyncMs;
let baseHeap = 0;
let before = aggregator.current.services;
const lags = { written: [], answered: [] };
aggregator.subscribe(({ services, sources }) => {
  firstSyncMs ??= sources.get(config.name)?.state === 'live' ? performance.now() - startedAt : undefined;
  const at = now();
  if (watching) {
    for (const [name, slice] of services) if (before.get(name) !== slice) note(slice, at);
  }
  before = services;
});

function note(slice, at) {
  for (const { group } of slice.shards.values()) {
    for (const { labels } of group.endpoints) {
      const mark = labels.t ?? labels.hostname;
      if (mark === undefined || seen.has(mark)) continue;
      seen.add(mark);
      const written = Number(mark.slice(2));
      if (written < phaseBegan) continue;
      lags.written.push(at - written);
      lags.answered.push(at - (arrivals.get(mark) ?? lastRead));
    }
  }
}
let seen = new Set();
let phaseBegan = 0;

const quantile = (list, q) => {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted.length === 0 ? undefined : sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
};

function phase(marks) {
  const told = {
    marks: lags.written.length,
    writtenP50: quantile(lags.written, 0.5),
    writtenP99: quantile(lags.written, 0.99),
    answeredP50: quantile(lags.answered, 0.5),
    answeredP99: quantile(lags.answered, 0.99),
    heldCpuMs,
    loopMaxMs: Math.max(0, delay.max / 1e6 - RESOLUTION_MS),
    applyMaxMs: longest.apply,
    publishMaxMs: longest.publish,
  };
  delay.reset();
  heldCpuMs = 0;
  lastCpuMs = threadCpuMs();
  longest = { apply: 0, publish: 0 };
  lags.written.length = 0;
  lags.answered.length = 0;
  arrivals = new Map();
  seen = new Set();
  watching = marks;
  phaseBegan = now();
  return told;
}

async function memory() {
  // Twice, with a turn between: what finalizers held goes with the second.
  globalThis.gc();
  await new Promise((resolve) => setTimeout(resolve, 50));
  globalThis.gc();
  const { heapUsed, rss, external, arrayBuffers } = process.memoryUsage();
  return { heapUsed, rss, external, arrayBuffers, baseHeap };
}

const over = new AbortController();
const routes = {
  '/start': async () => {
    baseHeap = (await memory()).heapUsed;
    delay.enable();
    setInterval(tick, RESOLUTION_MS);
    phase(false);
    startedAt = performance.now();
    void aggregator.attach(measured(discoverer), over.signal);
    return {};
  },
  '/state': async () => {
    const state = aggregator.current.sources.get(config.name);
    return { ...state, live: state?.state === 'live', firstSyncMs };
  },
  '/memory': memory,
  '/phase': async (url) => phase(url.searchParams.get('marks') === '1'),
};
const control = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1');
  const route = routes[url.pathname];
  if (!route) {
    response.statusCode = 400;
    response.end('no such path\n');
    return;
  }
  route(url).then(
    (told) => response.end(JSON.stringify(told)),
    (thrown) => {
      response.statusCode = 500;
      response.end(String(thrown));
    },
  );
});
control.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ ctl: control.address().port })}\n`);
});
// A profile is written by process.exit().
process.once('SIGTERM', () => process.exit(0));
