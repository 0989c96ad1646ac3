// An HTTP server that answers as Nacos is documented to, for the APIs that no server to be had here speaks
// (v2, v3), and for what only a stub can do. Not Nacos: its answers are written after Nacos's own controllers
// and view classes at 1.4.2, 2.5.1 and 3.1.0-SNAPSHOT (naming/controllers, CatalogServiceV2Impl, api/model/Page,
// api/naming/pojo/Instance and maintainer/*, the auth plugin's UserController) and its manual's "Open API".
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface StubInstance {
  readonly ip: string;
  readonly port: number;
  readonly weight?: number;
  readonly healthy?: boolean;
  readonly enabled?: boolean;
  readonly ephemeral?: boolean;
  readonly clusterName?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export interface NacosStubOptions {
  readonly api: 'v1' | 'v2' | 'v3';
  /** Without it everybody may read. */
  readonly user?: { readonly name: string; password: string };
  readonly contextPath?: string;
}

type Reply = { readonly status: number; readonly body: unknown };
const ok = (body: unknown): Reply => ({ status: 200, body });
const wrapped = (data: unknown): Reply => ok({ code: 0, message: 'success', data });
const notFound = (what: string): Reply => ({ status: 404, body: `caused: ${what} is not found!;` });

export class NacosStub {
  /** NAMESPACE → GROUP@@NAME → instances. */
  readonly namespaces = new Map<string, Map<string, readonly StubInstance[]>>([['public', new Map()]]);
  /** Path and query of every question. */
  readonly asked: string[] = [];
  /** Tokens that are good now. */
  readonly tokens = new Set<string>();
  /** Changes an answer on its way out. */
  twist: (path: string, body: unknown) => unknown = (_path, body) => body;
  readonly #options: NacosStubOptions;
  readonly #server: Server;
  #logins = 0;

  constructor(options: NacosStubOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  async start(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** No instances: the service stays, empty, as Nacos keeps it for a while. */
  set(name: string, instances: readonly StubInstance[], group = 'DEFAULT_GROUP', namespace = 'public'): void {
    const services = this.namespaces.get(namespace) ?? new Map<string, readonly StubInstance[]>();
    this.namespaces.set(namespace, services.set(`${group}@@${name}`, instances));
  }

  /** Tokens that were given before are refused. */
  setPassword(password: string): void {
    if (this.#options.user) this.#options.user.password = password;
    this.tokens.clear();
  }

  remove(name: string, group = 'DEFAULT_GROUP', namespace = 'public'): void {
    this.namespaces.get(namespace)?.delete(`${group}@@${name}`);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://stub');
    const context = this.#options.contextPath ?? '/nacos';
    let form = '';
    for await (const chunk of request as AsyncIterable<Buffer>) form += chunk.toString('utf8');
    this.asked.push(url.pathname + url.search);
    const path = url.pathname.startsWith(context) ? url.pathname.slice(context.length) : '';
    const reply = this.#reply(path, url.searchParams, new URLSearchParams(form), request);
    const body = this.twist(path, reply.body);
    response.writeHead(reply.status, { 'content-type': 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  }

  #reply(path: string, query: URLSearchParams, form: URLSearchParams, request: IncomingMessage): Reply {
    const { api, user } = this.#options;
    const unknown: Reply = { status: 404, body: { status: 404, error: 'Not Found', path } };
    if (path === (api === 'v3' ? '/v3/auth/user/login' : '/v1/auth/login')) return this.#login(form);
    const answer = this.#handlers()[path];
    if (!answer) return unknown;
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? '';
    if (user && !this.tokens.has(token))
      return { status: 403, body: { code: 10_001, message: 'access denied' } };
    const namespace = query.get('namespaceId') ?? 'public';
    return answer(this.namespaces.get(namespace) ?? new Map(), query);
  }

  #login(form: URLSearchParams): Reply {
    const { user } = this.#options;
    const isRight = form.get('username') === user?.name && form.get('password') === user?.password;
    if (user && !isRight) return { status: 403, body: 'unknown user!' };
    this.#logins += 1;
    const accessToken = `token-${this.#logins}`;
    this.tokens.add(accessToken);
    return ok({ accessToken, tokenTtl: 18_000, globalAdmin: true, username: user?.name });
  }

  #handlers(): Readonly<Record<string, (services: Services, query: URLSearchParams) => Reply>> {
    const namespaces = [...this.namespaces.keys()].map((id) => ({
      namespace: id === 'public' && this.#options.api !== 'v3' ? '' : id,
      namespaceShowName: id === 'public' ? id : `name of ${id}`,
    }));
    const v1 = {
      '/v1/ns/catalog/services': (services: Services, query: URLSearchParams) => {
        const { items, total } = paged(views(services), query);
        return ok({ serviceList: items, count: total });
      },
      '/v1/console/namespaces': () => ok({ code: 200, message: null, data: namespaces }),
    };
    switch (this.#options.api) {
      case 'v1':
        return {
          ...v1,
          '/v1/ns/catalog/instances': (services, query) => {
            const cluster = inCluster(services.get(query.get('serviceName') ?? ''), query);
            if (!cluster) return notFound('cluster');
            const { items, total } = paged(cluster, query);
            return ok({ list: items, count: total });
          },
          '/v1/ns/catalog/service': (services, query) => {
            const instances = services.get(query.get('serviceName') ?? '');
            if (!instances) return notFound('service');
            return ok({ service: {}, clusters: clusterNames(instances).map((name) => ({ name })) });
          },
        };
      case 'v2':
        return {
          ...v1,
          '/v2/ns/catalog/instances': (services, query) => {
            const { items, total } = paged(
              (services.get(query.get('serviceName') ?? '') ?? []).map(full),
              query,
            );
            return wrapped(items.length === 0 ? { count: total } : { instances: items, count: total });
          },
          '/v2/console/namespace/list': () => wrapped(namespaces),
        };
      case 'v3':
        return {
          '/v3/admin/ns/service/list': (services, query) => {
            const { items, total } = paged(views(services), query);
            return wrapped({ totalCount: total, pageNumber: 1, pagesAvailable: 1, pageItems: items });
          },
          '/v3/admin/ns/instance/list': (services, query) => {
            const cluster = inCluster(services.get(keyV3(query)), query);
            return cluster ? wrapped(cluster) : notFound('cluster');
          },
          '/v3/admin/ns/service': (services, query) => {
            const instances = services.get(keyV3(query));
            if (!instances) return notFound('service');
            const clusters = clusterNames(instances).map((name) => [name, { clusterName: name }]);
            return wrapped({ clusterMap: Object.fromEntries(clusters) });
          },
          '/v3/admin/core/namespace/list': () => wrapped(namespaces),
        };
    }
  }
}

type Services = ReadonlyMap<string, readonly StubInstance[]>;

const keyV3 = (query: URLSearchParams) =>
  `${query.get('groupName') ?? ''}@@${query.get('serviceName') ?? ''}`;

const full = (instance: StubInstance) => ({
  weight: 1,
  healthy: true,
  enabled: true,
  ephemeral: true,
  clusterName: 'DEFAULT',
  metadata: {},
  instanceHeartBeatInterval: 5_000,
  ...instance,
});

function clusterNames(instances: readonly StubInstance[]): string[] {
  return [...new Set(instances.map((instance) => full(instance).clusterName))];
}

/** As Nacos does: a cluster without instances is not there. */
function inCluster(instances: readonly StubInstance[] | undefined, query: URLSearchParams) {
  const found = instances?.map(full).filter((one) => one.clusterName === query.get('clusterName'));
  return found && found.length > 0 ? found : undefined;
}

function views(services: Services) {
  return [...services].map(([key, instances]) => {
    const [groupName = '', name = ''] = key.split('@@');
    return {
      name,
      groupName,
      clusterCount: clusterNames(instances).length,
      ipCount: instances.length,
      healthyInstanceCount: instances.filter((one) => full(one).healthy).length,
      triggerFlag: 'false',
    };
  });
}

function paged<T>(all: readonly T[], query: URLSearchParams): { items: readonly T[]; total: number } {
  const size = Number(query.get('pageSize'));
  const from = (Number(query.get('pageNo')) - 1) * size;
  return { items: all.slice(from, from + size), total: all.length };
}
