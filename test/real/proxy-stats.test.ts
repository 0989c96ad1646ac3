// Statistics of Envoy and of the bundled proxy after the same requests: the same names, and the same changes of
// their values.
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  answer,
  cut,
  deadPort,
  endpointAt,
  hang,
  inTurn,
  startBehavingHosts,
} from '../support/behaving-hosts.ts';
import type { BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { ScriptedPlane, ScriptedPlanes } from '../support/scripted-planes.ts';

type Values = ReadonlyMap<string, number>;

const RETRIES = {
  retry_policy: {
    retry_on: '5xx',
    num_retries: { value: 2 },
    retry_back_off: { base_interval: { nanos: 1_000_000 } },
  },
};
/** With a dot: our bootstrap tells Envoy that a cluster's name has one. */
const SERVICES = ['plain', 'failing', 'cutting', 'slow', 'dead', 'retried', 'recovered', 'empty'].map(
  (name) => `${name}.default`,
);

/** Of a cluster; a code or a class that never came is not there. */
const CLUSTER = [
  'upstream_rq_total',
  'upstream_rq_completed',
  'upstream_rq_2xx',
  'upstream_rq_5xx',
  'upstream_rq_200',
  'upstream_rq_503',
  'upstream_rq_504',
  'upstream_rq_retry',
  'upstream_rq_retry_success',
  'upstream_rq_retry_limit_exceeded',
  'upstream_rq_retry_overflow',
  'upstream_rq_pending_overflow',
  'upstream_rq_timeout',
  'upstream_rq_per_try_timeout',
  'upstream_cx_total',
  'upstream_cx_connect_fail',
  'upstream_cx_overflow',
  'upstream_cx_none_healthy',
];
/** Values of the moment. */
const NOW = [
  'membership_total',
  'membership_healthy',
  'upstream_rq_active',
  'circuit_breakers.default.cx_open',
  'circuit_breakers.default.rq_open',
  'circuit_breakers.high.rq_retry_open',
];
const LISTENER = [
  'downstream_rq_total',
  'downstream_rq_2xx',
  'downstream_rq_4xx',
  'downstream_rq_5xx',
  'downstream_cx_total',
];

describePeers(['envoy'], 'the same statistics on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: BehavingHosts;
  const changes: Record<string, unknown>[] = [];

  beforeAll(async () => {
    hosts = await startBehavingHosts(5);
    planes = await startScriptedPlanes(start);
    const dead = await deadPort();
    const at = (index: number) => ({ endpoints: [hosts.endpoints(index)] });
    await planes.set([
      { name: 'plain.default', assignment: at(0) },
      { name: 'failing.default', assignment: at(1) },
      { name: 'cutting.default', assignment: at(2) },
      { name: 'slow.default', route: { timeout: { nanos: 200_000_000 } }, assignment: at(3) },
      { name: 'dead.default', assignment: { endpoints: [{ lb_endpoints: [endpointAt(dead)] }] } },
      { name: 'retried.default', route: RETRIES, assignment: at(1) },
      { name: 'recovered.default', route: RETRIES, assignment: at(4) },
      { name: 'empty.default', assignment: { endpoints: [] } },
    ]);
    for (const plane of planes.planes) changes.push(await changeOf(plane, hosts));
  }, 120_000);
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  it('under the same dotted names', () => {
    const [envoy, proxy] = changes;
    expect(proxy).toEqual(envoy);
  });

  it('and under the same Prometheus families and labels', async () => {
    const [first, second] = planes.planes;
    if (!first || !second) throw new Error('two planes');
    // Envoy puts histograms together every five seconds.
    const envoy = await eventually(
      async () => {
        const series = await seriesOf(first);
        return (
          series.get('envoy_cluster_upstream_rq_time_count{envoy_cluster_name="plain.default"}') === 3 &&
          series
        );
      },
      { withinMs: 60_000, what: "Envoy's histograms" },
    );
    const proxy = await seriesOf(second);
    const known = new Set(envoy.keys());
    const ours = [...proxy.keys()].filter((key) => /_cluster_name="(plain|retried)\.default"/.test(key));
    expect(ours.length).toBeGreaterThan(40);
    // Envoy leaves out what never happened.
    const unknown = ours.filter((key) => !known.has(key) && proxy.get(key) !== 0);
    expect(unknown).toEqual([]);
    for (const key of [
      'envoy_cluster_upstream_rq_total{envoy_cluster_name="plain.default"}',
      'envoy_cluster_upstream_rq_xx{envoy_cluster_name="plain.default",envoy_response_code_class="2"}',
      'envoy_cluster_upstream_rq{envoy_cluster_name="retried.default",envoy_response_code="503"}',
      'envoy_cluster_membership_healthy{envoy_cluster_name="plain.default"}',
      'envoy_cluster_upstream_rq_time_count{envoy_cluster_name="plain.default"}',
      'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="plain.default",le="+Inf"}',
    ]) {
      expect({ key, value: proxy.get(key) }).toEqual({ key, value: envoy.get(key) });
    }
  }, 90_000);
});

async function changeOf(plane: ScriptedPlane, { hosts }: BehavingHosts): Promise<Record<string, unknown>> {
  const behaviours = [answer(200), answer(503), cut, hang, inTurn(answer(503), answer(200))];
  hosts.forEach((host, i) => {
    host.clear();
    host.behave(behaviours[i] ?? hang);
  });
  const before = await plane.stats();
  const asked = [...SERVICES, 'plain.default', 'plain.default', 'nowhere'];
  for (const name of asked) await plane.probe(name);
  const seen = (now: Values) => differences(before, now);
  // Envoy merges what its workers counted now and then.
  await eventually(
    async () => seen(await plane.stats())['http.scripted.downstream_rq_total'] === asked.length,
    { withinMs: 30_000, what: `the counts of ${plane.kind}` },
  );
  return seen(await plane.stats());
}

function differences(before: Values, now: Values): Record<string, number> {
  const of = (values: Values, name: string) => values.get(name) ?? 0;
  const names = [
    ...SERVICES.flatMap((service) => CLUSTER.map((name) => `cluster.${service}.${name}`)),
    ...LISTENER.map((name) => `http.scripted.${name}`),
  ];
  return Object.fromEntries([
    ...names.map((name) => [name, of(now, name) - of(before, name)] as const),
    ...SERVICES.flatMap((service) =>
      NOW.map((name) => [`cluster.${service}.${name}`, of(now, `cluster.${service}.${name}`)] as const),
    ),
  ]);
}

/** Values by family and labels, labels in order. */
async function seriesOf(plane: ScriptedPlane): Promise<Values> {
  const body = await (await fetch(`${plane.adminUrl}/stats/prometheus`)).text();
  const series = new Map<string, number>();
  for (const line of body.split('\n')) {
    const [, family = '', labels = '', value = ''] = /^(\w+)\{(.*)\} (\S+)$/.exec(line) ?? [];
    if (family !== '') series.set(`${family}{${labels.split(',').sort().join(',')}}`, Number(value));
  }
  return series;
}
