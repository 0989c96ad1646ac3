// What a test has in hand once a peer was started. Types only.
import type { PeerName, ServerName } from './peers.ts';

/** `server` names one of a peer's servers (`etcd`); without it the peer's own, last one is meant. */
export interface Peer {
  readonly name: PeerName;
  readonly mode: 'process' | 'container';
  /** http(s)://127.0.0.1:PORT of the first port of the peer's own server. */
  readonly url: string;
  /** Ports on this machine of the peer's own server, by the names in the table. The same after a restart. */
  readonly ports: Readonly<Record<string, number>>;
  /** The same for one of its other servers. */
  urlOf(server: ServerName): string;
  /** 127.0.0.1:PORT of any port of one of its servers. */
  addressOf(server: ServerName, port: string): string;
  /** Of the peer's own server; undefined in a container. */
  readonly pid: number | undefined;
  /** SIGSTOP or docker pause: connections stay open, nothing is answered. */
  pause(server?: ServerName): Promise<void>;
  resume(server?: ServerName): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(server?: ServerName): Promise<void>;
  /** On the same data and ports, after a kill or instead of one; resolves when it is ready. */
  restart(server?: ServerName): Promise<void>;
  /** The same with nothing of what it knew. */
  restartEmpty(server?: ServerName): Promise<void>;
  /** Resolves when the peer's own server answers its health check. */
  ready(): Promise<void>;
  /** Kills all its servers and removes their data. Twice is once. */
  stop(): Promise<void>;
  /** The last part of what its servers printed. */
  log(): string;
}

export interface KubernetesPeer extends Peer {
  /** The certificate authority, PEM. */
  readonly ca: string;
  /** `admin` may do everything, `reader` nothing until it is bound to a role. */
  readonly tokens: { readonly admin: string; readonly reader: string };
  /** Text of a kubeconfig whose current context is `test`, for the given token (default admin). */
  kubeconfig(token?: string): string;
  /** The same for the admin, as a file that stop() removes. */
  readonly kubeconfigFile: string;
}

/** What start() gives for each name. */
export interface PeerTypes {
  consul: Peer;
  etcd: Peer;
  zookeeper: Peer;
  kubernetes: KubernetesPeer;
  eureka: Peer;
  rnacos: Peer;
  envoy: Peer;
  'envoy-1.36': Peer;
  grpcio: Peer;
  nats: Peer;
  'nats-cluster': Peer;
}
