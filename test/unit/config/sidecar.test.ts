// The resource Sidecar: what it may say, whom it is for, and that two about the same workloads contradict.
import { describe, expect, it } from 'vitest';
import { parseResources, readResources } from '../../../config/resources.ts';
import { mergeStored } from '../../../config/stored-resources.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import { scopeFor } from '../../../model/scope.ts';

const CONTEXT = { base: DEFAULT_RULES };

const sidecar = (
  namespace: string,
  hosts: readonly string[],
  labels?: Record<string, string>,
  name = 'own',
) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'Sidecar',
  metadata: { name, namespace },
  spec: { ...(labels && { workloadSelector: { labels } }), egress: [{ hosts }] },
});
const files = (...documents: readonly object[]) =>
  documents.map((document, i) => ({ file: `${i}.json`, text: JSON.stringify(document) }));
const problems = (document: object) =>
  readResources(files(document), CONTEXT).problems.map(
    ({ path, message }) => `${path.join('.')}: ${message}`,
  );

describe('Sidecar', () => {
  it('says hosts, those of its own namespace with a dot', () => {
    const { sidecars, count } = parseResources(
      files(sidecar('shop', ['./*', 'istio-system/*', 'default/orders.default.svc.cluster.local'])),
      CONTEXT,
    );
    expect(count).toBe(1);
    expect([...sidecars.values()]).toEqual([
      {
        namespace: 'shop',
        labels: {},
        hosts: ['default/orders.default.svc.cluster.local', 'istio-system/*', 'shop/*'],
      },
    ]);
  });

  it('is refused with the place of what makes no sense, or is not honoured', () => {
    expect(problems(sidecar('shop', ['orders']))).toEqual([expect.stringContaining('spec.egress.0.hosts.0')]);
    expect(problems(sidecar('shop', ['a/b/c']))).toHaveLength(1);
    expect(problems({ ...sidecar('shop', ['*/*']), apiVersion: 'isthmus.dev/v1alpha1' })).toHaveLength(1);
    const more = { egress: [{ hosts: ['*/*'], captureMode: 'NONE' }], outboundTrafficPolicy: {} };
    expect(problems({ ...sidecar('shop', ['*/*']), spec: more }).length).toBeGreaterThanOrEqual(2);
  });

  it('two for the same workloads contradict, in files and over the API', () => {
    const one = sidecar('shop', ['./*'], { app: 'web' });
    const two = sidecar('shop', ['*/*'], { app: 'web' }, 'other');
    expect(readResources(files(one, two), CONTEXT).problems).toHaveLength(1);
    const stored = {
      kind: 'Sidecar',
      namespace: 'shop',
      name: 'other',
      revision: '1',
      by: '',
      document: two,
    };
    const merged = mergeStored(parseResources(files(one), CONTEXT), [stored], CONTEXT);
    expect([...merged.problems.keys()]).toEqual(['Sidecar shop/other']);
    expect([...merged.sidecars.values()].map(({ hosts }) => hosts)).toEqual([['shop/*']]);
    const alone = mergeStored(parseResources([], CONTEXT), [stored], CONTEXT);
    expect([...alone.sidecars.values()].map(({ hosts }) => hosts)).toEqual([['*/*']]);
  });

  it('is for whom its labels fit best, else for its namespace, else, in the root namespace, for all', () => {
    const { sidecars } = parseResources(
      files(
        sidecar('istio-system', ['*/root']),
        sidecar('istio-system', ['*/never'], { app: 'web' }),
        sidecar('shop', ['./*']),
        sidecar('shop', ['*/web'], { app: 'web' }),
        sidecar('shop', ['*/web-v2'], { app: 'web', version: 'v2' }),
      ),
      CONTEXT,
    );
    const all = [...sidecars.values()];
    const of = (service: string, labels: Record<string, string>) => scopeFor(all, { service, labels });
    expect(of('web.shop', { app: 'web', version: 'v2' })).toEqual(['*/web-v2']);
    expect(of('web.shop', { app: 'web', version: 'v1' })).toEqual(['*/web']);
    expect(of('api.shop', { app: 'api' })).toEqual(['shop/*']);
    expect(of('web.default', { app: 'web' })).toEqual(['*/root']);
    expect(scopeFor([], { service: 'web.default', labels: {} })).toBe('all');
  });
});
