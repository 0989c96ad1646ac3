// Explanations of what the run in docs/merge.md does not show: operators, isolated services, IPv6, absent addresses.
import { describe, expect, it } from 'vitest';
import { explain } from '../../../admin/explain/answer.ts';
import type { Context } from '../../../admin/explain/types.ts';
import type { AddressExplanationJson, ServiceExplanationJson } from '../../../admin/types.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import { sliceOf } from '../model/slices.ts';
import type { SliceSpec } from '../model/slices.ts';
import { NOW, STALE, source } from './fixture.ts';

const at = '10.0.0.1:80';

function contextOf(spec: SliceSpec, over: Partial<Context> = {}): Context {
  const sources = new Map([source('a'), source('b', STALE)].map((each) => [each.name, each]));
  const slice = sliceOf(spec);
  return {
    snapshot: { version: 1, services: new Map([[slice.service, slice]]), sources },
    now: NOW,
    notes: () => undefined,
    policyOrigin: () => 'default',
    leftOut: { of: () => [], names: () => [] },
    ...over,
  };
}

const endpointsOf = (spec: SliceSpec, address = at, over: Partial<Context> = {}) =>
  (explain('orders', address, contextOf(spec, over)) as AddressExplanationJson).endpoints;

describe('an address', () => {
  it('that an operator drained says who, why and until when', () => {
    const override = { drain: true as const, by: 'ada', reason: 'disk is failing', until: NOW };
    const [endpoint] = endpointsOf({ sources: { a: [at] }, overrides: { [at]: override } });
    expect(endpoint).toMatchObject({ verdict: 'draining', state: 'drained' });
    expect(endpoint?.facts[0]).toEqual({
      is: 'drained',
      since: null,
      until: new Date(NOW).toISOString(),
      by: 'ada',
      why: 'disk is failing',
    });
  });

  it('whose weight an operator set names him as the origin of the factor', () => {
    const override = { weight: 5, by: 'ada', reason: 'smaller machine', until: NOW };
    const [endpoint] = endpointsOf({ sources: { a: [at] }, overrides: { [at]: override } });
    expect(endpoint?.factors).toEqual([{ name: 'operator', value: 5, origin: 'ada' }]);
    expect(endpoint?.facts).toMatchObject([
      { is: 'overridden', by: 'ada', why: 'weight 5: smaller machine' },
      { is: 'live' },
    ]);
    expect(endpoint?.witnesses[0]?.gives).toEqual(['health', 'labels', 'locality']);
  });

  it('of a source that went dark is held by its word alone, and by the other one that lives', () => {
    const [endpoint] = endpointsOf({ sources: { a: [at], b: [at] } }, at, {
      notes: (name) => (name === 'b' ? { trustedUntil: NOW } : undefined),
    });
    expect(endpoint?.facts).toMatchObject([
      { is: 'live', by: 'a' },
      { is: 'dark', by: 'b', why: STALE.cause, until: new Date(NOW).toISOString() },
    ]);
    expect(endpoint?.witnesses.map(({ heard }) => heard)).toEqual([true, true]);
  });

  it('of an isolated service is explained for each source', () => {
    const rules = { ...DEFAULT_RULES, policy: { kind: 'isolate' as const } };
    const found = endpointsOf({ sources: { a: [at], b: [at] }, rules });
    expect(found.map(({ witnesses }) => witnesses.map((w) => w.source))).toEqual([['a'], ['b']]);
  });

  it.each(['[2001:db8::1]:80', '2001:db8::1', '[2001:DB8::1]'])('may be written %s', (address) => {
    expect(endpointsOf({ sources: { a: ['[2001:db8::1]:80'] } }, address)).toHaveLength(1);
  });

  it('that left is known for a while', () => {
    const notes = (name: string) => (name === 'a' ? { goneAt: NOW } : { leftAt: NOW });
    const told = explain(
      'orders',
      at,
      contextOf({ sources: { a: [] } }, { notes }),
    ) as AddressExplanationJson;
    expect(told.endpoints).toEqual([]);
    expect(told.absent).toMatchObject([
      { is: 'gone', by: 'a', why: 'a no longer lists it' },
      { is: 'gone', by: 'b', since: new Date(NOW).toISOString() },
    ]);
  });

  it('that nobody knows is refused with the closest one', () => {
    const ask = () => explain('orders', '10.0.0.2:80', contextOf({ sources: { a: [at] } }));
    expect(ask).toThrow('there is no endpoint 10.0.0.2:80 of orders.default; did you mean 10.0.0.1:80?');
  });
});

describe('a service', () => {
  it('whose endpoints are all quarantined says why it is empty', () => {
    const context = contextOf({ sources: { a: [{ at, quarantined: NOW }] } });
    const told = explain('orders', undefined, context) as ServiceExplanationJson;
    expect(told.emptiness?.cause).toBe('all-quarantined');
    expect(told.places).toMatchObject([{ priority: null, endpoints: 1, ready: 0, share: 0 }]);
  });

  it('that a config would leave out says so, whether or not a source has it', () => {
    const out = { source: 'a', by: 'include.services', offered: false, endpoints: 0, addresses: [] };
    const leftOut = { of: (service: string) => [{ ...out, service }], names: () => [] };
    const sources = new Map([['a', source('a')]]);
    const snapshot = { version: 1, services: new Map(), sources };
    const ask = () => explain('users', undefined, { ...contextOf({ sources: {} }), snapshot, leftOut });
    expect(ask).toThrow(
      'there is no service users: no source ever named it; a would leave it out by include.services',
    );
  });
});
