// Requests that leave HTTP, on Envoy and on the bundled proxy from the same resources: WebSocket allowed and
// refused, CONNECT passed on and ended, what was sent ahead, ends and silence.
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { ScriptedPlane, ScriptedPlanes, ScriptedService } from '../support/scripted-planes.ts';
import { startSwitchingHost } from '../support/switching-host.ts';
import type { SwitchingHost } from '../support/switching-host.ts';

const ASK = 'connection: Upgrade\r\nupgrade: websocket\r\n';
const get = (host: string, path: string, fields = ASK) =>
  `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n${fields}\r\n`;

interface Conversation {
  readonly socket: Socket;
  text: string;
  over: boolean;
}

function talk(plane: ScriptedPlane, text: string): Conversation {
  const socket = connect({ port: plane.port, host: '127.0.0.1', allowHalfOpen: true });
  const conversation = { socket, text: '', over: false };
  socket.on('data', (bytes) => {
    conversation.text += bytes.toString('latin1');
  });
  for (const end of ['end', 'close'] as const) {
    socket.on(end, () => {
      conversation.over = true;
    });
  }
  socket.on('error', () => undefined);
  socket.write(text, 'latin1');
  return conversation;
}

/** Status line, the fields that matter here, and what follows. */
function shown(text: string): string {
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const [line = '', ...fields] = head.split('\r\n');
  const kept = fields
    .map((field) => field.toLowerCase())
    .filter((field) => /^(connection|upgrade|x-host|content-length|transfer-encoding):/.test(field))
    .sort();
  return [line.split(' ')[1], ...kept, rest.join('')].join(' | ');
}

interface Scenario {
  readonly name: string;
  readonly send: string;
  /** Sent when the first bytes have come. */
  readonly after?: string;
  readonly expected: string;
  /** The connection is over by itself. */
  readonly over: boolean;
  /** Bytes behind the first head that the upstream gets. */
  readonly upstream?: string;
}

const SWITCHED = '101 | connection: upgrade | upgrade: websocket | x-host: 1 | ';
const SCENARIOS: readonly Scenario[] = [
  {
    name: 'both ways',
    send: get('ws', '/echo'),
    after: 'hey',
    expected: `${SWITCHED}HEY`,
    over: false,
    upstream: 'hey',
  },
  {
    name: 'sent ahead',
    send: `${get('ws', '/echo')}early`,
    expected: `${SWITCHED}EARLY`,
    over: false,
    upstream: 'early',
  },
  { name: 'said with the head', send: get('ws', '/greets'), expected: `${SWITCHED}hello`, over: false },
  {
    name: 'the upstream ends',
    send: get('ws', '/ends'),
    expected: `${SWITCHED}${'x'.repeat(300_000)}`,
    over: true,
  },
  {
    name: 'answered without a switch',
    send: `${get('ws', '/ok')}${get('ws', '/smuggled', '')}`,
    // Envoy leaves the body of a 2xx out.
    expected: '200 | connection: close | content-length: ',
    over: true,
    upstream: '',
  },
  {
    name: 'refused by the upstream',
    send: get('ws', '/refuses'),
    expected: '403 | connection: close | content-length: 11 | not for you',
    over: true,
  },
  {
    name: 'another type',
    send: get('ws', '/echo', 'connection: upgrade\r\nupgrade: other\r\n'),
    expected: '403 | connection: close | content-length: 0 | ',
    over: true,
  },
  {
    name: 'off for the route',
    send: `${get('off', '/echo')}${get('ws', '/smuggled', '')}`,
    expected: '403 | connection: close | content-length: 0 | ',
    over: true,
  },
  {
    name: 'on for the route',
    send: get('own', '/other', 'connection: upgrade\r\nupgrade: other\r\n'),
    after: 'a',
    expected: '101 | connection: upgrade | upgrade: other | x-host: 1 | A',
    over: false,
  },
  {
    name: 'not named by Connection',
    send: get('ws', '/ok', 'upgrade: websocket\r\nconnection: close\r\n'),
    expected: '200 | connection: close | content-length: 9 | no switch',
    over: true,
  },
  {
    name: 'h2c',
    send: get('ws', '/ok', 'connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAM\r\n'),
    expected: '200 | content-length: 9 | no switch',
    over: false,
  },
  {
    name: 'tried again before the switch',
    send: get('retried', '/second'),
    after: 'b',
    expected: `${SWITCHED}B`,
    over: false,
  },
  { name: 'silence', send: get('idle', '/echo'), expected: SWITCHED, over: true },
  {
    name: 'CONNECT without a route',
    send: 'CONNECT ws:80 HTTP/1.1\r\nhost: ws:80\r\n\r\n',
    expected: '404 | connection: close | ',
    over: true,
  },
  {
    name: 'CONNECT, refused by default',
    send: 'CONNECT closed:443 HTTP/1.1\r\nhost: closed:443\r\n\r\n',
    expected: '403 | connection: close | content-length: 0 | ',
    over: true,
  },
  {
    name: 'CONNECT, ended here',
    send: 'CONNECT ended:443 HTTP/1.1\r\nhost: ended:443\r\n\r\n',
    after: 'raw',
    expected: '200 | RAW',
    over: false,
  },
  {
    name: 'CONNECT, passed on',
    send: 'CONNECT passed:443 HTTP/1.1\r\nhost: passed:443\r\n\r\n',
    after: 'raw',
    expected: '200 | RAW',
    over: false,
    upstream: 'raw',
  },
  {
    name: 'CONNECT with a length',
    send: 'CONNECT ended:443 HTTP/1.1\r\nhost: ended:443\r\ncontent-length: 3\r\n\r\nraw',
    expected: '400 | connection: close | content-length: ',
    over: true,
  },
];

