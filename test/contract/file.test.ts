// The contract on files, in both formats.
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';
import { stringify } from 'yaml';
import { createFileSource } from '../../adapters/file/index.ts';
import { fileSource } from '../../config/schema.ts';
import { testDeps } from './fixtures/deps.ts';
import { contract } from './suite.ts';
import type { Instance, RegistryFixture } from './suite.ts';

const timings = { pollMs: 100, quietMs: 10, probeEveryMs: 200, deadlineMs: 1_000 };

interface Layout {
  readonly format: 'file_sd' | 'kubernetes';
  /** As in the config, inside the test's folder. */
  readonly path: string;
  /** Puts the text where the source looks for it. */
  readonly write: (dir: string, text: string) => Promise<void>;
}

function fileFixture({ format, path, write }: Layout): RegistryFixture {
  let dir = '';
  const services = new Map<string, readonly Instance[]>();
  const text = () => (format === 'file_sd' ? targetGroups(services) : manifests(services));
  const good = () => write(dir, text());
  const bad = (name: string, broken: () => string | undefined) => ({
    name,
    begin: async () => {
      const what = broken();
      if (what === undefined) await remove();
      else await write(dir, what);
    },
    end: good,
  });
  const remove = () => rm(join(dir, 'data'), { recursive: true });
  return {
    async start() {
      dir = await mkdtemp(join(tmpdir(), 'isthmus-contract-'));
      await good();
    },
    stop: () => rm(dir, { recursive: true }),
    discoverer: async () =>
      createFileSource(
        fileSource.parse({ name: 'files', kind: 'file', format, path: join(dir, path) }),
        testDeps(),
        timings,
      ),
    async set(name, instances) {
      if (instances.length === 0) services.delete(name);
      else services.set(name, instances);
      await good();
    },
    serviceOf: (name) => `${name}.default`,
    markOf(group, key) {
      const endpoint = group.endpoints.find((e) => `${e.address}:${e.port}` === key);
      return (format === 'file_sd' ? endpoint?.labels['version'] : endpoint?.locality.zone) ?? 'absent';
    },
    faults: [
      bad('the file is away', () => undefined),
      bad('the file is empty', () => ''),
      bad('the file ends in the middle', () => text().slice(0, -3)),
      bad('the file is a web page', () => '<html><body>Sign in</body></html>'),
      bad('the file has 100 MB', () => `["${'a'.repeat(100_000_000)}"]`),
      bad('one instance is wrong', () => text().replaceAll('10.1.0.2', '10.1.0')),
    ],
    async startOver() {
      services.clear();
      await good();
    },
    emptyIs: 'empty',
    lastLeaves: ['gone'],
    staleWithinMs: 3_000,
    changeWithinMs: 5_000,
  };
}

/** JSON: cut short, it is no YAML either. */
function targetGroups(services: ReadonlyMap<string, readonly Instance[]>): string {
  return JSON.stringify(
    [...services].flatMap(([service, instances]) =>
      instances.map(({ address, port, mark = '1' }) => ({
        targets: [`${address}:${port}`],
        labels: { service, version: mark },
      })),
    ),
  );
}

function manifests(services: ReadonlyMap<string, readonly Instance[]>): string {
  const docs = [...services].flatMap(([name, instances]) => [
    { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { ports: [{ name: 'a', port: 80 }] } },
    ...instances.map(({ address, port, mark = '1' }) => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${name}-${address}`, labels: { 'kubernetes.io/service-name': name } },
      ports: [{ name: 'a', port }],
      endpoints: [{ addresses: [address], zone: mark }],
    })),
  ]);
  const list = { apiVersion: 'v1', kind: 'List', items: docs };
  // Flow style ends with its bracket: cut short, it is broken.
  return stringify(list, { collectionStyle: 'flow' }).trimEnd();
}

const plain = async (dir: string, text: string) => {
  await mkdir(join(dir, 'data'), { recursive: true });
  await writeFile(join(dir, 'data/one.yaml'), text);
};

/** As Kubernetes updates a mounted ConfigMap: a new folder, and a link that is swapped. */
const configMap = async (dir: string, text: string) => {
  const base = join(dir, 'data');
  const version = `..${Date.now()}-${Math.random()}`;
  await mkdir(join(base, version), { recursive: true });
  await writeFile(join(base, version, 'one.yaml'), text);
  await symlink('..data/one.yaml', join(base, 'one.yaml')).catch(() => undefined);
  await symlink(version, join(base, '..tmp'));
  await rename(join(base, '..tmp'), join(base, '..data'));
};

const LAYOUTS: Readonly<Record<string, Layout>> = {
  'a file_sd file': { format: 'file_sd', path: 'data/one.yaml', write: plain },
  'file_sd files by a pattern': { format: 'file_sd', path: 'data/*.yaml', write: plain },
  'a mounted ConfigMap': { format: 'file_sd', path: 'data/*.yaml', write: configMap },
  'Kubernetes manifests': { format: 'kubernetes', path: 'data/one.yaml', write: plain },
};
for (const [title, layout] of Object.entries(LAYOUTS)) {
  describe(title, () => contract(fileFixture(layout), fileFixture(layout)));
}
