// docs/merge.md: every example of the page is run, so that the page and the merge say the same.
import { readFileSync } from 'node:fs';
import { expect, describe, it } from 'vitest';
import { parse } from 'yaml';
import { parseResources } from '../../../config/resources.ts';
import { endpointKey } from '../../../model/endpoint.ts';
import { mergeShards } from '../../../model/merge.ts';
import { emptiness } from '../../../model/merge/emptiness.ts';
import { localityGroups, sharesOf } from '../../../model/merge/localities.ts';
import type { MergedEndpoint } from '../../../model/merge/types.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import type { ServiceRules } from '../../../model/rules.ts';
import { sliceOf } from './slices.ts';
import type { SliceSpec } from './slices.ts';

interface Expected {
  readonly at: string;
  readonly share?: number;
  readonly factors?: Readonly<Record<string, number>>;
}

interface Example extends Omit<SliceSpec, 'rules'> {
  readonly rules?: object;
  readonly callers: readonly Expected[];
  readonly withheld?: readonly string[];
  readonly pinned?: Readonly<Record<string, readonly string[]>>;
  readonly emptiness?: string;
  readonly unchangedBy?: readonly Partial<SliceSpec>[];
}

const page = readFileSync(new URL('../../../docs/merge.md', import.meta.url), 'utf8');

/** Each with the rule that it stands under. */
const EXAMPLES = page.split(/^## /m).flatMap((section) => {
  const title = section.slice(0, section.indexOf('\n'));
  return [...section.matchAll(/```yaml\n([^]*?)```/g)]
    .map((match) => parse(match[1] ?? '') as Example)
    .filter((example) => 'callers' in example)
    .map((example, index) => ({ name: `${title} (${index + 1})`, example }));
});

/** As a ServicePolicy's spec: what the page says of rules is what the config takes. */
function rulesOf(fields: object | undefined): ServiceRules {
  if (fields === undefined) return DEFAULT_RULES;
  const spec = { service: 'orders.default', ...fields };
  const text = JSON.stringify({
    apiVersion: 'isthmus.dev/v1alpha1',
    kind: 'ServicePolicy',
    metadata: { name: 'example' },
    spec,
  });
  const { rules } = parseResources([{ file: 'merge.md', text }], { base: DEFAULT_RULES });
  return rules.get('orders.default') ?? DEFAULT_RULES;
}

const told = (endpoint: MergedEndpoint) => ({
  at: endpointKey(endpoint),
  health: endpoint.health,
  weight: endpoint.weight,
  priority: endpoint.priority,
  side: endpoint.side,
  sources: endpoint.sources,
  heard: endpoint.verdict.heard,
  reason: endpoint.verdict.health.reason,
  factors: Object.fromEntries(endpoint.verdict.factors.map(({ name, value }) => [name, value])),
});

describe.each(EXAMPLES)('$name', ({ example }) => {
  const spec: SliceSpec = { ...example, rules: rulesOf(example.rules) };
  const slice = sliceOf(spec);
  const merged = mergeShards(slice);
  const endpoints = merged.ports.flatMap((port) => port.endpoints);

  it('gives callers what the page says', () => {
    const shares = sharesOf(localityGroups(endpoints, slice.rules.policy));
    expect(endpoints.map(endpointKey)).toEqual(example.callers.map(({ at }) => at));
    endpoints.forEach((endpoint, index) => {
      const { share, ...expected } = example.callers[index] ?? { at: '' };
      expect(told(endpoint)).toMatchObject(expected);
      if (expected.factors) expect(told(endpoint).factors).toEqual(expected.factors);
      if (share !== undefined) expect(shares.get(endpoint) ?? 0).toBeCloseTo(share, 4);
    });
    expect(merged.ports.flatMap((port) => port.withheld.map(endpointKey))).toEqual(example.withheld ?? []);
    const pinned = merged.pinned.map(({ source, ports }) => [
      source,
      ports.flatMap((port) => port.endpoints.map(endpointKey)),
    ]);
    expect(Object.fromEntries(pinned)).toEqual(example.pinned ?? {});
    if (example.emptiness !== undefined) {
      expect(emptiness(slice, { filtered: false, dark: [] })).toBe(example.emptiness);
    }
  });

  it('does not depend on what the page says makes no difference', () => {
    for (const change of example.unchangedBy ?? []) {
      expect(mergeShards(sliceOf({ ...spec, ...change }))).toEqual(merged);
    }
  });
});

it('every rule is there, and those of the merge have examples', () => {
  const titles = [...page.matchAll(/^## Rule (\d+): /gm)].map((match) => Number(match[1]));
  expect(titles).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  for (const rule of [1, 2, 3, 4, 5, 6, 10, 11]) {
    expect(EXAMPLES.some(({ name }) => name.startsWith(`Rule ${rule}:`))).toBe(true);
  }
});
