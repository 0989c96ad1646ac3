// The breaker by failure rate (admission control on a cluster) on Envoy and on the bundled proxy from the same
// resources: when requests are refused, how many, what the caller is told, and what does not count as a failure.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packAny } from '../../proto/codec.ts';
import type { Cluster } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { AdmissionControl } from '../../proto/gen/types/envoy/extensions/filters/http/admission_control/v3/AdmissionControl.ts';
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
import type { ScriptedPlane, ScriptedPlanes, ScriptedService } from '../support/scripted-planes.ts';

const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const ADMISSION = 'envoy.extensions.filters.http.admission_control.v3.AdmissionControl';
const CODEC = 'envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec';

const set = <T>(default_value: T) => ({ default_value, runtime_key: 'test.not_set' });
const percent = (value: number) => set({ value });
/** Refuses at once and for sure what the rules let it refuse. */
const STEEP = { aggression: set(1_000), max_rejection_probability: percent(100) };

function breaker(config: AdmissionControl): Partial<Cluster> {
  const http_filters = [
    { name: 'envoy.filters.http.admission_control', typed_config: packAny(ADMISSION, config) },
    { name: 'envoy.filters.http.upstream_codec', typed_config: packAny(CODEC, {}) },
  ];
  const options = { explicit_http_config: { http_protocol_options: {} }, http_filters };
  return { typed_extension_protocol_options: { [OPTIONS]: packAny(OPTIONS, options) } };
}

const RETRY = {
  retry_on: '5xx',
  num_retries: { value: 3 },
  retry_back_off: { base_interval: { nanos: 1_000_000 }, max_interval: { nanos: 2_000_000 } },
};
const rules = (config: AdmissionControl, more: Partial<ScriptedService> = {}) => ({
  ...more,
  cluster: breaker({ success_criteria: {}, sampling_window: { seconds: 600 }, ...config }),
});

const SERVICES: Readonly<Record<string, Omit<ScriptedService, 'name' | 'assignment'>>> = {
  share: rules({ max_rejection_probability: percent(30) }),
  steep: rules(STEEP),
  retried: rules(STEEP, { route: { retry_policy: RETRY } }),
  off: rules({ ...STEEP, enabled: set({ value: false }) }),
  threshold: rules({ ...STEEP, sr_threshold: percent(50) }),
  rate: rules({ ...STEEP, sampling_window: { seconds: 600 }, rps_threshold: set(1_000) }),
  statuses: rules({
    ...STEEP,
    success_criteria: { http_criteria: { http_success_status: [{ start: 200, end: 300 }] } },
  }),
  grpc: rules(STEEP),
  window: rules({ ...STEEP, sampling_window: { seconds: 2 } }),
  timeouts: rules(STEEP, { route: { timeout: { nanos: 100_000_000 } } }),
  cuts: rules(STEEP),
  dead: rules(STEEP),
};

