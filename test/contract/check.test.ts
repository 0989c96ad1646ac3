// `isthmus check` on true registries, with one thing wrong at a time: one line that names the source and says
// what the registry said, one that says what to do, and no secret in either.
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { beforeAll, describe, expect, test } from 'vitest';
import type { TestContext } from 'vitest';
import { checkLine } from '../../cli/commands/check.ts';
import { checkSources } from '../../cli/wire-check.ts';
import { parseConfig } from '../../config/load.ts';
import { systemClock } from '../../lib/clock.ts';
import { makeCertificates } from '../support/certificates.ts';
import { describePeers } from '../support/describe-peer.ts';
import { DnsServer } from '../support/dns-server.ts';
import { kubeApi, serviceObject } from '../support/kube-api.ts';
import type { KubernetesPeer, Peer } from '../support/peer.ts';
import { tlsFront } from '../support/tls-front.ts';
import type { TlsFront } from '../support/tls-front.ts';
import { etcdHand } from './fixtures/etcd.ts';
import { FaultyProxy } from './fixtures/faulty-proxy.ts';
import { NACOS_LOGIN, callNacos, instancesAt, nacosToken, rnacosWithLogin } from './fixtures/nacos.ts';
import { onlyFor, zookeeperHand } from './fixtures/zookeeper.ts';

const SECRET = 'x7-secret-x7';
let dir = '';
let hasCertificates = false;
const at = (name: string) => join(dir, name);

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'isthmus-check-'));
  hasCertificates = await makeCertificates(dir).then(
    () => true,
    () => false,
  );
  return () => rm(dir, { recursive: true, force: true });
});

/** What `isthmus check` prints of one source, in black and white. */
async function check(fields: object): Promise<string> {
  const text = JSON.stringify({ sources: [{ name: 'it', ...fields }] });
  const parsed = parseConfig(text, at('isthmus.yaml'));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const checked = await checkSources(
    parsed.config,
    { clock: systemClock, deadlineMs: 30_000 },
    new AbortController().signal,
  );
  return checked.map((source) => checkLine(source, (_, line) => line)).join('');
}

const NEEDS_CERTIFICATES = /certificate|authority|CA file|plain on/;
type Case = readonly [what: string, fields: () => object, cause: RegExp, todo: RegExp, mark?: '!'];

async function expectOne(wrong: Case, kind: string, context: TestContext): Promise<void> {
  const [what, fields, cause, todo, mark = '✗'] = wrong;
  if (!hasCertificates && NEEDS_CERTIFICATES.test(what)) return context.skip('no openssl');
  const printed = await check(fields());
  expect.soft(printed).toMatch(cause);
  const [first = '', second = '', rest] = printed.split('\n');
  expect.soft(first.startsWith(`${mark} it (${kind}): `)).toBe(true);
  expect.soft(second).toMatch(/^ {4}\S/);
  expect.soft(second).toMatch(todo);
  expect.soft(rest).toBe('');
  expect.soft(printed).not.toContain(SECRET);
  return undefined;
}

