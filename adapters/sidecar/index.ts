// Sidecars as a source: each data plane that registers is an endpoint of its service, from the moment its address
// answered in that service's name until it drains or its stream has been gone for `grace`. After a start, what was
// known before is held until sidecars had that long to come back.
import type { SidecarSource } from '../../config/schema.ts';
import { childController } from '../../lib/abort.ts';
import { AtMost } from '../../lib/at-most.ts';
import { compareEndpoints, endpointKey } from '../../model/endpoint.ts';
import type { Endpoint, EndpointGroup, Health } from '../../model/endpoint.ts';
import type { Discoverer, DiscoveryUpdate } from '../../model/discovery.ts';
import { APP_PORT_LABEL, HEALTH_PATH_LABEL, withTemplate } from '../../model/sidecars.ts';
import type { AdmittedSidecar, Departure, Registration } from '../../model/sidecars.ts';
import { ping } from '../ping.ts';
import type { SourceDeps } from '../source.ts';
import { UpdateQueue } from '../updates.ts';
import { SidecarBook } from './book.ts';
import { Instance } from './instance.ts';
import type { Challenge, Challenged, Listed } from './instance.ts';

const OWN: Challenged = { who: 'own', why: '', name: '' };
const CHALLENGE_TIMEOUT_MS = 3_000;
/** Pings under way at once: of those that come, and of those that went, which may be all of a replica's. */
const CHALLENGES = 128;
/** A sign of life; sidecars themselves are heard by their streams. */
const ALIVE_EVERY_MS = 5_000;

/** @param deps.sidecars who is connected; without it nobody ever is. */
export function createSidecarSource(config: SidecarSource, deps: SourceDeps): Discoverer {
  const book = deps.sidecars ?? new SidecarBook(deps.clock);
  return {
    source: config.name,
    kind: config.kind,
    discover: (signal) => discover(config, book, deps, signal),
  };
}

async function* discover(
  config: SidecarSource,
  book: SidecarBook,
  deps: SourceDeps,
  parent: AbortSignal,
): AsyncGenerator<DiscoveryUpdate> {
  const { clock } = deps;
  const { controller, release } = childController(parent);
  const queue = new UpdateQueue({ clock, ms: 100 });
  controller.signal.addEventListener('abort', () => queue.close(), { once: true });
  if (controller.signal.aborted) queue.close();
  const list = new SidecarList(config, deps, controller.signal);
  const unfollow = book.follow(list);
  const unsubscribe = deps.templates?.subscribe((services) => list.retell(services));
  let isSettled = false;
  list.onChange = (service, intended) => {
    if (isSettled) queue.put(updateOf(list, service, intended));
  };
  let cancel = clock.after(config.grace, () => {
    isSettled = true;
    queue.put({ type: 'sync', groups: list.groups() });
    const beat = () => {
      queue.put({ type: 'alive' });
      cancel = clock.after(ALIVE_EVERY_MS, beat);
    };
    cancel = clock.after(ALIVE_EVERY_MS, beat);
  });
  try {
    yield* queue;
  } finally {
    cancel();
    unfollow();
    unsubscribe?.();
    controller.abort(new Error('discovery over'));
    release();
    list.close();
  }
}

function updateOf(list: SidecarList, service: string, intended: boolean): DiscoveryUpdate {
  const group = list.group(service);
  const meant = intended ? { intended: true as const } : {};
  return group ? { type: 'group', group, ...meant } : { type: 'gone', service, ...meant };
}

interface ListedNow extends Listed {
  readonly health: Health;
}

class SidecarList {
  readonly #config: SidecarSource;
  readonly #deps: SourceDeps;
  readonly #signal: AbortSignal;
  /** By node. */
  readonly #instances = new Map<string, Instance>();
  /** Those that come do not wait for those that are silent. */
  readonly #lanes = { prove: new AtMost(CHALLENGES), watch: new AtMost(CHALLENGES) };
  onChange: (service: string, intended: boolean) => void = () => undefined;

  constructor(config: SidecarSource, deps: SourceDeps, signal: AbortSignal) {
    this.#config = config;
    this.#deps = deps;
    this.#signal = signal;
  }

  joined(session: AdmittedSidecar): void {
    const known = this.#instances.get(session.node) ?? this.#start(session.node);
    known.joined(session);
  }

  left(session: AdmittedSidecar, how: Departure): void {
    this.#instances.get(session.node)?.left(session, how);
  }