describePeers(['envoy'], 'the same breakers by failure rate on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: BehavingHosts;

  /** Statuses of so many requests, one after the other. */
  const call = async (plane: ScriptedPlane, service: string, n: number, behave: Behaviour) => {
    hosts.behave(behave);
    const seen: number[] = [];
    for (let i = 0; i < n; i += 1) seen.push((await plane.probe(service)).status);
    return seen;
  };
  const countsOf = async (plane: ScriptedPlane, service: string) => {
    const stats = await plane.stats();
    return ['rq_success', 'rq_failure', 'rq_rejected'].map(
      (name) => stats.get(`cluster.${service}.admission_control.${name}`) ?? 0,
    );
  };

  beforeAll(async () => {
    hosts = await startBehavingHosts(1);
    const dead = { lb_endpoints: [endpointAt(await deadPort())] };
    planes = await startScriptedPlanes(start);
    await planes.set(
      Object.entries(SERVICES).map(([name, more]) => ({
        name,
        assignment: { endpoints: [name === 'dead' ? dead : hosts.endpoints(0)] },
        ...more,
      })),
    );
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  it('refuse once answers are bad, and say so in the same words', async () => {
    for (const plane of planes.planes) {
      expect(await call(plane, 'steep', 20, answer(200)), plane.kind).toEqual(Array(20).fill(200));
      // One of 21 is still above 95 percent; the second is not.
      expect(await call(plane, 'steep', 6, answer(500)), plane.kind).toEqual([500, 500, 503, 503, 503, 503]);
      const { status, flags, body, headers } = await plane.probe('steep');
      const overloaded = headers['x-envoy-overloaded'];
      expect({ status, flags, body, overloaded }, plane.kind).toEqual({
        status: 503,
        flags: '-',
        body: '',
        overloaded: undefined,
      });
      expect(hosts.counts(), plane.kind).toEqual([2]);
      expect(await countsOf(plane, 'steep'), plane.kind).toEqual([20, 2, 5]);
      // A refusal is no answer of the cluster's.
      expect((await plane.stats()).get('cluster.steep.upstream_rq_5xx'), plane.kind).toBe(2);
    }
  });

  it('refuse the share that the formula gives', async () => {
    for (const plane of planes.planes) {
      const seen = await call(plane, 'share', 400, answer(500));
      const refused = seen.filter((status) => status === 503).length;
      // 30 % of 400: six standard deviations to either side.
      expect(refused, plane.kind).toBeGreaterThan(65);
      expect(refused, plane.kind).toBeLessThan(175);
    }
  });

  it('end a request whose retry is refused', async () => {
    for (const plane of planes.planes) {
      const seen = await call(plane, 'retried', 3, answer(500));
      expect(seen, plane.kind).toEqual([503, 503, 503]);
      expect(hosts.counts(), plane.kind).toEqual([1]);
      expect(await countsOf(plane, 'retried'), plane.kind).toEqual([0, 1, 3]);
    }
  });

  it('let everything through below the rate, above the threshold, and when switched off', async () => {
    for (const plane of planes.planes) {
      expect(await call(plane, 'rate', 10, answer(500)), plane.kind).toEqual(Array(10).fill(500));
      expect(await call(plane, 'off', 10, answer(500)), plane.kind).toEqual(Array(10).fill(500));
      await call(plane, 'threshold', 10, answer(200));
      const seen = await call(plane, 'threshold', 12, answer(500));
      expect(seen, plane.kind).toEqual([...Array<number>(11).fill(500), 503]);
    }
  });

  it('take for good what the criteria say', async () => {
    for (const plane of planes.planes) {
      expect(await call(plane, 'statuses', 3, answer(404)), plane.kind).toEqual([404, 503, 503]);
      const empty: Behaviour = (_request, response) => {
        const type = { 'content-type': 'application/grpc', 'content-length': '0' };
        response.writeHead(200, { connection: 'close', ...type, 'grpc-status': '14' }).end();
      };
      expect(await call(plane, 'grpc', 3, empty), plane.kind).toEqual([200, 503, 503]);
    }
  });

  it('count answers only: no timeout, no broken and no refused connection', async () => {
    for (const plane of planes.planes) {
      expect(await call(plane, 'timeouts', 4, hang), plane.kind).toEqual([504, 504, 504, 504]);
      expect(await call(plane, 'cuts', 4, cut), plane.kind).toEqual([503, 503, 503, 503]);
      expect(hosts.counts(), plane.kind).toEqual([4]);
      await call(plane, 'dead', 4, answer(200));
      for (const service of ['timeouts', 'cuts', 'dead']) {
        expect(await countsOf(plane, service), `${service} ${plane.kind}`).toEqual([0, 0, 0]);
      }
    }
  });

  it('forget what is older than the window', async () => {
    for (const plane of planes.planes) {
      await call(plane, 'window', 1, answer(500));
      expect(await call(plane, 'window', 1, answer(200)), plane.kind).toEqual([503]);
      hosts.behave(inTurn(answer(200)));
      const end = Date.now() + 30_000;
      let status = 503;
      while (status !== 200 && Date.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        ({ status } = await plane.probe('window'));
      }
      expect(status, plane.kind).toBe(200);
    }
  });
});
