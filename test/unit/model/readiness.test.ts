// What `migrate plan` makes of facts: the findings that no file source can prepare, and the score. The others are
// found on a running control plane, in test/unit/cli/migrate-plan.test.ts.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_LOCALITY } from '../../../model/endpoint.ts';
import type { LoadRow } from '../../../model/load.ts';
import type { ProxyStatus } from '../../../model/proxies.ts';
import { DEFAULT_GATES, readinessOf, scoreOf } from '../../../model/readiness/plan.ts';
import { FINDING_CODES } from '../../../model/readiness/types.ts';
import type { FindingCode, ReadinessFacts, Severity } from '../../../model/readiness/types.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import { NOW, STALE, source } from '../admin/fixture.ts';
import { sliceOf } from './slices.ts';
import type { SliceSpec } from './slices.ts';

const SIDES: SliceSpec = { sources: { vms: ['10.0.0.1:80'], k8s: ['10.1.0.1:80'] } };

const row = (over: Partial<LoadRow> = {}): LoadRow => ({
  service: 'orders.default',
  cluster: 'orders.default',
  side: 'vms',
  locality: NO_LOCALITY,
  node: 'shop-1',
  successes: 6_000,
  errors: 0,
  issued: 6_000,
  dropped: 0,
  reporters: 1,
  inProgress: 0,
  coveredMs: 600_000,
  lastReport: NOW,
  ...over,
});

const proxy = (node: string, service: string): ProxyStatus => ({
  node,
  service,
  kind: 'envoy',
  version: '',
  connectedSince: NOW,
  types: { cds: NONE, eds: NONE, lds: NONE, rds: NONE },
});
const NONE = { state: 'NOT_SENT', version: '', error: '', resource: '' } as const;

function facts(spec: SliceSpec | undefined, over: Partial<ReadinessFacts> = {}): ReadinessFacts {
  return {
    service: 'orders.default',
    from: 'vms',
    to: 'k8s',
    slice: spec && sliceOf(spec),
    sources: new Map(['vms', 'k8s'].map((name) => [name, source(name)])),
    leftOut: [],
    policyOrigin: 'default',
    pings: new Map(),
    proxies: [proxy('shop-1', 'shop.default')],
    reporters: new Set(['shop-1']),
    load: [row()],
    windowMs: 600_000,
    services: ['orders.default', 'shop.default'],
    gates: { ...DEFAULT_GATES, steps: [50, 100] },
    running: undefined,
    hasMigration: false,
    ...over,
  };
}

const found = (told: ReadinessFacts, code: FindingCode) =>
  readinessOf(told).findings.find((finding) => finding.code === code);
const codes = (told: ReadinessFacts) => readinessOf(told).findings.map(({ code }) => code);

const alive = { verdict: { kind: 'alive' }, cause: '' } as const;
const PROVEN = new Map([
  ['10.0.0.1:80', alive],
  ['10.1.0.1:80', alive],
]);

it('finds nothing where both sides are alike, proven, and called', () => {
  const told = readinessOf(facts(SIDES, { pings: PROVEN }));
  expect(told.findings.filter(({ severity }) => severity !== 'note')).toEqual([]);
  expect(told).toMatchObject({ ready: true, score: 100 });
  expect(told.callers).toEqual([
    {
      node: 'shop-1',
      service: 'shop.default',
      kind: 'envoy',
      requests: 6_000,
      toFrom: 6_000,
      lastReport: NOW,
    },
  ]);
});

describe('sources', () => {
  it.each(['vms', 'k8s'])('that never answered are a blocker: %s', (name) => {
    const sources = new Map(
      ['vms', 'k8s'].map((each) => [each, source(each, each === name ? { state: 'syncing' } : {})]),
    );
    expect(found(facts(SIDES, { sources }), 'source-syncing')).toMatchObject({ severity: 'blocker' });
  });

  it('that are dark are a blocker where it goes to, a warning where it comes from', () => {
    const dark = (name: string) => new Map([[name, source(name, STALE)]]);
    const on = (name: string) =>
      found(facts(SIDES, { sources: new Map([...facts(SIDES).sources, ...dark(name)]) }), 'source-dark');
    expect(on('k8s')).toMatchObject({ severity: 'blocker', to: { what: STALE.cause, by: 'k8s' } });
    expect(on('vms')).toMatchObject({ severity: 'warning', from: { what: STALE.cause, by: 'vms' } });
  });

  it('that leave the service out say by what', () => {
    const leftOut = [
      {
        source: 'k8s',
        service: 'orders.default',
        by: 'include.services',
        offered: true,
        endpoints: 1,
        addresses: [],
      },
    ];
    const finding = found(facts({ sources: { vms: ['10.0.0.1:80'] } }, { leftOut }), 'service-missing');
    expect(finding?.todo).toContain('include.services of source k8s');
  });

  it('of a service that nobody knows are both without it', () => {
    expect(codes(facts(undefined)).filter((code) => code === 'service-missing')).toHaveLength(2);
  });
});

