// The three HTTP APIs of Nacos as one: where each question goes and how its answer is read. Data and pure
// functions; nothing here asks.
//
// v1: Nacos 1 and 2, and servers that speak like them. v2: Nacos 2.2.3 and later. v3: Nacos 3.
// `instance/list`, which is made for callers, hides what is disabled and calls everything healthy once too
// little is (the protect threshold); the questions below, which are made for administrators, do neither.
import { readAnswer, unwrap } from './answers.ts';
import type { Answer, NacosInstance, Page, ServiceView } from './answers.ts';

export type ApiName = 'v1' | 'v2' | 'v3';

/** A service as Nacos names it, within a namespace. */
export interface ServiceName {
  readonly group: string;
  readonly name: string;
}

export interface PageOf {
  readonly namespace: string;
  /** From 1 on. */
  readonly number: number;
  readonly size: number;
}

/** A question: path and query below the context path, and what its answer says. */
export interface Question<T> {
  readonly path: string;
  readonly read: (data: unknown, url: string) => T;
}

export interface Dialect {
  readonly name: ApiName;
  /** Services of all groups, with counts of their instances. */
  readonly services: (page: PageOf) => Question<Page<ServiceView>>;
  /** All instances of a service, in one cluster; in all of them when `clusters` is absent. */
  readonly instances: (service: ServiceName, cluster: string, page: PageOf) => Question<Page<NacosInstance>>;
  /** Names of a service's clusters. */
  readonly clusters?: (service: ServiceName, namespace: string) => Question<readonly string[]>;
  readonly namespaces: Question<Answer<'namespaces'>>;
  /** Fails with 404 where this API is not spoken. */
  readonly hello: (namespace: string) => Question<unknown>;
}

const query = (path: string, params: Readonly<Record<string, string | number>>): string =>
  `${path}?${Object.entries(params)
    .map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
    .join('&')}`;

const grouped = ({ group, name }: ServiceName): string => `${group}@@${name}`;
const paging = ({ namespace, number, size }: PageOf) => ({
  pageNo: number,
  pageSize: size,
  namespaceId: namespace,
});
const FIRST = { number: 1, size: 1 };

const v1: Dialect = {
  name: 'v1',
  services: (page) => ({
    // The console's own question; it is the only one that lists all groups, and it counts.
    path: query('/v1/ns/catalog/services', { withInstances: 'false', hasIpCount: 'false', ...paging(page) }),
    read: (data, url) => readAnswer('servicesV1', data, url),
  }),
  instances: (service, cluster, page) => ({
    path: query('/v1/ns/catalog/instances', {
      serviceName: grouped(service),
      clusterName: cluster,
      ...paging(page),
    }),
    read: (data, url) => readAnswer('instancesV1', data, url),
  }),
  clusters: (service, namespace) => ({
    path: query('/v1/ns/catalog/service', { serviceName: grouped(service), namespaceId: namespace }),
    read: (data, url) => readAnswer('clustersV1', data, url),
  }),
  namespaces: {
    path: '/v1/console/namespaces',
    read: (data, url) => readAnswer('namespaces', unwrap(data, url), url),
  },
  hello: (namespace) => v1.services({ namespace, ...FIRST }),
};

const v2: Dialect = {
  name: 'v2',
  services: v1.services,
  instances: (service, _cluster, page) => ({
    path: query('/v2/ns/catalog/instances', { serviceName: grouped(service), ...paging(page) }),
    read: (data, url) => readAnswer('instancesV2', unwrap(data, url), url),
  }),
  namespaces: {
    path: '/v2/console/namespace/list',
    read: (data, url) => readAnswer('namespaces', unwrap(data, url), url),
  },
  // Of a service that nobody has; that is an empty list there.
  hello: (namespace) =>
    v2.instances({ group: 'DEFAULT_GROUP', name: 'isthmus-hello' }, '', { namespace, ...FIRST }),
};

const v3: Dialect = {
  name: 'v3',
  services: (page) => ({
    path: query('/v3/admin/ns/service/list', {
      withInstances: 'false',
      ignoreEmptyService: 'false',
      ...paging(page),
    }),
    read: (data, url) => readAnswer('servicesV3', unwrap(data, url), url),
  }),
  // It has no pages.
  instances: ({ group, name }, cluster, { namespace }) => ({
    path: query('/v3/admin/ns/instance/list', {
      serviceName: name,
      groupName: group,
      clusterName: cluster,
      namespaceId: namespace,
    }),
    read: (data, url) => readAnswer('instancesV3', unwrap(data, url), url),
  }),
  clusters: ({ group, name }, namespace) => ({
    path: query('/v3/admin/ns/service', { serviceName: name, groupName: group, namespaceId: namespace }),
    read: (data, url) => readAnswer('clustersV3', unwrap(data, url), url),
  }),
  namespaces: {
    path: '/v3/admin/core/namespace/list',
    read: (data, url) => readAnswer('namespaces', unwrap(data, url), url),
  },
  hello: (namespace) => v3.services({ namespace, ...FIRST }),
};

/** The newest first: the order in which a server is asked what it speaks. */
export const DIALECTS: readonly Dialect[] = [v3, v2, v1];

/** Where a user and a password become an access token; the newest first. */
export const LOGINS = ['/v3/auth/user/login', '/v1/auth/login'] as const;
