// Which certificate may speak for which services (`xds.tls.identitiesFile`), and what holds where there is no such
// file. A certificate says who it is by one SPIFFE id or, if it has none, by its DNS names (docs/adr/0020). What
// any line grants is granted.
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { defineError, describeError } from '../lib/errors.ts';
import { serviceName } from '../model/names.ts';
import { matchesService } from '../model/service-pattern.ts';

export const IDENTITIES_UNREADABLE = defineError(
  'ISTHMUS_XDS_IDENTITIES',
  (file: string, why: string) => `xds.tls.identitiesFile: ${file}: ${why}`,
  {
    hint: 'A list such as `- { certificate: "spiffe://example.org/ns/{namespace}/sa/{service}" }`; see docs/security.md.',
  },
);

const line = z
  .strictObject({
    /** A SPIFFE id or a DNS name; `*` is one part of it, `{service}` and `{namespace}` are what it speaks for. */
    certificate: z
      .string()
      .refine((text) => isPattern(text), 'a SPIFFE id such as spiffe://example.org/x, or a DNS name'),
    /** Further services that it speaks for; `*` stands for any text without a dot. */
    services: z.array(z.string().min(1)).default([]),
    /** It may read what every client was sent (CSDS). */
    operator: z.boolean().default(false),
  })
  .refine(
    ({ certificate, services, operator }) =>
      certificate.includes('{service}') || services.length > 0 || operator,
    'grants nothing: {service} in `certificate`, `services` or `operator`',
  );

const schema = z.array(line);
type Line = z.infer<typeof line>;

export interface Identities {
  /** @param names SPIFFE ids as they are, or DNS names in lower case. */
  grant(names: readonly string[]): Grant;
}

export interface Grant {
  /** Whether some line knows it at all. */
  readonly known: boolean;
  /** @param service canonical. */
  speaksFor(service: string): boolean;
  readonly operator: boolean;
}

/** Istio's form, Consul's form, and the names that Kubernetes gives to services. */
const USUAL = [
  'spiffe://*/ns/{namespace}/sa/{service}',
  'spiffe://*/ns/{namespace}/dc/*/svc/{service}',
  '{service}.{namespace}',
  '{service}.{namespace}.svc.cluster.local',
];

/**
 * @param file '': the usual forms count.
 * @param trustDomain SPIFFE ids of another one count for nothing, and DNS names, which have none, by a line of the
 *   file alone. '': any counts.
 * @throws ISTHMUS_XDS_IDENTITIES
 */
export async function readIdentities(file: string, trustDomain = ''): Promise<Identities> {
  const lines = file === '' ? usual(trustDomain) : await linesOf(file);
  const foreign = lines.find(({ certificate }) => !mayBeIn(certificate, trustDomain));
  if (foreign) {
    throw IDENTITIES_UNREADABLE(file, `${foreign.certificate} is not of xds.tls.trustDomain ${trustDomain}`);
  }
  return identitiesOf(lines, trustDomain);
}

const usual = (trustDomain: string): readonly Line[] =>
  USUAL.filter((form) => trustDomain === '' || isSpiffe(form)).map((certificate) => ({
    certificate,
    services: [],
    operator: false,
  }));

const isSpiffe = (name: string): boolean => name.startsWith('spiffe://');

const domainOf = (id: string): string => id.slice('spiffe://'.length).split('/', 1)[0] ?? '';

/** A line that no certificate of the trust domain could match is a slip. */
const mayBeIn = (line: string, trustDomain: string): boolean =>
  trustDomain === '' ||
  !isSpiffe(line) ||
  compile(`spiffe://${domainOf(line)}`).test(`spiffe://${trustDomain}`);

async function linesOf(file: string): Promise<readonly Line[]> {
  let data: unknown;
  try {
    data = parse(await readFile(file, 'utf8'));
  } catch (thrown) {
    throw IDENTITIES_UNREADABLE.from(thrown, file, describeError(thrown));
  }
  // Half written, more often than meant.
  if (data === null) throw IDENTITIES_UNREADABLE(file, 'is empty; for nobody write []');
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw IDENTITIES_UNREADABLE(file, `[${issue?.path.join('.') ?? ''}]: ${issue?.message ?? 'malformed'}`);
}

function identitiesOf(lines: readonly Line[], trustDomain: string): Identities {
  const compiled = lines.map((each) => ({ ...each, pattern: compile(each.certificate) }));
  return {
    grant(all) {
      // Also where a line says `*`.
      const names = all.filter(
        (name) => trustDomain === '' || !isSpiffe(name) || domainOf(name) === trustDomain,
      );
      const found = compiled.flatMap(({ pattern, services, operator }) =>
        names.flatMap((name) => {
          const match = pattern.exec(name);
          return match ? { own: canonical(match.groups ?? {}), services, operator } : [];
        }),
      );
      return {
        known: found.length > 0,
        operator: found.some(({ operator }) => operator),
        speaksFor: (service) =>
          found.some(
            ({ own, services }) =>
              own === service || services.some((pattern) => matchesService(pattern, service)),
          ),
      };
    },
  };
}

/** Of a line without a place for the namespace the service may say it: `orders.shop`. */
function canonical({ service, namespace }: Readonly<Record<string, string>>): string | undefined {
  if (service === undefined) return undefined;
  return namespace === undefined && service.includes('.') ? service : serviceName(service, namespace);
}

/** Every part that is not a placeholder is text; of each placeholder there is one at most. */
function isPattern(text: string): boolean {
  const plain = text
    .replace(/^spiffe:\/\//, '')
    .replace('{service}', 's')
    .replace('{namespace}', 'n');
  return text.startsWith('spiffe://') ? /^[^{}\s]+$/.test(plain) : /^[A-Za-z0-9._*-]+$/.test(plain);
}

/**
 * A name of a service may have dots in a SPIFFE id, as its namespace stands elsewhere there; in DNS it has none.
 * SPIFFE ids differ by case, and services have none: one in capitals is not that of the service.
 */
function compile(pattern: string): RegExp {
  const isUri = pattern.startsWith('spiffe://');
  const escaped = (isUri ? pattern : pattern.toLowerCase()).replace(/[.+?^$()|[\]\\]/g, '\\$&');
  const source = escaped
    .replaceAll('*', isUri ? '[^/]+' : '[^.*]+')
    .replace('{service}', isUri ? '(?<service>[a-z0-9._-]+)' : '(?<service>[a-z0-9_-]+)')
    .replace('{namespace}', '(?<namespace>[a-z0-9_-]+)');
  return new RegExp(`^${source}$`);
}
