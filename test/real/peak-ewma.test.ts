// `balancer: peakEwma` as the control plane sends it, to a true Envoy and to the bundled proxy: both accept it,
// the proxy leaves a slow host alone, Envoy takes least request instead, and shares of localities hold on both.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LocalityLbEndpoints } from '../../proto/gen/types/envoy/config/endpoint/v3/LocalityLbEndpoints.ts';
import { peakEwmaPolicy } from '../../xds-server/resources/peak-ewma.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startNamedHosts, startScriptedPlanes } from '../support/scripted-planes.ts';
import type { NamedHosts, ScriptedPlanes } from '../support/scripted-planes.ts';

const SLOW = 0;

describePeers(['envoy'], 'peak EWMA on Envoy and on the proxy', (start) => {
  let hosts: NamedHosts;
  let planes: ScriptedPlanes;

  const side = (indexes: readonly number[], more: LocalityLbEndpoints = {}): LocalityLbEndpoints => ({
    ...more,
    lb_endpoints: indexes.map((i) => ({
      endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: hosts.ports[i] ?? 0 } } },
    })),
  });
  const zone = (name: string, weight: number) => ({
    locality: { region: 'eu', zone: name },
    load_balancing_weight: { value: weight },
  });

  beforeAll(async () => {
    hosts = await startNamedHosts(4);
    planes = await startScriptedPlanes(start);
    const three = { endpoints: [side([SLOW, 1, 2])] };
    const sides = { endpoints: [side([SLOW], zone('old', 90)), side([1, 2, 3], zone('new', 10))] };
    await planes.set([
      { name: 'in-turn', assignment: three },
      { name: 'peak', cluster: { load_balancing_policy: peakEwmaPolicy(false) }, assignment: three },
      { name: 'sides', cluster: { load_balancing_policy: peakEwmaPolicy(true) }, assignment: sides },
    ]);
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  it('sends next to nothing to a host that is slow by 200 ms, where round robin sends a third', async () => {
    hosts.setDelay(SLOW, 200);
    for (const plane of planes.planes) {
      const inTurn = (await plane.count('in-turn', 60)).get('0') ?? 0;
      expect(Math.abs(inTurn - 20), plane.kind).toBeLessThanOrEqual(1);
      // Least request draws it twice in a ninth of the picks, and has no choice then. Peak EWMA always has one:
      // a first request, and another each time the estimate has fallen to that of the others, much later.
      const most = plane.kind === 'envoy' ? 150 : 12;
      // Where this process stood still for a moment, all hosts were slow: then again.
      const spared = async () => {
        const counts = await plane.count('peak', 600);
        for (const fast of ['1', '2']) expect(counts.get(fast) ?? 0, plane.kind).toBeGreaterThan(100);
        return (counts.get('0') ?? 0) < most;
      };
      await eventually(spared, { withinMs: 90_000, what: `fewer than ${most} on ${plane.kind}` });
    }
    hosts.setDelay(SLOW, 0);
  }, 240_000);

  it('keeps the shares of two sides, however slow one is', async () => {
    hosts.setDelay(SLOW, 20);
    for (const plane of planes.planes) {
      const counts = await plane.count('sides', 500);
      expect(Math.abs((counts.get('0') ?? 0) - 450), plane.kind).toBeLessThanOrEqual(10);
    }
  }, 120_000);
});
