// Retries on Envoy and on the bundled proxy from the same resources: what is tried again, how often, on which
// host, and what the caller is told when nothing helped.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { typeUrl } from '../../proto/codec.ts';
import type { RetryPolicy } from '../../proto/gen/types/envoy/config/route/v3/RetryPolicy.ts';
import {
  answer,
  cut,
  deadPort,
  endpointAt,
  hang,
  inTurn,
  startBehavingHosts,
} from '../support/behaving-hosts.ts';
import type { Behaviour, BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { Probe, ScriptedPlanes, ScriptedService } from '../support/scripted-planes.ts';
import { retryPolicy } from '../../xds-server/resources/policy.ts';

interface Scenario {
  readonly name: string;
  readonly retry: RetryPolicy;
  readonly behave: Behaviour;
  readonly more?: Partial<ScriptedService>;
  readonly probe?: Probe;
  /** What both must tell the caller, and how many requests reach the hosts in all. */
  readonly expected: { readonly status: number; readonly flags: string; readonly requests: number };
}

const QUICK = { retry_back_off: { base_interval: { nanos: 1_000_000 }, max_interval: { nanos: 2_000_000 } } };
const on = (retry_on: string, num_retries: number, more: RetryPolicy = {}): RetryPolicy => ({
  retry_on,
  num_retries: { value: num_retries },
  ...QUICK,
  ...more,
});

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'none-asked-for',
    retry: on('', 3),
    behave: answer(503),
    expected: { status: 503, flags: '-', requests: 1 },
  },
  {
    name: '5xx-until-none-is-left',
    retry: on('5xx', 2),
    behave: answer(500),
    expected: { status: 500, flags: 'URX', requests: 3 },
  },
  {
    name: '5xx-then-well',
    retry: on('5xx', 3),
    behave: inTurn(answer(503), answer(500), answer(200)),
    expected: { status: 200, flags: '-', requests: 3 },
  },
  {
    name: '5xx-is-not-4xx',
    retry: on('5xx', 3),
    behave: answer(404),
    expected: { status: 404, flags: '-', requests: 1 },
  },
  {
    name: 'gateway-error-is-not-500',
    retry: on('gateway-error', 3),
    behave: answer(500),
    expected: { status: 500, flags: '-', requests: 1 },
  },
  {
    name: 'gateway-error',
    retry: on('gateway-error', 1),
    behave: inTurn(answer(502), answer(200)),
    expected: { status: 200, flags: '-', requests: 2 },
  },
  {
    name: 'retriable-4xx',
    retry: on('retriable-4xx', 2),
    behave: inTurn(answer(409), answer(400)),
    expected: { status: 400, flags: '-', requests: 2 },
  },
  {
    name: 'status-codes',
    retry: on('retriable-status-codes', 1, { retriable_status_codes: [421] }),
    behave: inTurn(answer(421), answer(200)),
    expected: { status: 200, flags: '-', requests: 2 },
  },
  {
    name: 'headers',
    retry: on('retriable-headers', 1, { retriable_headers: [{ name: 'x-again', present_match: true }] }),
    behave: inTurn(answer(200, { 'x-again': 'yes' }), answer(201)),
    expected: { status: 201, flags: '-', requests: 2 },
  },
  {
    name: 'request-headers-not-there',
    retry: on('5xx', 2, { retriable_request_headers: [{ name: 'x-safe', present_match: true }] }),
    behave: answer(500),
    expected: { status: 500, flags: '-', requests: 1 },
  },
  {
    name: 'request-headers-there',
    retry: on('5xx', 2, { retriable_request_headers: [{ name: 'x-safe', present_match: true }] }),
    behave: answer(500),
    probe: { headers: { 'x-safe': '1' } },
    expected: { status: 500, flags: 'URX', requests: 3 },
  },
  {
    name: 'rate-limited',
    retry: on('5xx', 2),
    behave: answer(503, { 'x-envoy-ratelimited': 'true' }),
    expected: { status: 503, flags: '-', requests: 1 },
  },
  {
    name: 'reset',
    retry: on('reset', 1),
    behave: inTurn(cut, answer(200)),
    expected: { status: 200, flags: '-', requests: 2 },
  },
  {
    name: 'reset-until-none-is-left',
    retry: on('reset', 2),
    behave: cut,
    expected: { status: 503, flags: 'URX,UC', requests: 3 },
  },
  {
    name: 'reset-is-no-connect-failure',
    retry: on('connect-failure,refused-stream,reset-before-request', 2),
    behave: cut,
    expected: { status: 503, flags: 'UC', requests: 1 },
  },
  {
    name: 'body-goes-along',
    retry: on('5xx', 2),
    behave: inTurn(answer(500), answer(500), answer(200)),
    probe: { method: 'POST', body: 'x'.repeat(100_000) },
    expected: { status: 200, flags: '-', requests: 3 },
  },
  {
    name: 'body-too-large-to-keep',
    retry: on('5xx', 2),
    behave: answer(500),
    more: { virtualHost: { per_request_buffer_limit_bytes: { value: 10_000 } } },
    probe: { method: 'POST', body: 'x'.repeat(100_000) },
    expected: { status: 500, flags: '-', requests: 1 },
  },
  {
    name: 'per-try-timeout',
    retry: on('5xx', 1, { per_try_timeout: { nanos: 200_000_000 } }),
    behave: inTurn(hang, answer(200)),
    expected: { status: 200, flags: '-', requests: 2 },
  },
  {
    name: 'per-try-timeout-until-none-is-left',
    retry: on('5xx', 1, { per_try_timeout: { nanos: 200_000_000 } }),
    behave: hang,
    expected: { status: 504, flags: 'URX,UT', requests: 2 },
  },
  {
    name: 'per-try-timeout-is-no-connect-failure',
    retry: on('connect-failure', 1, { per_try_timeout: { nanos: 200_000_000 } }),
    behave: hang,
    expected: { status: 504, flags: 'UT', requests: 1 },
  },
  {
    name: 'whole-timeout-ends-the-retries',
    retry: on('5xx', 100, { per_try_timeout: { nanos: 300_000_000 } }),
    more: { route: { timeout: { nanos: 500_000_000 } } },
    behave: hang,
    expected: { status: 504, flags: 'UT', requests: 2 },
  },
];

