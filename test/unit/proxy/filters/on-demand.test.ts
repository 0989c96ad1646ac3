// Clusters on demand: who waits, how long, and who does not.
import { describe, expect, it } from 'vitest';
import { onDemandFilter } from '../../../../proxy/filters/on-demand.ts';
import type { Stream } from '../../../../proxy/filters/types.ts';
import { RequestHead } from '../../../../proxy/http/request-head.ts';
import { NO_ROUTE } from '../../../../proxy/route.ts';
import { Subscription } from '../../../../proxy/xds/subscription.ts';

const HEAD = new RequestHead();

/** Passes one request through the filter; delays end at once. @returns ms that it waited, and whether it passed. */
function pass(answers: (look: number) => boolean, timeoutMs: number, reply?: Stream['route']['reply']) {
  const seen = { looks: 0, waitedMs: 0, passed: 0 };
  const filter = onDemandFilter((cluster) => {
    expect(cluster).toBe('orders');
    return answers(seen.looks++);
  }, timeoutMs);
  const stream: Stream = {
    route: { ...NO_ROUTE, cluster: 'orders', ...(reply && { reply }) },
    kept: { counts: () => undefined },
    reply: () => undefined,
    forward: () => undefined,
    delay(ms, _flag, next, head) {
      seen.waitedMs += ms;
      next(stream, head);
    },
  };
  filter(() => void (seen.passed += 1))(stream, HEAD);
  return seen;
}

describe('clusters on demand', () => {
  it('lets a request pass at once whose cluster is there, or does not exist', () => {
    expect(pass(() => false, 5_000)).toEqual({ looks: 1, waitedMs: 0, passed: 1 });
  });

  it('holds a request until its cluster has come', () => {
    const seen = pass((look) => look < 3, 5_000);
    expect(seen).toEqual({ looks: 4, waitedMs: 4, passed: 1 });
  });

  it('lets it go on after the time limit, to the millisecond', () => {
    expect(pass(() => true, 5_000)).toMatchObject({ waitedMs: 5_000, passed: 1 });
    expect(pass(() => true, 3)).toMatchObject({ waitedMs: 3, passed: 1 });
    expect(pass(() => true, 0)).toMatchObject({ looks: 0, passed: 1 });
  });

  it('asks for nothing when the route answers by itself', () => {
    expect(pass(() => true, 5_000, { status: 200, body: '' })).toMatchObject({ looks: 0, passed: 1 });
  });
});

describe('names beside a wildcard', () => {
  const none: ReadonlySet<string> = new Set();
  it('are told as they come, and with the wildcard on a new stream', () => {
    const first = new Subscription('cds', true);
    expect(first.update(none, new Map())?.resource_names_subscribe).toEqual([]);
    expect(first.update(none, new Map())).toBeUndefined();
    const wanted = new Set(['orders']);
    expect(first.update(wanted, new Map())?.resource_names_subscribe).toEqual(['orders']);
    const again = new Subscription('cds', true);
    expect(again.update(wanted, new Map([['orders', 'v']]))).toMatchObject({
      resource_names_subscribe: ['*', 'orders'],
      initial_resource_versions: { orders: 'v' },
    });
  });
});
