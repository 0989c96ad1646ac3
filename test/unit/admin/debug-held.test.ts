// What /debug/heldz and /debug/identityz tell, from a catalogue that was made by hand.
import { expect, it } from 'vitest';
import { heldPage, identityPage } from '../../../admin/debug-held.ts';
import type { Around } from '../../../admin/debug-held.ts';
import type { EndpointNotes } from '../../../model/notes.ts';
import { sliceOf } from '../model/slices.ts';
import type { SliceSpec } from '../model/slices.ts';
import { NOW, STALE, source } from './fixture.ts';

const rfc3339 = (ms: number) => new Date(ms).toISOString();

function around(specs: readonly SliceSpec[], more: Partial<Around> = {}): Around {
  const slices = specs.map(sliceOf);
  return {
    snapshot: {
      version: 1,
      services: new Map(slices.map((slice) => [slice.service, slice])),
      sources: new Map([source('live'), source('dark', STALE)].map((each) => [each.name, each])),
    },
    notes: () => undefined,
    source: undefined,
    service: undefined,
    ...more,
  };
}

const orders: SliceSpec = {
  sources: {
    live: ['10.0.0.1:80', { at: '10.0.0.2:80', doubted: NOW - 5_000 }],
    dark: ['10.0.0.1:80', { at: '10.0.0.3:80', quarantined: NOW - 3_000 }],
  },
  conflicts: { '10.0.0.1:80': ['carts.default'] },
};
const billing: SliceSpec = { service: 'billing.default', sources: { dark: ['10.0.0.4:80'] } };

it('heldz lists what its source does not vouch for, with what pings said', () => {
  const notes = (name: string, _: string, key: string): EndpointNotes | undefined =>
    name === 'dark' && key === '10.0.0.1:80'
      ? { trustedUntil: NOW + 60_000, ping: { aliveAt: NOW - 1_000, named: true, failed: 0, fall: 3 } }
      : undefined;
  const { items, truncated } = heldPage(around([orders, billing], { notes }));
  expect(truncated).toBe(false);
  expect(items.map(({ source: of, address, cause }) => [of, address, cause])).toEqual([
    ['live', '10.0.0.2:80', 'removed-at-once'],
    ['dark', '10.0.0.1:80', 'dark'],
    ['dark', '10.0.0.3:80', 'dark'],
    ['dark', '10.0.0.4:80', 'dark'],
  ]);
  expect(items[0]).toMatchObject({ since: rfc3339(NOW - 5_000), ping: null });
  expect(items[1]).toMatchObject({
    since: rfc3339(STALE.staleSince),
    trustedUntil: rfc3339(NOW + 60_000),
    ping: { lastAnswer: rfc3339(NOW - 1_000), named: true, failed: 0 },
  });
  expect(items[2]).toMatchObject({ quarantined: true });
});

it('identityz lists who is claimed twice or was found to be another', () => {
  const { items } = identityPage(around([orders, billing]));
  expect(items).toMatchObject([
    { source: 'live', address: '10.0.0.1:80', state: 'unproven', claimedBy: ['carts.default'] },
    { source: 'dark', address: '10.0.0.1:80', state: 'unproven' },
    { source: 'dark', address: '10.0.0.3:80', state: 'quarantined', answeredAs: 'users.default' },
  ]);
});

it('both can be asked about one source and one service, and end somewhere', () => {
  const page = heldPage(around([orders, billing], { source: 'dark', service: 'billing.default' }));
  expect(page.items).toMatchObject([{ service: 'billing.default', address: '10.0.0.4:80' }]);
  expect(heldPage(around([orders], { service: 'nobody.default' })).items).toEqual([]);
  const many = Array.from({ length: 10_100 }, (_, n) => `10.1.${n >> 8}.${n & 255}:80`);
  const cut = heldPage(around([{ sources: { dark: many } }]));
  expect([cut.items.length, cut.truncated]).toEqual([10_000, true]);
});
