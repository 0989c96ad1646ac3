// `isthmus migrate plan` over a true Consul and a true kube-apiserver: what may stand in the way of a move is prepared
// in the registries themselves, and found with what to do about it. The same on files: test/unit/cli/migrate-plan.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ReadinessJson } from '../../admin/readiness.ts';
import type { SourceJson } from '../../admin/types.ts';
import type { FindingCode, Severity } from '../../model/readiness/types.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { callHttp } from '../support/hands/hand.ts';
import { mainFile } from '../support/isthmus.ts';
import { kubeApi, serviceObject, sliceObject } from '../support/kube-api.ts';
import type { KubeApi, PortSpec, SliceEndpoint } from '../support/kube-api.ts';
import { startNamedApp } from '../support/named-app.ts';
import type { NamedApp } from '../support/named-app.ts';
import type { Peer } from '../support/peer.ts';

const SOON = { withinMs: 100_000 };
const STEP_MS = 240_000;
/** What stands in the way without any registry. */
const RESOURCES = `
apiVersion: isthmus.dev/v1alpha1
kind: ServicePolicy
metadata: { name: alone }
spec: { service: alone, policy: isolate }
---
apiVersion: isthmus.dev/v1alpha1
kind: Migration
metadata: { name: moving }
spec: { service: moving, from: consul-dc1, to: k8s, steps: [{ percent: 100 }], freeze: [{ from: "00:00", to: "24:00" }] }
`;

