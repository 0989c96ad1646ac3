// `isthmus migrate plan` on a running control plane: one service for each thing that may stand in the way, prepared on
// purpose, is found, and what to do is said. Files stand for registries; the true ones are in test/real.
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ReadinessJson } from '../../../admin/readiness.ts';
import type { FindingCode, Severity } from '../../../model/readiness/types.ts';
import { freePort } from '../../support/free-port.ts';
import { startNamedApp } from '../../support/named-app.ts';
import type { NamedApp } from '../../support/named-app.ts';
import { XdsRawClient } from '../../support/xds-raw-client.ts';
import { eventually, run, start } from './command.ts';
import type { Command } from './command.ts';

let dir: string;
let plane: Command;
let admin: string;
let caller: XdsRawClient;
const apps: NamedApp[] = [];

type Labels = Readonly<Record<string, string>>;
type Targets = readonly (readonly [targets: readonly string[], labels?: Labels])[];

interface Prepared {
  readonly what: string;
  readonly vms: Targets;
  readonly pods: Targets;
  /** Where it shall go; `pods` by default. */
  readonly to?: string;
  readonly code: FindingCode;
  readonly severity: Severity;
  /** Part of what is seen on either side, or of the title. */
  readonly told: string;
  readonly todo: string;
}

/** Addresses of this network are not pinged: most of them lead nowhere. */
const FAR = { network: 'far', version: 'v1' };
const vm = (n: number) => `10.0.0.${n}:8080`;
const pod = (n: number) => `10.1.0.${n}:8080`;

const PREPARED: Readonly<Record<string, Prepared>> = {
  ports: {
    what: 'a port that the new side lacks',
    vms: [
      [[vm(1)], FAR],
      [['10.0.0.1:9000'], { ...FAR, port_name: 'admin' }],
    ],
    pods: [[[pod(1)], FAR]],
    code: 'port-missing',
    severity: 'blocker',
    told: 'port admin',
    todo: 'Add port admin to the service on pods',
  },
  protocols: {
    what: 'another protocol',
    vms: [[[vm(2)], { ...FAR, protocol: 'http' }]],
    pods: [[[pod(2)], { ...FAR, protocol: 'grpc' }]],
    code: 'protocol-differs',
    severity: 'blocker',
    told: 'grpc',
    todo: 'one cluster has one protocol',
  },
  idle: {
    what: 'nothing ready on the new side',
    vms: [[[vm(3)], FAR]],
    pods: [[[pod(3)], { ...FAR, weight: '0' }]],
    code: 'none-ready',
    severity: 'blocker',
    told: 'weight 0',
    todo: 'isthmus explain idle.default',
  },
  small: {
    what: 'too little capacity',
    vms: [[[vm(4), vm(5), vm(6), vm(7)], FAR]],
    pods: [[[pod(4)], FAR]],
    code: 'capacity',
    severity: 'blocker',
    told: 'to 31 % and never further',
    todo: 'Have ready weight 3.2 on pods',
  },
  healthy: {
    what: 'another health path',
    vms: [[[vm(8)], { ...FAR, 'isthmus.dev/health-path': '/health' }]],
    pods: [[[pod(8)], { ...FAR, 'isthmus.dev/health-path': '/ready' }]],
    code: 'health-path-differs',
    severity: 'warning',
    told: '/ready',
    todo: 'the same `isthmus.dev/health-path`',
  },
  versions: {
    what: 'a version that is not said',
    vms: [[[vm(9)], FAR]],
    pods: [[[pod(9)], { network: 'far' }]],
    code: 'version-missing',
    severity: 'warning',
    told: 'v1',
    todo: 'Label them `version`',
  },
  absent: {
    what: 'a service that the new side does not have',
    vms: [[[vm(11)], FAR]],
    pods: [],
    code: 'service-missing',
    severity: 'blocker',
    told: 'only vms',
    todo: 'Create the service there under the same name',
  },
  twice: {
    what: 'instances that both sources list',
    vms: [[[vm(12), vm(13)], FAR]],
    pods: [[[vm(12), vm(13)], FAR]],
    code: 'shared-endpoints',
    severity: 'blocker',
    told: 'nothing would move',
    todo: 'exclude what is synced',
  },
  alone: {
    what: 'a policy that isolates',
    vms: [[[vm(14)], FAR]],
    pods: [[[pod(14)], FAR]],
    code: 'policy-isolates',
    severity: 'blocker',
    told: 'alone.default@vms',
    todo: 'Give the service the policy union',
  },
  dimmed: {
    what: 'a new side that does not answer',
    vms: [[[vm(15)], FAR]],
    pods: [],
    to: 'torn',
    code: 'source-dark',
    severity: 'blocker',
    told: 'torn.json',
    todo: 'Make torn answer first',
  },
  calm: {
    what: 'callers that nobody sees, so that no gate can judge',
    vms: [[[vm(16)], FAR]],
    pods: [[[pod(16)], FAR]],
    code: 'nobody-calls',
    severity: 'blocker',
    told: 'no requests',
    todo: 'Send its callers through a sidecar',
  },
  hidden: {
    what: 'a data plane that does not report',
    vms: [[[vm(17)], FAR]],
    pods: [[[pod(17)], FAR]],
    code: 'callers-unseen',
    severity: 'warning',
    told: 'silent-1',
    todo: 'isthmus bootstrap',
  },
};