describePeers(['envoy'], 'the same upgrades on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let host: SwitchingHost;

  const connectService = (name: string, config?: object): ScriptedService => ({
    name,
    assignment: { endpoints: [host.endpoints] },
    virtualHost: {
      domains: [name, `${name}:443`],
      routes: [
        { match: { path: '/is-routed' }, direct_response: { status: 299 } },
        {
          match: { connect_matcher: {} },
          route: { cluster: name, upgrade_configs: config ? [{ upgrade_type: 'CONNECT', ...config }] : [] },
        },
      ],
    },
  });

  beforeAll(async () => {
    host = await startSwitchingHost();
    planes = await startScriptedPlanes(start);
    const assignment = { endpoints: [host.endpoints] };
    await planes.set(
      [
        { name: 'ws', assignment },
        {
          name: 'off',
          assignment,
          route: { upgrade_configs: [{ upgrade_type: 'WebSocket', enabled: { value: false } }] },
        },
        { name: 'own', assignment, route: { upgrade_configs: [{ upgrade_type: 'other' }] } },
        { name: 'idle', assignment, route: { idle_timeout: { nanos: 300_000_000 } } },
        { name: 'quick', assignment, route: { timeout: { nanos: 200_000_000 } } },
        { name: 'retried', assignment, route: { retry_policy: { retry_on: '5xx' } } },
        connectService('ended', { connect_config: {} }),
        connectService('passed', {}),
        connectService('closed'),
        {
          name: 'narrow',
          assignment,
          cluster: { circuit_breakers: { thresholds: [{ max_requests: { value: 1 } }] } },
        },
      ],
      { upgrade_configs: [{ upgrade_type: 'websocket' }] },
    );
  });
  afterAll(async () => {
    await planes?.stop();
    await host?.stop();
  });

  const run = async (plane: ScriptedPlane, { send, after, expected }: Scenario) => {
    host.clear();
    const client = talk(plane, send);
    if (after !== undefined) {
      await eventually(() => client.text !== '');
      client.socket.write(after);
    }
    const seen = () => shown(client.text);
    await eventually(() => seen().startsWith(expected) || client.over, { withinMs: 20_000 }).catch(
      () => undefined,
    );
    return { client, seen };
  };

  it('pass, or are refused, alike', async () => {
    const wrong: string[] = [];
    for (const scenario of SCENARIOS) {
      for (const plane of planes.planes) {
        const { client, seen } = await run(plane, scenario);
        const problem = (what: string) => wrong.push(`${scenario.name} on ${plane.kind}: ${what}`);
        if (!seen().startsWith(scenario.expected))
          problem(`${seen().slice(0, 200)} <= ${JSON.stringify(host.received).slice(0, 300)}`);
        if (scenario.over) {
          await eventually(() => client.over, { withinMs: 10_000 }).catch(() => problem('still open'));
        } else if (client.over) problem('over');
        const { upstream } = scenario;
        const behind = host.received[0]?.split('\r\n\r\n').slice(1).join('') ?? '';
        if (upstream !== undefined && behind !== upstream) problem(`upstream got ${behind}`);
        client.socket.destroy();
      }
    }
    expect(wrong).toEqual([]);
  }, 120_000);

  it('pass the ends of both sides on', async () => {
    for (const plane of planes.planes) {
      host.clear();
      const client = talk(plane, get('ws', '/echo'));
      await eventually(() => client.text !== '');
      client.socket.end('last');
      await eventually(() => host.ended() + host.closed() > 0, { what: `the end on ${plane.kind}` });
      expect(host.received[0], plane.kind).toMatch(/last$/);
    }
  });

  it('go on when the timeout of the route is over', async () => {
    for (const plane of planes.planes) {
      host.clear();
      const client = talk(plane, get('quick', '/echo'));
      await eventually(() => client.text !== '');
      await new Promise((resolve) => setTimeout(resolve, 500));
      client.socket.write('still');
      await eventually(() => client.text.endsWith('STILL'), { what: plane.kind });
      client.socket.destroy();
    }
  });

  it('count as requests of the cluster for as long as they last', async () => {
    for (const plane of planes.planes) {
      host.clear();
      const first = talk(plane, get('narrow', '/echo'));
      await eventually(() => first.text !== '');
      const answer = await plane.probe('narrow', { path: '/ok' });
      expect([answer.status, answer.flags], plane.kind).toEqual([503, 'UO']);
      const stats = await plane.stats();
      expect(stats.get('http.scripted.downstream_cx_upgrades_active'), plane.kind).toBe(1);
      first.socket.destroy();
      await eventually(async () => (await plane.probe('narrow', { path: '/ok' })).status === 200);
      const after = await plane.stats();
      expect(after.get('http.scripted.downstream_cx_upgrades_active'), plane.kind).toBe(0);
      expect(after.get('cluster.narrow.upstream_rq_1xx'), plane.kind).toBe(1);
    }
  });

  it('bring 64 MiB to a reader that begins late', async () => {
    for (const plane of planes.planes) {
      host.clear();
      const client = talk(plane, get('ws', '/echo'));
      await eventually(() => client.text !== '');
      client.socket.pause();
      const piece = Buffer.alloc(1 << 20, 'x');
      let [written, taken] = [0, 0];
      while (written < 64 && client.socket.write(piece, () => (taken += 1))) written += 1;
      for (; written < 64; written += 1) client.socket.write(piece, () => (taken += 1));
      await eventually(() => taken > 0);
      expect(taken, plane.kind).toBeLessThan(64);
      client.socket.resume();
      await eventually(() => client.text.length > 64 << 20, { withinMs: 60_000, what: plane.kind });
      client.socket.destroy();
    }
  }, 120_000);
});
