// A host that comes later gets its share by degrees (slow_start_config), on Envoy and on the bundled proxy alike. The
// share grows with time, so what is expected is computed from the times at which the hosts came and were asked.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LbEndpoint } from '../../proto/gen/types/envoy/config/endpoint/v3/LbEndpoint.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startNamedHosts, startScriptedPlanes } from '../support/scripted-planes.ts';
import type {
  NamedHosts,
  ScriptedPlane,
  ScriptedPlanes,
  ScriptedService,
} from '../support/scripted-planes.ts';

const N = 300;
/** How long the first host is there before the second one comes: long beside what N requests take. */
const LEAD_MS = 5_000;
/** Rounds of the balancer that had begun, and weights that a data plane rounds. */
const TURNS = 8;

describePeers(['envoy'], 'a host that comes later', (start) => {
  let hosts: NamedHosts;
  let planes: ScriptedPlanes;

  const service = (name: string, cluster: ScriptedService['cluster'], count: number): ScriptedService => ({
    name,
    ...(cluster && { cluster }),
    assignment: {
      endpoints: [
        {
          lb_endpoints: hosts.ports.slice(0, count).map(
            (port): LbEndpoint => ({
              endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
            }),
          ),
        },
      ],
    },
  });
  /** The share is then age ÷ (age of the one + age of the other), whatever the window. */
  const slow = {
    round_robin_lb_config: {
      slow_start_config: { slow_start_window: { seconds: 3_600 }, min_weight_percent: { value: 0 } },
    },
  };
  const script = (count: number) => [service('slow', slow, count), service('at-once', undefined, count)];

  beforeAll(async () => {
    hosts = await startNamedHosts(2);
    planes = await startScriptedPlanes(start);
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  it('gets its share by degrees, and without slow start at once', async () => {
    const first = { from: performance.now(), to: 0 };
    await planes.set(script(1));
    first.to = performance.now();
    await eventually(() => performance.now() - first.to > LEAD_MS, { what: 'the first host to have an age' });
    const second = { from: performance.now(), to: 0 };
    await planes.set(script(2));
    for (const plane of planes.planes) {
      await eventually(async () => (await plane.count('at-once', 4)).has('1'), {
        what: `both on ${plane.kind}`,
      });
    }
    second.to = performance.now();

    for (const plane of planes.planes) {
      const { seen, least, most } = await asked(plane, first, second);
      expect(seen, plane.kind).toBeGreaterThanOrEqual(least - TURNS);
      expect(seen, plane.kind).toBeLessThanOrEqual(most + TURNS);
      expect((await plane.count('at-once', N)).get('1'), plane.kind).toBeCloseTo(N / 2, -1);
    }
  }, 60_000);
});

/** When a host came, at the earliest and at the latest. */
interface Came {
  readonly from: number;
  readonly to: number;
}

/** One request after the other. @returns answers of the second host, and how many of them its age allows. */
async function asked(plane: ScriptedPlane, first: Came, second: Came) {
  let [seen, least, most] = [0, 0, 0];
  for (let i = 0; i < N; i += 1) {
    const before = performance.now();
    if ((await plane.ask('slow')) === '1') seen += 1;
    const after = performance.now();
    least += share(before - second.to, after - first.from);
    most += share(after - second.from, before - first.to);
  }
  return { seen, least, most };
}

const share = (age: number, other: number): number => age / (age + other);