/** With instances that really answer: filled in before the sources are written. */
const PINGED: Record<string, Prepared> = {};

async function preparePinged(): Promise<void> {
  const app = async (service: string) => {
    const started = await startNamedApp(service);
    apps.push(started);
    return `127.0.0.1:${started.port}`;
  };
  const common = { version: 'v1' };
  PINGED['impostors'] = {
    what: 'addresses that belong to somebody else',
    vms: [[[await app('impostors.default')], common]],
    pods: [[[await app('impostors.default'), await app('payments.default')], common]],
    code: 'other-service',
    severity: 'blocker',
    told: 'answer as payments.default',
    todo: 'take their registrations out of pods',
  };
  PINGED['walled'] = {
    what: 'addresses that cannot be reached',
    vms: [[[await app('walled.default')], common]],
    pods: [[[`127.0.0.1:${await freePort()}`], common]],
    code: 'unreachable',
    severity: 'blocker',
    told: '1 of 1 pings unanswered',
    todo: 'Check the route',
  };
  PINGED['nameless'] = {
    what: 'endpoints without a sidecar',
    vms: [[[await app('nameless.default')], common]],
    pods: [[[await app('')], common]],
    code: 'unproven',
    severity: 'note',
    told: 'unproven',
    todo: 'Put a sidecar beside each instance',
  };
}

const all = () => ({ ...PREPARED, ...PINGED });

/** At once, so that nobody reads half of it. */
async function write(name: string, content: unknown): Promise<void> {
  const file = join(dir, name);
  await writeFile(`${file}.new`, typeof content === 'string' ? content : JSON.stringify(content));
  await rename(`${file}.new`, file);
}

const listOf = (side: 'vms' | 'pods') =>
  Object.entries(all()).flatMap(([service, prepared]) =>
    prepared[side].map(([targets, labels = {}]) => ({ targets, labels: { ...labels, service } })),
  );

const told = async (service: string, to = 'pods'): Promise<ReadinessJson> => {
  const response = await fetch(`${admin}/api/v1/services/${service}/readiness?from=vms&to=${to}`);
  expect(response.status).toBe(200);
  return (await response.json()) as ReadinessJson;
};

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'isthmus-plan-'));
  await preparePinged();
  await mkdir(join(dir, 'policies'));
  await write(
    'policies/alone.yaml',
    'apiVersion: isthmus.dev/v1alpha1\nkind: ServicePolicy\nmetadata: { name: alone }\nspec: { service: alone, policy: isolate }\n',
  );
  await write('vms.json', listOf('vms'));
  await write('pods.json', listOf('pods'));
  await write('torn.json', [{ targets: [pod(15)], labels: { service: 'dimmed', ...FAR } }]);
  const sources = ['vms', 'pods', 'torn'].map((name) => ({ name, kind: 'file', path: `./${name}.json` }));
  await write('isthmus.yaml', { sources, resources: ['./policies'] });
  plane = start(['serve', '--xds', '127.0.0.1:0', '--admin', '127.0.0.1:0'], { cwd: dir });
  const ports = await eventually('serve is up', () => {
    const [, xds] = /"xdsPort":(\d+)/.exec(plane.stderr()) ?? [];
    const [, api] = /"adminPort":(\d+)/.exec(plane.stderr()) ?? [];
    return xds === undefined || api === undefined ? undefined : { xds, api };
  });
  admin = `http://127.0.0.1:${ports.api}`;
  caller = new XdsRawClient(Number(ports.xds), 'delta', { id: 'silent-1', cluster: 'shop.default' });
  await caller.send('cds').expectResponse('cds');
  const until = async (what: string, isSo: () => Promise<boolean>) => {
    let seen = false;
    await eventually(
      what,
      () => {
        void isSo().then(
          (so) => (seen = so),
          () => undefined,
        );
        return seen || undefined;
      },
      60_000,
    );
  };
  const sourceState = async (name: string) => {
    const { items } = (await (await fetch(`${admin}/api/v1/sources`)).json()) as {
      items: { name: string; state: string }[];
    };
    return items.find((source) => source.name === name)?.state;
  };
  await until('all sources are live', async () => {
    const states = await Promise.all(['vms', 'pods', 'torn'].map(sourceState));
    return states.every((state) => state === 'live');
  });
  await write('torn.json', '{');
  await until('one is dark', async () => (await sourceState('torn')) === 'stale');
}, 240_000);