describePeers(['consul'], 'check: Consul', (start) => {
  const root = '11111111-2222-3333-4444-555555555555';
  let consul: Peer;
  let front: TlsFront | undefined;
  beforeAll(async () => {
    const acl = `acl { enabled = true default_policy = "deny" tokens { initial_management = "${root}" agent = "${root}" } }`;
    consul = await start('consul', { args: ['-hcl', acl] });
    const answer = await fetch(`${consul.url}/v1/catalog/register`, {
      method: 'PUT',
      headers: { connection: 'close', 'x-consul-token': root },
      body: JSON.stringify({ Node: 'n', Address: '10.0.0.1', Service: { Service: 'orders', Port: 80 } }),
    });
    expect(await answer.text()).toBe('true');
    if (hasCertificates) front = await tlsFront(dir, Number(new URL(consul.url).port));
    return () => front?.close();
  }, 60_000);
  const it = (more: object = {}) => ({ kind: 'consul', address: consul.url, token: root, ...more });
  const secure = (more: object = {}) => it({ address: `https://127.0.0.1:${front?.port}`, ...more });
  test.for<Case>([
    ['a wrong token', () => it({ token: SECRET }), /denies the catalog/, /token/],
    ['no token', () => it({ token: '' }), /without a token/, /token/],
    ['no token file', () => it({ tokenFile: at('nowhere') }), /nowhere/, /file/],
    ['an unknown datacenter', () => it({ datacenter: 'dc9' }), /dc9/, /datacenters/],
    ['a namespace', () => it({ namespace: 'team' }), /namespace|"ns"/, /namespace/],
    ['tags that nobody has', () => it({ tags: ['nobody'] }), /no service/, /tags/, '!'],
    ['a bad filter', () => it({ filter: 'Servce == 1' }), /Servce/, /filter/],
    ['nobody there', () => it({ address: 'http://127.0.0.1:1' }), /ECONNREFUSED/, /address/],
    ['a wrong path', () => it({ address: `${consul.url}/consul` }), /404|HTTP/, /address/],
    [
      'a name that nobody knows',
      () => it({ address: 'http://nowhere.invalid:8500' }),
      /nowhere\.invalid/,
      /address/,
    ],
    [
      'all datacenters, wrong token',
      () => it({ datacenters: 'all', address: 'http://127.0.0.1:1' }),
      /ECONNREFUSED/,
      /address/,
    ],
    [
      'TLS on a plain port',
      () => it({ address: consul.url.replace('http:', 'https:') }),
      /does not speak TLS/,
      /http or https/,
    ],
    [
      'plain on a TLS port',
      () => secure({ address: `http://127.0.0.1:${front?.port}` }),
      /no answer from Consul at http:/,
      /http or https/,
    ],
    ['a wrong authority', () => secure(), /certificate/, /tls/],
    ['a CA file that is not there', () => secure({ tls: { ca: at('nowhere.pem') } }), /nowhere\.pem/, /file/],
    ['a CA file that is none', () => secure({ tls: { ca: at('server.key') } }), /certificate/, /tls/],
    [
      'another name in the certificate',
      () => secure({ tls: { ca: at('ca.pem'), serverName: 'x.example' } }),
      /x\.example/,
      /tls/,
    ],
  ])('%s', async (wrong, context) => {
    await expectOne(wrong, 'consul', context);
  });
});

describePeers(['etcd'], 'check: etcd', (start) => {
  let etcd: Peer;
  let front: TlsFront | undefined;
  let endpoint = '';
  beforeAll(async () => {
    etcd = await start('etcd');
    const hand = etcdHand(etcd.url);
    await hand.put('/services/orders/1', JSON.stringify({ address: '10.0.0.1', port: 80 }));
    for (const [name, password] of [
      ['root', 'secret'],
      ['reader', 'reads'],
    ]) {
      await hand.post('auth/user/add', { name, password });
    }
    await hand.post('auth/role/add', { name: 'root' });
    await hand.post('auth/user/grant', { user: 'root', role: 'root' });
    await hand.post('auth/enable', {});
    const port = etcd.ports['client'] ?? 0;
    endpoint = `127.0.0.1:${port}`;
    if (hasCertificates) front = await tlsFront(dir, port, { requireClient: true, alpn: ['h2'] });
    return () => front?.close();
  }, 60_000);
  const auth = { username: 'root', password: 'secret' };
  const it = (more: object = {}) => ({ kind: 'etcd', endpoints: [endpoint], auth, ...more });
  const secure = (tls: object) => it({ endpoints: [`https://127.0.0.1:${front?.port}`], tls });
  test.for<Case>([
    ['a wrong password', () => it({ auth: { username: 'root', password: SECRET } }), /./, /auth/],
    ['nobody', () => it({ auth: undefined }), /./, /auth/],
    [
      'a user without rights',
      () => it({ auth: { username: 'reader', password: 'reads' } }),
      /\/services\//,
      /role/,
    ],
    ['another layout', () => it({ layout: 'grpc-naming' }), /grpc-naming/, /layout/],
    ['nobody there', () => it({ endpoints: ['127.0.0.1:1'] }), /ECONNREFUSED/, /endpoints/],
    [
      'a name that nobody knows',
      () => it({ endpoints: ['nowhere.invalid:2379'] }),
      /nowhere\.invalid/,
      /endpoints/,
    ],
    ['TLS on a plain port', () => it({ endpoints: [`https://${endpoint}`] }), /TLS/, /tls/],
    ['plain on a TLS port', () => it({ endpoints: [`127.0.0.1:${front?.port}`] }), /./, /tls/],
    ['a wrong authority', () => secure({}), /certificate/, /tls/],
    [
      'no client certificate',
      () => secure({ ca: at('ca.pem') }),
      /wants a client certificate|ECONNRESET|EPIPE/,
      /tls/,
    ],
    ['a CA file that is not there', () => secure({ ca: at('nowhere.pem') }), /nowhere\.pem/, /tls/],
    ['a wrong prefix', () => it({ prefix: '/servces/' }), /servces/, /prefix/, '!'],
  ])('%s', async (wrong, context) => {
    await expectOne(wrong, 'etcd', context);
  });
});

