// Whether sidecars can be written into what `writeTo` names.
import type { z } from 'zod';

interface Source {
  readonly name: string;
  readonly kind: string;
  readonly writeTo?: readonly string[];
  readonly datacenters?: string | undefined;
}

/** What sidecars are written into has to be one registry, and one that can be written to. */
export function areWritable(sources: readonly Source[], context: z.RefinementCtx): void {
  for (const [index, source] of sources.entries()) {
    for (const [at, name] of (source.writeTo ?? []).entries()) {
      const target = sources.find((other) => other.name === name);
      if (target?.kind === 'eureka') continue;
      if (target?.kind === 'consul' && target.datacenters === undefined) continue;
      const message =
        'the name of a source of kind eureka, or of kind consul, one with a datacenter of its own';
      context.addIssue({ code: 'custom', message, path: [index, 'writeTo', at] });
    }
  }
}
