import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EndpointJson } from '../../../admin/types.ts';
import { heldBySource } from '../../soak/catalogue.ts';
import { Truth, compare, heldOf } from '../../soak/truth.ts';
import type { Held } from '../../soak/truth.ts';

const A = { address: '10.1.0.1', port: 80 };
const B = { address: '10.1.0.2', port: 80, mark: '3' };
const seen = (...keys: string[]): Held => new Map(keys.map((key) => [key, undefined]));

describe('what a soak holds for true', () => {
  it('lets both the old and the new be seen while a change is on its way', () => {
    const truth = new Truth();
    truth.set('orders', [A]);
    truth.settle();
    truth.set('orders', [B]);
    for (const now of [seen('orders 10.1.0.1:80'), seen('orders 10.1.0.2:80'), seen()]) {
      expect(truth.wrongs(now)).toEqual([]);
    }
    expect(truth.wrongs(seen('orders 10.1.0.9:80'))).toEqual(['orders 10.1.0.9:80 came from nowhere']);
    truth.settle();
    expect(truth.wrongs(seen('orders 10.1.0.1:80'))).toEqual([
      'orders 10.1.0.2:80 has vanished',
      'orders 10.1.0.1:80 came from nowhere',
    ]);
  });

  it('misses what was there all along, however much else changes', () => {
    const truth = new Truth();
    truth.set('orders', [A, B]);
    truth.settle();
    truth.set('orders', [A]);
    truth.set('payments', [B]);
    truth.set('orders', [A, B]);
    expect(truth.wrongs(seen())).toEqual(['orders 10.1.0.1:80 has vanished']);
  });

  it('is not equal when a mark differs, unless another source speaks for it', () => {
    const truth = new Truth();
    truth.set('orders', [B]);
    expect(truth.differences(new Map([['orders 10.1.0.2:80', '3']]))).toEqual([]);
    expect(truth.differences(seen('orders 10.1.0.2:80'))).toEqual([]);
    expect(truth.differences(new Map([['orders 10.1.0.2:80', '4']]))).toEqual([
      'orders 10.1.0.2:80 has 4 instead of 3',
    ]);
    expect(truth.differences(seen())).toEqual(['orders 10.1.0.2:80 is missing']);
    expect(truth.differences(seen('orders 10.1.0.2:80', 'x 1:1'))).toEqual(['x 1:1 is too much']);
  });

  it('never finds wrong what is equal to any state since it was settled', () => {
    const instance = fc.record({
      address: fc.constantFrom('10.1.0.1', '10.1.0.2', '10.1.0.3'),
      port: fc.constant(80),
    });
    const change = fc.tuple(
      fc.constantFrom('a', 'b'),
      fc.uniqueArray(instance, { selector: (i) => i.address }),
    );
    fc.assert(
      fc.property(fc.array(change), fc.array(change), (before, after) => {
        const truth = new Truth();
        for (const [service, instances] of before) truth.set(service, instances);
        truth.settle();
        const states: Held[] = [truth.now()];
        for (const [service, instances] of after) {
          truth.set(service, instances);
          states.push(truth.now());
        }
        for (const state of states) expect(truth.wrongs(state)).toEqual([]);
        expect(truth.differences(truth.now())).toEqual([]);
      }),
    );
  });

  it('reads what a registry answers in the same words', () => {
    const truth = new Truth();
    truth.set('orders', [A, B]);
    expect(compare(truth.now(), heldOf(new Map([['orders', [{ ...A, mark: '1' }, B]]])))).toEqual([]);
  });
});

describe('the catalogue, source by source', () => {
  const endpoint = (more: Partial<EndpointJson>): EndpointJson => ({
    service: 'orders.default',
    address: '10.1.0.1',
    port: 80,
    portName: '',
    network: '',
    state: 'live',
    health: 'unknown',
    weight: 5,
    share: 1,
    priority: 0,
    side: '',
    sources: ['consul'],
    labels: {},
    locality: { region: '', zone: '7', subZone: '' },
    since: null,
    reason: '',
    ...more,
  });
  const sources = [{ name: 'consul' }, { name: 'kubernetes' }, { name: 'dns' }];

  it('shows a mark only where one source alone speaks', () => {
    const held = heldBySource(sources, [
      endpoint({ sources: ['consul', 'kubernetes'] }),
      endpoint({ address: '10.1.0.2', sources: ['kubernetes'] }),
      endpoint({ address: '10.1.0.3' }),
    ]);
    expect(held.get('consul')).toEqual(
      new Map([
        ['orders 10.1.0.1:80', undefined],
        ['orders 10.1.0.3:80', '5'],
      ]),
    );
    expect(held.get('kubernetes')).toEqual(
      new Map([
        ['orders 10.1.0.1:80', undefined],
        ['orders 10.1.0.2:80', '7'],
      ]),
    );
    expect(held.get('dns')).toEqual(new Map());
  });
});
