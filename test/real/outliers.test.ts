// Outlier detection on Envoy and on the bundled proxy from the same resources: who is ejected after which
// failures, how many at most, and that they come back.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { OutlierDetection } from '../../proto/gen/types/envoy/config/cluster/v3/OutlierDetection.ts';
import { answer, cut, hang, startBehavingHosts } from '../support/behaving-hosts.ts';
import type { Behaviour, BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { ScriptedPlane, ScriptedPlanes, ScriptedService } from '../support/scripted-planes.ts';

const HOSTS = 4;
const NO_PANIC = { common_lb_config: { healthy_panic_threshold: { value: 0 } } };
const number = (value: number) => ({ value });
const NEVER = { seconds: 600 };

interface Scenario {
  readonly name: string;
  readonly detection: OutlierDetection;
  readonly bad: Behaviour;
  readonly more?: ScriptedService['route'];
  /** Ejected in the end: of the two bad hosts (0 and 1) among four. */
  readonly ejected: number;
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'five-in-a-row',
    detection: { max_ejection_percent: number(100) },
    bad: answer(500),
    ejected: 2,
  },
  {
    name: 'gateway-failures-do-not-count-by-default',
    detection: { max_ejection_percent: number(100), enforcing_consecutive_5xx: number(0) },
    bad: answer(503),
    ejected: 0,
  },
  {
    name: 'gateway-failures',
    detection: {
      max_ejection_percent: number(100),
      enforcing_consecutive_5xx: number(0),
      consecutive_gateway_failure: number(3),
      enforcing_consecutive_gateway_failure: number(100),
    },
    bad: answer(502),
    ejected: 2,
  },
  {
    name: 'resets-count-as-answers',
    detection: { max_ejection_percent: number(100), consecutive_5xx: number(2) },
    bad: cut,
    ejected: 2,
  },
  {
    name: 'timeouts-count-as-answers',
    detection: { max_ejection_percent: number(100), consecutive_5xx: number(2) },
    bad: hang,
    more: { timeout: { nanos: 100_000_000 } },
    ejected: 2,
  },
  {
    name: 'our-own-errors-apart',
    detection: {
      max_ejection_percent: number(100),
      split_external_local_origin_errors: true,
      consecutive_5xx: number(1),
      consecutive_local_origin_failure: number(3),
    },
    bad: cut,
    ejected: 2,
  },
  {
    name: 'not-more-than-allowed',
    detection: { max_ejection_percent: number(25), consecutive_5xx: number(2) },
    bad: answer(500),
    ejected: 1,
  },
  {
    name: 'ten-percent-of-four-is-nobody',
    detection: { consecutive_5xx: number(2) },
    bad: answer(500),
    ejected: 0,
  },
  {
    name: 'one-at-least',
    detection: { consecutive_5xx: number(2), always_eject_one_host: { value: true } },
    bad: answer(500),
    ejected: 1,
  },
  {
    name: 'failure-percentage',
    detection: {
      max_ejection_percent: number(100),
      enforcing_consecutive_5xx: number(0),
      interval: { nanos: 500_000_000 },
      failure_percentage_threshold: number(60),
      enforcing_failure_percentage: number(100),
      failure_percentage_minimum_hosts: number(3),
      failure_percentage_request_volume: number(5),
      enforcing_success_rate: number(0),
    },
    bad: answer(500),
    ejected: 2,
  },
  {
    name: 'success-rate',
    detection: {
      max_ejection_percent: number(100),
      enforcing_consecutive_5xx: number(0),
      interval: { nanos: 500_000_000 },
      success_rate_minimum_hosts: number(3),
      success_rate_request_volume: number(5),
      success_rate_stdev_factor: number(500),
    },
    bad: answer(500),
    ejected: 2,
  },
];

