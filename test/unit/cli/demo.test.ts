import { get } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { parse, parseAllDocuments } from 'yaml';
import { describe, expect, it } from 'vitest';
import { HEALTH_PATH, startApp } from '../../../cli/demo/apps.ts';
import { podsText, vmsText } from '../../../cli/demo/files.ts';
import { ending, introduction } from '../../../cli/demo/introduction.ts';
import { stateLines } from '../../../cli/demo/panel.ts';
import { choosePort, freePorts } from '../../../cli/demo/ports.ts';
import { createScreen } from '../../../cli/demo/screen.ts';
import { countsOf, tallyBlock, tallyLine } from '../../../cli/demo/tally.ts';
import { emptyTally, runTraffic } from '../../../cli/demo/traffic.ts';
import { DEMO_STUCK, until } from '../../../cli/demo/until.ts';
import { paint } from '../../../cli/paint.ts';
import { ManualClock, systemClock } from '../../../lib/clock.ts';

const pen = paint(false);
const PODS = [
  { service: 'orders', instance: 'pod-a', side: 'pods', port: 4001 },
  { service: 'orders', instance: 'pod-b', side: 'pods', port: 4002 },
] as const;
const APP = { service: 'orders', instance: 'vm-1', side: 'vms' } as const;

const fetched = (port: number, path: string) =>
  new Promise<{ status: number; text: string }>((resolve, reject) => {
    get({ host: '127.0.0.1', port, path }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    }).on('error', reject);
  });

describe('the files', () => {
  it('one target group per virtual machine', () => {
    expect(parse(vmsText(PODS))).toMatchObject([
      { targets: ['127.0.0.1:4001'], labels: { service: 'orders', instance: 'pod-a', protocol: 'http' } },
      { targets: ['127.0.0.1:4002'] },
    ]);
  });

  it('one Service, and one slice per pod', () => {
    const documents = parseAllDocuments(podsText(PODS)).map((d) => d.toJS() as { kind: string });
    expect(documents.map((d) => d.kind)).toEqual(['Service', 'EndpointSlice', 'EndpointSlice']);
    expect(documents[2]).toMatchObject({
      ports: [{ port: 4002 }],
      endpoints: [{ addresses: ['127.0.0.1'] }],
    });
  });
});

describe('an app', () => {
  it('says who it is, fails as often as it is told, and never its health check', async () => {
    const app = await startApp(APP);
    const { status, text } = await fetched(app.port, '/');
    expect([status, JSON.parse(text)]).toEqual([
      200,
      { service: 'orders', instance: 'vm-1', source: 'vms', served: 1 },
    ]);
    app.failEvery(2);
    const statuses: number[] = [];
    for (let n = 0; n < 4; n += 1) {
      statuses.push((await fetched(app.port, '/')).status);
      expect((await fetched(app.port, HEALTH_PATH)).status).toBe(200);
    }
    expect(statuses).toEqual([500, 200, 500, 200]);
    await app.close();
  });
});

