import { describe, expect, it, onTestFinished } from 'vitest';
import { reflect } from '../../../../adapters/kubernetes/reflector.ts';
import { SERVICES } from '../../../../adapters/kubernetes/resources.ts';
import { ManualClock } from '../../../../lib/clock.ts';
import { eventually } from '../../../support/eventually.ts';
import { bookmark, event, gone, json, service, serviceList, stub } from './stub.ts';
import type { Answer } from './stub.ts';

/** Runs a reflector against a stub; `told` is what it said, `over` how it ended. */
async function start(answer: Answer) {
  const server = await stub(answer);
  const clock = new ManualClock();
  const controller = new AbortController();
  const told: string[] = [];
  const running = reflect(
    {
      transport: server.transport,
      resource: SERVICES,
      namespace: '*',
      clock,
      random: () => 0,
      onList: (objects) => void told.push(`list ${objects.map((o) => o.metadata?.name).join(' ')}`),
      onChanges: (changes) =>
        changes.forEach(({ type, object }) => told.push(`${type} ${object.metadata?.name}`)),
    },
    controller.signal,
  );
  const over = running.then(
    () => undefined,
    (error: unknown) => error as Error & { code?: string },
  );
  onTestFinished(async () => {
    controller.abort(new Error('over'));
    await over;
  });
  return { server, clock, told, over, controller };
}

/** Lists as told; each watch is handed to `watch` with its number, its head already sent. */
const listing = (watch: (n: number, write: (text: string) => void, end: () => void) => void): Answer => {
  let n = 0;
  return ({ query }, res) => {
    if (query.get('watch') !== 'true') return json(res, serviceList(['a'], '10'));
    n += 1;
    res.writeHead(200, { 'content-type': 'application/json' });
    res.flushHeaders();
    return watch(
      n,
      (text) => res.write(text),
      () => res.end(),
    );
  };
};

describe('reflect', () => {
  it('lists, then watches from the version of the list, with bookmarks and a random end', async () => {
    const { server, told } = await start(
      listing((_, write) => {
        write(event('ADDED', service('b', '11')) + event('MODIFIED', service('a', '12')));
        write(event('DELETED', service('a', '13')));
      }),
    );
    await eventually(() => told.length === 4);
    expect(told).toEqual(['list a', 'put b', 'put a', 'delete a']);
    expect(server.seen[0]?.path).toBe('/api/v1/services');
    expect(Object.fromEntries(server.watches()[0]?.query ?? [])).toEqual({
      watch: 'true',
      resourceVersion: '10',
      allowWatchBookmarks: 'true',
      timeoutSeconds: '290',
    });
  });

  it('puts lines together that come in pieces, in the middle of a letter', async () => {
    const line = Buffer.from(event('ADDED', service('größe', '11')));
    const { told } = await start(({ query }, res) => {
      if (query.get('watch') !== 'true') return json(res, serviceList([], '10'));
      const middle = line.indexOf(0xc3) + 1;
      res.write(line.subarray(0, middle), () => setImmediate(() => res.write(line.subarray(middle))));
    });
    await eventually(() => told.length === 2);
    expect(told[1]).toBe('put größe');
  });

  it('goes on from the last bookmark after an orderly end, and not at once', async () => {
    const { server, clock } = await start(
      listing((n, write, end) => {
        write(bookmark(n === 1 ? '42' : '43'));
        end();
      }),
    );
    await eventually(() => server.watches().length === 1 && clock.pending === 1);
    clock.advance(100);
    expect(server.watches().length).toBe(1);
    clock.advance(25); // 250 ms and jitter: at least half of it
    await eventually(() => server.watches().length === 2);
    expect(server.watches()[1]?.query.get('resourceVersion')).toBe('42');
    expect(server.seen.length).toBe(3);
  });

  it('waits longer and longer when every watch ends at once', async () => {
    const { server, clock } = await start(listing((_, __, end) => end()));
    for (const [n, ms] of [125, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000].entries()) {
      await eventually(() => server.watches().length === n + 1 && clock.pending === 1);
      clock.advance(ms - 1);
      expect(server.watches().length).toBe(n + 1);
      clock.advance(1);
    }
  });

  it.each(['an event', 'a status'])('lists anew when %s says 410', async (how) => {
    const { server, told, clock } = await start(({ query }, res) => {
      if (query.get('watch') !== 'true') {
        const second = server.seen.length > 1;
        return json(res, second ? serviceList(['b'], '90') : serviceList(['a'], '10'));
      }
      if (query.get('resourceVersion') !== '10') return res.flushHeaders();
      return how === 'a status' ? json(res, gone, 410) : res.end(event('ERROR', gone));
    });
    await eventually(() => clock.pending === 1);
    clock.advance(250);
    await eventually(() => server.watches().length === 2);
    expect(told).toEqual(['list a', 'list b']);
    expect(server.watches()[1]?.query.get('resourceVersion')).toBe('90');
  });

  it.each<[string, string, RegExp]>([
    ['half an event at the end', '{"type":"ADDED","obj', /half an event/],
    ['HTML', '<html>\n', /not JSON/],
    ['an unknown type', event('MOVED', service('a', '11')), /cannot be understood/],
    [
      'an object without a name',
      event('ADDED', { metadata: { resourceVersion: '11' } }),
      /cannot be understood/,
    ],
    [
      'no version',
      event('ADDED', { metadata: { name: 'a', namespace: 'b' }, spec: {} }),
      /without resourceVersion/,
    ],
    ['no object', '{"type":"ADDED"}\n', /not a watch event/],
    ['another error', event('ERROR', { code: 500, message: 'etcd is gone' }), /500: etcd is gone/],
  ])('rejects on %s', async (_, text, message) => {
    const { over } = await start(
      listing((__, write, end) => {
        write(text);
        end();
      }),
    );
    expect((await over)?.message).toMatch(message);
  });

  it('rejects when the connection breaks', async () => {
    const { over } = await start(({ query }, res) => {
      if (query.get('watch') !== 'true') return json(res, serviceList([], '10'));
      res.write(bookmark('11'), () => res.socket?.destroy());
    });
    expect((await over)?.code).toBe('ISTHMUS_KUBE_UNREACHABLE');
  });

  it('rejects when a watch is not even begun within 15 s', async () => {
    const { over, server, clock } = await start(({ query }, res) => {
      if (query.get('watch') !== 'true') json(res, serviceList([], '10'));
    });
    await eventually(() => server.watches().length === 1);
    clock.advance(15_000);
    expect((await over)?.code).toBe('ISTHMUS_SOURCE_SILENT');
  });

  it('opens a new watch, without a fault, when the server does not end the old one in time', async () => {
    let written = false;
    const { server, clock, told } = await start(
      listing((n, write) => {
        if (n === 1) write(event('ADDED', service('b', '11')));
        written = true;
      }),
    );
    await eventually(() => written && told.length === 2);
    clock.advance(290_000 + 30_000);
    await eventually(() => clock.pending === 1);
    clock.advance(250);
    await eventually(() => server.watches().length === 2);
    expect(server.watches()[1]?.query.get('resourceVersion')).toBe('11');
    expect(told).toEqual(['list a', 'put b']);
  });

  it('leaves no timer when it ends', async () => {
    const { server, clock, controller, over } = await start(listing(() => undefined));
    await eventually(() => server.watches().length === 1 && clock.pending === 1);
    controller.abort(new Error('enough'));
    await over;
    expect(clock.pending).toBe(0);
  });
});