describePeers(['envoy'], 'the same outlier detection on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: BehavingHosts;

  const ejectedIn = async (plane: ScriptedPlane, service: string): Promise<number | undefined> =>
    (await plane.stats()).get(`cluster.${service}.outlier_detection.ejections_active`);

  beforeAll(async () => {
    hosts = await startBehavingHosts(HOSTS);
    planes = await startScriptedPlanes(start);
    await planes.set([
      ...SCENARIOS.map(({ name, detection, more }) => ({
        name,
        cluster: {
          ...NO_PANIC,
          outlier_detection: { interval: NEVER, base_ejection_time: NEVER, ...detection },
        },
        assignment: { endpoints: [hosts.endpoints(0, 1, 2, 3)] },
        ...(more && { route: more }),
      })),
      {
        name: 'returns',
        cluster: {
          ...NO_PANIC,
          outlier_detection: {
            interval: { nanos: 200_000_000 },
            base_ejection_time: { nanos: 300_000_000 },
            max_ejection_percent: number(100),
            consecutive_5xx: number(2),
          },
        },
        assignment: { endpoints: [hosts.endpoints(0, 1, 2, 3)] },
      },
      {
        name: 'all-out',
        cluster: {
          ...NO_PANIC,
          outlier_detection: {
            interval: NEVER,
            base_ejection_time: NEVER,
            max_ejection_percent: number(100),
            consecutive_5xx: number(1),
          },
        },
        assignment: { endpoints: [hosts.endpoints(0, 1)] },
      },
    ]);
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  /** The workers of a data plane hear of an ejection one after the other. */
  const askedAre = (plane: ScriptedPlane, service: string, expected: number) =>
    eventually(
      async () => {
        hosts.behave(answer(200));
        for (let i = 0; i < 12; i += 1) await plane.probe(service);
        return hosts.counts().filter((count) => count > 0).length === expected;
      },
      { withinMs: 15_000, what: `${expected} hosts asked on ${plane.kind}` },
    );

  const behave = (bad: Behaviour): void => {
    hosts.behave(answer(200));
    for (const host of hosts.hosts.slice(0, 2)) host.behave(bad);
  };

  it('eject equally many', async () => {
    const wrong: string[] = [];
    for (const { name, bad, ejected } of SCENARIOS) {
      for (const plane of planes.planes) {
        behave(bad);
        // Verdicts by rates fall at the end of an interval, and only when it had enough requests.
        await eventually(
          async () => {
            await Promise.all(Array.from({ length: 48 }, () => plane.probe(name)));
            return (await ejectedIn(plane, name)) === ejected;
          },
          { withinMs: 15_000, what: `${ejected} ejected from ${name} on ${plane.kind}` },
        ).catch(async () => {
          wrong.push(
            `${name} on ${plane.kind}: ${await ejectedIn(plane, name)} ejected, expected ${ejected}`,
          );
        });
        await askedAre(plane, name, HOSTS - ejected).catch(() => {
          wrong.push(`${name} on ${plane.kind}: not ${HOSTS - ejected} hosts are asked`);
        });
      }
    }
    expect(wrong).toEqual([]);
  }, 240_000);

  it('let hosts come back', async () => {
    for (const plane of planes.planes) {
      behave(answer(500));
      const isOut = async () => {
        await Promise.all(Array.from({ length: 16 }, () => plane.probe('returns')));
        return (await ejectedIn(plane, 'returns')) === 2;
      };
      await eventually(isOut, { withinMs: 20_000, what: `two ejected on ${plane.kind}` });
      hosts.behave(answer(200));
      const isBack = async () => (await ejectedIn(plane, 'returns')) === 0;
      await eventually(isBack, { withinMs: 20_000, what: `nobody ejected on ${plane.kind}` });
      await askedAre(plane, 'returns', HOSTS);
    }
  }, 120_000);

  it('answer that there is nobody when all are out', async () => {
    for (const plane of planes.planes) {
      hosts.behave(answer(500));
      const isOut = async () => (await plane.probe('all-out')).status === 503;
      await eventually(isOut, { withinMs: 20_000, what: `all ejected on ${plane.kind}` });
      const { status, flags, body } = await plane.probe('all-out');
      expect({ status, flags, body }, plane.kind).toEqual({
        status: 503,
        flags: 'UH',
        body: 'no healthy upstream',
      });
    }
  });
});
