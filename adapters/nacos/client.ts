// The questions we ask a Nacos cluster, put to several servers: the one that answered last is asked until
// it fails, then the next. Does not loop over time and keeps no answer; what is remembered is in `Memory`.
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { NacosSource } from '../../config/schema.ts';
import type { Clock } from '../../lib/clock.ts';
import { describeError, toError } from '../../lib/errors.ts';
import { SOURCE_SILENT } from '../../lib/supervisor.ts';
import { readTls } from './access.ts';
import type { NacosInstance, ServiceView } from './answers.ts';
import { DIALECTS } from './dialects.ts';
import type { ApiName, Dialect, PageOf, ServiceName } from './dialects.ts';
import { NACOS_ANSWER, NACOS_NAMESPACE, NACOS_UNREACHABLE } from './errors.ts';
import { readPages } from './pages.ts';
import { Server } from './server.ts';

export interface NacosLimits {
  /** An answer must be whole by then. Default 5,000 ms. */
  readonly answerMs: number;
  /** Bytes of one answer. Default 64 MiB. */
  readonly maxBytes: number;
  /** Entries of one page. Default 500. */
  readonly pageSize: number;
  /** No good answer for this long means silence. Default three polls or answers, at least 15,000 ms. */
  readonly silentMs: number;
}

/** A service as the list has it. */
export interface Listed extends ServiceName {
  /** GROUP@@NAME: Nacos's own key. */
  readonly key: string;
  /** Instances, in all states. */
  readonly instances: number;
  /** Of them. */
  readonly healthy: number;
  /**
   * The server answers as it would a caller: what is switched off is counted and not shown, and when none is
   * healthy all are shown as healthy. So does rnacos, which counts no clusters; Nacos shows what there is.
   */
  readonly asForCallers: boolean;
  /** Equal counts: nothing came, left, or changed its health, as far as the list tells. */
  readonly counts: string;
}

export interface NacosClient {
  /** Of all groups. */
  services(signal: AbortSignal): Promise<Listed[]>;
  /** In all clusters; undefined: Nacos does not know the service (any more). */
  instances(service: Listed, signal: AbortSignal): Promise<NacosInstance[] | undefined>;
  /** URL of the server that answered last. */
  readonly server: string;
  /** @throws ISTHMUS_SOURCE_SILENT when nothing good was heard for too long. Asks nothing itself. */
  probe(): void;
  close(): void;
}

/** What is kept from try to try. */
export interface Memory {
  /** Number of the server that is asked next. */
  at: number;
  /** Which API a server speaks, by its URL. */
  readonly dialects: Map<string, Dialect>;
  /** Names of clusters by key of the service, where there is another one than DEFAULT. */
  readonly clusters: Map<string, readonly string[]>;
}

export interface ClientDeps {
  readonly clock: Clock;
  readonly onDialect: (url: string, api: ApiName) => void;
}

const DEFAULT_CLUSTERS: readonly string[] = ['DEFAULT'];