describePeers(['envoy'], 'the same retry policies on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: BehavingHosts;

  const serviceOf = ({ name, retry, more = {} }: Scenario): ScriptedService => ({
    name,
    assignment: { endpoints: [hosts.endpoints(0)] },
    ...more,
    route: { retry_policy: retry, ...more.route },
  });

  beforeAll(async () => {
    hosts = await startBehavingHosts(3);
    const dead = await deadPort();
    planes = await startScriptedPlanes(start);
    const previous = 'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate';
    await planes.set([
      ...SCENARIOS.map(serviceOf),
      {
        name: 'attempts',
        assignment: { endpoints: [hosts.endpoints(0)] },
        route: { retry_policy: on('5xx', 2), timeout: { seconds: 7 } },
        virtualHost: { include_request_attempt_count: true, include_attempt_count_in_response: true },
      },
      {
        name: 'dead-host',
        assignment: { endpoints: [{ lb_endpoints: [endpointAt(dead)] }] },
        route: { retry_policy: on('connect-failure', 1) },
      },
      { name: 'dead-host-without', assignment: { endpoints: [{ lb_endpoints: [endpointAt(dead)] }] } },
      {
        name: 'other-hosts',
        assignment: { endpoints: [hosts.endpoints(0, 1, 2)] },
        route: {
          retry_policy: on('5xx', 2, {
            retry_host_predicate: [
              {
                name: 'envoy.retry_host_predicates.previous_hosts',
                typed_config: { type_url: typeUrl(previous), value: Buffer.alloc(0) },
              },
            ],
            host_selection_retry_max_attempts: '10',
          }),
        },
      },
      {
        name: 'heavy-host-dead',
        cluster: { circuit_breakers: { thresholds: [{ max_retries: { value: 1_000 } }] } },
        assignment: {
          endpoints: [
            {
              lb_endpoints: [
                { ...endpointAt(dead), load_balancing_weight: { value: 98 } },
                { ...endpointAt(hosts.hosts[0]?.port ?? 0), load_balancing_weight: { value: 2 } },
              ],
            },
          ],
        },
        route: { retry_policy: { ...retryPolicy({}), ...QUICK } },
      },
    ]);
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  it('end alike, after equally many requests', async () => {
    const wrong: string[] = [];
    for (const { name, behave, probe, expected } of SCENARIOS) {
      for (const plane of planes.planes) {
        hosts.behave(behave);
        const { status, flags } = await plane.probe(name, probe);
        const seen = { status, flags, requests: hosts.counts()[0] };
        if (JSON.stringify(seen) !== JSON.stringify(expected)) {
          wrong.push(
            `${name} on ${plane.kind}: ${JSON.stringify(seen)}, expected ${JSON.stringify(expected)}`,
          );
        }
      }
    }
    expect(wrong).toEqual([]);
  }, 120_000);

  it('send the whole body each time', async () => {
    const body = Array.from({ length: 20_000 }, (_, i) => `${i};`).join('');
    for (const plane of planes.planes) {
      hosts.behave(inTurn(answer(500), answer(500), answer(200)));
      await plane.probe('body-goes-along', { method: 'POST', body });
      expect(
        hosts.hosts[0]?.seen.map((one) => one.body === body),
        plane.kind,
      ).toEqual([true, true, true]);
    }
  });

  it('tell the number of the attempt to both sides, and the time to the upstream', async () => {
    for (const plane of planes.planes) {
      hosts.behave(inTurn(answer(500), answer(500), answer(200)));
      const { status, headers } = await plane.probe('attempts');
      expect({ status, count: headers['x-envoy-attempt-count'] }, plane.kind).toEqual({
        status: 200,
        count: '3',
      });
      expect(headers['x-envoy-upstream-service-time'], plane.kind).toMatch(/^\d+$/);
      const seen = hosts.hosts[0]?.seen.map((one) => one.headers) ?? [];
      expect(
        seen.map((one) => one['x-envoy-attempt-count']),
        plane.kind,
      ).toEqual(['1', '2', '3']);
      expect(seen[0]?.['x-envoy-expected-rq-timeout-ms'], plane.kind).toBe('7000');
    }
  });

  it('leave hosts out that were tried', async () => {
    for (const plane of planes.planes) {
      for (let i = 0; i < 10; i += 1) {
        hosts.behave(answer(503));
        expect((await plane.probe('other-hosts')).status, plane.kind).toBe(503);
        expect(hosts.counts(), plane.kind).toEqual([1, 1, 1]);
      }
    }
  });

  it('find the other host, whatever the share of the one that is gone, by the policy that services have', async () => {
    for (const plane of planes.planes) {
      hosts.behave(answer(200));
      expect([...(await plane.count('heavy-host-dead', 500)).keys()], plane.kind).toEqual(['200']);
    }
  });

  it('say that no connection could be had', async () => {
    for (const plane of planes.planes) {
      const { status, flags, body } = await plane.probe('dead-host');
      expect({ status, flags }, plane.kind).toEqual({ status: 503, flags: 'URX,UF' });
      expect(body, plane.kind).toContain(
        'before headers. retried and the latest reset reason: remote connection failure',
      );
      expect(await plane.probe('dead-host-without'), plane.kind).toMatchObject({ status: 503, flags: 'UF' });
      const stats = await plane.stats();
      expect(stats.get('cluster.dead-host.upstream_rq_retry'), plane.kind).toBe(1);
      expect(stats.get('cluster.dead-host.upstream_rq_retry_limit_exceeded'), plane.kind).toBe(1);
    }
  });
});