describePeers(['zookeeper'], 'check: ZooKeeper', (start) => {
  let server = '';
  beforeAll(async () => {
    const zk = await start('zookeeper');
    const port = zk.ports['client'] ?? 0;
    server = `127.0.0.1:${port}`;
    const hand = await zookeeperHand(port);
    await hand.put(
      '/services/orders/1',
      JSON.stringify({ name: 'orders', id: '1', address: '10.0.0.1', port: 80 }),
    );
    await hand.put('/locked/orders/1', '{}');
    const digest = createHash('sha1').update('reader:reads').digest('base64');
    await hand.setAcl('/locked', onlyFor(`reader:${digest}`));
    hand.close();
  }, 60_000);
  const it = (more: object = {}) => ({ kind: 'zookeeper', servers: [server], ...more });
  test.for<Case>([
    ['a wrong path', () => it({ path: '/servces' }), /no node \/servces.*services/, /path/],
    ['a wrong chroot', () => it({ servers: [`${server}/prod`] }), /prod/, /path|chroot/],
    ['a wrong password', () => it({ path: '/locked', auth: `reader:${SECRET}` }), /\/locked/, /auth/],
    ['another layout', () => it({ layout: 'dubbo' }), /providers/, /layout/, '!'],
    [
      'a layout that sees nodes, but not what is in them',
      () => it({ layout: 'serverset' }),
      /no instance/,
      /layout/,
      '!',
    ],
    ['nobody there', () => it({ servers: ['127.0.0.1:1'] }), /127\.0\.0\.1:1/, /servers/],
    [
      'a name that nobody knows',
      () => it({ servers: ['nowhere.invalid:2181'] }),
      /nowhere\.invalid/,
      /servers/,
    ],
  ])('%s', async (wrong, context) => {
    await expectOne(wrong, 'zookeeper', context);
  });
});

