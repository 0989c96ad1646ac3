import { describe, expect, it } from 'vitest';
import { bodyOf, isAsWritten, ourInstance, readKnown } from '../../../../adapters/eureka/written.ts';
import type { Written } from '../../../../model/sidecars.ts';

const entry: Written = {
  name: 'orders',
  address: '10.0.0.1',
  port: 15_006,
  weight: 7,
  labels: { version: 'v2', 'isthmus.dev/app-port': '8080', 'a b': 'c', weight: '3' },
  status: 'warning',
};

/** As Eureka gives back what was written. */
const given = (more: object = {}) => {
  const { instance } = bodyOf(ourInstance('us', 4, entry), 1_000) as { instance: object };
  return readKnown({ instance: { ...instance, overriddenStatus: 'UNKNOWN', ...more } });
};

describe('an endpoint as a Eureka instance', () => {
  it('has what callers need, the mark and the fence; no label that is no name in XML, nor one that hides ours', () => {
    expect(ourInstance('us', 4, entry)).toEqual({
      app: 'ORDERS',
      id: 'us:orders:10.0.0.1:15006',
      address: '10.0.0.1',
      port: 15_006,
      vip: 'orders',
      ownerVip: 'isthmus-owner-us',
      status: 'UP',
      metadata: { version: 'v2', weight: '7', 'isthmus-owner': 'us', 'isthmus-fence': '4' },
    });
    expect(ourInstance('us', 4, { ...entry, status: 'critical' }).status).toBe('DOWN');
  });

  it('is as it was written until something of it differs', () => {
    const known = given();
    expect(known).toMatchObject({ owner: 'us', fence: 4, dirtyAt: 1_000 });
    if (!known) throw new Error('not an instance');
    const same = (wanted: Partial<Written>, fence = 4) =>
      isAsWritten(known, ourInstance('us', fence, { ...entry, ...wanted }));
    expect(same({})).toBe(true);
    expect(same({ weight: 8 })).toBe(false);
    expect(same({ labels: {} })).toBe(false);
    expect(same({ status: 'critical' })).toBe(false);
    expect(same({ port: 1 })).toBe(false);
    expect(same({}, 5)).toBe(false);
  });

  it('keeps the word of an operator, in either spelling', () => {
    for (const field of ['overriddenStatus', 'overriddenstatus']) {
      const known = given({
        overriddenStatus: undefined,
        [field]: 'OUT_OF_SERVICE',
        status: 'OUT_OF_SERVICE',
      });
      expect(known && isAsWritten(known, ourInstance('us', 4, entry))).toBe(true);
    }
  });

  it("is nobody's without a mark, and what is no instance is none", () => {
    expect(given({ metadata: { '@class': 'java.util.Collections$EmptyMap' } })).toMatchObject({
      owner: '',
      fence: 0,
      metadata: {},
    });
    for (const odd of [null, 7, 'x', {}, { instance: null }, []]) expect(readKnown(odd)).toBeUndefined();
  });
});
