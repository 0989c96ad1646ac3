// A gRPC connection to a host of a cluster, for what the proxy itself sends there (spans, access logs). Another host
// is taken when the one that it leads to has left the cluster.
import { Client, credentials } from '@grpc/grpc-js';

export interface HostAddress {
  readonly address: string;
  readonly port: number;
}

/** Hosts of a cluster at this moment; empty without one. */
export type HostsOf = (cluster: string) => readonly HostAddress[];

const at = ({ address, port }: HostAddress): string =>
  `${address.includes(':') ? `[${address}]` : address}:${port}`;

export class GrpcLink {
  readonly #cluster: string;
  readonly #hostsOf: HostsOf;
  #client: Client | undefined;
  #at = '';

  constructor(cluster: string, hostsOf: HostsOf) {
    this.#cluster = cluster;
    this.#hostsOf = hostsOf;
  }

  /** undefined: the cluster has no host. */
  client(): Client | undefined {
    const hosts = this.#hostsOf(this.#cluster).map(at);
    if (this.#client && hosts.includes(this.#at)) return this.#client;
    this.close();
    const next = hosts[Math.floor(Math.random() * hosts.length)];
    if (next === undefined) return undefined;
    this.#at = next;
    // As Envoy: the cluster's name is the authority.
    this.#client = new Client(next, credentials.createInsecure(), {
      'grpc.default_authority': this.#cluster,
      'grpc.use_local_subchannel_pool': 1,
    });
    return this.#client;
  }

  /** The next client() chooses anew. */
  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }
}
