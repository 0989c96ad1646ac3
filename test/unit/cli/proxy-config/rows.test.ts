import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { rowsOf } from '../../../../cli/proxy-config/rows.ts';
import type { DumpedResource } from '../../../../cli/proxy-config/rows.ts';

interface Golden {
  readonly cds: readonly { readonly name: string }[];
}

const clusters = (golden: string): readonly DumpedResource[] => {
  const file = new URL(`../../../golden/${golden}.json`, import.meta.url);
  const { cds } = JSON.parse(readFileSync(file, 'utf8')) as Golden;
  return cds.map((resource) => ({ name: resource.name, version: '1', state: 'ACKED', error: '', resource }));
};

const balancers = (golden: string): Record<string, string | undefined> =>
  Object.fromEntries(
    rowsOf('clusters', clusters(golden)).map(({ cells: [name, , balancer] }) => [name, balancer]),
  );

test('a cluster is shown with its balancer, or with those of which the proxy takes the first it knows', () => {
  expect(balancers('policy-traffic')['orders.default']).toBe('RING_HASH');
  expect(balancers('policy-peak-ewma')['orders.default']).toBe('PeakEwma,LeastRequest');
});
