// Rules N1…N9 of docs/xds.md, as far as they are about what a client may ask for: names and fields of newer
// clients are read with patience.
import { describe, expect, it } from 'vitest';
import { encodeRequest, NODE } from '../../support/xds-messages.ts';
import { field, textField } from '../../../xds-server/wire/writer.ts';
import { service } from './services.ts';
import { World } from './world.ts';

const ORDERS = 'orders.default';
const orders = service(ORDERS, '10.0.0.1:80');
const XDSTP = 'xdstp://other/envoy.config.endpoint.v3.ClusterLoadAssignment/orders.default?b=2&a=1';

describe('names', () => {
  it('N1, N8: a name of another authority is a name that does not exist, told in the client’s spelling', () => {
    const client = new World(orders).delta();
    const response = client.send('eds', { subscribe: [XDSTP, ORDERS] }).take('eds');
    expect([response.names, response.removed]).toEqual([[ORDERS], [XDSTP]]);
  });

  it('N3: a glob that matches nothing is told so, as itself', () => {
    const glob = 'xdstp://isthmus/envoy.config.cluster.v3.Cluster/*';
    const client = new World(orders).delta();
    expect(client.send('cds', { subscribe: [glob] }).take('cds').removed).toEqual([glob]);
  });

  it('N6: resource locators are ignored, and the names beside them count', () => {
    const world = new World(orders);
    // ResourceLocator: name 1. resource_locators_subscribe is field 8, resource_locators (SotW) field 7.
    const locator = textField(1, 'elsewhere');
    const delta = world.delta();
    const asked = encodeRequest('delta', { node: NODE, type: 'eds', subscribe: [ORDERS] });
    delta.stream.receive(Buffer.concat([asked, field(8, locator), field(9, locator)]));
    expect(delta.take('eds').names).toEqual([ORDERS]);
    const sotw = world.sotw();
    const named = encodeRequest('sotw', { node: NODE, type: 'eds', names: [ORDERS] });
    sotw.stream.receive(Buffer.concat([named, field(7, locator)]));
    expect(sotw.next('eds').names).toEqual([ORDERS]);
  });
});