describePeers(['consul', 'kubernetes'], 'plan', (start) => {
  let folder: string;
  let control: ControlPlaneProcess;
  let consul: Peer;
  let kube: KubeApi;
  let impostor: NamedApp;

  const vm = (service: string, address: string, meta: Readonly<Record<string, string>> = {}, port = 8080) =>
    callHttp('PUT', `${consul.url}/v1/catalog/register`, {
      Node: `node-${service}-${address}`,
      Address: address,
      Service: {
        ID: `${service}-${address}`,
        Service: service,
        Address: address,
        Port: port,
        Meta: { version: 'v1', ...meta },
      },
    });
  const pods = async (
    service: string,
    endpoints: readonly SliceEndpoint[],
    port: PortSpec = { name: 'http', port: 8080 },
  ) => {
    await kube.create(serviceObject(service, [port]));
    await kube.create(sliceObject(`${service}-a`, service, [port], endpoints));
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-plan-'));
    const [consulPeer, kubePeer] = await Promise.all([start('consul'), start('kubernetes')]);
    consul = consulPeer;
    kube = kubeApi(kubePeer);
    impostor = await startNamedApp('payments.default');

    await vm('ported', '10.0.1.1');
    await pods('ported', [{ address: '10.1.1.1' }]);
    await kube.patch(
      { kind: 'Service', name: 'ported' },
      {
        spec: {
          ports: [
            { name: 'http', port: 8080 },
            { name: 'admin', port: 9000 },
          ],
        },
      },
    );
    await vm('spoken', '10.0.1.2', { protocol: 'http' });
    await pods('spoken', [{ address: '10.1.1.2' }], { name: 'http', port: 8080, appProtocol: 'grpc' });
    await vm('idle', '10.0.1.3');
    await pods('idle', [{ address: '10.1.1.3', ready: false }]);
    for (const n of [4, 5, 6, 7]) await vm('small', `10.0.2.${n}`);
    await pods('small', [{ address: '10.1.2.4' }]);
    await vm('healthy', '10.0.1.8', { health: '/health' });
    await pods('healthy', [{ address: '10.1.1.8' }]);
    await vm('twice', '10.0.1.9');
    await pods('twice', [{ address: '10.0.1.9' }]);
    await vm('absent', '10.0.1.10');
    await vm('orders', '127.0.0.1', {}, impostor.port);
    await pods('orders', [{ address: '10.1.1.11' }]);
    await vm('lame', '10.0.1.12');
    await pods('lame', [{ address: '10.1.1.12' }]);
    await vm('alone', '10.0.1.13');
    await pods('alone', [{ address: '10.1.1.13' }]);
    await vm('moving', '10.0.1.14');
    await pods('moving', [{ address: '10.1.1.14' }]);
    await writeFile(join(folder, 'resources.yaml'), RESOURCES);

    const sources = [
      {
        name: 'consul-dc1',
        kind: 'consul',
        address: consul.url,
        // Consul takes no slash in the names of meta.
        labels: { 'isthmus.dev/health-path': 'health' },
      },
      {
        name: 'k8s',
        kind: 'kubernetes',
        kubeconfig: kubePeer.kubeconfigFile,
        namespaces: ['default'],
        exclude: { services: ['kubernetes'] },
      },
    ];
    control = await startControlPlane(folder, sources, { resources: ['./resources.yaml'] });
  }, STEP_MS);
  afterAll(async () => {
    await control?.stop();
    await kube?.close();
    await impostor?.stop();
    await rm(folder, { recursive: true, force: true });
  }, STEP_MS);

  const plan = (service: string, from: string, to: string) =>
    new Promise<{ code: number; told: ReadinessJson }>((resolve, reject) => {
      const args = ['migrate', 'plan', service, '--from', from, '--to', to, '-o', 'json'];
      execFile(
        process.execPath,
        [mainFile(), ...args, '--server', control.adminUrl],
        (error, stdout, stderr) => {
          const code = error ? Number(error.code) : 0;
          if (stdout === '') reject(new Error(stderr));
          else resolve({ code, told: JSON.parse(stdout) as ReadinessJson });
        },
      );
    });

  type Expected = readonly [
    service: string,
    code: FindingCode,
    severity: Severity,
    told: string,
    todo: string,
    from: string,
    to: string,
  ];
  const AWAY = ['consul-dc1', 'k8s'] as const;
  const BACK = ['k8s', 'consul-dc1'] as const;
  const EXPECTED: readonly Expected[] = [
    ['ported', 'port-missing', 'blocker', 'port admin', 'Add port admin', ...BACK],
    ['spoken', 'protocol-differs', 'blocker', 'grpc', '`appProtocol`', ...AWAY],
    ['idle', 'none-ready', 'blocker', '1 endpoint, none ready', 'isthmus explain idle.default', ...AWAY],
    ['small', 'capacity', 'blocker', 'to 31 % and never further', 'Have ready weight 3.2 on k8s', ...AWAY],
    ['healthy', 'health-path-differs', 'warning', '/health', '`isthmus.dev/health-path`', ...AWAY],
    ['healthy', 'version-missing', 'warning', 'v1', 'Label them `version`', ...AWAY],
    ['twice', 'shared-endpoints', 'blocker', 'nothing would move', 'exclude what is synced', ...AWAY],
    ['absent', 'service-missing', 'blocker', 'only consul-dc1', 'Create the service there', ...AWAY],
    [
      'orders',
      'other-service',
      'blocker',
      'answer as payments.default',
      'take their registrations out',
      ...BACK,
    ],
    ['lame', 'nobody-calls', 'blocker', 'no requests', 'through a sidecar', ...AWAY],
    ['alone', 'policy-isolates', 'blocker', 'alone.default@consul-dc1', 'the policy union', ...AWAY],
    ['moving', 'already-running', 'blocker', 'is not over', 'isthmus migrate', ...AWAY],
  ];

  it.each(EXPECTED)(
    '%s: finds %s',
    { timeout: STEP_MS },
    async (service, code, severity, said, todo, from, to) => {
      const { code: exit, told } = await plan(service, from, to);
      const finding = told.findings.find((each) => each.code === code);
      expect(finding, JSON.stringify(told.findings, null, 2)).toMatchObject({ severity });
      expect([finding?.title, finding?.from.what, finding?.to.what].join(' ')).toContain(said);
      expect(finding?.todo).toContain(todo);
      expect([exit, told.ready]).toEqual([1, false]);
    },
  );

  it('a registry that is killed is a blocker where it goes to', { timeout: STEP_MS }, async () => {
    await consul.kill();
    await eventually(async () => {
      const { items } = (await (await fetch(`${control.adminUrl}/api/v1/sources`)).json()) as {
        items: SourceJson[];
      };
      return items.find(({ name }) => name === 'consul-dc1')?.state === 'stale';
    }, SOON);
    const { told } = await plan('lame', 'k8s', 'consul-dc1');
    const finding = told.findings.find((each) => each.code === 'source-dark');
    expect(finding).toMatchObject({ severity: 'blocker', to: { by: 'consul-dc1' } });
    expect(finding?.todo).toContain('Make consul-dc1 answer first');
  });
});