describe('capacity', () => {
  const four = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80', '10.0.0.4:80'];

  it('counts proven endpoints only, when the gate asks for that', () => {
    const spec = {
      sources: { vms: four, k8s: ['10.1.0.1:80', '10.1.0.2:80', '10.1.0.3:80', '10.1.0.4:80'] },
    };
    const pings = new Map([['10.1.0.1:80', alive]]);
    expect(codes(facts(spec, { pings }))).not.toContain('capacity');
    const gates = { ...DEFAULT_GATES, identity: 'proven' as const };
    expect(found(facts(spec, { pings, gates }), 'capacity')?.title).toContain('to 31 %');
    expect(found(facts(spec, { pings, gates }), 'unproven')).toMatchObject({ severity: 'warning' });
  });

  it('does not count what is doubted or answered as another service', () => {
    const spec: SliceSpec = {
      sources: {
        vms: ['10.0.0.1:80'],
        k8s: [
          { at: '10.1.0.1:80', doubted: NOW },
          { at: '10.1.0.2:80', quarantined: NOW },
        ],
      },
    };
    expect(readinessOf(facts(spec)).sides.to).toMatchObject({ ready: 0, pings: { otherService: 1 } });
    expect(found(facts(spec), 'none-ready')?.to.what).toBe(
      '2 endpoints, none ready: doubted, answers as users.default',
    );
  });

  it('of weights on two scales is told', () => {
    const spec: SliceSpec = { sources: { vms: [{ at: '10.0.0.1:80', weight: 10 }], k8s: ['10.1.0.1:80'] } };
    expect(found(facts(spec), 'weights-differ')).toMatchObject({
      from: { what: 'weight 10' },
      to: { what: 'weight 1' },
    });
  });

  it('that will not stay is told', () => {
    const spec: SliceSpec = {
      sources: { vms: ['10.0.0.1:80'], k8s: ['10.1.0.1:80', { at: '10.1.0.2:80', health: 'unhealthy' }] },
      overrides: { '10.1.0.1:80': { weight: 2, by: 'ada' } },
    };
    expect(found(facts(spec), 'not-steady')?.to.what).toContain('1 of 2');
    expect(found(facts(spec), 'overridden')?.to).toEqual({ what: '10.1.0.1:80', by: 'ada' });
  });
});

it('a health path that nobody says is /, as sidecars say it', () => {
  const said = (path: string) => ({
    ...SIDES,
    overrides: { '10.0.0.1:80': { labels: { 'isthmus.dev/health-path': path } } },
  });
  expect(codes(facts(said('/health')))).toContain('health-path-differs');
  expect(codes(facts(said('/')))).not.toContain('health-path-differs');
});

describe('addresses', () => {
  it('that another service claims block only a strict service', () => {
    const spec = { ...SIDES, conflicts: { '10.1.0.1:80': ['users.default'] } };
    expect(found(facts(spec), 'identity-conflict')).toMatchObject({ severity: 'warning' });
    const rules = { ...DEFAULT_RULES, identity: 'strict' as const };
    expect(found(facts({ ...spec, rules }), 'identity-conflict')).toMatchObject({ severity: 'blocker' });
    expect(codes(facts({ ...spec, rules }, { pings: PROVEN }))).not.toContain('identity-conflict');
  });

  it('that both sources list in part count once, on the new side', () => {
    const spec = { sources: { vms: ['10.0.0.1:80', '10.1.0.1:80'], k8s: ['10.1.0.1:80', '10.1.0.2:80'] } };
    expect(found(facts(spec), 'shared-endpoints')).toMatchObject({
      severity: 'warning',
      from: { what: '10.1.0.1:80' },
      to: { what: '1 of 2 endpoints' },
    });
  });
});

