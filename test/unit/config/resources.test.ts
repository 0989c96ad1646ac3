// ServicePolicy and the files it stands in: what it means, what is told about faults, and that a fault never
// takes back what was good.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { knownSources } from '../../../config/known-sources.ts';
import { parseConfig } from '../../../config/load.ts';
import { servicePolicy } from '../../../config/service-policy.ts';
import { rulesFrom } from '../../../config/policy.ts';
import { formatProblem } from '../../../config/problems.ts';
import { holdsResources, loadResources, parseResources } from '../../../config/resources.ts';
import type { Resources } from '../../../config/resources.ts';
import { watchResources } from '../../../config/watch-resources.ts';
import { systemClock } from '../../../lib/clock.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import { eventually } from '../../support/eventually.ts';

const CONTEXT = { base: DEFAULT_RULES };

const policy = (service: string, spec: string) =>
  `apiVersion: isthmus.dev/v1alpha1\nkind: ServicePolicy\nmetadata: { name: p }\nspec:\n  service: ${service}\n  ${spec}\n`;

const parse = (text: string, context: Parameters<typeof parseResources>[1] = CONTEXT) =>
  parseResources([{ file: 'p.yaml', text }], context);

function faults(text: string, context: Parameters<typeof parseResources>[1] = CONTEXT): readonly string[] {
  try {
    parse(text, context);
    return [];
  } catch (thrown) {
    return String((thrown as Error).message).split('\n');
  }
}

describe('a ServicePolicy', () => {
  it.each([
    ['policy: union', { kind: 'union' }],
    ['policy: isolate', { kind: 'isolate' }],
    ['policy: { prefer: [a, b] }', { kind: 'prefer', sources: ['a', 'b'] }],
    ['policy: { weighted: { a: 90, b: 10 } }', { kind: 'weighted', shares: { a: 90, b: 10 } }],
    ['policy: { weighted: { a: 1, b: 0 } }', { kind: 'weighted', shares: { a: 1, b: 0 } }],
    [
      'policy: { weighted: [{ source: a, percent: 99.5 }, { source: b, percent: 0.5 }] }',
      { kind: 'weighted', shares: { a: 99.5, b: 0.5 } },
    ],
  ])('says %s', (text, expected) => {
    expect(parse(policy('orders', text)).rules.get('orders.default')?.policy).toEqual(expected);
  });

  it.each([
    ['policy: unoin', /:6:11: spec.policy: expected union, isolate, .* got "unoin"/],
    ['policy: { prefer: [] }', /:6:21: spec.policy.prefer: expected a list of sources/],
    ['policy: { prefer: [a, a] }', /spec.policy.prefer\[1\]: expected the name of a source, each one once/],
    ['policy: { weighted: { a: -1 } }', /:6:28: spec.policy.weighted.a: expected a share/],
    ['policy: { weighted: { a: 0 } }', /at least one share above 0/],
    ['policy: { weighted: [{ source: a, percent: 90 }] }', /percents that add up to 100/],
    ['policy: { weighted: [{ source: a, share: 90 }] }', /\{source: NAME, percent: NUMBER\}/],
    ['policy: { prefer: [a], weighted: { a: 1 } }', /expected union, isolate/],
    ['panicThreshold: 101', /:6:19: spec.panicThreshold: expected a percentage/],
    ['sharedAddresses: [10.0.0.1/8]', /the first address of its range: 10.0.0.0\/8/],
    ['identity: stict', /did you mean "strict"/],
    ['polcy: union', /:6:3: spec.polcy: unknown field, did you mean "policy"/],
  ])('refuses %s', (text, expected) => {
    const found = faults(policy('orders', text));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
  });

  it('takes what it does not say from the config; ranges add up', () => {
    const base = rulesFrom({ identity: 'strict', panicThreshold: 20, sharedAddresses: ['10.0.0.0/8'] });
    const { rules } = parse(policy('Orders', 'sharedAddresses: [192.168.0.0/16]'), { base });
    expect(rules.get('orders.default')).toEqual({
      ...base,
      sharedAddresses: ['10.0.0.0/8', '192.168.0.0/16'],
    });
  });

  it('is found at its place among several documents, and named twice it is a fault', () => {
    const good = policy('orders', 'pin: true');
    expect(parse(`---\n${good}---\n${policy('users.shop', 'pin: true')}---\n`).count).toBe(2);
    expect(faults(`${good}---\n${policy('orders.default', 'policy: nonsense')}`)).toEqual([
      expect.stringMatching(/^p.yaml:13:11: spec.policy: expected/),
    ]);
    expect(faults(`${good}---\n${good}`)).toEqual([
      'p.yaml:12:12: spec.service: "orders.default" has a policy at p.yaml:5 already',
    ]);
  });

  it('may name only sources that there are or will be', () => {
    const sources = knownSources({
      sources: configOf('{ name: dc, kind: consul, datacenters: all }, { name: k8s, kind: kubernetes }')
        .sources,
    });
    const context = { base: DEFAULT_RULES, sources };
    expect(faults(policy('o', 'policy: { prefer: [k8s, dc-east] }'), context)).toEqual([]);
    expect(faults(policy('o', 'policy: { prefer: [k9s] }'), context)).toEqual([
      'p.yaml:6:22: spec.policy.prefer[0]: unknown source "k9s", did you mean "k8s"?',
    ]);
    expect(faults(policy('o', 'policy: { weighted: { dc: 1, east: 1 } }'), context)).toEqual([
      expect.stringContaining('spec.policy.weighted.east: unknown source "east"'),
    ]);
  });

  it('is told from a config, and other kinds are refused', () => {
    expect(holdsResources(policy('o', 'pin: true'), 'p')).toBe(true);
    expect(holdsResources('sources: [{ name: a, kind: file, path: x }]', 'c')).toBe(false);
    expect(faults('kind: ServicePolice')).toEqual([expect.stringContaining('did you mean "ServicePolicy"')]);
    expect(faults('- 1')).toEqual([expect.stringContaining('expected a resource of kind')]);
    expect(faults('a: [')[0]).toContain('not valid YAML');
  });
});

