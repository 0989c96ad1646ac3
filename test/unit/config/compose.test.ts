// The demo in compose/: its config is good, and asks at the addresses that its compose file publishes.
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { CONFIG_FILE, sourcesAt } from '../../../compose/world.ts';
import { loadConfig } from '../../../config/load.ts';

const KINDS = ['consul', 'dns', 'etcd', 'eureka', 'file', 'kubernetes', 'zookeeper'];

it('is a good config with every kind', async () => {
  const config = await loadConfig(CONFIG_FILE, { flags: {}, env: {} });
  expect([...new Set(config.sources.map(({ kind }) => kind))]).toEqual(expect.arrayContaining(KINDS));
});

it('asks where the compose file listens, on loopback, with images that are pinned', async () => {
  const folder = new URL('../../../compose/', import.meta.url);
  const text = await readFile(new URL('compose.yaml', folder), 'utf8');
  const { services } = parse(text) as { services: Record<string, { image?: string; ports?: string[] }> };
  const published = Object.values(services).flatMap(({ ports = [] }) => ports);
  for (const port of published) expect(port).toMatch(/^127\.0\.0\.1:/);
  const asked = `${await readFile(CONFIG_FILE, 'utf8')}${await readFile(new URL('kube/config', folder), 'utf8')}`;
  const addresses = [...asked.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port));
  const own = [15010, 15080];
  for (const port of addresses.filter((one) => !own.includes(one))) {
    expect(published.map((one) => Number(one.split(':')[1]))).toContain(port);
  }
  for (const [, image] of text.matchAll(/image: (.*)/g)) expect(image).toMatch(/:-[^}]+:v?\d[\d.]*}$/);
});

it('can be asked elsewhere, by the names of its sources only', async () => {
  const sources = await sourcesAt({ zk: { servers: ['127.0.0.1:1'] } });
  expect(sources).toContainEqual(expect.objectContaining({ name: 'zk', servers: ['127.0.0.1:1'] }));
  await expect(sourcesAt({ zookeeper: {} })).rejects.toThrow('no source zookeeper');
});
