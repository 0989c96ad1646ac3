// Timeouts on Envoy and on the bundled proxy from the same resources: whole request, silence, duration, and
// the deadline that a caller tells.
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packAny } from '../../proto/codec.ts';
import { answer, hang, startBehavingHosts } from '../support/behaving-hosts.ts';
import type { Behaviour, BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { Probe, ScriptedPlanes, ScriptedService } from '../support/scripted-planes.ts';

interface Scenario {
  readonly name: string;
  readonly behave: Behaviour;
  readonly route: ScriptedService['route'];
  readonly probe?: Probe;
  readonly expected: { readonly status: number; readonly flags: string; readonly body: string };
}

const ms = (value: number) => ({ seconds: Math.floor(value / 1_000), nanos: (value % 1_000) * 1_000_000 });
const late =
  (status: number): Behaviour =>
  (request, response, nth) => {
    setTimeout(() => answer(status)(request, response, nth), 150);
  };
/** Sends its head at once, and a byte each `everyMs`; never comes to an end. */
const trickle =
  (everyMs: number): Behaviour =>
  (_request, response) => {
    response.writeHead(200, { connection: 'close' });
    const timer = setInterval(() => response.write('x'), everyMs);
    response.on('close', () => clearInterval(timer));
    response.write('x');
  };

const UT = { status: 504, flags: 'UT', body: 'upstream request timeout' };
const SI = { status: 504, flags: 'SI', body: 'stream timeout' };
const WELL = { status: 200, flags: '-', body: '200' };
const CUT = { status: 0, flags: '', body: '' };

const SCENARIOS: readonly Scenario[] = [
  { name: 'whole', behave: hang, route: { timeout: ms(200) }, expected: UT },
  { name: 'whole-in-time', behave: late(200), route: { timeout: ms(5_000) }, expected: WELL },
  { name: 'whole-after-the-head', behave: trickle(20), route: { timeout: ms(300) }, expected: CUT },
  { name: 'idle', behave: hang, route: { idle_timeout: ms(200), timeout: {} }, expected: SI },
  { name: 'idle-after-the-head', behave: trickle(60_000), route: { idle_timeout: ms(300) }, expected: CUT },
  { name: 'idle-off', behave: late(200), route: { idle_timeout: {}, timeout: {} }, expected: WELL },
  {
    name: 'duration',
    behave: hang,
    route: { max_stream_duration: { max_stream_duration: ms(200) }, timeout: {} },
    expected: { status: 504, flags: '-', body: 'downstream duration timeout' },
  },
  {
    name: 'duration-after-the-head',
    behave: trickle(20),
    route: { max_stream_duration: { max_stream_duration: ms(300) }, timeout: {} },
    expected: CUT,
  },
  {
    name: 'grpc-timeout',
    behave: hang,
    route: { max_stream_duration: { grpc_timeout_header_max: ms(30_000) }, timeout: {} },
    probe: { headers: { 'grpc-timeout': '200m' } },
    expected: { status: 504, flags: '-', body: 'downstream duration timeout' },
  },
  {
    name: 'deadline-of-the-caller',
    behave: hang,
    route: {
      timeout: ms(30_000),
      retry_policy: { retry_on: '5xx', num_retries: { value: 9 } },
    },
    probe: { headers: { 'x-envoy-expected-rq-timeout-ms': '200' } },
    expected: UT,
  },
  {
    name: 'per-try-idle',
    behave: trickle(60_000),
    route: { retry_policy: { retry_on: '5xx', per_try_idle_timeout: ms(300) }, timeout: {} },
    expected: CUT,
  },
];

describePeers(['envoy'], 'the same timeouts on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: BehavingHosts;

  beforeAll(async () => {
    hosts = await startBehavingHosts(1);
    planes = await startScriptedPlanes(start);
    const router = packAny('envoy.extensions.filters.http.router.v3.Router', {
      respect_expected_rq_timeout: true,
    });
    await planes.set(
      [
        ...SCENARIOS.map(({ name, route }) => ({
          name,
          assignment: { endpoints: [hosts.endpoints(0)] },
          ...(route && { route }),
        })),
        { name: 'slow-sender', assignment: { endpoints: [hosts.endpoints(0)] }, route: { timeout: ms(100) } },
      ],
      {
        http_filters: [{ name: 'envoy.filters.http.router', typed_config: router }],
        request_timeout: ms(700),
        // Deadlines are heeded from here only, on both.
        use_remote_address: { value: true },
        internal_address_config: {
          cidr_ranges: [{ address_prefix: '127.0.0.1', prefix_len: { value: 32 } }],
        },
      },
    );
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  it('end alike', async () => {
    const wrong: string[] = [];
    for (const { name, behave, probe, expected } of SCENARIOS) {
      for (const plane of planes.planes) {
        hosts.behave(behave);
        const { status, flags, body } = await plane.probe(name, probe);
        const seen = JSON.stringify({ status, flags, body });
        if (seen !== JSON.stringify(expected)) wrong.push(`${name} on ${plane.kind}: ${seen}`);
      }
    }
    expect(wrong).toEqual([]);
  }, 120_000);

  it('ask the upstream once, when the deadline of the caller is over', async () => {
    for (const plane of planes.planes) {
      hosts.behave(hang);
      await plane.probe('deadline-of-the-caller', { headers: { 'x-envoy-expected-rq-timeout-ms': '150' } });
      expect(hosts.counts(), plane.kind).toEqual([1]);
    }
  });

  it('answer 408 to a request that does not come to its end', async () => {
    for (const plane of planes.planes) {
      hosts.behave(answer(200));
      const text = await halfRequest(plane.port, 'slow-sender');
      expect(text, plane.kind).toMatch(/^HTTP\/1\.1 408 [\s\S]*request timeout/);
    }
  }, 60_000);
});

/** Sends half of a body; resolves with all that comes back. */
function halfRequest(port: number, host: string): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(`POST / HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 10\r\n\r\nhalf`);
    });
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (text.includes('request timeout')) socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
  });
}