afterAll(async () => {
  caller?.kill();
  plane?.kill('SIGTERM');
  await plane?.exited;
  await Promise.all(apps.map((app) => app.stop()));
  await rm(dir, { recursive: true, force: true });
});

describe('plan finds', () => {
  it.each(Object.entries(PREPARED))('%s: what was prepared', async (service, prepared) => {
    await finds(service, prepared);
  });

  it.each(['impostors', 'walled', 'nameless'])('%s: what pings say', async (service) => {
    const prepared = PINGED[service];
    if (!prepared) throw new Error('not prepared');
    await finds(service, prepared);
  });
});

async function finds(service: string, { to, code, severity, told: said, todo }: Prepared): Promise<void> {
  const plan = await told(service, to);
  const finding = plan.findings.find((each) => each.code === code);
  expect(finding, JSON.stringify(plan.findings, null, 2)).toMatchObject({ code, severity });
  const text = [finding?.title, finding?.from.what, finding?.to.what].join(' ');
  expect(text).toContain(said);
  expect(finding?.todo).toContain(todo);
  expect(plan.ready).toBe(!plan.findings.some((each) => each.severity === 'blocker'));
  expect(plan.score < 50).toBe(!plan.ready);
}

it('prints both sides, each finding with what to do, and the verdict; exit code 1', async () => {
  const { code, stdout } = await run(
    ['migrate', 'plan', 'protocols', '--from', 'vms', '--to', 'pods', '--server', admin],
    { cwd: dir },
  );
  expect(code).toBe(1);
  expect(stdout).toContain('protocols.default: vms → pods');
  expect(stdout).toMatch(/blocker protocol-differs: .*\n {2}vms: http\n {2}pods: grpc\n {2}→ Make both say/);
  expect(stdout).toMatch(/not ready: score \d+ of 100, \d+ blockers?, /);
});

it.each([
  ['plan: a source is missing', ['migrate', 'plan', 'ports', '--from', 'vms', '--to', 'podz'], 1],
  ['plan: no such flag', ['migrate', 'plan', 'ports', '--frm', 'vms'], 2],
  ['plan: nobody answers', ['migrate', 'plan', 'ports', '--server', 'http://127.0.0.1:1'], 3],
  ['retire: no migration', ['migrate', 'retire', 'ports'], 1],
  ['retire: no duration', ['migrate', 'retire', 'ports', '--after', 'soon'], 2],
  ['retire: nobody answers', ['migrate', 'retire', 'ports', '--server', 'http://127.0.0.1:1'], 3],
])('exit codes, %s', async (_, args, expected) => {
  const at = args.includes('--server') ? [] : ['--server', admin];
  const { code, stdout } = await run([...args, ...at], { cwd: dir });
  expect([code, stdout]).toEqual([expected, '']);
});

it('gives the same as JSON', async () => {
  const args = ['migrate', 'plan', 'ports', '--from', 'vms', '--to', 'pods', '--server', admin, '-o', 'json'];
  const { code, stdout } = await run(args, { cwd: dir });
  const plan = JSON.parse(stdout) as ReadinessJson;
  expect([code, plan.service, plan.ready]).toEqual([1, 'ports.default', false]);
  expect(plan.sides.from).toMatchObject({ source: 'vms', state: 'live', endpoints: 1, ready: 1 });
});

it.each([
  [['--from', 'vms'], 1],
  [['--from', 'vms', '--to', 'vms'], 1],
  [['--from', 'vms', '--to', 'podz'], 1],
])('is asked for two sources that exist: %s', async (flags, expected) => {
  const { code, stderr } = await run(['migrate', 'plan', 'ports', ...flags, '--server', admin], { cwd: dir });
  expect([code, stderr]).toEqual([
    expected,
    expect.stringMatching(/two different sources|did you mean pods/),
  ]);
});
