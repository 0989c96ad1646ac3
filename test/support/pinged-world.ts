// A control plane in this process, of which one endpoint has answered a ping as another service. The pings are
// told to the aggregator as a prober tells them.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LeftOutBook } from '../../adapters/left-out.ts';
import { createDiscoverer } from '../../adapters/registry.ts';
import { createAdmin } from '../../admin/index.ts';
import type { AdminOptions } from '../../admin/index.ts';
import { createAggregator } from '../../aggregator/aggregator.ts';
import { fileSource } from '../../config/schema.ts';
import { systemClock } from '../../lib/clock.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { eventually } from './eventually.ts';

const SOON = { withinMs: 60_000 };
const SERVICE = 'stock.default';

const NO_OVERRIDES: AdminOptions['overrides'] = {
  now: () => systemClock.now(),
  list: () => [],
  set: () => Promise.reject(new Error('no writes in this test')),
  remove: () => Promise.reject(new Error('no writes in this test')),
};

export interface PingedWorld {
  readonly adminUrl: string;
  close(): Promise<void>;
}

export async function startPingedWorld(): Promise<PingedWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-pinged-'));
  const path = join(folder, 'vms.json');
  const targets = ['10.9.0.1:8080', '10.9.0.2:8080'];
  await writeFile(path, JSON.stringify([{ targets, labels: { service: 'stock' } }]));
  const [clock, log, metrics] = [systemClock, createLogger('silent'), createMetrics()];
  const leftOut = new LeftOutBook();
  const aggregator = createAggregator({ order: ['vms'], clock, log, metrics });
  const source = fileSource.parse({ name: 'vms', kind: 'file', path });
  const controller = new AbortController();
  const watching = aggregator.attach(
    await createDiscoverer(source, { clock, log, metrics, leftOut }),
    controller.signal,
  );
  const admin = createAdmin({
    listen: '127.0.0.1:0',
    snapshot: () => aggregator.current,
    proxies: () => [],
    configDump: () => null,
    load: { rows: () => [] },
    ready: () => ({ ready: true, checks: [] }),
    overrides: NO_OVERRIDES,
    resources: {
      list: () => [],
      put: () => Promise.reject(new Error('no writes in this test')),
      remove: () => Promise.reject(new Error('no writes in this test')),
    },
    mayWrite: () => Promise.resolve(undefined),
    explain: {
      notes: (name, service, key) => aggregator.notes(name, service, key),
      policyOrigin: () => 'default',
      leftOut,
    },
    metrics,
    clock,
    log,
  });
  const { port } = await admin.listen();
  const marks = () => aggregator.current.services.get(SERVICE)?.shards.get('vms');
  await eventually(() => marks()?.group.endpoints.length === 2, SOON);
  const prober = { kind: 'prober', failing: 0 } as const;
  const verdict = { kind: 'answeredAs', service: 'users.default' } as const;
  aggregator.prove('vms', SERVICE, '10.9.0.1:8080', verdict, prober);
  await eventually(() => marks()?.marks.get('10.9.0.1:8080')?.quarantined !== undefined, SOON);
  return {
    adminUrl: `http://127.0.0.1:${port}`,
    async close() {
      controller.abort(new Error('the world ends'));
      await watching;
      await admin.close();
      aggregator.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