function configOf(sources: string, more = '') {
  const result = parseConfig(`sources: [${sources}]\n${more}`, '/etc/isthmus.yaml');
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join('\n'));
  return result.config;
}

describe('merge in the config', () => {
  it('is the same for all services, and resources are relative to it', () => {
    const config = configOf(
      '{ name: k8s, kind: kubernetes }',
      'merge: { policy: { prefer: [k8s] } }\nresources: [./r]',
    );
    expect(rulesFrom(config.merge)).toEqual({
      ...DEFAULT_RULES,
      policy: { kind: 'prefer', sources: ['k8s'] },
    });
    expect(config.resources).toEqual(['/etc/r']);
  });

  it('names only sources of the config', () => {
    const text =
      'merge: { policy: { weighted: { k8s: 1, consl: 2 } } }\nsources: [{ name: k8s, kind: kubernetes }]';
    const result = parseConfig(text, 'c.yaml');
    expect(result.ok ? [] : result.problems.map(formatProblem)).toEqual([
      expect.stringMatching(/^c.yaml:1:47: merge.policy.weighted.consl: unknown source "consl"/),
    ]);
  });
});

describe('files of resources', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-resources-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('are read from a directory; the problems of all of them come at once', async () => {
    await writeFile(join(folder, 'a.yaml'), policy('a', 'pin: true'));
    await writeFile(join(folder, 'notes.txt'), 'no resource');
    expect((await loadResources([folder], CONTEXT)).count).toBe(1);
    await writeFile(join(folder, 'b.yaml'), policy('b', 'pin: maybe'));
    await writeFile(join(folder, 'c.json'), '{"kind": 1}');
    const error = await loadResources([folder, join(folder, 'none.yaml')], CONTEXT).catch((e: unknown) => e);
    expect(String(error)).toContain('none.yaml: cannot be read');
    const both = await loadResources([folder], CONTEXT).catch((e: unknown) => e);
    expect(String(both)).toMatch(/b\.yaml:6:8: spec\.pin: .*\n.*c\.json:1:10: kind: /);
  });

  it('are followed; a bad state is told as such', async () => {
    const told: (Resources | Error)[] = [];
    const end = new AbortController();
    const file = join(folder, 'a.yaml');
    await writeFile(file, policy('a', 'pin: true'));
    const watching = watchResources(
      [folder],
      {
        clock: systemClock,
        context: CONTEXT,
        pollMs: 10,
        onResources: (resources) => told.push(resources),
        onFault: (error) => told.push(error),
      },
      end.signal,
    );
    const last = () => told.at(-1);
    const identity = () => {
      const now = last();
      return now && !(now instanceof Error) && now.rules.get('a.default')?.identity;
    };
    await eventually(() => identity() === 'permissive');
    await writeFile(file, policy('a', 'pin: perhaps'));
    await eventually(() => last() instanceof Error);
    await writeFile(file, policy('a', 'identity: strict'));
    await eventually(() => identity() === 'strict');
    end.abort();
    await watching;
  });
});