describe('traffic', () => {
  it('too little for the gate even at 100 % is a blocker, for the first steps a warning', () => {
    const gates = { ...DEFAULT_GATES, steps: [1, 100] };
    const few = facts(SIDES, { gates, load: [row({ issued: 600, successes: 600 })] });
    expect(found(few, 'gate-never-met')).toMatchObject({
      severity: 'blocker',
      from: { what: '60 requests in 1m, of 1 caller', by: 'load reports' },
    });
    expect(found(facts(SIDES, { gates }), 'gate-waits')).toMatchObject({
      severity: 'warning',
      to: { what: 'too few at 1 %' },
    });
  });

  it('that nobody reports is a blocker, unless no gate asks for it', () => {
    expect(found(facts(SIDES, { load: [] }), 'nobody-calls')).toMatchObject({ severity: 'blocker' });
    const gates = { ...DEFAULT_GATES, successRate: undefined };
    expect(codes(facts(SIDES, { load: [], gates }))).not.toContain('nobody-calls');
  });

  it('that arrives and no data plane sent comes from callers that would not follow', () => {
    const inbound = row({
      service: 'inbound',
      cluster: 'inbound:8080',
      side: '',
      node: 'orders-1',
      issued: 9_000,
    });
    const proxies = [proxy('shop-1', 'shop.default'), proxy('orders-1', 'orders.default')];
    const told = found(facts(SIDES, { load: [row(), inbound], proxies }), 'requests-unseen');
    expect(told?.from.what).toBe('9000 requests reached its sidecars within 10m, data planes sent 6000');
    const fine = { ...inbound, issued: 6_100 };
    expect(codes(facts(SIDES, { load: [row(), fine], proxies }))).not.toContain('requests-unseen');
    const others = [proxy('shop-1', 'shop.default'), proxy('orders-1', 'users.default')];
    expect(codes(facts(SIDES, { load: [row(), inbound], proxies: others }))).not.toContain('requests-unseen');
  });

  it('to endpoints in one pool has no side', () => {
    expect(readinessOf(facts(SIDES, { load: [row({ side: '' })] })).callers[0]?.toFrom).toBeNull();
  });

  it('of services without a data plane cannot be known', () => {
    const told = found(
      facts(SIDES, { services: ['orders.default', 'batch.default'] }),
      'services-without-proxy',
    );
    expect(told?.from.what).toBe('batch.default');
  });
});

it('another migration of the service must be over first', () => {
  const running = { name: 'orders', from: 'vms', to: 'k8s', state: 'stepping, 10 %' };
  expect(found(facts(SIDES, { running }), 'already-running')).toMatchObject({ severity: 'blocker' });
});

it('a policy that shares the traffic already is told', () => {
  const rules = { ...DEFAULT_RULES, policy: { kind: 'weighted' as const, shares: { vms: 90, k8s: 10 } } };
  const told = found(facts({ ...SIDES, rules }, { policyOrigin: 'orders.yaml:3' }), 'policy-overridden');
  expect(told?.from).toEqual({ what: 'weighted vms 90, k8s 10', by: 'orders.yaml:3' });
});

it('the score is below 50 exactly when there is a blocker, and no finding makes it better', () => {
  const severity = fc.constantFrom<Severity>('blocker', 'warning', 'note');
  fc.assert(
    fc.property(
      fc.array(
        severity.map((of) => ({ severity: of })),
        { maxLength: 40 },
      ),
      severity,
      (list, more) => {
        const score = scoreOf(list);
        expect(score < 50).toBe(list.some((finding) => finding.severity === 'blocker'));
        expect(score).toBeGreaterThanOrEqual(0);
        expect(scoreOf([...list, { severity: more }])).toBeLessThanOrEqual(score);
      },
    ),
  );
});

it('the page tells of each finding, in their order', () => {
  const page = readFileSync(new URL('../../../docs/migrate-plan.md', import.meta.url), 'utf8');
  expect([...page.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, code]) => code)).toEqual([...FINDING_CODES]);
});
