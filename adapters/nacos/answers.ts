// The shape of Nacos's answers, of all its APIs. What cannot be the answer at all is an error; an odd
// instance is left to map.ts.
// Shapes: Nacos's own controllers and view classes, 1.4.2, 2.5.1 and 3.1 (naming/controllers, api/naming/pojo),
// and "Open API" of its manual.
import { z } from 'zod';
import { NACOS_ANSWER } from './errors.ts';

/** Nacos 3 spells some flags and counts as text. */
const number = z.union([z.number(), z.string().regex(/^\d+$/).transform(Number)]);
const count = number.pipe(z.int().min(0));

/** Absent and null are as good as ''. */
const text = z
  .string()
  .nullish()
  .transform((said) => said ?? '');

const instance = z.object({
  ip: text,
  port: z.unknown().optional(),
  weight: z.unknown().optional(),
  healthy: z.boolean().nullish(),
  enabled: z.boolean().nullish(),
  ephemeral: z.boolean().nullish(),
  clusterName: text,
  metadata: z.unknown().optional(),
});

export type NacosInstance = z.output<typeof instance>;

/** One line of the list of services. */
const view = z.object({
  name: z.string().min(1),
  groupName: z.string().min(1),
  clusterCount: count,
  ipCount: count,
  healthyInstanceCount: count,
});

export type ServiceView = z.output<typeof view>;

export interface Page<T> {
  /** Of all pages together. */
  readonly total: number;
  readonly items: readonly T[];
}

/** `{code, message, data}`: every answer of the second and third API. */
const envelope = z.object({ code: z.number(), message: text, data: z.unknown() });

const page = <S extends z.ZodType>(total: string, items: string, item: S) =>
  z
    .object({ [total]: count, [items]: z.array(item).nullish() })
    .transform((said) => ({ total: said[total] as number, items: (said[items] ?? []) as z.output<S>[] }));

const shapes = {
  servicesV1: page('count', 'serviceList', view),
  servicesV3: page('totalCount', 'pageItems', view),
  instancesV1: page('count', 'list', instance),
  /** Without `instances` when there are none. */
  instancesV2: page('count', 'instances', instance),
  instancesV3: z.array(instance).transform((items) => ({ total: items.length, items })),
  clustersV1: z
    .object({ clusters: z.array(z.object({ name: z.string() })) })
    .transform((said) => said.clusters.map(({ name }) => name)),
  clustersV3: z
    .object({ clusterMap: z.record(z.string(), z.unknown()) })
    .transform((said) => Object.keys(said.clusterMap)),
  namespaces: z.array(z.object({ namespace: text, namespaceShowName: text })),
  login: z.object({ accessToken: z.string().min(1), tokenTtl: number.optional() }),
} as const;

export type Shape = keyof typeof shapes;
export type Answer<S extends Shape> = z.output<(typeof shapes)[S]>;

/**
 * @param url for the message.
 * @throws ISTHMUS_NACOS_ANSWER
 */
export function readAnswer<S extends Shape>(shape: S, data: unknown, url: string): Answer<S> {
  return fit(shapes[shape] as unknown as z.ZodType<Answer<S>>, data, url, whatIs[shape]);
}

/**
 * The data of an envelope.
 * @throws ISTHMUS_NACOS_ANSWER
 */
export function unwrap(data: unknown, url: string): unknown {
  const { code, message, data: inner } = fit(envelope, data, url, 'an answer of Nacos');
  if (code === 0 || code === 200) return inner;
  throw NACOS_ANSWER(url, `code ${code}: ${message.slice(0, 200)}`);
}

const whatIs: Readonly<Record<Shape, string>> = {
  servicesV1: 'a list of services',
  servicesV3: 'a list of services',
  instancesV1: 'a list of instances',
  instancesV2: 'a list of instances',
  instancesV3: 'a list of instances',
  clustersV1: 'a service',
  clustersV3: 'a service',
  namespaces: 'a list of namespaces',
  login: 'an access token',
};

function fit<T>(schema: z.ZodType<T>, data: unknown, url: string, what: string): T {
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const at = issue && issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : '';
  throw NACOS_ANSWER(url, `not ${what}: ${at}${issue?.message ?? 'wrong shape'}`);
}