describe('the traffic', () => {
  it('counts who answered and what failed, and stops when told', async () => {
    const app = await startApp(APP);
    const tally = emptyTally();
    const stop = new AbortController();
    const options = { port: app.port, services: () => ['orders'], everyMs: 1, clock: systemClock };
    const running = runTraffic(options, [tally], stop.signal);
    while (tally.requests < 5) await new Promise((resolve) => setImmediate(resolve));
    await app.close();
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

describe('the panel', () => {
  it('shows shares of what came lately', () => {
    const tally = emptyTally();
    tally.answers.set('orders pod-a', { service: 'orders', instance: 'pod-a', source: 'pods', count: 10 });
    tally.answers.set('orders vm-1', { service: 'orders', instance: 'vm-1', source: 'vms', count: 10 });
    const before = countsOf(tally);
    tally.answers.set('orders vm-1', { service: 'orders', instance: 'vm-1', source: 'vms', count: 40 });
    const lines = tallyBlock(tally, before, pen);
    expect(lines[0]).toMatch(/^ {2}orders +vm-1 +█{24} 100% +40$/);
    expect(lines[1]).toMatch(/^ {2}orders +pod-a +·{24} +0% +10$/);
  });

  it('shows how far the migration is, and which registry is dark', () => {
    const measured = {
      share: 0.5,
      fromRequests: 1,
      toRequests: 1,
      fromErrors: 0,
      toErrors: 0,
      seconds: 1,
    };
    const sources = [
      { name: 'vms', kind: 'file', state: 'stale' },
      { name: 'sidecars', kind: 'sidecar', state: 'live' },
    ] as const;
    const migration = { service: 'orders.default', phase: 'stepping', share: 0.5, measured } as const;
    expect(stateLines([migration], sources, pen)).toEqual([
      '  orders.default: stepping, 50% to pods, measured 50%',
      '  registries: vms stale',
    ]);
    expect(stateLines([], [], pen)).toEqual([]);
  });
});

describe('the screen', () => {
  const written = (isTTY: boolean, columns = 20) => {
    let text = '';
    const out = { isTTY, columns, rows: 6, write: (more: string) => (text += more) };
    return { screen: createScreen(out, {}), text: () => text };
  };

  it('says what stays above a panel that is redrawn in place and never wraps', () => {
    const { screen, text } = written(true);
    screen.draw(['a', 'b'.repeat(40)]);
    screen.say('said');
    expect(text()).toBe(`a\n${'b'.repeat(19)}\n\u001b[2A\r\u001b[Jsaid\na\n${'b'.repeat(19)}\n`);
    screen.draw(['1', '2', '3', '4', '5', '6']);
    screen.clear();
    screen.say('end');
    expect(text().endsWith('1\n2\n3\n4\n\u001b[4A\r\u001b[Jend\n')).toBe(true);
  });

  it('writes plain lines where there is no terminal', () => {
    const { screen, text } = written(false);
    screen.draw(['a']);
    screen.say('said');
    screen.clear();
    expect([screen.live, text()]).toEqual([false, 'said\n']);
    expect(createScreen({ isTTY: true, write: () => true }, { TERM: 'dumb' }).live).toBe(false);
  });
});

describe('waiting', () => {
  it('takes what throws for not yet, gives up after minutes, and at once when told', async () => {
    const clock = new ManualClock();
    const stop = new AbortController();
    let tries = 0;
    const waiting = until('it', { clock, signal: stop.signal }, () => {
      tries += 1;
      throw new Error('not there');
    });
    const ended = waiting.catch((thrown: unknown) => thrown);
    for (let n = 0; n < 2_500; n += 1) {
      clock.advance(100);
      await Promise.resolve();
      await Promise.resolve();
      await Promise.resolve();
    }
    expect(await ended).toMatchObject({
      code: DEMO_STUCK.code,
      message: 'the demo waited in vain for it: not there',
    });
    expect(tries).toBeGreaterThan(10);
    stop.abort(new Error('told'));
    await expect(until('it', { clock, signal: stop.signal }, () => true)).rejects.toThrow('told');
  });
});

describe('the ports', () => {
  it('are the usual ones when free, others when taken, and the text says so', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const taken = (holder.address() as AddressInfo).port;
    const chosen = await choosePort(taken);
    expect(chosen.moved).toBe(true);
    expect(chosen.port).not.toBe(taken);
    await new Promise((resolve) => holder.close(resolve));
    expect(await choosePort(taken)).toEqual({ port: taken, moved: false });
    const six = await freePorts(6);
    expect([...six].sort((a, b) => a - b)).toEqual(six);
    expect(new Set(six).size).toBe(6);

    const places = { files: { dir: '/there' }, admin: 'http://127.0.0.1:1', web: { outboundPort: 2 } };
    const usual = { ...places, moved: false };
    expect(introduction(usual, '')).toContain('the bundled proxy');
    expect(introduction(usual, '/bin/envoy')).toContain('Envoy (/bin/envoy)');
    expect(ending(usual, pen)).not.toContain('--server');
    const moved = { ...places, moved: true };
    expect(introduction(moved, '')).toContain('were taken');
    expect(ending(moved, pen)).toContain('npx isthmus history orders --server http://127.0.0.1:1\n');
  });
});