  found({ node }: AdmittedSidecar, health: Health): void {
    this.#instances.get(node)?.found(health);
  }

  /** What they are taken to say is another than before. */
  retell(services: readonly string[]): void {
    const listed = new Set([...this.#listed()].map(({ registration }) => registration.service));
    for (const service of services) if (listed.has(service)) this.onChange(service, false);
  }

  groups(): readonly EndpointGroup[] {
    const services = new Set([...this.#listed()].map(({ registration }) => registration.service));
    return [...services].flatMap((service) => this.group(service) ?? []);
  }

  /** undefined: no sidecar offers it. */
  group(service: string): EndpointGroup | undefined {
    const own = [...this.#listed()].filter(({ registration }) => registration.service === service);
    const [first] = own;
    if (!first) return undefined;
    // A sidecar that came back under another name stands beside its past for a time: the later one counts.
    const endpoints = new Map(own.map((listed) => [endpointKey(addressOf(listed)), this.#endpoint(listed)]));
    return {
      service,
      aliases: [],
      ports: [{ name: '', port: 0, protocol: this.#whole(first.registration).protocol }],
      primaryPort: '',
      endpoints: [...endpoints.values()].sort(compareEndpoints),
    };
  }

  close(): void {
    for (const instance of this.#instances.values()) instance.close();
  }

  *#listed(): Generator<ListedNow> {
    for (const { listed, health } of this.#instances.values()) if (listed) yield { ...listed, health };
  }

  #start(node: string): Instance {
    const { clock, log } = this.#deps;
    const instance = new Instance(
      {
        clock,
        graceMs: this.#config.grace,
        challenge: this.#challenge,
        onChange: (service, intended) => this.onChange(service, intended),
        onRefused: (why) => log.warn({ source: this.#config.name, node, why }, 'sidecar is not registered'),
        onOwner: ({ address, registration: { service, port, appPort } }) => {
          log.info({ source: this.#config.name, node, service, address, port }, 'sidecar is registered');
          this.#deps.onOwner?.({ service, address, ports: [port, appPort] });
        },
        onImpostor: ({ address, registration: { service, port, appPort } }, answeredAs, isNews) => {
          const facts = { source: this.#config.name, node, service, address, port, answeredAs };
          if (isNews) log.warn(facts, 'somebody else answers where a sidecar was');
          this.#deps.onImpostor?.({ service, address, ports: [port, appPort], answeredAs });
        },
        onOver: () => this.#instances.delete(node),
      },
      this.#signal,
    );
    this.#instances.set(node, instance);
    return instance;
  }

  #whole(said: Registration): Registration {
    return withTemplate(said, this.#deps.templates?.of(said.service));
  }

  readonly #challenge: Challenge = async (address, said, lane, signal) => {
    const { service, port, healthPath } = this.#whole(said);
    const target = { address, port, how: 'http' as const, path: healthPath, service, aliases: [] };
    const answer = await this.#lanes[lane].run(async () =>
      signal.aborted ? undefined : ping(target, CHALLENGE_TIMEOUT_MS, this.#deps.clock, signal),
    );
    const where = endpointKey(addressOf({ address, registration: { port } }));
    switch (answer?.verdict.kind) {
      case undefined:
      case 'alive':
        return OWN;
      case 'answeredAs': {
        const name = answer.verdict.service;
        return { who: 'other', why: `${where} answered as ${name}`, name };
      }
      case 'unproven':
        return { who: 'other', why: `${where} did not answer in the name of ${service}`, name: '' };
      case 'refused':
        return { who: 'silent', why: `${where} does not answer: ${answer.cause}`, name: '' };
    }
  };

  #endpoint({ address, registration, health }: ListedNow): Endpoint {
    const { port, appPort, healthPath, labels, weight = 1, locality } = this.#whole(registration);
    const own = this.#config.locality;
    return {
      address,
      port,
      portName: '',
      network: this.#config.network,
      health,
      weight,
      labels: { ...labels, [APP_PORT_LABEL]: String(appPort), [HEALTH_PATH_LABEL]: healthPath },
      locality: {
        region: locality.region || own.region,
        zone: locality.zone || own.zone,
        subZone: locality.subZone || own.subZone,
      },
    };
  }
}

const addressOf = ({ address, registration }: { address: string; registration: { port: number } }) => ({
  network: '',
  address,
  port: registration.port,
});
