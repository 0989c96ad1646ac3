// One address for HTTP and for any bytes, on Envoy and on the bundled proxy from the same resources: told apart by
// http_inspector, with time for clients that wait for the server's first word.
import { createServer, connect } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packAny } from '../../proto/codec.ts';
import { endpointAt } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startNamedHosts, startScriptedPlanes } from '../support/scripted-planes.ts';
import type { NamedHosts, ScriptedPlane, ScriptedPlanes, ShapeListener } from '../support/scripted-planes.ts';

const HTTP_INSPECTOR = 'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector';
const TCP_PROXY = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';

const sniffing: ShapeListener = (listener) => ({
  ...listener,
  listener_filters: [
    { name: 'envoy.filters.listener.http_inspector', typed_config: packAny(HTTP_INSPECTOR, {}) },
  ],
  listener_filters_timeout: { nanos: 300_000_000 },
  continue_on_listener_filters_timeout: true,
  filter_chains: (listener.filter_chains ?? []).map((chain) => ({
    ...chain,
    filter_chain_match: { application_protocols: ['http/1.0', 'http/1.1', 'h2c'] },
  })),
  default_filter_chain: {
    filters: [
      {
        name: 'envoy.filters.network.tcp_proxy',
        typed_config: packAny(TCP_PROXY, { stat_prefix: 'raw', cluster: 'raw' }),
      },
    ],
  },
});

function say(plane: ScriptedPlane, ...pieces: readonly string[]): { readonly socket: Socket; text: string } {
  const socket = connect({ port: plane.port, host: '127.0.0.1', allowHalfOpen: true });
  const said = { socket, text: '' };
  socket.on('data', (bytes) => {
    said.text += bytes.toString('latin1');
  });
  socket.on('error', () => undefined);
  for (const piece of pieces) socket.write(piece, 'latin1');
  return said;
}

describePeers(['envoy'], 'the same sniffing on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: NamedHosts;
  let raw: Server;
  const open = new Set<Socket>();

  beforeAll(async () => {
    hosts = await startNamedHosts(1);
    raw = createServer((socket) => {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
      socket.on('error', () => undefined);
      socket.write('hello ');
      socket.on('data', (bytes) => void socket.write(`<${bytes.toString('latin1')}>`));
    });
    await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve));
    const rawPort = (raw.address() as AddressInfo).port;
    planes = await startScriptedPlanes(start);
    await planes.set(
      [
        { name: 'web', assignment: { endpoints: [{ lb_endpoints: [endpointAt(hosts.ports[0] ?? 0)] }] } },
        { name: 'raw', assignment: { endpoints: [{ lb_endpoints: [endpointAt(rawPort)] }] } },
      ],
      {},
      sniffing,
    );
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
    for (const socket of open) socket.destroy();
    await new Promise((resolve) => raw.close(resolve));
  });

  it('takes HTTP for HTTP', async () => {
    for (const plane of planes.planes) {
      expect(await plane.ask('web'), plane.kind).toBe('0');
      const pieces = say(plane, 'GE');
      pieces.socket.write('T / HTTP/1.1\r\nhost: web\r\n\r\n');
      await eventually(() => pieces.text.startsWith('HTTP/1.1 200'), { what: plane.kind });
      pieces.socket.destroy();
    }
  });

  it('passes on what is not, with every byte', async () => {
    for (const plane of planes.planes) {
      const client = say(plane, '\x01\x02 not HTTP');
      await eventually(() => client.text === 'hello <\x01\x02 not HTTP>', { what: plane.kind });
      client.socket.write('more');
      await eventually(() => client.text.endsWith('<more>'), { what: plane.kind });
      client.socket.destroy();
    }
  });

  it('lets the server speak first', async () => {
    for (const plane of planes.planes) {
      const client = say(plane);
      await eventually(() => client.text === 'hello ', { what: plane.kind });
      client.socket.write('hi');
      await eventually(() => client.text === 'hello <hi>', { what: plane.kind });
      client.socket.destroy();
    }
  });
});
