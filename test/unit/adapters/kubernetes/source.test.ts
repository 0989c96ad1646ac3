// The whole source against a stub, reached through a kubeconfig: configuration, credentials, bad answers.
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createKubernetesSource } from '../../../../adapters/kubernetes/index.ts';
import { kubernetesSource } from '../../../../config/schema.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { describeError } from '../../../../lib/errors.ts';
import type { DiscoveryUpdate } from '../../../../model/discovery.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { createMetrics } from '../../../../telemetry/metrics.ts';
import { eventually } from '../../../support/eventually.ts';
import { watchLeaks } from '../../../support/leaks.ts';
import { bookmark, event, json, service, serviceList, stub } from './stub.ts';
import type { Answer } from './stub.ts';

const sliceList = { kind: 'EndpointSliceList', metadata: { resourceVersion: '10' }, items: [] };
const podList = { kind: 'PodList', metadata: { resourceVersion: '10' }, items: [] };
const nodeList = { kind: 'NodeList', metadata: { resourceVersion: '10' }, items: [] };
const listOf = (path: string) => {
  if (path.endsWith('/services')) return serviceList(['a']);
  if (path.endsWith('/pods')) return podList;
  return path.endsWith('/nodes') ? nodeList : sliceList;
};

/** A quiet cluster with the Service `a`, unless `answer` takes the request. */
const cluster =
  (answer: (...args: Parameters<Answer>) => boolean = () => false): Answer =>
  (seen, res) => {
    if (answer(seen, res)) return;
    if (seen.path.endsWith('/serviceimports')) return json(res, { kind: 'Status' }, 404);
    if (seen.query.get('watch') === 'true') res.write(bookmark('11'));
    else json(res, listOf(seen.path));
  };

