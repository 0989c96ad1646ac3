// What a sidecar says of the service beside it, and when it comes and goes. The xds-server hears it with the first
// message of a stream; adapters/sidecar makes a source of it.
import type { Labels, Locality } from './endpoint.ts';

export interface Registration {
  /** Canonical `name.namespace`. */
  readonly service: string;
  /** IP address where others reach the sidecar; '' is the one that its connection comes from. */
  readonly address: string;
  /** Where the sidecar takes calls for the service, 1…65535. */
  readonly port: number;
  /** The app's own port: a registry's endpoint at this address and port is the same instance. */
  readonly appPort: number;
  /** Begins with a slash. */
  readonly healthPath: string;
  /** '' when it does not say. */
  readonly protocol: string;
  readonly labels: Labels;
  /** A whole number ≥ 1; absent: it does not say, which is 1. */
  readonly weight?: number;
  readonly locality: Locality;
  /** What it says of how its app is checked; see appCheckOf(). */
  readonly check?: Partial<AppCheck>;
}

/** How a sidecar looks whether the app beside it is well. Times are milliseconds. */
export interface AppCheck {
  /** `http`: GET on the health path. `grpc`: the health protocol of gRPC. `tcp`: it takes connections. */
  readonly how: (typeof APP_CHECKS)[number];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Successes, and failures, in a row that count. */
  readonly rise: number;
  readonly fall: number;
}

export const APP_CHECKS = ['http', 'tcp', 'grpc', 'off'] as const;
const USUAL_CHECK = { intervalMs: 5_000, timeoutMs: 2_000, rise: 1, fall: 3 };

/** Who names a health path is asked for it; of any other it is only known whether it takes connections. */
export function appCheckOf({ check, healthPath }: Pick<Registration, 'check' | 'healthPath'>): AppCheck {
  return { how: healthPath === '/' ? 'tcp' : 'http', ...USUAL_CHECK, ...check };
}

/** What a sidecar found of the app beside it. */
export interface AppReport {
  /** node.id of the sidecar. */
  readonly node: string;
  /** IP address that it says so from. */
  readonly peer: string;
  readonly health: 'healthy' | 'unhealthy' | 'degraded';
  /** Milliseconds after which it counts no more, unless it is said again. */
  readonly validMs: number;
}

export interface SidecarSession {
  /** node.id: the same sidecar when it comes back. */
  readonly node: string;
  /** IP address that the connection comes from. */
  readonly peer: string;
  /** What it shows to be let in; '' for nothing. */
  readonly token: string;
  /** Its certificate is that of the service. Default: it has shown none. */
  readonly proven?: boolean;
  readonly registration: Registration;
}

/** One whose name and address were believed where it is connected. */
export interface AdmittedSidecar extends Omit<SidecarSession, 'token' | 'proven'> {
  /** IP address to register. */
  readonly address: string;
  /** The replica that it is connected to; '' is this one. */
  readonly via: string;
}

/** `ended`: the sidecar said so itself, as it does when it drains. */
export type Departure = 'ended' | 'broken';

/** Told of each stream of a sidecar that registers; the returned function is called once, when it is over. */
export type SidecarDoor = (session: SidecarSession) => (how: Departure) => void;

/** Where a sidecar has answered in the name of its service. */
export interface Owner {
  readonly service: string;
  readonly address: string;
  /** The sidecar's, and its app's. */
  readonly ports: readonly number[];
}

/** Somebody answers where a sidecar was, and not in the name of its service. */
export interface Impostor extends Owner {
  /** In whose name; '' when it names nobody. */
  readonly answeredAs: string;
}

/** What the sidecars of a service are taken to say where they say nothing themselves. */
export interface RegistrationTemplate {
  readonly labels?: Labels | undefined;
  readonly region?: string | undefined;
  readonly zone?: string | undefined;
  readonly weight?: number | undefined;
  readonly protocol?: string | undefined;
  readonly healthPath?: string | undefined;
  readonly check?: Partial<AppCheck> | undefined;
}

/** What a sidecar says, completed: its own word comes before the template's. */
export function withTemplate(said: Registration, template: RegistrationTemplate | undefined): Registration {
  if (!template) return said;
  const weight = said.weight ?? template.weight;
  return {
    ...said,
    labels: { ...template.labels, ...said.labels },
    locality: {
      ...said.locality,
      region: said.locality.region || (template.region ?? ''),
      zone: said.locality.zone || (template.zone ?? ''),
    },
    protocol: said.protocol || (template.protocol ?? ''),
    healthPath: said.healthPath === '/' ? (template.healthPath ?? '/') : said.healthPath,
    ...(weight !== undefined && { weight }),
    ...((said.check ?? template.check) && { check: { ...template.check, ...said.check } }),
  };
}

/** An endpoint as it is written into a registry for callers outside. */
export interface Written {
  /** As that registry calls the service. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** A whole number ≥ 1. */
  readonly weight: number;
  readonly labels: Labels;
  readonly status: 'passing' | 'warning' | 'critical';
}

/** On what is written into a registry: by which installation, which reads back none of it. */
export const OWNER_LABEL = 'isthmus-owner';

/** On endpoints of sidecars: the app's port on the same address. */
export const APP_PORT_LABEL = 'isthmus.dev/app-port';
/** The path that pings ask for. */
export const HEALTH_PATH_LABEL = 'isthmus.dev/health-path';

/** Whether nothing that was claimed differs. */
export function isSameRegistration(a: Registration, b: Registration): boolean {
  const { labels: mine, ...rest } = a;
  const { labels: theirs, ...others } = b;
  const names = Object.keys(mine);
  return (
    JSON.stringify(rest) === JSON.stringify(others) &&
    names.length === Object.keys(theirs).length &&
    names.every((name) => mine[name] === theirs[name])
  );
}
