// The latency that the breaker by latency (adaptive concurrency) goes by, on Envoy and on the bundled proxy from the same
// resources and the same recorded delays: the same milliseconds at every percentile, under the same statistics. Delays
// lie in Envoy's bins of 100 ms, low in them, so that what a busy machine adds stays within them.
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packAny } from '../../proto/codec.ts';
import type { AdaptiveConcurrency } from '../../proto/gen/types/envoy/extensions/filters/http/adaptive_concurrency/v3/AdaptiveConcurrency.ts';
import { LatencySamples } from '../../proxy/filters/latency-samples.ts';
import { startBehavingHosts } from '../support/behaving-hosts.ts';
import type { BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { ScriptedPlane, ScriptedPlanes } from '../support/scripted-planes.ts';

const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
const CONCURRENCY = 'envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency';
const SERVICE = 'app';
/** Asked for only to see whether the script has come: not measured. */
const OFF = {
  'envoy.filters.http.adaptive_concurrency': packAny('envoy.config.route.v3.FilterConfig', {
    disabled: true,
  }),
};
const ROUTES = [
  { match: { path: '/is-routed' }, direct_response: { status: 299 }, typed_per_filter_config: OFF },
  { match: { prefix: '/' }, route: { cluster: SERVICE } },
];
const STATS = 'http.scripted.adaptive_concurrency.gradient_controller.';
const FAMILY = 'envoy_http_adaptive_concurrency_gradient_controller_';

/** Milliseconds; two bins with several, two with one. */
const DELAYS = [1_020, 1_025, 1_215, 1_410, 1_420, 1_430, 2_010, 2_020];
/** At and between bins, and within those that count several as spread over them. */
const PERCENTILES = [10, 25, 50, 70, 90, 99];
const TRIES = 5;

/** @param nth each is another configuration, which begins with a measurement. */
const configOf = (percentile: number, nth: number): AdaptiveConcurrency => ({
  gradient_controller_config: {
    sample_aggregate_percentile: { value: percentile },
    // So long that the latency of the moment is taken once, of all requests together.
    concurrency_limit_params: { concurrency_update_interval: { seconds: 4 } },
    min_rtt_calc_params: {
      interval: { seconds: 3_600 + nth },
      request_count: { value: DELAYS.length },
      min_concurrency: { value: 2 * DELAYS.length },
    },
  },
});

describePeers(['envoy'], 'the same latencies on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: BehavingHosts;

  let taken = 0;
  const take = (percentile: number) =>
    planes.set(
      [{ name: SERVICE, assignment: { endpoints: [hosts.endpoints(0)] }, virtualHost: { routes: ROUTES } }],
      {
        http_filters: [
          {
            name: 'envoy.filters.http.adaptive_concurrency',
            typed_config: packAny(CONCURRENCY, configOf(percentile, (taken += 1))),
          },
          { name: 'envoy.filters.http.router', typed_config: packAny(ROUTER, {}) },
        ],
      },
    );
  const statsOf = async (plane: ScriptedPlane) => {
    const stats = await plane.stats();
    return (name: string) => stats.get(`${STATS}${name}`);
  };
  const ask = (plane: ScriptedPlane) =>
    Promise.all(DELAYS.map((ms) => plane.probe(SERVICE, { path: `/${ms}` })));
  /** All delays at once. @returns milliseconds, as the statistics have them. */
  const measured = async (plane: ScriptedPlane) => {
    await eventually(async () => (await statsOf(plane))('min_rtt_calculation_active') === 1, {
      what: `a measurement on ${plane.kind}`,
    });
    await ask(plane);
    await eventually(async () => (await statsOf(plane))('min_rtt_calculation_active') === 0, {
      what: `its end on ${plane.kind}`,
    });
    return (await statsOf(plane))('min_rtt_msecs');
  };

  /** All delays at once, and again when the latency without load is known. */
  const inTwoWindows = async (plane: ScriptedPlane) => {
    await measured(plane);
    await ask(plane);
    return eventually(
      async () => {
        const series = await seriesOf(plane);
        return series['gradient gauge'] !== 0 && series;
      },
      { withinMs: 20_000, what: `a new limit on ${plane.kind}` },
    );
  };

  beforeAll(async () => {
    hosts = await startBehavingHosts(1);
    hosts.behave(({ path }, response) => {
      setTimeout(() => response.writeHead(200, { connection: 'close' }).end('done'), Number(path.slice(1)));
    });
    planes = await startScriptedPlanes(start);
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  it.each(PERCENTILES)('at percentile %d', { timeout: 120_000 }, async (percentile) => {
    const samples = new LatencySamples();
    for (const ms of DELAYS) samples.add(ms * 1_000);
    const expected = Math.trunc(samples.quantile(percentile / 100) / 1_000);
    const isSo = (ms: number | undefined) => ms === expected;
    let seen: (number | undefined)[] = [];
    // What a machine that is too busy adds to the delays is no fault of either.
    for (let left = TRIES; left > 0 && !(seen.length > 0 && seen.every(isSo)); left -= 1) {
      await take(percentile);
      seen = await Promise.all(planes.planes.map(measured));
    }
    expect(seen).toEqual([expected, expected]);
  });

  it('in the next window as well, and the same Prometheus series', { timeout: 120_000 }, async () => {
    const seen: Series[] = [];
    const isSo = () => seen.length === 2 && seen.every((of) => of['sample_rtt_msecs gauge'] === 1_475);
    for (let left = TRIES; left > 0 && !isSo(); left -= 1) {
      await take(70);
      seen.splice(0, 2, ...(await Promise.all(planes.planes.map(inTwoWindows))));
    }
    const [envoy, proxy] = seen;
    expect(envoy).toEqual({
      'burst_queue_size gauge': 4,
      'concurrency_limit gauge': 24,
      'gradient gauge': 1_250,
      'min_rtt_calculation_active gauge': 0,
      'min_rtt_msecs gauge': 1_475,
      'rq_blocked counter': 0,
      'sample_rtt_msecs gauge': 1_475,
    });
    expect(proxy).toEqual(envoy);
  });
});

type Series = Readonly<Record<string, number>>;

/** Values by the family, without what all have in common, and its type. */
async function seriesOf(plane: ScriptedPlane): Promise<Series> {
  const text = await (await fetch(`${plane.adminUrl}/stats/prometheus`)).text();
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (\w+)$/gm)].map(([, name, type]) => [name, type]));
  const values = text.matchAll(/^(\w+)\{envoy_http_conn_manager_prefix="scripted"\} (\S+)$/gm);
  return Object.fromEntries(
    [...values].flatMap(([, name = '', value]) =>
      name.startsWith(FAMILY) ? [[`${name.slice(FAMILY.length)} ${types.get(name)}`, Number(value)]] : [],
    ),
  );
}
