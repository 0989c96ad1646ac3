// Z1, Z2 and Z4 of docs/xds.md on true clients: two versions of Envoy, gRPC's C core and the bundled proxy, joined
// over mTLS by the bootstraps and flags that users have. Certificates are rotated under constant load, and no request
// fails. grpc-js 1.14 knows no TLS to a control plane (gRFC A65): it must not go on without.
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { makeAuthority, replacePair } from '../support/authority.ts';
import type { Authority, Pair } from '../support/authority.ts';
import { startBackend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { ENVOYS, startDataPlane } from '../support/data-plane.ts';
import type { DataPlane, DataPlaneKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { startGrpcBackend } from '../support/grpc/backend.ts';
import { startGrpcCaller } from '../support/grpc/callers.ts';
import { isthmusSync } from '../support/isthmus.ts';
import { startLoad } from '../support/load.ts';
import type { Load } from '../support/load.ts';

const WITHIN = { withinMs: 60_000, everyMs: 100 };
const STEP_MS = 240_000;
const RATE = { rate: 50, callers: 4 };
const KINDS: readonly DataPlaneKind[] = [...ENVOYS, 'proxy'];
const SHOP = 'URI:spiffe://example.org/ns/default/sa/shop';

interface Item {
  readonly node: string;
  readonly connectedSince: string;
  readonly types: Readonly<Record<string, { readonly state: string }>>;
}

const inContainers = () =>
  inject('peers').envoy.mode === 'container' ? 'containers do not see files that change' : undefined;

describePeers(
  ['envoy', 'envoy-1.36', 'grpcio'],
  'xDS over mTLS',
  (start) => {
    let folder: string;
    let ca: Authority;
    let shop: Pair;
    let control: ControlPlaneProcess;
    let tlsPort: number;
    const own = (file: string) => join(folder, file);
    const tls = { cert: '', key: '', clientCa: '' };
    const stops: (() => Promise<unknown>)[] = [];
    const planes: DataPlane[] = [];
    const clients: { name: string; load: Load; refresh: () => Promise<void> }[] = [];

    const flagsOf = ({ cert, key }: Pair) => [
      '--xds-cert',
      cert,
      '--xds-key',
      key,
      '--xds-ca',
      own('ca.pem'),
    ];
    const offer = async (...names: readonly string[]) => {
      const entries = names.flatMap((name) =>
        (['web', 'rpc'] as const).map((kind) => ({
          targets: [`127.0.0.1:${ports.get(`${name}-${kind}`)}`],
          labels: { service: kind },
        })),
      );
      await writeFile(own('vms.json.new'), JSON.stringify(entries));
      await rename(own('vms.json.new'), own('vms.json'));
    };
    const ports = new Map<string, number>();

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'isthmus-xds-tls-'));
      stops.push(() => rm(folder, { recursive: true, force: true }));
      ca = await makeAuthority(folder);
      shop = await ca.sign('shop', SHOP);
      await mkdir(own('live'));
      Object.assign(tls, {
        cert: own('live/xds.pem'),
        key: own('live/xds.key'),
        clientCa: own('clients.pem'),
      });
      await replacePair(tls, await ca.sign('xds', 'IP:127.0.0.1'));
      await writeFile(tls.clientCa, await readFile(ca.cert));
      for (const name of ['a', 'b']) {
        const [web, rpc] = [await startBackend(name), await startGrpcBackend(name)];
        ports.set(`${name}-web`, web.port).set(`${name}-rpc`, rpc.port);
        stops.push(
          () => web.stop(),
          () => rpc.stop(),
        );
      }
      await offer('a');
      tlsPort = await freePort();
      const believed = { guard: { shadow: true }, damping: { enabled: false } };
      const source = { name: 'vms', kind: 'file', path: own('vms.json'), ...believed };
      control = await startControlPlane(
        folder,
        [source],
        {},
        {
          tls: { ...tls, listen: `127.0.0.1:${tlsPort}`, recheck: '1s' },
        },
      );
      stops.push(() => control.stop());
      await Promise.all(KINDS.map(addPlane));
      await addGrpc();
    }, STEP_MS);

    afterAll(async () => {
      for (const stop of stops.splice(0).reverse()) await stop();
    }, STEP_MS);

    /** Each has files of its own, in a folder of its own. */
    async function pairFor(name: string): Promise<Pair> {
      await mkdir(own(name));
      const pair = { cert: own(`${name}/client.pem`), key: own(`${name}/client.key`) };
      await replacePair(pair, shop);
      return pair;
    }

    async function addPlane(kind: DataPlaneKind): Promise<void> {
      const secrets = kind === 'proxy' ? [] : ['--xds-secrets', own(`${kind}-secrets`)];
      const flags = [...flagsOf(await pairFor(kind)), ...secrets];
      const plane = await startDataPlane(kind, start, { xdsPort: tlsPort, service: 'shop', flags });
      planes.push(plane);
      if (kind === 'proxy') stops.push(() => plane.stop());
      await eventually(async () => (await call(plane.port, 'web')) === 200, WITHIN);
      const load = startLoad({ port: plane.port, headers: { host: 'web' }, ...RATE });
      stops.push(() => load.stop());
      clients.push({ name: kind, load, refresh: () => Promise.resolve() });
    }

    async function addGrpc(): Promise<void> {
      const flags = flagsOf(await pairFor('grpcio'));
      const rpc = { target: 'xds:///rpc', nodeId: 'grpcio', xdsPort: tlsPort, flags };
      const caller = await startGrpcCaller('grpcio', start, rpc);
      stops.push(() => caller.stop());
      clients.push({ name: 'grpcio', load: caller, refresh: () => caller.refresh() });
    }

    const answeredBy = (...names: readonly string[]) =>
      Promise.all(
        clients.map(({ name, load, refresh }) =>
          eventually(
            async () => {
              await refresh();
              load.mark();
              await eventually(async () => (await refresh(), load.good() >= 30), WITHIN);
              expect([...load.answers().keys()].sort()).toEqual(names);
              return true;
            },
            { ...WITHIN, what: `${name} is answered by ${names.join(' and ')}` },
          ),
        ),
      );
    const proxies = async () => {
      const answer = await fetch(`${control.adminUrl}/api/v1/proxies`, { headers: { connection: 'close' } });
      return ((await answer.json()) as { items: Item[] }).items;
    };
    const metric = async (line: string) => {
      const text = await (await fetch(`${control.adminUrl}/metrics`)).text();
      return Number(
        text
          .split('\n')
          .find((each) => each.startsWith(`${line} `))
          ?.split(' ')[1] ?? 0,
      );
    };
    const step = (title: string, body: () => Promise<void>) =>
      it(title, { timeout: STEP_MS }, async () => {
        await body();
        await Promise.all(clients.map(({ refresh }) => refresh()));
        for (const { name, load } of clients) expect(load.failures(), name).toEqual([]);
      });

    step('all of them converge, and follow', async () => {
      await answeredBy('a');
      await offer('a', 'b');
      await answeredBy('a', 'b');
      expect((await proxies()).map(({ node }) => node).sort()).toEqual(
        [...KINDS.map((kind) => `${kind}-shop`), 'grpcio'].sort(),
      );
    });

    step('Envoys report their load and are there to check endpoints, over the same connection', async () => {
      await eventually(async () => (await metric('isthmus_load_streams')) >= KINDS.length, WITHIN);
      await eventually(async () => (await metric('isthmus_health_checkers')) >= KINDS.length, WITHIN);
    });

    step('a certificate of another service is refused, and the refusal names both', async () => {
      const users = await ca.sign('users', 'URI:spiffe://example.org/ns/default/sa/users');
      const said = async (count: number) => {
        const text = control.log();
        const refused = text
          .split('\n')
          .filter((line) => line.includes('ISTHMUS_XDS_NOT_ALLOWED') || line.includes('may not speak for'));
        for (const line of refused) expect(line).toMatch(/sa\/users.*shop\.default/);
        return refused.length >= count;
      };
      const refused = ENVOYS.map((kind) =>
        start(kind, {
          files: {
            'envoy.yaml': (place) =>
              isthmusSync(
                ...['bootstrap', 'envoy', '--service', 'shop', '--node-id', `false-${kind}`],
                ...['--xds', `127.0.0.1:${tlsPort}`, '--admin-port', String(place.port('admin'))],
                ...['--outbound', `127.0.0.1:${place.port('outbound')}`, ...flagsOf(users)],
                // It would wait for its configuration for ever, and be ready never.
              ).replaceAll('initial_fetch_timeout: 0s', 'initial_fetch_timeout: 1s'),
          },
        }),
      );
      for (const envoy of await Promise.all(refused)) stops.push(() => envoy.stop());
      await eventually(() => said(2), WITHIN);
      const rpc = { target: 'xds:///rpc', nodeId: 'false-grpcio', xdsPort: tlsPort, flags: flagsOf(users) };
      const caller = await startGrpcCaller('grpcio', start, rpc);
      await eventually(async () => (await caller.refresh(), caller.failures().length > 0), WITHIN);
      expect(caller.good()).toBe(0);
      await caller.stop();
      expect((await proxies()).filter(({ node }) => node.startsWith('false-'))).toEqual([]);
    });

    step("the server's certificate is rotated: streams stay; a bad pair is refused", async () => {
      const before = (await proxies()).map(({ node, connectedSince }) => `${node} ${connectedSince}`);
      await replacePair(tls, await ca.sign('xds-2', 'IP:127.0.0.1'));
      const reloads = (outcome: string) => metric(`isthmus_xds_tls_reloads_total{outcome="${outcome}"}`);
      await eventually(async () => (await reloads('taken')) >= 1, WITHIN);
      await writeFile(tls.key, await readFile(shop.key));
      await eventually(async () => (await reloads('refused')) >= 1, WITHIN);
      await replacePair(tls, await ca.sign('xds-3', 'IP:127.0.0.1'));
      await eventually(async () => (await reloads('taken')) >= 2, WITHIN);
      expect((await proxies()).map(({ node, connectedSince }) => `${node} ${connectedSince}`)).toEqual(
        before,
      );
      await offer('b');
      await answeredBy('b');
    });

    step('the authority is rotated: who has a new certificate comes back by itself', async () => {
      const next = await makeAuthority(folder, 'next');
      shop = await next.sign('shop-next', SHOP);
      const both = `${await readFile(ca.cert, 'utf8')}${await readFile(next.cert, 'utf8')}`;
      await writeFile(tls.clientCa, both);
      for (const name of [...KINDS, 'grpcio']) {
        await replacePair({ cert: own(`${name}/client.pem`), key: own(`${name}/client.key`) }, shop);
      }
      // The C core looks at its files once a minute; nothing tells that it did.
      const before = new Map((await proxies()).map(({ node, connectedSince }) => [node, connectedSince]));
      await writeFile(tls.clientCa, await readFile(next.cert));
      await eventually(
        async () => {
          const all = (await proxies()).filter(
            ({ node, connectedSince }) => before.has(node) && before.get(node) !== connectedSince,
          );
          expect(all.map(({ node }) => node).sort()).toEqual([...before.keys()].sort());
          return true;
        },
        { withinMs: 150_000, everyMs: 500, what: 'all to be back' },
      );
      await offer('a', 'b');
      await answeredBy('a', 'b');
    });

    it('grpc-js, which knows no TLS to a control plane, does not go on without', {
      timeout: STEP_MS,
    }, async () => {
      const options = { target: 'xds:///rpc', nodeId: 'grpc-js', xdsPort: tlsPort, flags: flagsOf(shop) };
      const said = await startGrpcCaller('grpc-js', start, options).then(
        async (caller) => {
          await eventually(async () => (await caller.refresh(), caller.failures().length > 0), WITHIN);
          await caller.stop();
          expect(caller.good()).toBe(0);
          return `${caller.failures().join()} ${caller.log()}`;
        },
        (thrown: Error) => thrown.message,
      );
      expect(said).toMatch(/channel_creds|xDS name resolution failed/);
    });

    it('no key is in any log, dump or bootstrap', async () => {
      const [key = ''] = (await readFile(shop.key, 'utf8')).match(/[A-Za-z0-9+/]{60,}/) ?? [];
      expect(key).not.toBe('');
      const dumps = await Promise.all(
        planes.map(async ({ adminUrl }) => (await fetch(`${adminUrl}/config_dump`)).text()),
      );
      const all = [control.log(), ...planes.map((plane) => plane.log()), ...dumps].join('\n');
      expect(all).not.toContain(key);
      expect(all).not.toContain('PRIVATE KEY');
    });
  },
  [inContainers()],
);

/** The status of the answer. */
function call(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, headers: { host }, agent: false, timeout: 5_000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).on('error', reject);
  });
}
