// The xDS server as the rest of the product sees it. What it is made of stands in parts.ts. Messages pass through
// gRPC as bytes (no serialiser of its own), so a resource is encoded once whatever the number of clients.
import { status } from '@grpc/grpc-js';
import type { XdsTls } from '../config/xds.ts';
import type { LoadCounters, LoadExchange, LoadReports } from '../model/load.ts';
import type { ProxyStatus } from '../model/proxies.ts';
import type { ServiceRules } from '../model/rules.ts';
import type { RuntimeLayer } from '../model/runtime.ts';
import type { FederationSnapshot } from '../model/snapshot.ts';
import type { Json } from '../proto/json.ts';
import { STOPPING } from './connections.ts';
import { configDump, endpointsDump } from './dump.ts';
import type { ScopeRules } from './groups.ts';
import type { HealthTarget } from './hds/assign.ts';
import { previewLayers } from './named/resources.ts';
import type { PreviewedLayer } from './named/resources.ts';
import type { XdsServerOptions } from './options.ts';
import { assemble } from './parts.ts';
import type { ServerParts } from './parts.ts';
import { preview, summed } from './preview.ts';
import type { PreviewedChange } from './preview.ts';

export interface XdsServer {
  /** Takes the newest state of the world. A small change is pushed before this returns, a large one in turns. */
  update(snapshot: FederationSnapshot): void;
  /** Resolves when all that update() was given is taken in. */
  settled(): Promise<void>;
  /**
   * True once every required source has answered: from then on removals are believed. Counts when what update()
   * was given before is taken in.
   */
  setReady(ready: boolean): void;
  /** Of what nodes are told that do not say themselves what they call. Default: of everything. */
  setScopes(rules: ScopeRules): void;
  /** Runtime layers, by the name that data planes ask for, in place of those before. */
  setLayers(layers: ReadonlyMap<string, RuntimeLayer>): void;
  /** @param address HOST:PORT; port 0 picks a free one. Rejects with ISTHMUS_LISTEN_FAILED. */
  listen(address: string): Promise<{ readonly port: number }>;
  /**
   * The same with TLS: who connects must show a certificate, which decides what node it may be.
   * @throws ISTHMUS_LISTEN_FAILED, ISTHMUS_XDS_TLS_FILES, ISTHMUS_XDS_IDENTITIES
   */
  listenTls(tls: XdsTls & { readonly pollMs?: number }): Promise<{ readonly port: number }>;
  proxies(): readonly ProxyStatus[];
  /** What a node sees (any node: what all see), in Envoy's JSON. undefined when no such node is connected. */
  configDump(node?: string): Json | undefined;
  /** What these rules, by service, these scopes and these layers would change. Throws when they make no sense. */
  preview(
    rules: ReadonlyMap<string, ServiceRules>,
    scopes?: ScopeRules,
    layers?: ReadonlyMap<string, RuntimeLayer>,
  ): readonly (PreviewedChange | PreviewedLayer)[];
  /** The assignments of that alone, as an array. */
  endpointsDump(node?: string): Json | undefined;
  /** Endpoints that connected data planes are to check (HDS), in place of those before. */
  setHealthChecks(targets: readonly HealthTarget[]): void;
  /** What sidecars are taken to say is another than before. */
  sidecarsChanged(): void;
  /** What data planes report of their requests. */
  readonly load: LoadReports & LoadCounters;
  /** Exchanges it with other replicas, from the first call on. */
  shareLoad(): LoadExchange;
  /** Ends streams with UNAVAILABLE, so that clients come back elsewhere or later. */
  close(options: { readonly drainMs: number }): Promise<void>;
}

export function createXdsServer(options: XdsServerOptions): XdsServer {
  const parts = assemble(options);
  const { catchUp, startUp, connections, groups, named, checks, load, listening } = parts;
  return {
    update: (snapshot) => catchUp.update(snapshot),
    settled: () => catchUp.settled(),
    setReady: (ready) => startUp.setReady(ready),
    setScopes(rules) {
      groups.scopeRules = rules;
      connections.rescope();
    },
    setLayers: (layers) => connections.touchNamed('rtds', named.setLayers(layers)),
    listen: (address) => listening.plaintext(address),
    listenTls: (tls) => listening.tls(tls),
    proxies: () => connections.proxies(),
    configDump: (node) => dumped(parts, configDump, node),
    preview: (rules, scopes, layers) => previewed(parts, rules, scopes, layers),
    endpointsDump: (node) => dumped(parts, endpointsDump, node),
    setHealthChecks: (targets) => checks.setTargets(targets),
    sidecarsChanged: () => checks.retell(),
    load,
    shareLoad: () => load.share(),
    close: ({ drainMs }) => close(parts, drainMs),
  };
}

/** Of one node, or of what all see. */
function dumped(
  { catalogue, connections }: ServerParts,
  dump: typeof configDump,
  node: string | undefined,
): Json | undefined {
  if (node === undefined) return dump(catalogue);
  const of = connections.clientOf(node);
  return of && dump(of.view, of.state);
}

function previewed(
  { catalogue, catchUp, connections, named }: ServerParts,
  rules: ReadonlyMap<string, ServiceRules>,
  scopes: ScopeRules | undefined,
  layers: ReadonlyMap<string, RuntimeLayer> = new Map(),
): readonly (PreviewedChange | PreviewedLayer)[] {
  const clients = connections.inspect();
  const changes = preview(catchUp.newest, rules, clients, catalogue);
  const rescoped = scopes ? connections.previewScopes(scopes) : [];
  return [...summed([...changes, ...rescoped]), ...previewLayers(named, layers, clients)];
}

async function close(parts: ServerParts, drainMs: number): Promise<void> {
  const { startUp, catchUp, health, connections, calls, listening } = parts;
  startUp.close();
  catchUp.close();
  health.setServing(false);
  const ended = connections.endAll(status.UNAVAILABLE, STOPPING, drainMs / 2);
  calls.endAll(status.UNAVAILABLE, STOPPING);
  await listening.close(drainMs, ended);
}
