// A hand on a Eureka server: instances as their own clients would register them, with leases that nobody has
// to renew. The mark is the weight in the metadata. Eureka keeps its registry in memory: after a restart the
// clients register again, which is what again() does.
import { DEFAULT_MARK, byService, callHttp, idOf, surplus } from './hand.ts';
import type { Hand, Instance } from './hand.ts';

export interface EurekaHand extends Hand {
  again(): Promise<void>;
}

interface Listed {
  readonly ipAddr: string;
  readonly port: { readonly $: number };
  readonly metadata: { readonly weight?: string };
}
type OneOrMore<T> = T | readonly T[] | undefined;
interface Apps {
  readonly applications: {
    readonly apps__hashcode: string;
    readonly application?: OneOrMore<{ readonly name: string; readonly instance?: OneOrMore<Listed> }>;
  };
}

/** @param url up to where /apps begins. */
export function eurekaHand(url: string): EurekaHand {
  // What it answers is up to a second old, so it cannot be asked what to take out.
  const known = new Map<string, readonly Instance[]>();
  const register = (service: string, instance: Instance) =>
    callHttp('POST', `${url}/apps/${service.toUpperCase()}`, { instance: registration(service, instance) });
  const read = async (path: string) => {
    const text = await callHttp('GET', `${url}${path}`, undefined, { accept: 'application/json' });
    return (JSON.parse(text) as Apps).applications;
  };
  return {
    async set(service, instances) {
      const before = known.get(service) ?? [];
      const gone = surplus(before, instances);
      known.set(service, [...instances, ...gone]);
      for (const instance of instances) await register(service, instance);
      for (const instance of gone) {
        await callHttp('DELETE', `${url}/apps/${service.toUpperCase()}/${idOf(instance)}`).catch(unlessGone);
      }
      known.set(service, instances);
    },
    async ask() {
      // Each comes from a cache of its own. One that was filled while a change was made stays as it is until
      // the next change, three minutes at most.
      const { application, apps__hashcode: all } = await read('/apps');
      const { apps__hashcode: changes } = await read('/apps/delta');
      if (all !== changes) throw new Error(`its deltas are for ${changes}, its list has ${all}`);
      return byService(
        list(application).flatMap((app) =>
          list(app.instance).map(({ ipAddr, port, metadata }) => {
            const mark = metadata.weight ?? DEFAULT_MARK;
            return [app.name.toLowerCase(), { address: ipAddr, port: port.$, mark }] as const;
          }),
        ),
      );
    },
    async again() {
      for (const [service, instances] of known) {
        for (const instance of instances) await register(service, instance);
      }
    },
    close: async () => undefined,
  };
}

/** Eureka writes a list of one as the one alone. */
function list<T>(value: OneOrMore<T>): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

function unlessGone(thrown: unknown): void {
  if (!String(thrown).includes('HTTP 404')) throw thrown;
}

function registration(service: string, instance: Instance): object {
  const { address, port, mark = DEFAULT_MARK } = instance;
  return {
    instanceId: idOf(instance),
    hostName: `host-${address}`,
    app: service.toUpperCase(),
    ipAddr: address,
    vipAddress: service,
    status: 'UP',
    port: { $: port, '@enabled': 'true' },
    securePort: { $: 443, '@enabled': 'false' },
    dataCenterInfo: { '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo', name: 'MyOwn' },
    leaseInfo: { renewalIntervalInSecs: 30, durationInSecs: 90_000 },
    metadata: { weight: mark },
  };
}
