// Active health checks on Envoy and on the bundled proxy from the same resources: who is called after which answers,
// when a host is let in, let go and taken back, and who is not asked at all.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Cluster } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { HealthCheck } from '../../proto/gen/types/envoy/config/core/v3/HealthCheck.ts';
import { answer, cut, endpointAt, hang, startBehavingHosts } from '../support/behaving-hosts.ts';
import type { Behaviour, BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { ScriptedPlane, ScriptedPlanes } from '../support/scripted-planes.ts';

const NAME = 'x-envoy-upstream-healthchecked-cluster';
const WITHIN = { withinMs: 60_000 };
const ms = (value: number) => ({ nanos: value * 1_000_000 });
const number = (value: number) => ({ value });

const OFTEN: HealthCheck = {
  interval: ms(100),
  no_traffic_interval: ms(100),
  timeout: ms(500),
  unhealthy_threshold: number(2),
  healthy_threshold: number(2),
};
const HTTP: HealthCheck = { ...OFTEN, http_health_check: { path: '/health' } };

const clusterOf = (check: HealthCheck): Partial<Cluster> => ({
  health_checks: [check],
  ignore_health_on_host_removal: true,
  common_lb_config: { healthy_panic_threshold: {} },
});

/** Of the health path; requests are always answered by the host's number. */
const onHealth =
  (health: Behaviour): ((index: number) => Behaviour) =>
  (index) =>
  (request, response, nth) => {
    if (request.path === '/health') health(request, response, nth);
    else response.end(String(index));
  };

interface Scenario {
  readonly name: string;
  readonly check: HealthCheck;
  /** Of the two hosts that answer otherwise than the third, for which `good` is the answer. */
  readonly bad: Behaviour;
  readonly good?: Behaviour;
  /** Whether the two are called none the less. */
  readonly called?: boolean;
}

const named = (name: string) => answer(200, { [NAME]: name });

const SCENARIOS: readonly Scenario[] = [
  { name: 'an-error', check: HTTP, bad: answer(500) },
  { name: 'another-success', check: HTTP, bad: answer(201) },
  { name: 'a-cut-connection', check: HTTP, bad: cut },
  { name: 'silence', check: HTTP, bad: hang },
  {
    name: 'expected-statuses',
    check: {
      ...OFTEN,
      http_health_check: { path: '/health', expected_statuses: [{ start: 204, end: 300 }] },
    },
    good: answer(204),
    bad: answer(200),
  },
  {
    name: 'an-expected-redirect',
    check: {
      ...OFTEN,
      http_health_check: { path: '/health', expected_statuses: [{ start: 200, end: 400 }] },
    },
    bad: answer(302),
    called: true,
  },
  {
    name: 'another-name',
    check: {
      ...OFTEN,
      http_health_check: { path: '/health', service_name_matcher: { exact: 'orders.default' } },
    },
    good: named('orders.default'),
    bad: named('carts.default'),
  },
  {
    name: 'no-name',
    check: {
      ...OFTEN,
      http_health_check: { path: '/health', service_name_matcher: { prefix: 'orders.' } },
    },
    good: named('orders.default'),
    bad: answer(200),
  },
  {
    name: 'misdirected',
    check: {
      ...OFTEN,
      http_health_check: {
        path: '/health',
        host: 'orders.default',
        request_headers_to_add: [
          {
            header: { key: 'x-isthmus-service', value: 'orders.default' },
            append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
          },
        ],
        service_name_matcher: { exact: 'orders.default' },
      },
    },
    good: (request, response) => {
      const isAsked = request.headers['x-isthmus-service'] === 'orders.default';
      const isHost = request.headers.host === 'orders.default';
      response.writeHead(isAsked && isHost ? 200 : 500, { [NAME]: 'orders.default' }).end();
    },
    bad: answer(421, { [NAME]: 'carts.default' }),
  },
  {
    name: 'over-tcp-an-open-port-is-enough',
    check: { ...OFTEN, tcp_health_check: {} },
    bad: answer(500),
    called: true,
  },
  {
    name: 'over-tcp-what-is-answered',
    check: {
      ...OFTEN,
      // The hosts close after each answer, which to Envoy is a failure of a connection that is kept.
      reuse_connection: { value: false },
      // "GET /health HTTP/1.1", and of the answer " 200 "
      tcp_health_check: {
        send: { text: Buffer.from('GET /health HTTP/1.1\r\nhost: a\r\n\r\n').toString('hex') },
        receive: [{ text: Buffer.from(' 200 ').toString('hex') }],
      },
    },
    bad: answer(500),
  },
  { name: 'degraded', check: HTTP, bad: answer(200, { 'x-envoy-degraded': 'true' }), called: true },
];

describePeers(['envoy'], 'active health checks', (start) => {
  let hosts: BehavingHosts;
  let planes: ScriptedPlanes;

  const calledBy = async (plane: ScriptedPlane, service: string) => {
    const answers = await plane.count(service, 40);
    return [...answers.keys()].sort();
  };
  const onBoth = async (service: string, wanted: readonly string[]) => {
    for (const plane of planes.planes) {
      await eventually(async () => (await calledBy(plane, service)).join() === wanted.join(), {
        ...WITHIN,
        what: `${service} on ${plane.kind} answered by ${wanted.join()}`,
      });
    }
  };
  const behave = (behaviours: readonly Behaviour[]) => {
    for (const [index, host] of hosts.hosts.entries()) {
      host.behave(onHealth(behaviours[index] ?? answer(200))(index));
    }
  };
  const give = (name: string, check: HealthCheck, endpoints = hosts.endpoints(0, 1, 2)) =>
    planes.set([{ name, cluster: clusterOf(check), assignment: { endpoints: [endpoints] } }]);

  beforeAll(async () => {
    hosts = await startBehavingHosts(3);
    behave([]);
    planes = await startScriptedPlanes(start);
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  for (const { name, check, bad, good = answer(200), called = false } of SCENARIOS) {
    it(`${name}: let in, let go, taken back`, async () => {
      behave([bad, bad, good]);
      await give(name, check);
      // Degraded ones take what the others cannot.
      await onBoth(name, called ? ['0', '1', '2'] : ['2']);
      behave([good, good, good]);
      await onBoth(name, ['0', '1', '2']);
      behave([good, bad, good]);
      await onBoth(name, called ? ['0', '1', '2'] : ['0', '2']);
    });
  }

  it('a host that fails all its checks is called by nobody when there is no panic', async () => {
    behave([answer(500), answer(500), answer(500)]);
    await give('none-left', HTTP);
    await onBoth('none-left', ['HTTP 503']);
  });

  it('what is not to be checked is called whatever it would answer; another port may be asked', async () => {
    behave([answer(500), answer(500), answer(200)]);
    const at = (index: number, more: object) => {
      const { endpoint } = endpointAt(hosts.hosts[index]?.port ?? 0);
      return { endpoint: { ...endpoint, health_check_config: more } };
    };
    await give('not-checked', HTTP, {
      lb_endpoints: [
        at(0, { disable_active_health_check: true }),
        at(1, { port_value: hosts.hosts[2]?.port ?? 0 }),
        at(2, { port_value: hosts.hosts[0]?.port ?? 0 }),
      ],
    });
    await onBoth('not-checked', ['0', '1']);
  });

  it('an answer to a request may say that the host is not well', async () => {
    behave([]);
    await give('says-so', { ...HTTP, interval: { seconds: 600 }, no_traffic_interval: { seconds: 600 } });
    await onBoth('says-so', ['0', '1', '2']);
    hosts.hosts[1]?.behave((request, response) => {
      if (request.path !== '/health') response.setHeader('x-envoy-immediate-health-check-fail', 'true');
      response.end('1');
    });
    await onBoth('says-so', ['0', '2']);
  });

  it('a host that leaves stays while it is well, unless its health is to be ignored then', async () => {
    behave([]);
    const stays = { ...clusterOf(HTTP), ignore_health_on_host_removal: false };
    const both = (indexes: readonly number[]) =>
      planes.set([
        { name: 'stays', cluster: stays, assignment: { endpoints: [hosts.endpoints(...indexes)] } },
        { name: 'goes', cluster: clusterOf(HTTP), assignment: { endpoints: [hosts.endpoints(...indexes)] } },
      ]);
    await both([0, 1]);
    await onBoth('stays', ['0', '1']);
    await onBoth('goes', ['0', '1']);
    await both([0]);
    await onBoth('goes', ['0']);
    await onBoth('stays', ['0', '1']);
    behave([answer(200), answer(500)]);
    await onBoth('stays', ['0']);
  });

  it('both asked for what they were told', () => {
    for (const { seen } of hosts.hosts) expect(seen.length).toBeGreaterThan(0);
  });
});
