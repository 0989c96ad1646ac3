// The admin ports of Envoy and of the bundled proxy: the same questions, answers of the same shape, the same effect.
import { connect } from 'node:net';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { answer, startBehavingHosts } from '../support/behaving-hosts.ts';
import type { BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { ScriptedPlane, ScriptedPlanes } from '../support/scripted-planes.ts';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const COUNTER = 'cluster.plain.default.upstream_rq_total';

describePeers(['envoy'], 'the same answers of the admin ports of Envoy and of the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: BehavingHosts;

  beforeAll(async () => {
    hosts = await startBehavingHosts(1);
    hosts.behave(answer(200));
    planes = await startScriptedPlanes(start);
    await planes.set([{ name: 'plain.default', assignment: { endpoints: [hosts.endpoints(0)] } }]);
  }, 120_000);
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  /** What each says, as `shape` sees it. */
  const same = async <T>(shape: (plane: ScriptedPlane) => Promise<T>): Promise<T> => {
    const [envoy, proxy] = planes.planes;
    if (!envoy || !proxy) throw new Error('two planes');
    const [wanted, seen] = [await shape(envoy), await shape(proxy)];
    expect(seen).toEqual(wanted);
    return seen;
  };

  it('counters, filtered, as text and as JSON', async () => {
    const found = await same(async (plane) => {
      await plane.probe('plain.default');
      // Envoy merges what its workers counted now and then.
      return eventually(
        async () => {
          const text = await get(plane, `/stats?filter=^${COUNTER}$`);
          return text.body === `${COUNTER}: 1\n` && text;
        },
        { withinMs: 30_000, what: 'the count' },
      );
    });
    expect(found.body).toBe(`${COUNTER}: 1\n`);
    const stats = await same(async (plane) => {
      const { status, type, body } = await get(plane, `/stats?filter=^${COUNTER}$&format=json`);
      return { status, type, stats: (JSON.parse(body) as { stats: unknown[] }).stats };
    });
    expect(stats.stats).toEqual([{ name: COUNTER, value: 1 }]);
    await same(async (plane) => {
      const { status, body } = await get(plane, `/stats?filter=^${COUNTER}$&format=prometheus`);
      return {
        status,
        lines: body.split('\n').filter((line) => line.startsWith('envoy_cluster_upstream_rq_total')),
      };
    });
    const never = '^cluster.plain.default.upstream_rq_retry$';
    await same(async (plane) => (await get(plane, `/stats?usedonly&filter=${never}`)).body);
    await same(async (plane) => (await get(plane, `/stats?filter=${never}`)).body);
    await same(async (plane) => (await get(plane, '/stats?format=nonsense')).status);
    await same(async (plane) => (await get(plane, '/stats?filter=[')).status);
  }, 60_000);

  it('clusters, listeners, configuration, itself', async () => {
    const fields = await same(async (plane) => {
      const { status, body } = await get(plane, '/clusters');
      const known = body.split('\n').filter((line) => /^plain.default::(127|added|default|high)/.test(line));
      return {
        status,
        fields: known
          .map((line) => line.replace(/(cx_active)::\d+/, '$1::N'))
          .filter(inBoth)
          .sort(),
      };
    });
    expect(fields.fields.length).toBeGreaterThan(15);
    const keys = await same(async (plane) => {
      const { body } = await get(plane, '/clusters?format=json');
      const { cluster_statuses: all } = JSON.parse(body) as { cluster_statuses: Record<string, unknown>[] };
      const [host] = (all.find(({ name }) => name === 'plain.default')?.['host_statuses'] ?? []) as Record<
        string,
        unknown
      >[];
      return { address: host?.['address'], health: host?.['health_status'], weight: host?.['weight'] };
    });
    expect(keys.health).toEqual({ eds_health_status: 'HEALTHY' });
    await same(async (plane) => (await get(plane, '/listeners')).body.replace(String(plane.port), 'PORT'));
    await same(async (plane) =>
      JSON.parse((await get(plane, '/listeners?format=json')).body.replace(String(plane.port), '1')),
    );
    for (const resource of ['dynamic_active_clusters', 'dynamic_listeners', 'dynamic_route_configs']) {
      await same(async (plane) => namesOf((await get(plane, `/config_dump?resource=${resource}`)).body));
    }
    await same(async (plane) => (await get(plane, '/config_dump?resource=nonsense')).status);
    const dumped = await same(async (plane) => typesOf((await get(plane, '/config_dump?include_eds')).body));
    expect(dumped).toContain('EndpointsConfigDump');
    await same(async (plane) => {
      const info = JSON.parse((await get(plane, '/server_info')).body) as Record<string, unknown>;
      return { state: info['state'], up: typeof info['uptime_current_epoch'], node: typeof info['node'] };
    });
    await same(async (plane) => get(plane, '/ready'));
    await same(async (plane) => (await get(plane, '/no/such/page')).status);
  }, 60_000);

  it('what changes something takes POST alone', async () => {
    const paths = ['/healthcheck/fail', '/reset_counters', '/logging', '/drain_listeners', '/quitquitquit'];
    for (const path of paths) await same(async (plane) => get(plane, path));
  });

  it('health that is taken away and given back; counters from 0; the level of the log', async () => {
    for (const path of ['/healthcheck/fail', '/ready', '/healthcheck/ok', '/ready', '/reset_counters']) {
      await same(async (plane) => (path === '/ready' ? get(plane, path) : post(plane, path)));
    }
    await same(async (plane) => (await get(plane, `/stats?filter=^${COUNTER}$`)).body);
    await same(async (plane) => (await post(plane, '/logging?level=warning')).status);
    await same(async (plane) => (await post(plane, '/logging?level=nonsense')).status);
    await same(async (plane) => (await post(plane, '/logging?level=info')).status);
  });

  it('listeners that drain, and the end', async () => {
    await same((plane) => post(plane, '/drain_listeners'));
    await same((plane) =>
      eventually(async () => !(await accepts(plane.port)), { withinMs: 30_000, what: 'no more connections' }),
    );
    await same((plane) => post(plane, '/quitquitquit'));
    await same((plane) =>
      eventually(async () => !(await accepts(Number(new URL(plane.adminUrl).port))), {
        withinMs: 30_000,
        what: 'the end',
      }),
    );
  }, 90_000);
});

