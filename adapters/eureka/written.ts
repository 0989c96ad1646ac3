// An endpoint of ours as a Eureka instance, and what Eureka says of one. Pure.
import { z } from 'zod';
import { OWNER_LABEL } from '../../model/sidecars.ts';
import type { Labels } from '../../model/endpoint.ts';
import type { Written } from '../../model/sidecars.ts';
import { labelsOf } from '../metadata.ts';
import { enabledPort } from './answers.ts';

const FENCE = 'isthmus-fence';

/**
 * Seconds. Eureka counts on two renewals a minute of each instance, and preserves itself by that count: who renews
 * more often hides that others died. It ends a lease at twice its duration.
 */
const RENEWED_EVERY_S = 30;
const LEASE_S = 45;

/** By callers: what is DOWN gets no calls. OUT_OF_SERVICE would be an operator's word, which Eureka keeps as its own. */
const STATUS: Readonly<Record<Written['status'], string>> = {
  passing: 'UP',
  warning: 'UP',
  critical: 'DOWN',
};

/** What differs from one to the next; all else is the same for all. */
export interface OurInstance {
  /** As Eureka spells it: its clients write and look for applications in upper case. */
  readonly app: string;
  readonly id: string;
  readonly address: string;
  readonly port: number;
  /** Virtual host name. */
  readonly vip: string;
  /** A second one, under which all of an owner's are found without reading the whole registry. */
  readonly ownerVip: string;
  readonly status: string;
  readonly metadata: Labels;
}

export const ownerVipOf = (owner: string): string => `isthmus-owner-${owner}`;

export function ourInstance(owner: string, fence: number, entry: Written): OurInstance {
  const { name, address, port, weight, labels, status } = entry;
  return {
    app: name.toUpperCase(),
    id: `${owner}:${name}:${address}:${port}`,
    address,
    port,
    vip: name,
    ownerVip: ownerVipOf(owner),
    status: STATUS[status],
    metadata: {
      ...usable(labels),
      weight: String(weight),
      [OWNER_LABEL]: owner,
      [FENCE]: String(fence),
    },
  };
}

/** Eureka's XML, which older clients read, makes elements of these names. */
function usable(labels: Labels): Labels {
  const entries = Object.entries(labels).filter(([name]) => /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name));
  return Object.fromEntries(entries);
}

/** @param dirtyAt milliseconds since the epoch: of two registrations Eureka takes the one with the later. */
export function bodyOf(
  { app, id, address, port, ...rest }: OurInstance,
  dirtyAt: number,
  leaseSeconds = LEASE_S,
): object {
  return {
    instance: {
      instanceId: id,
      app,
      hostName: address,
      ipAddr: address,
      port: { $: port, '@enabled': 'true' },
      securePort: { $: 443, '@enabled': 'false' },
      vipAddress: rest.vip,
      secureVipAddress: rest.ownerVip,
      status: rest.status,
      dataCenterInfo: {
        '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo',
        name: 'MyOwn',
      },
      leaseInfo: { renewalIntervalInSecs: RENEWED_EVERY_S, durationInSecs: leaseSeconds },
      metadata: rest.metadata,
      lastDirtyTimestamp: String(dirtyAt),
    },
  };
}

const text = z.string().nullish();
const known = z.object({
  instance: z.object({
    ipAddr: text,
    status: text,
    /** An operator's, or UNKNOWN. Older servers spell it in lower case. */
    overriddenStatus: text,
    overriddenstatus: text,
    port: z.unknown(),
    metadata: z.unknown(),
    lastDirtyTimestamp: z.coerce.number().catch(0),
  }),
});

/** What Eureka has under an id of ours. */
export interface KnownInstance {
  /** The mark; '' when it has none. */
  readonly owner: string;
  readonly fence: number;
  /** Milliseconds since the epoch. */
  readonly dirtyAt: number;
  /** '' when an operator's word hides what was written. */
  readonly status: string;
  readonly address: string;
  readonly port: number;
  readonly metadata: Labels;
}

/** undefined: not an instance. @param said a parsed answer. */
export function readKnown(said: unknown): KnownInstance | undefined {
  const { data } = known.safeParse(said);
  if (!data) return undefined;
  const { ipAddr, status, overriddenStatus, overriddenstatus, port, lastDirtyTimestamp } = data.instance;
  const { '@class': _class, ...metadata } = labelsOf(data.instance.metadata);
  const override = overriddenStatus ?? overriddenstatus ?? 'UNKNOWN';
  return {
    owner: metadata[OWNER_LABEL] ?? '',
    fence: Number(metadata[FENCE]) || 0,
    dirtyAt: lastDirtyTimestamp,
    status: override === 'UNKNOWN' ? (status ?? '') : '',
    address: ipAddr ?? '',
    port: enabledPort(port) ?? 0,
    metadata,
  };
}

/** Whether nothing has to be written. */
export function isAsWritten(there: KnownInstance, wanted: OurInstance): boolean {
  const names = Object.keys(wanted.metadata);
  return (
    there.address === wanted.address &&
    there.port === wanted.port &&
    (there.status === '' || there.status === wanted.status) &&
    names.length === Object.keys(there.metadata).length &&
    names.every((name) => there.metadata[name] === wanted.metadata[name])
  );
}
