// Circuit breakers on Envoy and on the bundled proxy from the same resources: how many of a burst reach the
// upstream, what the others are told, and how often retries are cut short.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Cluster } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import { answer, inTurn, startBehavingHosts } from '../support/behaving-hosts.ts';
import type { Behaviour, BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { ScriptedPlane, ScriptedPlanes, ScriptedService } from '../support/scripted-planes.ts';

type Thresholds = NonNullable<NonNullable<Cluster['circuit_breakers']>['thresholds']>[number];

/** Kept connections, so that one can be used again. */
const OK: Behaviour = (_request, response) => void response.end('ok');

const limited = (name: string, thresholds: Thresholds, more: Partial<ScriptedService> = {}) => ({
  name,
  more,
  cluster: { circuit_breakers: { thresholds: [thresholds] } },
});
const one = { value: 1 };
const none = { value: 0 };

const SERVICES = [
  limited('requests', { max_requests: { value: 3 } }),
  limited('pending', { max_connections: one, max_pending_requests: one }),
  limited('waiting', { max_connections: one, max_pending_requests: { value: 100 } }),
  limited('nothing-may-wait', { max_pending_requests: none }),
  limited('retries', { max_retries: none }, { route: { retry_policy: { retry_on: '5xx' } } }),
  limited(
    'budget',
    { retry_budget: { budget_percent: { value: 0 }, min_retry_concurrency: none } },
    { route: { retry_policy: { retry_on: '5xx' } } },
  ),
  limited('high', { priority: 'HIGH', max_requests: one }, { route: { priority: 'HIGH' } }),
  limited('high-limits-only-high', { priority: 'HIGH', max_requests: none }),
  limited('tracked', { track_remaining: true, max_requests: { value: 7 } }),
];

describePeers(['envoy'], 'the same circuit breakers on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: BehavingHosts;
  let held: (() => void)[] = [];

  /** Answers only when released. */
  const hold: Behaviour = (request, response, nth) => {
    held.push(() => OK(request, response, nth));
  };

  /** So many requests at once; statuses in order, once those that were taken are released. */
  const burst = async (plane: ScriptedPlane, service: string, n: number, taken: number) => {
    hosts.behave(hold);
    held = [];
    const all = Array.from({ length: n }, () => plane.probe(service));
    await eventually(() => held.length === taken, {
      what: `${taken} requests at the upstream of ${plane.kind}`,
    });
    // The others have been refused by now, or wait; they must not be taken for slow ones.
    await eventually(
      async () => {
        const settled = await Promise.race([Promise.allSettled(all), Promise.resolve(undefined)]);
        hosts.behave(OK);
        for (const release of held.splice(0)) release();
        return settled !== undefined || held.length === 0;
      },
      { what: 'all released' },
    );
    const answers = await Promise.all(all);
    return answers.map(({ status, flags }) => `${status} ${flags}`).sort();
  };

  beforeAll(async () => {
    hosts = await startBehavingHosts(1);
    planes = await startScriptedPlanes(start);
    await planes.set(
      SERVICES.map(({ name, cluster, more }) => ({
        name,
        cluster,
        assignment: { endpoints: [hosts.endpoints(0)] },
        ...more,
      })),
    );
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  it('let so many requests through at once', async () => {
    for (const plane of planes.planes) {
      const seen = await burst(plane, 'requests', 5, 3);
      expect(seen, plane.kind).toEqual(['200 -', '200 -', '200 -', '503 UO', '503 UO']);
      expect((await plane.stats()).get('cluster.requests.upstream_rq_active_overflow'), plane.kind).toBe(2);
    }
  });

  it('let so many wait for a connection', async () => {
    for (const plane of planes.planes) {
      // One on the connection, one waits for it, three are refused.
      hosts.behave(hold);
      held = [];
      const first = plane.probe('pending');
      await eventually(() => held.length === 1, { what: `the first request of ${plane.kind}` });
      const { seen, all } = await refused(plane, 'pending', 4, 3);
      for (const release of held.splice(0)) release();
      hosts.behave(OK);
      expect(seen, plane.kind).toEqual(['503 UO', '503 UO', '503 UO']);
      expect((await first).status, plane.kind).toBe(200);
      // The one that waited must not be held in the name of the next plane.
      await all;
    }
  });

  it('serve all that wait, one after the other', async () => {
    for (const plane of planes.planes) {
      hosts.behave(OK);
      const answers = await Promise.all(Array.from({ length: 40 }, () => plane.probe('waiting')));
      expect(
        answers.every(({ status }) => status === 200),
        plane.kind,
      ).toBe(true);
    }
  });

  it('refuse what would have to wait, and say so', async () => {
    for (const plane of planes.planes) {
      hosts.behave(OK);
      const { status, flags, body, headers } = await plane.probe('nothing-may-wait');
      expect({ status, flags, body, overloaded: headers['x-envoy-overloaded'] }, plane.kind).toEqual({
        status: 503,
        flags: 'UO',
        body: 'upstream connect error or disconnect/reset before headers. reset reason: overflow',
        overloaded: 'true',
      });
    }
  });

  it('let so many retries run', async () => {
    for (const plane of planes.planes) {
      for (const service of ['retries', 'budget']) {
        hosts.behave(inTurn(answer(500), answer(200)));
        const { status, flags } = await plane.probe(service);
        expect({ service, status, flags }, plane.kind).toEqual({ service, status: 500, flags: 'UO' });
        expect((await plane.stats()).get(`cluster.${service}.upstream_rq_retry_overflow`), plane.kind).toBe(
          1,
        );
      }
    }
  });

  it('count each priority by itself', async () => {
    for (const plane of planes.planes) {
      expect(await burst(plane, 'high', 2, 1), plane.kind).toEqual(['200 -', '503 UO']);
      hosts.behave(OK);
      expect((await plane.probe('high-limits-only-high')).status, plane.kind).toBe(200);
    }
  });

  it('show what is left where that is asked for', async () => {
    for (const plane of planes.planes) {
      const stats = await plane.stats();
      expect(stats.get('cluster.tracked.circuit_breakers.default.remaining_rq'), plane.kind).toBe(7);
      expect(stats.get('cluster.tracked.circuit_breakers.default.rq_open'), plane.kind).toBe(0);
    }
  });
});

/** `n` requests of which `of` are refused; `all` ends when the others, which wait, have their answers, too. */
async function refused(
  plane: ScriptedPlane,
  service: string,
  n: number,
  of: number,
): Promise<{ readonly seen: readonly string[]; readonly all: Promise<unknown> }> {
  const seen: string[] = [];
  const all = Promise.all(
    Array.from({ length: n }, async () => {
      const { status, flags } = await plane.probe(service);
      if (status !== 200) seen.push(`${status} ${flags}`);
    }),
  );
  await eventually(() => seen.length === of, { what: `${of} refusals of ${plane.kind}` });
  return { seen: [...seen], all };
}
