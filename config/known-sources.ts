// Which sources a policy may name: those of the config, and what an entry that stands for several will find.
import type { Config } from './schema.ts';

export interface KnownSources {
  readonly names: readonly string[];
  has(name: string): boolean;
}

export function knownSources({ sources }: Pick<Config, 'sources'>): KnownSources {
  const names = sources.map(({ name }) => name);
  // `datacenters: all` makes NAME-DATACENTER of each that is found later.
  const templates = sources.flatMap((source) =>
    source.kind === 'consul' && source.datacenters !== undefined ? [`${source.name}-`] : [],
  );
  return { names, has: (name) => names.includes(name) || templates.some((start) => name.startsWith(start)) };
}
