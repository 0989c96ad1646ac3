// Hedging (hedge_on_per_try_timeout) on Envoy and on the bundled proxy from the same resources: whose answer the
// caller gets, how many tries there are, who is given up, and what is counted.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RouteAction } from '../../proto/gen/types/envoy/config/route/v3/RouteAction.ts';
import { answer, cut, hang, inTurn, startBehavingHosts } from '../support/behaving-hosts.ts';
import type { Behaviour, BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { Probe, ScriptedPlane, ScriptedPlanes } from '../support/scripted-planes.ts';

/** Long enough that a busy machine makes no other order of it. */
const PER_TRY_MS = 400;
const nanos = (ms: number) => ({ seconds: Math.floor(ms / 1_000), nanos: (ms % 1_000) * 1_000_000 });

const route = (num_retries: number, more: Partial<RouteAction> = {}): Partial<RouteAction> => ({
  timeout: { seconds: 3 },
  retry_policy: {
    retry_on: '5xx',
    num_retries: { value: num_retries },
    per_try_timeout: nanos(PER_TRY_MS),
    retry_back_off: { base_interval: { nanos: 1_000_000 }, max_interval: { nanos: 2_000_000 } },
  },
  hedge_policy: { hedge_on_per_try_timeout: true },
  ...more,
});

const ROUTES: Readonly<Record<string, Partial<RouteAction>>> = {
  one: route(1),
  two: route(2),
  without: route(1, { hedge_policy: {} }),
  'not-by-condition': route(1, {
    retry_policy: {
      retry_on: 'connect-failure',
      num_retries: { value: 1 },
      per_try_timeout: nanos(PER_TRY_MS),
    },
  }),
};

interface Scenario {
  readonly name: string;
  readonly service: keyof typeof ROUTES;
  readonly behave: Behaviour;
  readonly probe?: Probe;
  /** Status, flags, text, and how many requests reach the host. */
  readonly expected: readonly [status: number, flags: string, text: string, requests: number];
  /** Of the cluster: retry, retry_success, retry_limit_exceeded, timeout. */
  readonly counts: readonly [number, number, number, number];
}

/** After half, one and a half … of the time of a try since this one came. */
const later =
  (tries: number, behave: Behaviour): Behaviour =>
  (request, response, nth) =>
    void setTimeout(() => {
      if (!response.destroyed) behave(request, response, nth);
    }, tries * PER_TRY_MS);

const says =
  (status: number, text: string): Behaviour =>
  (_request, response) =>
    void response.writeHead(status, { connection: 'close' }).end(text);

const TOO_LATE = 'upstream request timeout';
const SCENARIOS: readonly Scenario[] = [
  {
    name: 'the second answers first',
    service: 'two',
    behave: inTurn(hang, says(200, 'second')),
    expected: [200, '-', 'second', 2],
    counts: [1, 1, 0, 0],
  },
  {
    name: 'the first answers after all',
    service: 'two',
    behave: inTurn(later(1.5, says(200, 'first')), hang),
    expected: [200, '-', 'first', 2],
    counts: [1, 0, 0, 0],
  },
  {
    name: 'an answer that is none to try again after is good enough',
    service: 'two',
    behave: inTurn(later(1.5, says(404, 'first')), hang),
    expected: [404, '-', 'first', 2],
    counts: [1, 0, 0, 0],
  },
  {
    name: 'nobody answers',
    service: 'two',
    behave: hang,
    expected: [504, 'URX,UT', TOO_LATE, 3],
    counts: [2, 0, 1, 3],
  },
  {
    name: 'the second fails, the third is well',
    service: 'two',
    behave: inTurn(hang, answer(500), says(200, 'third')),
    expected: [200, '-', 'third', 3],
    counts: [2, 1, 0, 0],
  },
  {
    name: 'all but the first fail: it is waited for',
    service: 'two',
    behave: inTurn(later(2, says(200, 'first')), answer(500)),
    expected: [200, 'URX', 'first', 3],
    counts: [2, 0, 1, 0],
  },
  {
    name: 'the first fails late: the second is waited for',
    service: 'one',
    behave: inTurn(later(1.5, answer(500)), later(2, says(200, 'second'))),
    expected: [200, 'URX', 'second', 2],
    counts: [1, 1, 1, 0],
  },
  {
    name: 'the first is cut late: the second is waited for',
    service: 'one',
    behave: inTurn(later(1.5, cut), later(0.9, says(200, 'second'))),
    expected: [200, '-', 'second', 2],
    counts: [1, 1, 0, 0],
  },
  {
    name: 'the second is cut, the first fails: its failure is told',
    service: 'one',
    behave: inTurn(later(1.5, says(500, 'first')), cut),
    expected: [500, 'URX', 'first', 2],
    counts: [1, 0, 1, 0],
  },
  {
    name: 'both are cut',
    service: 'one',
    behave: inTurn(later(1.5, cut), cut),
    expected: [
      503,
      'URX,UC',
      'upstream connect error or disconnect/reset before headers. retried and the latest reset reason: connection termination',
      2,
    ],
    counts: [1, 0, 1, 0],
  },
  {
    name: 'whatever the conditions are, a slow try is hedged',
    service: 'not-by-condition',
    behave: inTurn(hang, says(200, 'second')),
    expected: [200, '-', 'second', 2],
    counts: [1, 1, 0, 0],
  },
  {
    name: 'off by default: the slow one is given up before the next',
    service: 'without',
    behave: inTurn(later(1.5, says(200, 'first')), later(0.8, says(200, 'second'))),
    expected: [200, '-', 'second', 2],
    counts: [1, 1, 0, 0],
  },
  {
    name: 'the body goes along',
    service: 'two',
    behave: inTurn(hang, (request, response, nth) =>
      says(200, String(request.body.length))(request, response, nth),
    ),
    probe: { method: 'POST', body: 'x'.repeat(100_000) },
    expected: [200, '-', '100000', 2],
    counts: [1, 1, 0, 0],
  },
];

const COUNTS = ['rq_retry', 'rq_retry_success', 'rq_retry_limit_exceeded', 'rq_timeout'];

describePeers(['envoy'], 'the same hedged requests on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: BehavingHosts;

  const countsOf = async (plane: ScriptedPlane, service: string) => {
    const stats = await plane.stats();
    return COUNTS.map((name) => stats.get(`cluster.${service}.upstream_${name}`) ?? 0);
  };

  beforeAll(async () => {
    hosts = await startBehavingHosts(2);
    planes = await startScriptedPlanes(start);
    await planes.set([
      ...Object.entries(ROUTES).map(([name, action]) => ({
        name,
        route: action,
        assignment: { endpoints: [hosts.endpoints(0)] },
      })),
      {
        name: 'no-room',
        route: route(1),
        cluster: { circuit_breakers: { thresholds: [{ max_retries: { value: 0 } }] } },
        assignment: { endpoints: [hosts.endpoints(0)] },
      },
    ]);
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  it.each(SCENARIOS)(
    '$name',
    async ({ service, behave, probe, expected, counts }) => {
      for (const plane of planes.planes) {
        const before = await countsOf(plane, service);
        hosts.behave(behave);
        const { status, flags, body } = await plane.probe(service, probe);
        const after = await countsOf(plane, service);
        const counted = after.map((count, i) => count - (before[i] ?? 0));
        expect([status, flags, body, hosts.counts()[0], counted], plane.kind).toEqual([...expected, counts]);
      }
    },
    30_000,
  );

  it('reset the tries that have lost', async () => {
    for (const plane of planes.planes) {
      let lost = 0;
      hosts.behave(inTurn((_request, response) => void response.on('close', () => (lost += 1)), answer(200)));
      expect((await plane.probe('two')).status, plane.kind).toBe(200);
      await eventually(() => lost === 1, { what: `the slow try of ${plane.kind} to be given up` });
      await eventually(async () => (await plane.stats()).get('cluster.two.upstream_rq_active') === 0, {
        what: `no request of ${plane.kind} under way`,
      });
    }
  });

  it('are bound by the breaker for retries', async () => {
    for (const plane of planes.planes) {
      hosts.behave(inTurn(later(1.5, says(200, 'first')), answer(200)));
      const { status, flags, body } = await plane.probe('no-room');
      expect([status, flags, body, hosts.counts()[0]], plane.kind).toEqual([200, 'UO', 'first', 1]);
    }
  });
});
