import { takeTurns } from '../../../../lib/turns.ts';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { slimSlice } from '../../../../adapters/kubernetes/objects.ts';
import { KubeStore } from '../../../../adapters/kubernetes/store.ts';
import { tellerOf } from '../../../../adapters/kubernetes/teller.ts';
import type { DiscoveryUpdate } from '../../../../model/discovery.ts';
import { NO_LOCALITY } from '../../../../model/endpoint.ts';
import { eventually } from '../../../support/eventually.ts';

const slice = (owner: string, endpoints: number) =>
  slimSlice({
    metadata: { name: `${owner}-1`, namespace: 'shop', labels: { 'kubernetes.io/service-name': owner } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: Array.from({ length: endpoints }, (_, i) => ({ addresses: [`10.0.0.${i + 1}`] })),
  });

/** 5,000 endpoints: several turns. */
function large() {
  const store = new KubeStore({ locality: NO_LOCALITY, network: '' }, () => true);
  for (let i = 0; i < 50; i += 1) store.putSlice(slice(`svc-${i}`, 100));
  const told: DiscoveryUpdate[] = [];
  const controller = new AbortController();
  const teller = tellerOf(store, (update) => told.push(update), controller.signal);
  const types = () => told.map((u) => u.type);
  return { store, told, types, teller, controller };
}

it('tells nothing before every part was listed', async () => {
  const { teller, types } = large();
  teller.expect('slices');
  teller.begin();
  teller.changed(['svc-1.shop']);
  await nextTurn();
  expect(types()).toEqual([]);
  teller.listed('slices');
  await eventually(() => types().join() === 'sync');
});

it('tells what changes while a sync is put together after it', async () => {
  const { store, told, teller, types } = large();
  teller.begin();
  await nextTurn();
  expect(types()).toEqual([]);
  teller.changed(store.putSlice(slice('svc-0', 1)));
  teller.changed(store.putSlice(slice('new', 1)));
  teller.changed(store.deleteSlice(slice('svc-9', 0)));
  await eventually(() => types().join() === 'sync,group,group,gone');
  expect(told[1]).toMatchObject({ group: { service: 'svc-0.shop', endpoints: [{ address: '10.0.0.1' }] } });
  expect(told[3]).toEqual({ type: 'gone', service: 'svc-9.shop' });
});

it('starts over when a new list comes meanwhile: one sync, with what it says', async () => {
  const { store, told, teller, types } = large();
  teller.begin();
  await nextTurn();
  await store.replaceSlices('*', [slice('only', 1)], takeTurns(new AbortController().signal));
  teller.sync();
  await eventually(() => types().length > 0);
  expect(told).toMatchObject([{ type: 'sync', groups: [{ service: 'only.shop' }] }]);
});

it('tells nothing once it is called off', async () => {
  const { teller, types, controller } = large();
  teller.begin();
  controller.abort(new Error('over'));
  for (let i = 0; i < 20; i += 1) await nextTurn();
  expect(types()).toEqual([]);
});

it('says that it was meant when a service that somebody deleted leaves, not when a list does not show it', async () => {
  const { store, told, teller, types } = large();
  store.putService({ metadata: { name: 'svc-9', namespace: 'shop' } });
  teller.begin();
  await eventually(() => types().join() === 'sync');
  teller.changed(store.deleteService({ metadata: { name: 'svc-9', namespace: 'shop' } }));
  teller.changed(store.deleteSlice(slice('svc-9', 0)));
  teller.changed(store.deleteSlice(slice('svc-8', 0)));
  expect(told.slice(1)).toMatchObject([
    { type: 'group', intended: true },
    { type: 'gone', service: 'svc-9.shop', intended: true },
    { type: 'gone', service: 'svc-8.shop' },
  ]);
  expect(told[3]).not.toHaveProperty('intended');
  teller.changed(store.putSlice(slice('svc-9', 0)));
  teller.changed(store.deleteSlice(slice('svc-9', 0)));
  expect(told.at(-1)).toEqual({ type: 'gone', service: 'svc-9.shop' });
});
