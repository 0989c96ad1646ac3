// Which certificate may speak for which services: the usual forms, lines of a file, and laws over both.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readIdentities } from '../../../config/identities.ts';
import type { Identities } from '../../../config/identities.ts';

let dir: string;
let count = 0;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'isthmus-identities-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function read(text: string, trustDomain = ''): Promise<Identities> {
  const file = join(dir, `${(count += 1)}.yaml`);
  await writeFile(file, text);
  return readIdentities(file, trustDomain);
}

describe('without a file', () => {
  it.each([
    ['spiffe://cluster.local/ns/shop/sa/orders', 'orders.shop', true],
    ['spiffe://cluster.local/ns/shop/sa/a.b', 'a.b.shop', true],
    ['spiffe://11.consul/ns/default/dc/dc1/svc/orders', 'orders.default', true],
    ['orders.shop', 'orders.shop', true],
    ['orders.shop.svc.cluster.local', 'orders.shop', true],
    ['spiffe://cluster.local/ns/shop/sa/orders', 'orders.default', false],
    ['spiffe://cluster.local/ns/Shop/sa/orders', 'orders.shop', false],
    ['spiffe://cluster.local/ns/shop/sa/orders/x', 'orders.shop', false],
    ['spiffe://x/y/ns/shop/sa/orders', 'orders.shop', false],
    ['https://cluster.local/ns/shop/sa/orders', 'orders.shop', false],
    ['orders.shop.example.org', 'orders.shop', false],
    ['*.shop', 'orders.shop', false],
    ['orders', 'orders.default', false],
  ])('%s and %s: %s', async (name, service, may) => {
    const grant = (await readIdentities('')).grant([name]);
    expect(grant.speaksFor(service)).toBe(may);
    expect(grant.operator).toBe(false);
  });

  it('a certificate speaks for its own service and no other', async () => {
    const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/);
    const usual = await readIdentities('');
    fc.assert(
      fc.property(label, label, label, label, (service, namespace, other, elsewhere) => {
        const grant = usual.grant([`spiffe://td/ns/${namespace}/sa/${service}`]);
        expect(grant.speaksFor(`${service}.${namespace}`)).toBe(true);
        expect(grant.speaksFor(`${other}.${elsewhere}`)).toBe(other === service && elsewhere === namespace);
      }),
    );
  });
});

describe('of one trust domain', () => {
  it.each([
    ['spiffe://example.org/ns/shop/sa/orders', true],
    ['spiffe://example.org.evil/ns/shop/sa/orders', false],
    ['spiffe://exampleXorg/ns/shop/sa/orders', false],
    ['spiffe://EXAMPLE.org/ns/shop/sa/orders', false],
    ['spiffe://other.org/ns/shop/sa/orders', false],
    ['orders.shop', false],
    ['orders.shop.svc.cluster.local', false],
  ])('without a file: %s: %s', async (name, may) => {
    const grant = (await readIdentities('', 'example.org')).grant([name]);
    expect([grant.known, grant.speaksFor('orders.shop')]).toEqual([may, may]);
  });

  it('a line with * is of that one, DNS names have none, and a line of another one is refused', async () => {
    const lines = '- certificate: spiffe://*/{service}\n- certificate: "{service}.{namespace}"\n';
    const identities = await read(lines, 'example.org');
    expect(identities.grant(['spiffe://example.org/orders']).speaksFor('orders.default')).toBe(true);
    expect(identities.grant(['spiffe://other.org/orders']).known).toBe(false);
    expect(identities.grant(['orders.shop']).speaksFor('orders.shop')).toBe(true);
    await expect(read('- certificate: spiffe://other.org/{service}\n', 'example.org')).rejects.toThrow(
      'spiffe://other.org/{service} is not of xds.tls.trustDomain example.org',
    );
    await expect(read('- certificate: spiffe://*.org/{service}\n', 'example.org')).resolves.toBeDefined();
  });
});

describe('lines of a file', () => {
  it('count instead, and what any of them grants is granted', async () => {
    const identities = await read(`
- certificate: spiffe://example.org/{service}
- certificate: spiffe://example.org/runner
  services: [web.shop, "api-*.shop"]
- { certificate: "*.build.example.org", services: [runner.ci], operator: true }
`);
    const runner = identities.grant(['spiffe://example.org/runner']);
    const may = ['runner.default', 'web.shop', 'api-1.shop', 'api-1.x.shop', 'web.default'].map((name) =>
      runner.speaksFor(name),
    );
    expect(may).toEqual([true, true, true, false, false]);
    expect(identities.grant(['spiffe://example.org/orders.shop']).speaksFor('orders.shop')).toBe(true);
    expect(identities.grant(['a.build.example.org'])).toMatchObject({ known: true, operator: true });
    expect(identities.grant(['a.b.build.example.org']).known).toBe(false);
    expect(identities.grant(['orders.shop']).known).toBe(false);
  });

  it('text in them is text', async () => {
    const identities = await read('- { certificate: "spiffe://a.b/(x|y)+/.{service}", services: [] }');
    expect(identities.grant(['spiffe://a.b/(x|y)+/.orders']).speaksFor('orders.default')).toBe(true);
    expect(identities.grant(['spiffe://aXb/x/.orders']).known).toBe(false);
  });

  it.each([
    ['not a list', 'a: b', /expected array/i],
    ['nothing', '# later', /is empty/],
    ['no YAML', '- {', /identitiesFile/],
    ['a line that grants nothing', '- { certificate: spiffe://a/b }', /grants nothing/],
    ['no name', '- { certificate: "a b", services: [x.y] }', /SPIFFE id/],
    ['a placeholder twice', '- { certificate: "{service}.{service}" }', /SPIFFE id/],
    ['another placeholder', '- { certificate: "spiffe://a/{service}/{pod}" }', /SPIFFE id/],
    ['an unknown field', '- { certificate: "{service}.x", admin: true }', /admin/],
  ])('%s is refused', async (_what, text, message) => {
    await expect(read(text)).rejects.toMatchObject({
      code: 'ISTHMUS_XDS_IDENTITIES',
      message: expect.stringMatching(message) as string,
    });
  });
});