/** Fields that this proxy has of a host and a cluster. */
const inBoth = (line: string): boolean =>
  /::(added_via_api|max_\w+|health_flags|weight|priority|cx_active|cx_connect_fail|rq_total|rq_active|rq_success|rq_error)::/.test(
    line,
  );

async function ask(plane: ScriptedPlane, path: string, method: 'GET' | 'POST'): Promise<Answer> {
  const response = await fetch(`${plane.adminUrl}${path}`, { method });
  const type = (response.headers.get('content-type') ?? '').replace(/;.*/, '');
  return { status: response.status, type, body: await response.text() };
}
const get = (plane: ScriptedPlane, path: string): Promise<Answer> => ask(plane, path, 'GET');
const post = (plane: ScriptedPlane, path: string): Promise<Answer> => ask(plane, path, 'POST');

/** Names of the resources that came from the test. */
function namesOf(body: string): string[] {
  interface Named {
    readonly name?: string;
  }
  const { configs } = JSON.parse(body) as {
    configs: (Named & { readonly cluster?: Named; readonly route_config?: Named })[];
  };
  return configs
    .map(({ cluster, route_config: routes, name }) => cluster?.name ?? routes?.name ?? name ?? '?')
    .sort();
}

function typesOf(body: string): string[] {
  const { configs } = JSON.parse(body) as { configs: { '@type': string }[] };
  const ours = ['Bootstrap', 'Clusters', 'Endpoints', 'Listeners', 'Routes'].map((one) => `${one}ConfigDump`);
  return configs.map((one) => one['@type'].replace(/^.*\./, '')).filter((type) => ours.includes(type));
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