describePeers(['eureka'], 'check: Eureka', (start) => {
  let eureka: Peer;
  let front: TlsFront | undefined;
  const guard = { url: '', stop: async () => undefined as void };
  beforeAll(async () => {
    eureka = await start('eureka', { args: ['--eureka.server.wait-time-in-ms-when-sync-empty=0'] });
    if (hasCertificates) front = await tlsFront(dir, Number(new URL(eureka.url).port));
    // Eureka itself asks nobody who he is; what stands in front of it does.
    const proxy = new FaultyProxy(eureka.url);
    guard.url = await proxy.start();
    guard.stop = () => proxy.stop();
    await proxy
      .fault('401', (_, response) =>
        response.writeHead(401, { 'www-authenticate': 'Basic' }).end('Unauthorized'),
      )
      .begin();
    return async () => {
      await guard.stop();
      await front?.close();
    };
  }, 120_000);
  const it = (url: string, more: object = {}) => ({ kind: 'eureka', urls: [url], ...more });
  const secure = (tls: object) => it(`https://127.0.0.1:${front?.port}/eureka`, { tls });
  test.for<Case>([
    [
      'a wrong password',
      () => it(`${guard.url}/eureka`, { username: 'u', password: SECRET }),
      /401/,
      /password/,
    ],
    ['a wrong path', () => it(`${eureka.url}/eurka`), /404/, /\/apps/],
    ['no path', () => it(eureka.url), /./, /\/apps/],
    ['nobody there', () => it('http://127.0.0.1:1/eureka'), /ECONNREFUSED/, /urls/],
    [
      'TLS on a plain port',
      () => it(`${eureka.url.replace('http:', 'https:')}/eureka`),
      /does not speak TLS/,
      /http or https/,
    ],
    [
      'plain on a TLS port',
      () => it(`http://127.0.0.1:${front?.port}/eureka`),
      /no registry from Eureka at http:/,
      /http or https/,
    ],
    ['a wrong authority', () => secure({}), /certificate/, /tls/],
    ['a CA file that is not there', () => secure({ ca: at('nowhere.pem') }), /nowhere\.pem/, /tls/],
    ['a CA file that is none', () => secure({ ca: at('server.key') }), /certificate/, /tls/],
  ])('%s', async (wrong, context) => {
    await expectOne(wrong, 'eureka', context);
  });
});

describePeers(['rnacos'], 'check: rnacos, as Nacos', (start) => {
  let rnacos: Peer;
  let front: TlsFront | undefined;
  beforeAll(async () => {
    rnacos = await rnacosWithLogin(start);
    const accessToken = await nacosToken(rnacos.url);
    const orders = { serviceName: 'orders', ip: '10.0.0.1', port: '80', ephemeral: 'false' };
    await callNacos(instancesAt(rnacos.url), 'POST', orders, accessToken);
    if (hasCertificates) front = await tlsFront(dir, Number(new URL(rnacos.url).port));
    return () => front?.close();
  }, 60_000);
  const it = (more: object = {}) => ({ kind: 'nacos', urls: [rnacos.url], ...NACOS_LOGIN, ...more });
  const secure = (tls: object) => it({ urls: [`https://127.0.0.1:${front?.port}`], tls });
  test.for<Case>([
    ['a wrong password', () => it({ password: SECRET }), /does not let us in.*403/, /password/],
    ['no password', () => it({ username: '' }), /does not let us in.*403/, /password/],
    ['no password file', () => it({ passwordFile: at('nowhere') }), /nowhere/, /file/],
    ['an unknown namespace', () => it({ namespace: 'prod' }), /"prod"; there are: public/, /ID/],
    ['a group that nobody has', () => it({ groups: ['NOBODY'] }), /no service/, /groups/, '!'],
    ['a wrong context path', () => it({ contextPath: '/nacoss' }), /no login: HTTP 404/, /contextPath/],
    ['an API that is not spoken', () => it({ api: 'v3' }), /does not speak the API v3/, /urls/],
    ['nobody there', () => it({ urls: ['http://127.0.0.1:1'] }), /ECONNREFUSED/, /urls/],
    [
      'TLS on a plain port',
      () => it({ urls: [rnacos.url.replace('http:', 'https:')] }),
      /speak TLS/,
      /https/,
    ],
    ['a wrong authority', () => secure({}), /certificate/, /tls/],
    ['a CA file that is not there', () => secure({ ca: at('nowhere.pem') }), /nowhere\.pem/, /file/],
  ])('%s', async (wrong, context) => {
    await expectOne(wrong, 'nacos', context);
  });

  test('nothing wrong, also over TLS with its authority', async (context) => {
    if (!hasCertificates) return context.skip('no openssl');
    for (const fields of [it(), secure({ ca: at('ca.pem') })]) {
      expect(await check(fields)).toMatch(/^✓ it \(nacos\): 1 services, 1 endpoints/);
    }
    return undefined;
  });
});

