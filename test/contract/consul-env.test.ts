// The variables of Consul's own command, read as that command reads them: each setting is given to both, and
// both must get in, or neither.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { createConsulSource } from '../../adapters/consul/index.ts';
import { parseConfig } from '../../config/load.ts';
import type { ConsulSource } from '../../config/schema.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import type { Peer } from '../support/peer.ts';
import { findBinary } from '../support/peers.ts';
import { testDeps } from './fixtures/deps.ts';
import { Listener } from './listener.ts';

const ROOT = '11111111-2222-3333-4444-555555555555';
const run = promisify(execFile);
type Env = Record<string, string>;

function sourceFrom(env: Env): ConsulSource {
  const result = parseConfig('sources: [{ name: c, kind: consul }]', 'isthmus.yaml', { env });
  const [source] = result.ok ? result.config.sources : [];
  if (source?.kind !== 'consul') throw new Error(JSON.stringify(result));
  return source;
}

/** Whether an anonymous or an unknown caller is let in is Consul's to say: what both see is the services. */
async function isLetIn(env: Env): Promise<boolean> {
  const listener = new Listener(
    await createConsulSource(sourceFrom(env), testDeps(), { backoffMs: 50, answerMs: 5_000 }),
  );
  const told = await eventually(() => listener.first ?? listener.stale, { withinMs: 30_000 });
  await listener.stop();
  return told === 'sync';
}

describePeers(
  ['consul'],
  'the variables of the command consul',
  (start) => {
    let consul: Peer;
    let dir = '';
    let https = 0;
    const at = (name: string) => join(dir, name);
    const binary = findBinary('consul') ?? 'consul';
    /** The command sees Consul's own service when it is let in, and nothing or an error when it is not. */
    const isCommandLetIn = async (env: Env): Promise<boolean> => {
      const options = { env: { PATH: process.env['PATH'] ?? '', ...env }, timeout: 30_000 };
      return run(binary, ['catalog', 'services'], options).then(
        ({ stdout }) => stdout.includes('consul'),
        () => false,
      );
    };
    beforeAll(async () => {
      dir = await mkdtemp(join(tmpdir(), 'isthmus-consul-env-'));
      await run(binary, ['tls', 'ca', 'create'], { cwd: dir });
      await run(binary, ['tls', 'cert', 'create', '-server', '-dc', 'dc1'], { cwd: dir });
      await run(binary, ['tls', 'cert', 'create', '-client', '-dc', 'dc1'], { cwd: dir });
      await writeFile(at('token'), `${ROOT}\n`);
      await writeFile(at('wrong'), 'aaaaaaaa-2222-3333-4444-555555555555\n');
      https = await freePort();
      const files = `ca_file = "${at('consul-agent-ca.pem')}" cert_file = "${at('dc1-server-consul-0.pem')}" key_file = "${at('dc1-server-consul-0-key.pem')}"`;
      const acl = `acl { enabled = true default_policy = "deny" tokens { initial_management = "${ROOT}" agent = "${ROOT}" } }`;
      consul = await start('consul', {
        args: [
          '-hcl',
          acl,
          `-https-port=${https}`,
          '-hcl',
          `tls { https { ${files} verify_incoming = true } }`,
        ],
      });
    }, 60_000);
    afterAll(() => rm(dir, { recursive: true, force: true }));

    const plain = (more: Env = {}): Env => ({
      CONSUL_HTTP_ADDR: consul.url.replace('http://', ''),
      CONSUL_HTTP_TOKEN: ROOT,
      ...more,
    });
    const secure = (more: Env = {}): Env => ({
      CONSUL_HTTP_ADDR: `127.0.0.1:${https}`,
      CONSUL_HTTP_SSL: 'true',
      CONSUL_HTTP_TOKEN: ROOT,
      CONSUL_CACERT: at('consul-agent-ca.pem'),
      CONSUL_CLIENT_CERT: at('dc1-client-consul-0.pem'),
      CONSUL_CLIENT_KEY: at('dc1-client-consul-0-key.pem'),
      ...more,
    });

    test.each<[string, boolean, () => Env]>([
      ['address and token', true, () => plain()],
      ['address with its scheme', true, () => plain({ CONSUL_HTTP_ADDR: consul.url })],
      ['no token', false, () => plain({ CONSUL_HTTP_TOKEN: '' })],
      ['a token file', true, () => plain({ CONSUL_HTTP_TOKEN: '', CONSUL_HTTP_TOKEN_FILE: at('token') })],
      ['a token file beats the token', false, () => plain({ CONSUL_HTTP_TOKEN_FILE: at('wrong') })],
      ['a namespace, which this edition has not', false, () => plain({ CONSUL_NAMESPACE: 'team' })],
      ['a partition, which this edition has not', false, () => plain({ CONSUL_PARTITION: 'team' })],
      ['TLS', true, () => secure()],
      ['TLS, said in the address', true, () => secure({ CONSUL_HTTP_ADDR: `https://127.0.0.1:${https}` })],
      [
        'http in the address, TLS beside it',
        true,
        () => secure({ CONSUL_HTTP_ADDR: `http://127.0.0.1:${https}` }),
      ],
      ['TLS forgotten', false, () => secure({ CONSUL_HTTP_SSL: '' })],
      ['no authority', false, () => secure({ CONSUL_CACERT: '' })],
      [
        'no authority, not verified',
        true,
        () => secure({ CONSUL_CACERT: '', CONSUL_HTTP_SSL_VERIFY: 'false' }),
      ],
      ['verified in so many words', false, () => secure({ CONSUL_CACERT: '', CONSUL_HTTP_SSL_VERIFY: '1' })],
      ['no client certificate', false, () => secure({ CONSUL_CLIENT_CERT: '', CONSUL_CLIENT_KEY: '' })],
      ['the name in the certificate', true, () => secure({ CONSUL_TLS_SERVER_NAME: 'server.dc1.consul' })],
      ['a name that is not in it', false, () => secure({ CONSUL_TLS_SERVER_NAME: 'other.example' })],
    ])('%s: let in %s', async (_, expected, env) => {
      expect([await isCommandLetIn(env()), await isLetIn(env())]).toEqual([expected, expected]);
    });
  },
  [inject('peers').consul.mode === 'container' ? 'the command is not here' : undefined],
);
