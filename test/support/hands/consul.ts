// A hand on a Consul server: entries of its catalog, each on a node of its own. The mark is the weight.
import { DEFAULT_MARK, callHttp, idOf, surplus } from './hand.ts';
import type { Hand, Instance } from './hand.ts';

interface Entry {
  readonly ServiceAddress: string;
  readonly ServicePort: number;
  readonly ServiceWeights: { readonly Passing: number };
}

export function consulHand(url: string): Hand {
  const list = async (service: string) => {
    const text = await callHttp('GET', `${url}/v1/catalog/service/${service}`);
    return (JSON.parse(text) as Entry[]).map((entry) => ({
      address: entry.ServiceAddress,
      port: entry.ServicePort,
      mark: String(entry.ServiceWeights.Passing),
    }));
  };
  const nodeOf = ({ address }: Instance) => `node-${address}`;
  return {
    async set(service, instances) {
      for (const instance of instances) {
        const { address, port, mark = DEFAULT_MARK } = instance;
        await callHttp('PUT', `${url}/v1/catalog/register`, {
          Node: nodeOf(instance),
          Address: address,
          Service: {
            ID: `${service}-${idOf(instance)}`,
            Service: service,
            Address: address,
            Port: port,
            Weights: { Passing: Number(mark), Warning: 1 },
          },
        });
      }
      for (const gone of surplus(await list(service), instances)) {
        await callHttp('PUT', `${url}/v1/catalog/deregister`, {
          Node: nodeOf(gone),
          ServiceID: `${service}-${idOf(gone)}`,
        });
      }
    },
    async ask() {
      const names = JSON.parse(await callHttp('GET', `${url}/v1/catalog/services`)) as object;
      const services = Object.keys(names).filter((name) => name !== 'consul');
      return new Map(await Promise.all(services.map(async (name) => [name, await list(name)] as const)));
    },
    close: async () => undefined,
  };
}