describePeers(['kubernetes'], 'check: Kubernetes', (start) => {
  let kube: KubernetesPeer;
  beforeAll(async () => {
    kube = await start('kubernetes');
    const api = kubeApi(kube);
    await api.create(serviceObject('orders', [{ name: 'http', port: 80 }]));
    await api.close();
    const good = kube.kubeconfig();
    await writeFile(at('token.yaml'), kube.kubeconfig(SECRET));
    await writeFile(at('reader.yaml'), kube.kubeconfig(kube.tokens.reader));
    await writeFile(at('good.yaml'), good);
    await writeFile(at('garbage.yaml'), 'apiVersion: [\n');
    const ca = hasCertificates ? (await readFile(at('ca.pem'))).toString('base64') : '';
    await writeFile(
      at('ca.yaml'),
      good.replace(/"certificate-authority-data": "[^"]*"/, `"certificate-authority-data": "${ca}"`),
    );
    await writeFile(at('gone.yaml'), good.replace(/"server": "[^"]*"/, '"server": "https://127.0.0.1:1"'));
  }, 60_000);
  const it = (file: string, more: object = {}) => ({ kind: 'kubernetes', kubeconfig: at(file), ...more });
  test.for<Case>([
    ['a wrong token', () => it('token.yaml'), /401/, /token/],
    ['a user without rights', () => it('reader.yaml'), /403/, /Role/],
    ['a wrong context', () => it('good.yaml', { context: 'prod' }), /prod.*test/, /context/],
    ['no kubeconfig', () => it('nowhere.yaml'), /nowhere\.yaml/, /kubeconfig/],
    ['a kubeconfig that is none', () => it('garbage.yaml'), /garbage\.yaml/, /kubeconfig/],
    ['a wrong authority', () => it('ca.yaml'), /certificate/, /authority/],
    ['nobody there', () => it('gone.yaml'), /ECONNREFUSED/, /address/],
    [
      'a wrong namespace',
      () => it('good.yaml', { namespaces: ['nowhere'] }),
      /no service/,
      /namespaces/,
      '!',
    ],
  ])('%s', async (wrong, context) => {
    await expectOne(wrong, 'kubernetes', context);
  });
});

describe('check: DNS and files', () => {
  const dns = new DnsServer();
  let server = '';
  beforeAll(async () => {
    server = await dns.start();
    dns.codes.set('refused.test', 5);
    await writeFile(at('bad.yaml'), '[{targets: ["10.0.0.1"], labels: {service: a}}]');
    await writeFile(at('sd.yaml'), '[{targets: ["10.0.0.1:80"], labels: {service: a}}]');
    await writeFile(at('empty.yaml'), '[]');
    return () => dns.stop();
  });
  const names = (name: string, servers = [server]) => ({
    kind: 'dns',
    names: [{ name, service: 'orders', port: 80 }],
    servers,
  });
  const file = (path: string, more: object = {}) => ({ kind: 'file', path: at(path), ...more });
  test.for<readonly [string, ...Case]>([
    ['dns', 'a server that refuses', () => names('refused.test'), /refused\.test.*EREFUSED/, /servers/],
    ['dns', 'nobody there', () => names('a.test', ['127.0.0.1:1']), /127\.0\.0\.1:1.*a\.test/, /servers/],
    ['file', 'no such file', () => file('nowhere/*.yaml'), /nowhere/, /path|pattern|\[\]/],
    ['file', 'not a target', () => file('bad.yaml'), /bad\.yaml:1:13.*HOST:PORT/, /./],
    ['file', 'another format', () => file('sd.yaml', { format: 'kubernetes' }), /sd\.yaml:1/, /./],
    ['file', 'nothing in it', () => file('empty.yaml'), /no service/, /path/, '!'],
  ])('%s: %s', async ([kind, ...wrong], context) => {
    await expectOne(wrong, kind, context);
  });
});
