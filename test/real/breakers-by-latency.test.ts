// The breaker by latency (adaptive concurrency on a listener) on Envoy and on the bundled proxy from the same resources,
// before an app that does four requests at a time and lets the others wait: how many it gets at once, what the
// others are told, what is not counted, and that all is as before when the app is fast again.
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packAny } from '../../proto/codec.ts';
import type { AdaptiveConcurrency } from '../../proto/gen/types/envoy/extensions/filters/http/adaptive_concurrency/v3/AdaptiveConcurrency.ts';
import { startBehavingHosts } from '../support/behaving-hosts.ts';
import type { Behaviour, BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { ScriptedPlane, ScriptedPlanes } from '../support/scripted-planes.ts';

const FILTER = 'envoy.filters.http.adaptive_concurrency';
const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
const CONCURRENCY = 'envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency';
const FILTER_CONFIG = 'envoy.config.route.v3.FilterConfig';

const MIN = 2;
const CONFIG: AdaptiveConcurrency = {
  gradient_controller_config: {
    sample_aggregate_percentile: { value: 50 },
    concurrency_limit_params: { concurrency_update_interval: { nanos: 200_000_000 } },
    min_rtt_calc_params: {
      // Once, and again when the limit is at its lowest for long.
      interval: { seconds: 3_600 },
      request_count: { value: 10 },
      min_concurrency: { value: MIN },
      buffer: { value: 25 },
    },
  },
};
const OFF = { [FILTER]: packAny(FILTER_CONFIG, { disabled: true }) };
const SERVICE = 'app';
const AT_ONCE = 4;
const CALLERS = 32;

/** Does so many requests at a time, each for `ms`. */
class App {
  ms = 40;
  atOnce = AT_ONCE;
  inFlight = 0;
  most = 0;
  #busy = 0;
  readonly #waiting: (() => void)[] = [];

  readonly behave: Behaviour = (_request, response) => {
    this.inFlight += 1;
    this.most = Math.max(this.most, this.inFlight);
    response.on('close', () => (this.inFlight -= 1));
    const work = () => {
      this.#busy += 1;
      setTimeout(() => {
        response.writeHead(200, { connection: 'close' }).end('done');
        this.#busy -= 1;
        this.#waiting.shift()?.();
      }, this.ms);
    };
    if (this.#busy < this.atOnce) work();
    else this.#waiting.push(work);
  };
}

describePeers(['envoy'], 'the same breakers by latency on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: BehavingHosts;
  let app: App;

  /** CALLERS at once, each again and again until told to stop. @returns how often each answer came. */
  const load = async (
    plane: ScriptedPlane,
    path: string,
    until: (answers: Map<string, number>) => boolean,
  ) => {
    const answers = new Map<string, number>();
    const caller = async () => {
      while (!until(answers)) {
        const { status, body } = await plane.probe(SERVICE, { path });
        const key = `${status} ${body}`;
        answers.set(key, (answers.get(key) ?? 0) + 1);
        if (status !== 200) await pause(20);
      }
    };
    await Promise.all(Array.from({ length: CALLERS }, caller));
    return answers;
  };
  const statOf = async (plane: ScriptedPlane, name: string) =>
    (await plane.stats()).get(`http.scripted.adaptive_concurrency.gradient_controller.${name}`);
  const good = (answers: Map<string, number>) => answers.get('200 done') ?? 0;

  beforeAll(async () => {
    hosts = await startBehavingHosts(1);
    planes = await startScriptedPlanes(start);
    await planes.set(
      [
        {
          name: SERVICE,
          assignment: { endpoints: [hosts.endpoints(0)] },
          virtualHost: {
            routes: [
              {
                match: { path: '/is-routed' },
                direct_response: { status: 299 },
                typed_per_filter_config: OFF,
              },
              { match: { path: '/uncounted' }, route: { cluster: SERVICE }, typed_per_filter_config: OFF },
              { match: { prefix: '/' }, route: { cluster: SERVICE } },
            ],
          },
        },
      ],
      {
        http_filters: [
          { name: FILTER, typed_config: packAny(CONCURRENCY, CONFIG) },
          { name: 'envoy.filters.http.router', typed_config: packAny(ROUTER, {}) },
        ],
      },
    );
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });
  const fresh = () => {
    app = new App();
    hosts.behave(app.behave);
  };

  it('without it, all that callers send is in flight', async () => {
    for (const plane of planes.planes) {
      fresh();
      const answers = await load(plane, '/uncounted', (so) => good(so) >= 3 * CALLERS);
      expect([...answers.keys()], plane.kind).toEqual(['200 done']);
      expect(app.most, plane.kind).toBe(CALLERS);
      expect(await statOf(plane, 'rq_blocked'), plane.kind).toBe(0);
      expect(await statOf(plane, 'concurrency_limit'), plane.kind).toBe(MIN);
      expect(await statOf(plane, 'min_rtt_calculation_active'), plane.kind).toBe(1);
    }
  });

  it('bounds what is in flight at the app by how long it takes, and refuses the others', async () => {
    for (const plane of planes.planes) {
      fresh();
      const answers = await load(plane, '/', (so) => good(so) >= 300);
      const refused = answers.get('503 reached concurrency limit') ?? 0;
      expect([...answers.keys()].sort(), plane.kind).toEqual(['200 done', '503 reached concurrency limit']);
      expect(app.most, plane.kind).toBeLessThanOrEqual(0.75 * CALLERS);
      expect(app.most, plane.kind).toBeGreaterThan(MIN);
      expect(await statOf(plane, 'rq_blocked'), plane.kind).toBe(refused);
      expect(await statOf(plane, 'min_rtt_msecs'), plane.kind).toBeGreaterThanOrEqual(app.ms - 1);
      expect(await statOf(plane, 'min_rtt_calculation_active'), plane.kind).toBe(0);
    }
  });

  it('lets through fewer while the app is slow, and all when it is fast again', async () => {
    for (const plane of planes.planes) {
      fresh();
      app.ms = 400;
      let low = false;
      const watch = eventually(async () => (low = (await statOf(plane, 'concurrency_limit')) === MIN), {
        withinMs: 60_000,
        what: `the lowest limit on ${plane.kind}`,
      });
      await Promise.all([watch, load(plane, '/', () => low)]);
      app.ms = 40;
      app.atOnce = Infinity;
      let limit = 0;
      const grown = eventually(
        async () => (limit = (await statOf(plane, 'concurrency_limit')) ?? 0) >= CALLERS,
        {
          withinMs: 60_000,
          what: `a high limit on ${plane.kind}`,
        },
      );
      await Promise.all([grown, load(plane, '/', () => limit >= CALLERS)]);
      await eventually(async () => (await load(plane, '/', (so) => good(so) >= 100)).size === 1, {
        withinMs: 60_000,
        what: `an answer of the app's to everybody on ${plane.kind}`,
      });
    }
  });

  it('a refused request is told so as in Envoy', async () => {
    const seen = [];
    for (const plane of planes.planes) {
      fresh();
      app.ms = 400;
      let refusal: Awaited<ReturnType<ScriptedPlane['probe']>> | undefined;
      const caller = async () => {
        while (!refusal) {
          const probed = await plane.probe(SERVICE);
          if (probed.status !== 200) refusal ??= probed;
        }
      };
      await Promise.all(Array.from({ length: CALLERS }, caller));
      const { status, flags, body, headers } = refusal ?? {};
      seen.push({
        status,
        flags,
        body,
        type: headers?.['content-type'],
        overloaded: headers?.['x-envoy-overloaded'],
      });
    }
    expect(seen[0]).toEqual({
      status: 503,
      flags: '-',
      body: 'reached concurrency limit',
      type: 'text/plain',
      overloaded: undefined,
    });
    expect(seen[1]).toEqual(seen[0]);
  });
});