async function kubeconfig(server: string, more: object = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'config');
  const text = JSON.stringify({
    clusters: [{ name: 'c', cluster: { server } }],
    users: [{ name: 'u', user: { token: 'abc' } }],
    contexts: [{ name: 'test', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'test',
    ...more,
  });
  await writeFile(file, text);
  return file;
}

function follow(fields: object) {
  const config = kubernetesSource.parse({ name: 'k8s', kind: 'kubernetes', ...fields });
  const lines: string[] = [];
  const log = createLogger('warn', { write: (line) => lines.push(line) });
  const deps = { clock: systemClock, log, metrics: createMetrics() };
  const timings = {
    ...{ probeEveryMs: 20, deadlineMs: 5_000, backoffMs: 20, maxBackoffMs: 50 },
    ...{ deniedRetryMs: 30, absentRetryMs: 30 },
  };
  const source = createKubernetesSource(config, deps, timings);
  const controller = new AbortController();
  const told: DiscoveryUpdate[] = [];
  const running = (async () => {
    for await (const update of source.discover(controller.signal)) told.push(update);
  })();
  const stop = async () => {
    controller.abort(new Error('over'));
    await running;
  };
  onTestFinished(stop);
  const cause = () => told.flatMap((u) => (u.type === 'stale' ? [describeError(u.cause)] : [])).join('\n');
  const warnings = () => lines.filter((line) => line.includes('something is missing'));
  return { told, stop, cause, warnings };
}

const heard = (told: readonly DiscoveryUpdate[], type: DiscoveryUpdate['type']) =>
  eventually(() => told.find((u) => u.type === type), { what: type });

describe('kubernetes source', () => {
  it('tells everything once both kinds are listed, and is alive while probes are answered', async () => {
    const server = await stub(cluster());
    const { told } = follow({ kubeconfig: await kubeconfig(server.url) });
    await heard(told, 'alive');
    expect(told[0]).toMatchObject({ type: 'sync', groups: [{ service: 'a.shop', endpoints: [] }] });
    expect(server.seen.every((s) => s.headers.authorization === 'Bearer abc')).toBe(true);
  });

  it('says nothing of a change before it knows everything', async () => {
    let listSlices: () => void = () => undefined;
    const server = await stub(
      cluster((seen, res) => {
        const watch = seen.query.get('watch') === 'true';
        if (seen.path.endsWith('/endpointslices') && !watch) listSlices = () => json(res, sliceList);
        else if (watch && seen.path.endsWith('/services')) res.write(event('ADDED', service('b', '11')));
        else return false;
        return true;
      }),
    );
    const { told } = follow({ kubeconfig: await kubeconfig(server.url) });
    await eventually(() => server.watches().some((s) => s.path.endsWith('/services')));
    listSlices();
    await heard(told, 'alive');
    const sync = told[0]?.type === 'sync' ? told[0].groups.map((g) => g.service) : [];
    expect(sync).toContain('a.shop');
    expect(told.filter((u) => u.type === 'group' || u.type === 'sync')[0]?.type).toBe('sync');
    await eventually(() => JSON.stringify(told).includes('b.shop'));
  });

  it('ServiceImports that may not be read are none, unless they could be read before', async () => {
    let status = 403;
    const list = { kind: 'ServiceImportList', metadata: { resourceVersion: '10' }, items: [] };
    const server = await stub(
      cluster((seen, res) => {
        if (!seen.path.endsWith('/serviceimports') || status === 0) return false;
        // A watch that ends at once is opened anew, and so meets the next status.
        if (status === 200 && seen.query.get('watch') === 'true') res.end(bookmark('11'));
        else json(res, list, status);
        return true;
      }),
    );
    const { told, cause } = follow({ kubeconfig: await kubeconfig(server.url) });
    await heard(told, 'alive');
    // Asked again and again, and never a fault.
    await eventually(() => server.seen.filter((s) => s.path.endsWith('/serviceimports')).length > 3);
    expect(told.every((u) => u.type !== 'alive' || u.notice === undefined)).toBe(true);
    expect(cause()).toBe('');
    status = 200;
    await eventually(() => server.watches().some((s) => s.path.endsWith('/serviceimports')));
    expect(cause()).toBe('');
    status = 403;
    await heard(told, 'stale');
    expect(cause()).toContain('serviceimports.multicluster.x-k8s.io');
  });

  it('asks only for the namespaces it was given', async () => {
    const server = await stub(cluster());
    const { told } = follow({
      kubeconfig: await kubeconfig(server.url),
      namespaces: ['shop', 'pay', 'shop'],
    });
    await heard(told, 'alive');
    expect(new Set(server.seen.map((s) => s.path))).toEqual(
      new Set([
        '/api/v1/namespaces/shop/services',
        '/api/v1/namespaces/pay/services',
        '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices',
        '/apis/multicluster.x-k8s.io/v1alpha1/namespaces/shop/serviceimports',
        '/apis/multicluster.x-k8s.io/v1alpha1/namespaces/pay/serviceimports',
        '/apis/discovery.k8s.io/v1/namespaces/pay/endpointslices',
        '/api/v1/namespaces/shop/pods',
        '/api/v1/namespaces/pay/pods',
        '/api/v1/nodes',
      ]),
    );
  });

  it('finds the API below a path, as some gateways have it', async () => {
    const server = await stub(cluster());
    const { told } = follow({ kubeconfig: await kubeconfig(`${server.url}/k8s/clusters/c-1/`) });
    await heard(told, 'sync');
    expect(server.seen[0]?.path).toMatch(/^\/k8s\/clusters\/c-1\/api/);
  });

  it.each<[string, Answer, RegExp]>([
    ['HTML', (_, res) => res.end('<html>login</html>'), /not JSON: <html>login/],
    ['500', (_, res) => json(res, { message: 'etcd is gone' }, 500), /500: etcd is gone/],
    ['an empty object', (_, res) => json(res, {}), /not a (Service|EndpointSlice|Pod|Node)List/],
  ])('is stale, never empty, when it is answered with %s', async (_, answer, message) => {
    const server = await stub(answer);
    const { told, cause } = follow({ kubeconfig: await kubeconfig(server.url) });
    await heard(told, 'stale');
    expect(cause()).toMatch(message);
    expect(told.some((u) => u.type === 'sync')).toBe(false);
  });

  it('lists everything anew after a broken watch: what vanished meanwhile is gone', async () => {
    let broken = false;
    const server = await stub(
      cluster((seen, res) => {
        if (!seen.path.endsWith('/services') || seen.query.get('limit') === '1') return false;
        if (seen.query.get('watch') !== 'true') json(res, serviceList(broken ? ['b'] : ['a']));
        else if (broken) res.flushHeaders();
        else {
          broken = true;
          res.write(event('MODIFIED', service('a', '11')), () => res.socket?.destroy());
        }
        return true;
      }),
    );
    const { told } = follow({ kubeconfig: await kubeconfig(server.url) });
    await eventually(() => told.some((u) => u.type === 'sync' && u.groups[0]?.service === 'b.shop'));
    const order = told.map((u) => u.type).filter((type) => type !== 'alive' && type !== 'group');
    expect(order.slice(0, 3)).toEqual(['sync', 'stale', 'sync']);
  });

  it('notices by its probe that the server has stopped answering, whatever its watches do', async () => {
    let dead = false;
    const server = await stub(
      cluster((seen, res) => {
        if (dead && seen.query.get('limit') === '1') json(res, { message: 'no leader' }, 500);
        return dead;
      }),
    );
    const { told, cause } = follow({ kubeconfig: await kubeconfig(server.url) });
    await heard(told, 'alive');
    dead = true;
    await heard(told, 'stale');
    expect(cause()).toMatch(/no leader/);
  });

  it.each<[string, object, RegExp]>([
    ['a file that is not there', { kubeconfig: '/nowhere/config' }, /kubeconfig: \/nowhere\/config: ENOENT/],
    ['a context that it lacks', { context: 'prod' }, /no context "prod"; it has: test/],
  ])('names the trouble with %s', async (_, fields, message) => {
    const { told, cause } = follow({ kubeconfig: await kubeconfig('http://127.0.0.1:1'), ...fields });
    await heard(told, 'stale');
    expect(cause()).toMatch(message);
  });

  it('takes a kubeconfig that is put right later', async () => {
    const server = await stub(cluster());
    const file = await kubeconfig('not a url');
    const { told, cause } = follow({ kubeconfig: file });
    await heard(told, 'stale');
    expect(cause()).toMatch(/no cluster with a server address/);
    await copyFile(await kubeconfig(server.url), file);
    await heard(told, 'sync');
  });

  it('reads a token anew for each request', async () => {
    const server = await stub(cluster());
    const folder = await mkdtemp(join(tmpdir(), 'isthmus-test-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const plugin = join(folder, 'plugin.mjs');
    await writeFile(
      plugin,
      `console.log(JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential',
        status: { token: 'at-' + Date.now() } }))`,
    );
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: process.execPath, args: [plugin] };
    const users = [{ name: 'u', user: { exec } }];
    const { told } = follow({ kubeconfig: await kubeconfig(server.url, { users }) });
    await heard(told, 'alive');
    expect(new Set(server.seen.map((s) => s.headers.authorization)).size).toBeGreaterThan(1);
  });

  it('reads a token file anew for each request, relative to its kubeconfig', async () => {
    const server = await stub(
      cluster((seen, res) => {
        if (seen.headers.authorization === 'Bearer second') return false;
        json(res, { message: 'token expired' }, 401);
        return true;
      }),
    );
    const users = [{ name: 'u', user: { token: 'static', tokenFile: 'token' } }];
    const file = await kubeconfig(server.url, { users });
    const { told, cause } = follow({ kubeconfig: file });
    await heard(told, 'stale');
    expect(cause()).toMatch(/token file .*token: ENOENT/);
    const token = join(dirname(file), 'token');
    await writeFile(token, 'first\n');
    await eventually(() => cause().includes('(401): token expired'));
    await writeFile(token, 'second\n');
    await heard(told, 'alive');
    await writeFile(token, '');
    await eventually(() => /token file .* is empty/.test(cause()));
  });

  it('lives without pods and nodes that it may not read, says so, and asks again', async () => {
    let denied = true;
    const pod = (name: string, version: string) => ({
      metadata: { name, namespace: 'shop', resourceVersion: '10', labels: { version } },
      spec: { serviceAccountName: 'robot' },
    });
    const slice = {
      metadata: { name: 'a-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'a' } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080 }],
      endpoints: [{ addresses: ['10.0.0.1'], nodeName: 'n1', targetRef: { kind: 'Pod', name: 'a-x' } }],
    };
    const server = await stub(
      cluster((seen, res) => {
        const watch = seen.query.get('watch') === 'true';
        const decorates = /\/(pods|nodes)$/.test(seen.path);
        if (decorates && denied) json(res, { message: 'forbidden' }, 403);
        else if (watch) return false;
        else if (seen.path.endsWith('/pods')) json(res, { ...podList, items: [pod('a-x', 'v1')] });
        else if (seen.path.endsWith('/endpointslices')) json(res, { ...sliceList, items: [slice] });
        else return false;
        return true;
      }),
    );
    const { told, warnings } = follow({ kubeconfig: await kubeconfig(server.url) });
    const labels = () =>
      told
        .flatMap((u) => (u.type === 'sync' ? u.groups : u.type === 'group' ? [u.group] : []))
        .at(-1)
        ?.endpoints.map((e) => e.labels);
    const notices = () => told.flatMap((u) => (u.type === 'alive' ? [u.notice ?? ''] : []));
    await heard(told, 'alive');
    expect(labels()).toEqual([{ pod: 'a-x' }]);
    expect(notices()[0]).toMatch(/pods are not known: not allowed to list pods in all namespaces \(403\)/);
    expect(notices()[0]).toMatch(/nodes are not known: not allowed to list nodes in the cluster \(403\)/);
    await eventually(() => server.seen.filter((s) => s.path.endsWith('/pods')).length > 3);
    expect(told.some((u) => u.type === 'stale')).toBe(false);
    expect(warnings()).toHaveLength(2);

    denied = false;
    await eventually(() => labels()?.[0]?.['version'] === 'v1');
    expect(labels()).toEqual([{ version: 'v1', pod: 'a-x', serviceAccount: 'robot' }]);
    await eventually(() => notices().at(-1) === '');
  });

  it('leaves nothing behind', async () => {
    const server = await stub(cluster());
    const file = await kubeconfig(server.url);
    const warm = follow({ kubeconfig: file });
    await heard(warm.told, 'alive');
    await warm.stop();
    const noLeaks = watchLeaks();
    const { told, stop } = follow({ kubeconfig: file });
    await heard(told, 'alive');
    await stop();
    await noLeaks();
  });
});