describe('how callers treat a service', () => {
  const spec = (more: object) =>
    servicePolicy.safeParse({
      apiVersion: 'isthmus.dev/v1alpha1',
      kind: 'ServicePolicy',
      metadata: { name: 'orders' },
      spec: { service: 'orders', ...more },
    });

  it('is read to plain numbers, and is absent when nothing is said', () => {
    const { data } = spec({
      timeout: '1.5s',
      retries: { attempts: 3, on: ['5xx'], perTryTimeout: '50ms', hedge: true },
      balancer: { ringHash: { header: 'x-user' } },
      outlierDetection: {},
      pool: { maxConnections: 10, idleTimeout: '0' },
      breaker: {
        failureRate: { minSuccessPercent: 99.5, window: '10s' },
        latency: { percentile: 90, interval: '50ms', baselineInterval: '30s', maxConcurrency: 100 },
      },
    });
    expect(data && rulesFrom(data.spec).traffic).toMatchObject({
      timeoutMs: 1_500,
      retries: { attempts: 3, on: ['5xx'], perTryMs: 50, hedge: true },
      balancer: { ringHash: { header: 'x-user' } },
      outlier: {},
      pool: { maxConnections: 10, idleMs: 0 },
      breaker: {
        failureRate: { minSuccessPercent: 99.5, windowMs: 10_000 },
        latency: { percentile: 90, intervalMs: 50, baselineMs: 30_000, maxConcurrency: 100 },
      },
    });
    const fast = spec({ balancer: 'peakEwma' }).data;
    expect(fast && rulesFrom(fast.spec).traffic?.balancer).toBe('peakEwma');
    const nothing = spec({}).data;
    expect(nothing && 'traffic' in rulesFrom(nothing.spec)).toBe(false);
  });

  it.each([
    { timeout: 'soon' },
    { retries: { on: ['sometimes'] } },
    { retries: { attempts: 1.5 } },
    { retries: { hedge: true } },
    { retries: { statusCodes: [200] } },
    { balancer: 'best' },
    { outlierDetection: { maxEjectionPercent: 101 } },
    { pool: { maxConections: 1 } },
    { pool: { connectTimeout: '0' } },
    { breaker: { failureRate: { minSuccessPercent: 0 } } },
    { breaker: { failureRate: { window: '1.5s' } } },
    { breaker: { failureRate: { aggression: 0.5 } } },
    { breaker: { latency: { minConcurrency: 0 } } },
    { breaker: { latency: { maxConcurrency: 2 } } },
    { breaker: { latency: { interval: '0s' } } },
    { breaker: { latency: { baselineInterval: '25h' } } },
    { breaker: { latency: { percentile: 101 } } },
    { breaker: { latency: { fixedValue: '1s' } } },
  ])('is refused as %o', (more) => {
    expect(spec(more).success).toBe(false);
  });
});
