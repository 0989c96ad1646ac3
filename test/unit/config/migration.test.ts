// The resource Migration: what it means, and what is told about faults, with their places.
import { describe, expect, it } from 'vitest';
import { parseResources } from '../../../config/resources.ts';
import { mergeStored, problemsOf } from '../../../config/stored-resources.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';

const CONTEXT = { base: DEFAULT_RULES };

const text = (spec: string, head = 'service: orders, from: old, to: new') =>
  `apiVersion: isthmus.dev/v1alpha1\nkind: Migration\nmetadata: { name: m }\nspec: { ${head},\n  ${spec} }\n`;

const STEPS = 'steps: [{ percent: 10, for: 1m }, { percent: 100 }]';

const parse = (yaml: string, context: Parameters<typeof parseResources>[1] = CONTEXT) =>
  parseResources([{ file: 'm.yaml', text: yaml }], context);

function faults(yaml: string, context: Parameters<typeof parseResources>[1] = CONTEXT): readonly string[] {
  try {
    parse(yaml, context);
    return [];
  } catch (thrown) {
    return String((thrown as Error).message).split('\n');
  }
}

describe('a Migration', () => {
  it('means what it says, with defaults', () => {
    const { spec, origin } = parse(text(STEPS)).migrations.get('orders.default') ?? {};
    expect(origin).toBe('Migration m (m.yaml:4)');
    expect(spec).toEqual({
      service: 'orders.default',
      from: 'old',
      to: 'new',
      steps: [
        { percent: 10, forMs: 60_000, approval: 'none' },
        { percent: 100, forMs: 0, approval: 'none' },
      ],
      gates: { readyCapacity: 0.8, identity: 'strict' },
      onFailure: 'rollback',
      after: [],
      freeze: [],
      retry: { max: 0, coolDownMs: 600_000 },
    });
  });

  it('has the gates, mirror and freeze windows of its fields', () => {
    const yaml = text(
      [
        STEPS,
        'mirror: { percent: 5, for: 2m }',
        'gates: { successRate: { minPercent: 99.5, onMissing: mirror }, latencyP99: { maxRatioToSource: 1.2 } }',
        'after: [payments, stock.shop]',
        'stickyBy: { header: X-User-Id }',
        'freeze: [{ from: 2026-12-20T00:00:00Z, to: 2027-01-04T00:00:00Z }, { days: [Friday, sat], from: "18:00", to: "8:30", zone: Europe/Berlin }]',
      ].join(',\n  '),
    );
    expect(parse(yaml).migrations.get('orders.default')?.spec).toMatchObject({
      mirror: { percent: 5, forMs: 120_000 },
      gates: {
        successRate: { minPercent: 99.5, windowMs: 60_000, minRequests: 100, onMissing: 'mirror' },
        latencyP99: { maxRatioToSource: 1.2, windowMs: 60_000, onMissing: 'wait' },
      },
      after: ['payments.default', 'stock.shop'],
      stickyBy: { header: 'x-user-id' },
      freeze: [
        { kind: 'once', from: Date.UTC(2026, 11, 20), to: Date.UTC(2027, 0, 4) },
        { kind: 'weekly', days: [5, 6], from: 1_080, to: 510, zone: 'Europe/Berlin' },
      ],
    });
  });

  it.each([
    ['steps: []', /:5:10: spec.steps: needs at least one entry/],
    ['steps: [{ percent: 10 }]', /spec.steps\[0\].percent: expected 100 in the last step/],
    [
      'steps: [{ percent: 50 }, { percent: 50 }, { percent: 100 }]',
      /:5:39: spec.steps\[1\].percent: expected more than 50/,
    ],
    ['steps: [{ percent: 101 }]', /expected a percentage above 0, up to 100; got 101/],
    ['steps: [{ percent: 100, for: soon }]', /spec.steps\[0\].for: expected a duration such as 30s/],
    [`${STEPS}, onFailure: rollbak`, /did you mean "rollback"/],
    [`${STEPS}, gates: { sucessRate: {} }`, /:5:\d+: spec.gates.sucessRate: unknown field, did you mean/],
    [
      `${STEPS}, gates: { successRate: { minPercnt: 9 } }`,
      /spec.gates.successRate.minPercnt: unknown field, did you mean "minPercent"/,
    ],
    [
      `${STEPS}, gates: { successRate: { minPercent: 99, onMissing: mirror } }`,
      /expected `mirror` in the spec, too/,
    ],
    [`${STEPS}, after: [orders]`, /spec.after\[0\]: expected another service/],
    [`${STEPS}, freeze: [{ days: [frday], from: "1:00", to: "2:00" }]`, /days such as sun, mon/],
    [`${STEPS}, freeze: [{ from: "1:00", to: "2:00", zone: Mars }]`, /a time zone such as/],
    [`${STEPS}, freeze: [{ from: 2026-12-20, to: 2026-12-21 }]`, /spec.freeze\[0\]: expected \{from: TIME/],
  ])('refuses %s', (spec, expected) => {
    expect(faults(text(spec)).join('\n')).toMatch(expected);
  });

  it('refuses sources that are the same, or not there', () => {
    expect(faults(text(STEPS, 'service: orders, from: a, to: a')).join()).toMatch(
      /another source than `from`/,
    );
    const sources = { names: ['old'], has: (name: string) => name === 'old' };
    const context = { ...CONTEXT, sources };
    expect(faults(text(STEPS), context).join()).toMatch(/:4:41: spec.to: unknown source "new"/);
  });

  it('inside one source moves to what has its labels', () => {
    const head = 'service: orders, from: k8s, to: k8s';
    const spec = parse(text(`${STEPS}, labels: { version: v2/b, app: x }`, head)).migrations.get(
      'orders.default',
    )?.spec;
    expect(spec).toMatchObject({
      from: 'k8s',
      to: 'k8s~app=x,version=v2_b',
      canary: { version: 'v2/b', app: 'x' },
    });
    const [fault] = faults(text(STEPS, head));
    expect(fault).toContain('or `labels` of its new endpoints');
    expect(faults(text(`${STEPS}, labels: { a: b }`)).join()).toContain('only where `to` is the same source');
    expect(faults(text(`${STEPS}, labels: {}`, head)).join()).toContain('at least one label');
    const mirrored = `${STEPS}, labels: { a: b }, mirror: { percent: 5 }`;
    expect(faults(text(mirrored, head)).join()).toContain('cannot be had inside one source');
  });

  it('may stand beside the policy of its service, and once only', () => {
    const policy =
      'apiVersion: isthmus.dev/v1alpha1\nkind: ServicePolicy\nmetadata: { name: p }\nspec: { service: orders, pin: true }\n';
    const both = parse(`${text(STEPS)}---\n${policy}`);
    expect([both.migrations.size, both.rules.size, both.count]).toEqual([1, 1, 2]);
    expect(faults(`${text(STEPS)}---\n${text(STEPS)}`).join()).toMatch(
      /"orders.default" has a migration at m.yaml:4 already/,
    );
  });

  it('over the API: one per service; a file wins', () => {
    const document = {
      apiVersion: 'isthmus.dev/v1alpha1',
      kind: 'Migration',
      metadata: { name: 'm' },
      spec: { service: 'orders', from: 'old', to: 'new', steps: [{ percent: 100 }] },
    };
    const ref = { kind: 'Migration', namespace: 'default', name: 'm' };
    const stored = [{ ...ref, revision: 'r', by: 'ada', document }];
    const none = parseResources([], CONTEXT);
    expect(mergeStored(none, stored, CONTEXT).migrations.get('orders.default')).toMatchObject({
      spec: { to: 'new' },
      origin: 'Migration default/m (applied by ada)',
    });
    const other = { ...document, metadata: { name: 'n' } };
    expect(problemsOf(other, { ...ref, name: 'n' }, none, stored, CONTEXT)).toEqual([
      'spec.service: "orders.default" has a migration already: Migration default/m',
    ]);
    const inFile = parse(text(STEPS));
    expect(mergeStored(inFile, stored, CONTEXT).migrations.get('orders.default')?.origin).toContain('m.yaml');
  });
});
