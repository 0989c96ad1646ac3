// The peers themselves: each can be frozen, killed and restarted on its data, whichever way it runs.
import { fetch } from 'undici';
import { beforeAll, expect, it } from 'vitest';
import { describePeers } from '../support/describe-peer.ts';
import { kubeApi, namespaceObject } from '../support/kube-api.ts';
import type { KubeApi } from '../support/kube-api.ts';
import type { KubernetesPeer, Peer } from '../support/peer.ts';

const get = async (url: string) => {
  const answer = await fetch(url, { signal: AbortSignal.timeout(1_500), headers: { connection: 'close' } });
  return { status: answer.status, body: await answer.text() };
};

describePeers(['consul'], 'consul', (start) => {
  let consul: Peer;
  beforeAll(async () => {
    consul = await start('consul');
  });

  it('keeps what was registered over kill and restart, at the same address', async () => {
    const body = JSON.stringify({ Name: 'orders', Address: '127.0.0.2', Port: 8080 });
    const put = await fetch(`${consul.url}/v1/agent/service/register`, { method: 'PUT', body });
    expect(put.status).toBe(200);
    const { url } = consul;
    await consul.kill();
    await expect(get(`${url}/v1/agent/services`)).rejects.toThrow();
    await consul.restart();
    expect(consul.url).toBe(url);
    expect((await get(`${url}/v1/agent/services`)).body).toContain('127.0.0.2');
  });

  it('answers nothing while frozen, and again afterwards', async () => {
    await consul.pause();
    await expect(get(`${consul.url}/v1/status/leader`)).rejects.toThrow(/timeout/i);
    await consul.resume();
    await consul.ready();
  });
});

describePeers(['kubernetes'], 'kubernetes', (start) => {
  let kubernetes: KubernetesPeer;
  let api: KubeApi;
  beforeAll(async () => {
    kubernetes = await start('kubernetes');
    api = kubeApi(kubernetes);
    return () => api.close();
  });

  it('lets the admin in, the reader not', async () => {
    await api.create(namespaceObject('shop'));
    const reader = kubeApi(kubernetes, kubernetes.tokens.reader);
    await expect(reader.get({ kind: 'Namespace', name: 'shop' })).rejects.toThrow(/403/);
    await reader.close();
  });

  it('keeps its objects when both servers are killed and restarted', async () => {
    await kubernetes.kill();
    await kubernetes.kill('etcd');
    await kubernetes.restart('etcd');
    await kubernetes.restart();
    expect((await api.get({ kind: 'Namespace', name: 'shop' })).metadata.name).toBe('shop');
  });
});

describePeers(['envoy'], 'envoy', (start) => {
  it('runs with the file it is given', async () => {
    const envoy = await start('envoy', {
      files: {
        'envoy.yaml': (place) =>
          JSON.stringify({
            admin: { address: { socket_address: { address: '127.0.0.1', port_value: place.port('admin') } } },
          }),
      },
    });
    expect((await get(`${envoy.url}/ready`)).body).toContain('LIVE');
    await envoy.restart();
    expect((await get(`${envoy.url}/server_info`)).body).toContain('1.40.0');
  });
});
