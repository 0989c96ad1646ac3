// The shape of Eureka's answers. Its JSON comes from XML: a list of one may be the thing itself, numbers may
// be text. What cannot be a registry at all is an error; an odd instance is left to map.ts.
import { z } from 'zod';
import { EUREKA_ANSWER } from './errors.ts';

/** Old servers unwrap a list of one element; an empty list may be missing. */
const asArray = <S extends z.ZodType>(item: S) =>
  z
    .union([z.array(item), item.transform((one) => [one])])
    .nullish()
    .transform((list) => list ?? []);

/** Absent, null and numbers are as good as text. */
const text = z
  .union([z.string(), z.number().transform(String)])
  .nullish()
  .transform((said) => said ?? '');

const instance = z.object({
  /** Absent before Eureka 1.4. */
  instanceId: text,
  hostName: text,
  ipAddr: text,
  status: text,
  /** `{"$": 8080, "@enabled": "true"}`, or a number. */
  port: z.unknown().optional(),
  securePort: z.unknown().optional(),
  vipAddress: text,
  metadata: z.unknown().optional(),
  dataCenterInfo: z.unknown().optional(),
  leaseInfo: z.unknown().optional(),
  /** ADDED, MODIFIED or DELETED; means something in a delta only. */
  actionType: text,
  /** Milliseconds since the epoch by the server's clock; set anew by every change, also by the last one. */
  lastUpdatedTimestamp: z
    .union([z.string(), z.number()])
    .nullish()
    .transform((said) => Number(said ?? 0) || 0),
});

const application = z.object({ name: z.string().min(1), instance: asArray(instance) });

const one = z.object({ instance });

const applications = z.object({
  /** `DOWN_1_UP_2_`: number of instances by status. Of servers that only speak like Eureka: absent. */
  apps__hashcode: z.string().optional(),
  application: asArray(z.unknown().refine((said) => said !== undefined && said !== null)),
});

const answer = z.object({
  applications: z
    .looseObject({})
    .refine((said) => 'apps__hashcode' in said || 'application' in said, 'neither hash nor applications')
    .pipe(applications),
});

export type EurekaInstance = z.output<typeof instance>;

export interface EurekaAnswer {
  /** undefined when the server does not say. */
  readonly hash: string | undefined;
  readonly apps: readonly EurekaApp[];
}

export type EurekaApp = z.output<typeof application>;

/** Where the applications are: each is read by itself, as an answer may have ten thousand. */
export const APPLICATIONS = ['applications', 'application'] as const;

class ReadApp {
  readonly app: EurekaApp;

  constructor(app: EurekaApp) {
    this.app = app;
  }
}

/**
 * For members of APPLICATIONS, while the answer is parsed; readAnswer() takes them as they are.
 * @throws ISTHMUS_EUREKA_ANSWER
 */
export function readApp(said: unknown, url: string): ReadApp {
  if (said instanceof ReadApp) return said;
  const parsed = application.safeParse(said);
  if (parsed.success) return new ReadApp(parsed.data);
  throw notApplications(parsed.error, url);
}

/**
 * @param url for the message.
 * @throws ISTHMUS_EUREKA_ANSWER
 */
export function readAnswer(data: unknown, url: string): EurekaAnswer {
  const parsed = answer.safeParse(data);
  if (parsed.success) {
    const { apps__hashcode: hash, application: apps } = parsed.data.applications;
    return { hash, apps: apps.map((said) => readApp(said, url).app) };
  }
  throw notApplications(parsed.error, url);
}

/** The answer to a question about one instance; undefined when it is something else. */
export function readOne(data: unknown): EurekaInstance | undefined {
  return one.safeParse(data).data?.instance;
}

function notApplications(error: z.ZodError, url: string): Error {
  const issue = error.issues[0];
  const at = issue && issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : '';
  return EUREKA_ANSWER(url, `not a list of applications: ${at}${issue?.message ?? 'wrong shape'}`);
}

/** undefined: the port is switched off. NaN or another odd number: not a port at all. */
export function enabledPort(said: unknown): number | undefined {
  if (said === undefined || said === null || said === '') return undefined;
  if (typeof said !== 'object') return Number(said);
  const { $: port, '@enabled': enabled } = said as Readonly<Record<string, unknown>>;
  return String(enabled) === 'false' ? undefined : Number(port);
}
