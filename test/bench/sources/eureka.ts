// Eureka for the rows `sources`: one POST an instance, on a server with a large heap. Its list of recent
// changes is kept for 10 s only, else each delta would be everything for the first three minutes.
import { startPeer } from '../../support/start-peer.ts';
import { httpRequests } from './counting-proxy.ts';
import { addressOf, caller, serviceNameOf, times, withJavaHeap, zoneOf } from './registry.ts';
import type { Registry } from './registry.ts';

const instanceId = (service: number, index: number) => `${serviceNameOf(service)}:${index}`;

function instanceOf(service: number, index: number, mark?: string) {
  const name = serviceNameOf(service);
  const address = addressOf(service, index);
  return {
    instance: {
      instanceId: instanceId(service, index),
      hostName: address,
      app: name.toUpperCase(),
      ipAddr: address,
      status: 'UP',
      port: { $: 8080, '@enabled': 'true' },
      securePort: { $: 443, '@enabled': 'false' },
      vipAddress: name,
      secureVipAddress: name,
      homePageUrl: `http://${address}:8080/`,
      statusPageUrl: `http://${address}:8080/actuator/info`,
      healthCheckUrl: `http://${address}:8080/actuator/health`,
      dataCenterInfo: {
        '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo',
        name: 'MyOwn',
      },
      // Nobody renews.
      leaseInfo: { renewalIntervalInSecs: 1_800, durationInSecs: 3_600 },
      metadata: {
        version: 'v1',
        team: `team-${service % 40}`,
        zone: zoneOf(index),
        ...(mark ? { t: mark } : {}),
      },
    },
  };
}

export async function eurekaRegistry(): Promise<Registry> {
  const peer = await withJavaHeap('-Xmx4g -XX:+UseParallelGC', () =>
    startPeer('eureka', 'process', {
      args: [
        '--eureka.server.retention-time-in-m-s-in-delta-queue=10000',
        '--eureka.server.delta-retention-timer-interval-in-ms=2000',
        '--server.tomcat.max-keep-alive-requests=-1',
      ],
    }),
  );
  const { call, close } = caller(peer.url, { connections: 24 });
  const register = (service: number, index: number, mark?: string) =>
    call('POST', `/eureka/apps/${serviceNameOf(service).toUpperCase()}`, instanceOf(service, index, mark));
  return {
    port: peer.ports['http'] ?? 0,
    counter: httpRequests,
    async fill({ services, endpoints }, signal) {
      await times(services * endpoints, 24, signal, (n) =>
        register(Math.floor(n / endpoints), n % endpoints),
      );
      // Until the list of recent changes is empty again.
      await new Promise((resolve) => setTimeout(resolve, 13_000));
    },
    async change(service, index, mark) {
      await register(service, index, mark);
    },
    source: (port) => ({ kind: 'eureka', urls: [`http://127.0.0.1:${port}/eureka`] }),
    prometheus: (port) => ['-kind', 'eureka', '-address', `http://127.0.0.1:${port}/eureka`],
    async stop() {
      await close();
      await peer.stop();
    },
  };
}
