import { get } from 'node:http';
import { parseAllDocuments, parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { startApps } from '../../../cli/demo/apps.ts';
import type { App } from '../../../cli/demo/apps.ts';
import { podsText, vmsText } from '../../../cli/demo/files.ts';
import { introduction } from '../../../cli/demo/introduction.ts';
import { choosePort } from '../../../cli/demo/ports.ts';
import { countsOf, tallyBlock, tallyLine } from '../../../cli/demo/tally.ts';
import { emptyTally, runTraffic } from '../../../cli/demo/traffic.ts';
import { paint } from '../../../cli/paint.ts';
import { systemClock } from '../../../lib/clock.ts';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

const pen = paint(false);
const APPS: readonly App[] = [
  { service: 'orders', instance: 'pod-a', side: 'pods', port: 4001 },
  { service: 'orders', instance: 'pod-b', side: 'pods', port: 4002 },
];

describe('the files', () => {
  it('one target group per virtual machine', () => {
    expect(parse(vmsText(APPS))).toMatchObject([
      { targets: ['127.0.0.1:4001'], labels: { service: 'orders', instance: 'pod-a', weight: '1' } },
      { targets: ['127.0.0.1:4002'] },
    ]);
  });

  it('one Service, and one slice per pod', () => {
    const documents = parseAllDocuments(podsText(APPS)).map((d) => d.toJS() as { kind: string });
    expect(documents.map((d) => d.kind)).toEqual(['Service', 'EndpointSlice', 'EndpointSlice']);
    expect(documents[2]).toMatchObject({
      ports: [{ port: 4002 }],
      endpoints: [{ addresses: ['127.0.0.1'] }],
    });
  });
});

describe('the services', () => {
  it('say who they are', async () => {
    const apps = await startApps();
    const [first] = apps.list;
    const text = await new Promise<string>((resolve, reject) => {
      get({ host: '127.0.0.1', port: first?.port ?? 0 }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
        response.on('end', () => resolve(body));
      }).on('error', reject);
    });
    expect(JSON.parse(text)).toEqual({ service: 'orders', instance: 'vm-1', source: 'vms', served: 1 });
    expect(apps.list.filter((a) => a.service === 'orders')).toHaveLength(5);
    await apps.close();
  });
});

describe('the traffic', () => {
  it('counts who answered and what failed, and stops when told', async () => {
    const apps = await startApps();
    const port = apps.list[0]?.port ?? 0;
    const tally = emptyTally();
    const stop = new AbortController();
    const running = runTraffic(
      { port, services: ['orders'], everyMs: 1, clock: systemClock },
      tally,
      stop.signal,
    );
    while (tally.requests < 5) await new Promise((resolve) => setImmediate(resolve));
    await apps.close();
    while (tally.failed < 1) await new Promise((resolve) => setImmediate(resolve));
    stop.abort(new Error('enough'));
    await running;
    expect(tally.answers.get('orders vm-1')?.count).toBeGreaterThanOrEqual(5);
    expect(tally.lastFailure).toContain('orders: ');
    expect(tallyLine(tally, 3, pen)).toMatch(
      /^3s · \d+ requests · \d+ failed \(last: orders: .*\) · orders\/vm-1 \d+$/,
    );
  });
});

describe('the tally', () => {
  it('shows shares of what came lately', () => {
    const tally = emptyTally();
    tally.answers.set('orders pod-a', { service: 'orders', instance: 'pod-a', source: 'pods', count: 10 });
    tally.answers.set('orders vm-1', { service: 'orders', instance: 'vm-1', source: 'vms', count: 10 });
    const before = countsOf(tally);
    tally.answers.set('orders vm-1', { service: 'orders', instance: 'vm-1', source: 'vms', count: 40 });
    const lines = tallyBlock(tally, before, 61, pen);
    expect(lines[0]).toBe('61s · 0 requests · 0 failed');
    expect(lines[2]).toMatch(/^ {2}orders +vm-1 +vms +█{30} 100% +40$/);
    expect(lines[3]).toMatch(/^ {2}orders +pod-a +pods +·{30} +0% +10$/);
  });
});

describe('the ports', () => {
  it('are the usual ones when free, others when taken, and the text says so', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const taken = (holder.address() as AddressInfo).port;
    const chosen = await choosePort(taken);
    expect(chosen).toEqual({ port: expect.any(Number), moved: true });
    expect(chosen.port).not.toBe(taken);
    await new Promise((resolve) => holder.close(resolve));
    const free = { port: taken, moved: false };
    expect(await choosePort(taken)).toEqual(free);

    const files = { vms: 'v.yaml', pods: 'p.yaml', log: 'l.log' };
    const usual = introduction({ files, xds: free, admin: free, outbound: free }, pen);
    expect(usual).not.toContain('--server');
    const moved = introduction({ files, xds: free, admin: chosen, outbound: free }, pen);
    expect(moved).toContain(`--server http://127.0.0.1:${chosen.port}`);
    expect(moved).toContain('were taken');
  });
});