/** @throws ISTHMUS_NACOS_FILE */
export function createNacosClient(
  config: NacosSource,
  limits: NacosLimits,
  memory: Memory,
  { clock, onDialect }: ClientDeps,
): NacosClient {
  const { pageSize, silentMs } = limits;
  const namespace = config.namespace || PUBLIC;
  const pages = { namespace, size: pageSize };
  const http = new HttpAgent({ keepAlive: true });
  const https = new HttpsAgent({ keepAlive: true, ...readTls(config) });
  let heardAt = clock.monotonic();
  const servers = config.urls.map((text) => {
    const base = baseOf(text, config.contextPath);
    return new Server({
      base,
      access: config,
      namespace,
      dialect: DIALECTS.find(({ name }) => name === config.api) ?? memory.dialects.get(base),
      agent: base.startsWith('https:') ? https : http,
      clock,
      ...limits,
      onProgress: () => {
        heardAt = clock.monotonic();
      },
      onDialect(dialect) {
        memory.dialects.set(base, dialect);
        onDialect(base, dialect.name);
      },
    });
  });

  /** Each server once, from the one that answered last on. */
  async function atOneOf<T>(work: (server: Server) => Promise<T>, signal: AbortSignal): Promise<T> {
    const faults: Error[] = [];
    const from = memory.at;
    for (const offset of servers.keys()) {
      const number = (from + offset) % servers.length;
      const server = servers[number];
      if (!server) break;
      try {
        const result = await work(server);
        memory.at = number;
        return result;
      } catch (thrown) {
        signal.throwIfAborted();
        faults.push(toError(thrown));
      }
    }
    const [first] = faults;
    if (first && faults.every((fault) => codeOf(fault) === codeOf(first))) throw first;
    const each = new Error(faults.map(describeError).join('; '));
    throw NACOS_UNREACHABLE.from(each, `any of ${servers.length} servers`);
  }

  /** A namespace that does not exist looks like one without services. */
  async function checkNamespace(server: Server, signal: AbortSignal): Promise<void> {
    if (namespace === PUBLIC) return;
    const { namespaces } = await server.dialect(signal);
    // Not every user may see them; then an empty list is all we know.
    const known = await server.find(namespaces, signal).catch((thrown: unknown) => {
      signal.throwIfAborted();
      return void toError(thrown);
    });
    if (!known || known.some((one) => one.namespace === namespace)) return;
    const names = known.map(({ namespace: id, namespaceShowName: name }) =>
      id === '' || id === name ? name || PUBLIC : `${id} (${name})`,
    );
    throw NACOS_NAMESPACE(namespace, names.join(', ') || 'none');
  }

  async function ofClusters(
    server: Server,
    service: Listed,
    clusters: readonly string[],
    signal: AbortSignal,
  ): Promise<NacosInstance[] | undefined> {
    const dialect = await server.dialect(signal);
    const found = new Map<string, NacosInstance>();
    let isWhole = true;
    for (const cluster of clusters) {
      const ask = (page: PageOf) => dialect.instances(service, cluster, page);
      const items = await readPages(server, ask, pages, instanceKey, signal);
      if (!items) isWhole = false;
      for (const item of items ?? []) found.set(instanceKey(item), item);
    }
    return isWhole ? [...found.values()] : undefined;
  }

  return {
    services: (signal) =>
      atOneOf(async (server) => {
        const dialect = await server.dialect(signal);
        const listed = await readPages(server, dialect.services, pages, keyOf, signal);
        if (!listed) {
          memory.dialects.delete(server.base);
          throw NACOS_ANSWER(server.base, `it does not speak the API ${dialect.name} (any more)`);
        }
        if (listed.length === 0) await checkNamespace(server, signal);
        return listed.map(listedOf);
      }, signal),
    instances: (service, signal) =>
      atOneOf(async (server) => {
        const known = memory.clusters.get(service.key) ?? DEFAULT_CLUSTERS;
        const found = await ofClusters(server, service, known, signal);
        if (found?.length === service.instances || service.asForCallers) return found;
        // More or fewer than the list says: there may be other clusters.
        const { clusters: askFor } = await server.dialect(signal);
        const names = askFor && (await server.find(askFor(service, namespace), signal));
        if (!names || sameNames(names, known)) return found;
        if (sameNames(names, DEFAULT_CLUSTERS)) memory.clusters.delete(service.key);
        else memory.clusters.set(service.key, names);
        return ofClusters(server, service, names, signal);
      }, signal),
    get server() {
      return servers[memory.at]?.base ?? '';
    },
    probe() {
      if (clock.monotonic() - heardAt > silentMs) throw SOURCE_SILENT('any question', silentMs);
    },
    close() {
      http.destroy();
      https.destroy();
    },
  };
}

const PUBLIC = 'public';

const codeOf = (error: Error): string => ('code' in error ? String(error.code) : '');

const keyOf = ({ groupName, name }: ServiceView): string => `${groupName}@@${name}`;

function listedOf(view: ServiceView): Listed {
  const { name, groupName: group, clusterCount, ipCount, healthyInstanceCount } = view;
  const counts = `${clusterCount}/${ipCount}/${healthyInstanceCount}`;
  const asForCallers = clusterCount === 0;
  const healthy = healthyInstanceCount;
  return { key: keyOf(view), group, name, instances: ipCount, healthy, asForCallers, counts };
}

/** Nacos's identity of an instance within its service. */
export function instanceKey({ ip, port, clusterName }: NacosInstance): string {
  return `${ip}#${String(port)}#${clusterName}`;
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name) => b.includes(name));
}

/** Of `http://HOST:8848`: with the context path. */
function baseOf(text: string, contextPath: string): string {
  const url = new URL(text);
  url.username = '';
  url.password = '';
  if (url.pathname === '/') url.pathname = contextPath;
  return url.href.replace(/\/+$/, '');
}
