// The documents say what the source says: every field, flag, variable and dependency, and no dead links.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { SOURCE_KINDS, fieldsAt } from '../../../config/explain.ts';
import { parseConfig } from '../../../config/load.ts';
import { SCALARS } from '../../../config/overrides.ts';
import { formatProblem } from '../../../config/problems.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const PAGES = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].concat(
  readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
);

describe('docs/config.md', () => {
  const text = read('docs/config.md');

  it.each(SOURCE_KINDS)('has every field of kind %s', (kind) => {
    const fields = fieldsAt(['sources', 0], { sources: [{ kind }] });
    expect(fields).toContain('name');
    // `include` has one field of its own and is written with it.
    const missing = fields.filter((field) => !text.includes(`\`${field}\``) && !text.includes(`\`${field}.`));
    expect(missing).toEqual([]);
  });

  it('has every other field, flag and variable', () => {
    const parts = fieldsAt([], {}).flatMap((field) => {
      const inner = fieldsAt([field], {});
      return inner.length === 0 ? [field] : inner.map((name) => `${field}.${name}`);
    });
    for (const part of parts) expect(text).toContain(`\`${part}\``);
    for (const { field, flag, variable } of SCALARS) {
      expect(text).toContain(`| \`${field}\` | \`${flag}\` | \`${variable}\` |`);
    }
  });
});

it('docs/metrics.md has every metric with its type and labels, and no other', async () => {
  const { registry } = createMetrics();
  const metrics = await registry.getMetricsAsJSON();
  const labels = (name: string) =>
    (registry.getSingleMetric(name) as { labelNames?: string[] }).labelNames ?? [];
  const wanted = metrics.map(({ name, type }) => {
    const own = labels(name).map((label) => `\`${label}\``);
    return `| \`${name}\` | ${String(type)} | ${own.join(', ') || '–'} |`;
  });
  const rows = read('docs/metrics.md').match(/^\| `isthmus_[^|]+\|[^|]+\|[^|]+\|/gm) ?? [];
  expect([...rows].sort()).toEqual([...wanted].sort());
});

it('docs/cli.md has every command', () => {
  const files = readdirSync(join(ROOT, 'cli/program')).map((name) => `cli/program/${name}`);
  const source = ['cli/main.ts', ...files].map(read).join('\n');
  const commands = [...source.matchAll(/\bprogram\s*\.command\('([a-z-]+)/g)].map((m) => m[1] ?? '');
  expect(commands).toEqual(expect.arrayContaining(['serve', 'proxy', 'get', 'endpoint', 'migrate']));
  const text = read('docs/cli.md');
  expect(commands.filter((name) => !text.includes(`\`isthmus ${name}`))).toEqual([]);
});

it("the README's config is valid", () => {
  const [, yaml] = /```yaml\n([^]*?)```/.exec(read('README.md')) ?? [];
  const result = parseConfig(yaml ?? '', 'README.md');
  expect(result.ok ? [] : result.problems.map(formatProblem)).toEqual([]);
});

it('docs/dependencies.md has every package and no other', () => {
  const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string> | undefined>;
  const wanted = ['dependencies', 'optionalDependencies', 'devDependencies'].flatMap((kind) =>
    Object.keys(manifest[kind] ?? {}),
  );
  const rows = [...read('docs/dependencies.md').matchAll(/^\| (`[^|]+) \|/gm)];
  const listed = rows.flatMap(([, cell]) => [...(cell ?? '').matchAll(/`([^`]+)`/g)].map((m) => m[1] ?? ''));
  expect([...listed].sort()).toEqual([...wanted].sort());
});

it.each(PAGES)('%s has no dead links', (page) => {
  const text = read(page).replace(/```[^]*?```/g, '');
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((m) => m[1] ?? '');
  const dead = links.filter((link) => {
    const [path] = link.split('#');
    return !/^https?:/.test(link) && path && !existsSync(join(ROOT, dirname(page), path));
  });
  expect(dead).toEqual([]);
});
