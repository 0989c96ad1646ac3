// A true Eureka server behind TLS, and what it says of leases.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEurekaSource } from '../../adapters/eureka/index.ts';
import { eurekaSource } from '../../config/schema.ts';
import { systemClock } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import type { DiscoveryUpdate } from '../../model/discovery.ts';
import { makeCertificates } from '../support/certificates.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import type { Peer } from '../support/peer.ts';
import { tlsFront } from '../support/tls-front.ts';
import type { TlsFront } from '../support/tls-front.ts';
import { testDeps } from './fixtures/deps.ts';
import { Listener } from './listener.ts';

const timings = { pollMs: 100, probeEveryMs: 100, backoffMs: 50, maxBackoffMs: 200 };

describePeers(['eureka'], 'a Eureka server behind TLS', (start) => {
  let eureka: Peer;
  let dir = '';
  let hasCertificates = false;
  const fronts: TlsFront[] = [];
  const at = (name: string) => join(dir, name);
  const source = (url: string, tls?: object, clock: Clock = systemClock) => {
    const config = eurekaSource.parse({ name: 'eureka', kind: 'eureka', urls: [`${url}/eureka`], tls });
    return createEurekaSource(config, { ...testDeps(), clock }, timings);
  };
  const register = async (id: string) => {
    const answer = await fetch(`${eureka.url}/eureka/apps/ORDERS`, {
      method: 'POST',
      headers: { connection: 'close', 'content-type': 'application/json' },
      body: JSON.stringify({
        instance: {
          instanceId: id,
          app: 'ORDERS',
          hostName: id,
          ipAddr: '10.1.0.1',
          status: 'UP',
          port: { $: 8080, '@enabled': 'true' },
          securePort: { $: 8443, '@enabled': 'true' },
          dataCenterInfo: {
            '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo',
            name: 'MyOwn',
          },
        },
      }),
    });
    await answer.text();
    expect(answer.status).toBe(204);
  };
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'isthmus-eureka-tls-'));
    hasCertificates = await makeCertificates(dir).then(
      () => true,
      () => false,
    );
    eureka = await start('eureka', { args: ['--eureka.server.response-cache-update-interval-ms=200'] });
    await register('one');
  }, 120_000);
  afterAll(async () => {
    await Promise.all(fronts.map((front) => front.close()));
    await rm(dir, { recursive: true, force: true });
  });

  test('is read with a certificate that its front knows, and its secure ports are ports', async (context) => {
    if (!hasCertificates) return context.skip('no openssl that makes certificates');
    const front = await tlsFront(dir, Number(new URL(eureka.url).port), { requireClient: true });
    fronts.push(front);
    const url = `https://127.0.0.1:${front.port}`;
    const good = { ca: at('ca.pem'), cert: at('client.pem'), key: at('client.key') };
    const listener = new Listener(source(url, good));
    await eventually(() => listener.keys('orders.default').length === 2, { withinMs: 30_000 });
    expect(listener.groups.get('orders.default')?.ports.map(({ name }) => name)).toEqual(['', 'https']);
    await listener.stop();
    const nobody = new Listener(source(url, { ca: at('ca.pem') }));
    const cause = await eventually(() => nobody.stale, { withinMs: 30_000 });
    expect(cause.message).toContain(url);
    await nobody.stop();
    return undefined;
  });

  test('its leases are read: by a clock that is an hour ahead they have all run out', async () => {
    const ahead: Clock = { ...systemClock, now: () => Date.now() + 3_600_000 };
    const noticeOf = async (clock: Clock): Promise<string> => {
      const stop = new AbortController();
      const isAlive = (update: DiscoveryUpdate) => update.type === 'alive';
      for await (const update of source(eureka.url, undefined, clock).discover(stop.signal)) {
        if (isAlive(update)) return (update as { notice?: string }).notice ?? '';
      }
      return 'ended';
    };
    expect(await noticeOf(ahead)).toMatch(/^\d+ of \d+ instances are listed .* such as ORDERS\/one: /);
    expect(await noticeOf(systemClock)).toBe('');
  });
});
