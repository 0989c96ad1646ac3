// Service names under a source's config: who takes part, and what it is called here. Pure.
import type { Shaping } from '../config/shaping.ts';
import type { EndpointGroup } from '../model/endpoint.ts';
import { DEFAULT_NAMESPACE, serviceName, splitServiceName } from '../model/names.ts';
import { serviceFilter } from './filter.ts';
import { wildcard } from './wildcard.ts';

export interface ServiceShape {
  /** The new canonical name of a service, by its old one; undefined when it takes no part. */
  nameOf(service: string): string | undefined;
  /** The field of the config that leaves it out, such as `exclude.services`; undefined when it takes part. */
  readonly leftOutBy: (service: string) => string | undefined;
  /** The group under its new name, with the aliases that go with it. */
  named(group: EndpointGroup, service: string): EndpointGroup;
}

export function serviceShape(config: Shaping): ServiceShape {
  const { include, exclude } = config;
  const included = serviceFilter(include.services);
  const excluded = serviceFilter(exclude.services);
  const inNamespace = anyOf(include.namespaces);
  const notInNamespace = anyOf(exclude.namespaces);
  const rules = Object.entries(config.rename).map(([from, to]) => renameRule(from, to));
  const extra = Object.entries(config.aliases).map(
    ([name, aliases]) => [name.toLowerCase(), aliases] as const,
  );
  const leftOutBy = (service: string): string | undefined => {
    const { namespace } = splitServiceName(service);
    if (!included(service)) return 'include.services';
    if (excluded(service)) return 'exclude.services';
    if (!inNamespace(namespace)) return 'include.namespaces';
    return notInNamespace(namespace) ? 'exclude.namespaces' : undefined;
  };
  return {
    leftOutBy,
    nameOf(service) {
      if (leftOutBy(service) !== undefined) return undefined;
      for (const rule of rules) {
        const renamed = rule(service);
        if (renamed !== undefined) return renamed;
      }
      return service;
    },
    named(group, service) {
      const { name } = splitServiceName(service);
      const more = extra.flatMap(([of, aliases]) => (of === service || of === name ? aliases : []));
      const kept = group.service === service ? group.aliases : aliasesAfter(group, service);
      if (kept === group.aliases && more.length === 0) return group;
      return { ...group, service, aliases: [...new Set([...kept, ...more])].sort() };
    },
  };
}

/** True for a text that one of the patterns matches. */
function anyOf(patterns: readonly string[]): (text: string) => boolean {
  const tests = patterns.map((pattern) => wildcard(pattern, { ignoreCase: true }));
  return (text) => tests.some((test) => test.test(text));
}

/**
 * The registry's own long names stay good (`orders.service.consul`); the old short ones do not, because
 * another source may have a service of that name.
 */
function aliasesAfter(group: EndpointGroup, service: string): readonly string[] {
  const old = new Set([group.service, splitServiceName(group.service).name]);
  const { name, namespace } = splitServiceName(service);
  const kept = group.aliases.filter((alias) => !old.has(alias.toLowerCase()));
  return namespace === DEFAULT_NAMESPACE ? [...kept, name] : kept;
}

/**
 * A `from` with a dot is held against the whole name, one without against the bare name. A `to` without a
 * dot keeps the namespace. `*` in `to` stands for what `*` in `from` stood for.
 */
function renameRule(from: string, to: string): (service: string) => string | undefined {
  const whole = from.includes('.');
  const [head = '', tail] = from.toLowerCase().split('*');
  return (service) => {
    const { name, namespace } = splitServiceName(service);
    const star = between(whole ? service : name, head, tail);
    if (star === undefined) return undefined;
    const renamed = to.split('*').join(star);
    const hasNamespace = whole ? renamed.includes('.') : to.includes('.');
    return hasNamespace ? renamed.toLowerCase() : serviceName(renamed, namespace);
  };
}

/** What stands between head and tail; '' for an exact match without a star; undefined: no match. */
function between(text: string, head: string, tail: string | undefined): string | undefined {
  if (tail === undefined) return text === head ? '' : undefined;
  const fits = text.length >= head.length + tail.length && text.startsWith(head) && text.endsWith(tail);
  return fits ? text.slice(head.length, text.length - tail.length) : undefined;
}
