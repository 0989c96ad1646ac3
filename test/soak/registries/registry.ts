// What a soak needs of each registry: a true server, a hand on it, the source that leads to it through
// proxies, and what can go wrong on the way.
import type { EndpointJson } from '../../../admin/types.ts';
import type { Fault } from '../../contract/suite.ts';
import { FaultyProxy, NONSENSE } from '../../contract/fixtures/faulty-proxy.ts';
import { TcpProxy } from '../../contract/fixtures/tcp-proxy.ts';
import type { Trouble } from '../../contract/fixtures/tcp-proxy.ts';
import type { Hand } from '../../support/hands/hand.ts';
import type { Peer } from '../../support/peer.ts';
import type { ServerName } from '../../support/peers.ts';
import type { FaultName } from '../schedule.ts';

export type SoakFault = Fault & FaultName;

export interface Registry {
  readonly hand: Hand;
  /** The source's entry in the config, without its name. */
  readonly source: object;
  readonly faults: readonly SoakFault[];
  /** When it counts as healed: the question that it must answer with the truth, asked directly. */
  readonly healed: string;
  stop(): Promise<void>;
  log(): string;
}

/** @param services all that will ever be set. */
export type StartRegistry = (mode: 'process' | 'container', services: readonly string[]) => Promise<Registry>;

/** How the mark shows in the catalogue. */
export const markOf = (kind: string, endpoint: EndpointJson): string =>
  kind === 'kubernetes' ? endpoint.locality.zone : String(endpoint.weight);

const TROUBLES: Readonly<Record<string, Trouble>> = {
  'connections cut in the middle of a message': { type: 'cut', afterBytes: 120 },
  'connections cut after 5 bytes': { type: 'cut', afterBytes: 5 },
  'connections refused': { type: 'refuse' },
  'slow bytes': { type: 'dribble', bytesPerSecond: 20 },
  'no answer ever': { type: 'hang' },
  'somebody else answers': { type: 'answer', bytes: 'HTTP/1.1 400 Bad Request\r\n\r\n<html>no</html>' },
};

/** The way to a server: a proxy that spoils the connection, and for HTTP one that spoils answers before it. */
export class Way {
  readonly faults: SoakFault[] = [];
  readonly #closers: (() => Promise<void>)[] = [];

  /** @returns the port to connect to. */
  async tcp(target: number): Promise<number> {
    const proxy = new TcpProxy(target);
    const port = await proxy.start();
    this.#closers.unshift(() => proxy.stop());
    for (const [name, trouble] of Object.entries(TROUBLES)) {
      this.faults.push({ ...proxy.fault(name, trouble), layer: 'network', writable: true });
    }
    const cut = async () => proxy.cutAll();
    const blink: Fault = { name: 'all connections cut once', begin: cut, end: cut };
    this.faults.push({ ...blink, layer: 'network', writable: true });
    return port;
  }

  /** @returns the port to connect to. */
  async http(target: string): Promise<number> {
    const proxy = new FaultyProxy(target);
    const url = await proxy.start();
    this.#closers.unshift(() => proxy.stop());
    for (const [name, answer] of Object.entries(NONSENSE)) {
      this.faults.push({ ...proxy.fault(`answers: ${name}`, answer), layer: 'answers', writable: true });
    }
    return this.tcp(Number(new URL(url).port));
  }

  async stop(): Promise<void> {
    for (const close of this.#closers) await close();
  }
}

/** Killed and frozen. @param after what has to be done once it is up again. */
export function serverFaults(peer: Peer, server?: ServerName, after?: () => Promise<void>): SoakFault[] {
  const of = server === undefined ? '' : ` (${server})`;
  const restart = async () => {
    await peer.restart(server);
    await after?.();
  };
  const killed: Fault = { name: `killed${of}`, begin: () => peer.kill(server), end: restart };
  const frozen: Fault = {
    name: `frozen${of}`,
    begin: () => peer.pause(server),
    end: () => peer.resume(server),
  };
  return [killed, frozen].map((fault) => ({ ...fault, layer: 'server' as const, writable: false }));
}
