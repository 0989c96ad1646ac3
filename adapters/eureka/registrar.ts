// Writes endpoints into a Eureka cluster for callers outside: each marked as ours, and alive only as long as its lease
// is renewed, so that those of a control plane that died go away by themselves. Touches nothing without the mark, and
// gives way to whoever wrote with a higher fence. Before each touch it asks for the instance itself, which no cache of
// Eureka's answers: so it also finds out what was lost, and what another one has written meanwhile.
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { EurekaSource } from '../../config/schema.ts';
import type { Clock } from '../../lib/clock.ts';
import { IsthmusError, describeError } from '../../lib/errors.ts';
import type { Written } from '../../model/sidecars.ts';
import { WrongAnswer } from '../http-json.ts';
import { forAll, isRefused, refusal, say } from '../registrar-http.ts';
import type { Registrar } from '../registrar.ts';
import { readAnswer } from './answers.ts';
import type { InstanceRef } from './client.ts';
import { EUREKA_WRITE } from './errors.ts';
import { instanceId } from './map.ts';
import { readTls, serverOf } from './servers.ts';
import type { Server } from './servers.ts';
import { bodyOf, isAsWritten, ourInstance, ownerVipOf, readKnown } from './written.ts';
import type { KnownInstance, OurInstance } from './written.ts';

/** With a beat every 8 s an instance is renewed, and looked at, every 24 s: as often as Eureka's own clients do. */
const RENEW_MS = 23_000;
/** Eureka's lists are up to 30 s old: what another one wrote just before it went is found with a later look. */
const LOOK_MS = 30_000;
const AT_ONCE = 8;

export interface EurekaRegistrarOptions {
  readonly config: Pick<EurekaSource, 'urls' | 'username' | 'password' | 'tls'>;
  /** The mark. */
  readonly owner: string;
  readonly clock: Clock;
  /** Default 45, which Eureka doubles. */
  readonly leaseSeconds?: number;
}

/** One that has our mark, as far as we know. */
interface Entry extends InstanceRef {
  /** What we wrote or found last; '' when it is somebody's before us. */
  readonly said: string;
  /** When; monotonic milliseconds. */
  readonly at: number;
}

interface Answer {
  readonly said: unknown;
  /** Of the server that gave it. */
  readonly base: string;
}

interface Round {
  /** The fence of another one that writes, which has ended it; else 0. */
  readonly above: number;
  /** Of at least one instance it is known what Eureka has. */
  readonly reached: boolean;
  /** The first instance of those that were refused. */
  readonly refused: Error | undefined;
}

export class EurekaRegistrar implements Registrar {
  readonly #o: EurekaRegistrarOptions;
  readonly #servers: readonly Server[];
  readonly #http = new HttpAgent({ keepAlive: true });
  readonly #https: HttpsAgent;
  /** The server that answered last. */
  #at = 0;
  /** 0: one more than what is there, with the next round. */
  #fence = 0;
  /** Its first round is not over: whatever fence it finds, it goes above. */
  #isNew = true;
  /** Another one has a higher fence, as far as we know. */
  #isBelow = false;
  #lookedAt = -Infinity;
  /** By id. */
  readonly #entries = new Map<string, Entry>();

  /** @throws ISTHMUS_EUREKA_TLS */
  constructor(options: EurekaRegistrarOptions) {
    this.#o = options;
    this.#servers = options.config.urls.map((url) => serverOf(url, options.config));
    this.#https = new HttpsAgent({ keepAlive: true, ...readTls(options.config.tls) });
  }

  lead(): void {
    this.#fence = 0;
    this.#isNew = true;
    this.#isBelow = false;
    this.#lookedAt = -Infinity;
    this.#entries.clear();
  }

  async write(wanted: readonly Written[], signal: AbortSignal): Promise<boolean> {
    const unseen = await this.#look(signal);
    if (this.#isBelow) return false;
    let round = await this.#round(wanted, signal);
    for (; round.above > 0; round = await this.#round(wanted, signal)) {
      this.#isBelow = !this.#isNew;
      if (this.#isBelow) return false;
      this.#fence = round.above + 1;
    }
    const { refused, reached } = round;
    // Who is refused everything has seen nothing of those before it.
    if (!unseen && (reached || !refused)) this.#isNew = false;
    const cause = unseen ?? refused;
    if (cause) throw cause;
    return true;
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  /**
   * Finds what has our mark, whoever wrote it. A server that has just started may refuse that until its instances
   * are back, so that they have to be written first: then it is this refusal that is returned.
   */
  async #look(signal: AbortSignal): Promise<Error | undefined> {
    if (this.#o.clock.monotonic() - this.#lookedAt < LOOK_MS) return undefined;
    try {
      await this.#list(signal);
    } catch (thrown) {
      if (!isRefused(thrown)) throw thrown;
      this.#fence ||= 1;
      return thrown;
    }
    this.#lookedAt = this.#o.clock.monotonic();
    return undefined;
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { owner } = this.#o;
    const path = `/svips/${encodeURIComponent(ownerVipOf(owner))}`;
    const answer = await this.#ask('GET', path, signal);
    const apps = answer === undefined ? [] : appsOf(answer, path);
    let highest = 0;
    for (const { name: app, instance } of apps) {
      for (const said of instance) {
        const there = readKnown({ instance: said });
        if (there?.owner !== owner) continue;
        highest = Math.max(highest, there.fence);
        const id = instanceId(said);
        if (!this.#entries.has(id)) this.#entries.set(id, { app, id, said: '', at: -Infinity });
      }
    }
    this.#fence ||= highest + 1;
    this.#isBelow = !this.#isNew && highest > this.#fence;
  }

  async #round(wanted: readonly Written[], signal: AbortSignal): Promise<Round> {
    const { owner } = this.#o;
    const ours = wanted.map((entry) => ourInstance(owner, this.#fence, entry));
    const ids = new Set(ours.map(({ id }) => id));
    const left = [...this.#entries.values()].filter(({ id }) => !ids.has(id));
    let above = 0;
    let reached = false;
    const steps = [
      ...ours.map((instance) => () => this.#keep(instance, signal)),
      ...left.map((entry) => () => this.#remove(entry, signal)),
    ];
    const refused = await forAll(steps, AT_ONCE, async (step) => {
      if (above > 0) return;
      above = Math.max(await step(), above);
      reached = true;
    });
    return { above, reached, refused };
  }

  /** The fence of another one whose it is, else 0; so does #remove(). */
  async #keep(wanted: OurInstance, signal: AbortSignal): Promise<number> {
    const { owner, clock, leaseSeconds } = this.#o;
    const { app, id } = wanted;
    const said = JSON.stringify(wanted);
    const last = this.#entries.get(id);
    if (last?.said === said && clock.monotonic() - last.at < RENEW_MS) return 0;
    const there = await this.#find(wanted, signal);
    if (there && there.owner !== owner) {
      throw refusedBy(`registering ${app}/${id}`, 'somebody else has registered it');
    }
    if (there && this.#isTheirs(there, last)) return there.fence;
    const isThere =
      there && isAsWritten(there, wanted) && (await this.#ask('PUT', pathOf(wanted), signal)) !== undefined;
    if (!isThere) {
      const dirtyAt = Math.max(clock.now(), (there?.dirtyAt ?? 0) + 1);
      await this.#ask(
        'POST',
        `/apps/${encodeURIComponent(app)}`,
        signal,
        bodyOf(wanted, dirtyAt, leaseSeconds),
      );
    }
    this.#entries.set(id, { app, id, said, at: clock.monotonic() });
    return 0;
  }

  async #remove(entry: Entry, signal: AbortSignal): Promise<number> {
    const there = await this.#find(entry, signal);
    if (there?.owner === this.#o.owner) {
      if (this.#isTheirs(there, entry)) return there.fence;
      await this.#ask('DELETE', pathOf(entry), signal);
    }
    this.#entries.delete(entry.id);
    return 0;
  }

  /** Two may have taken over from the same list: the later one, which finds the other's fence, goes above it. */
  #isTheirs({ fence }: KnownInstance, last: Entry | undefined): boolean {
    if (fence > this.#fence) return true;
    return this.#isNew && fence === this.#fence && (last?.said ?? '') === '';
  }

  async #find(of: InstanceRef, signal: AbortSignal): Promise<KnownInstance | undefined> {
    const answer = await this.#ask('GET', pathOf(of), signal);
    if (answer === undefined) return undefined;
    const there = readKnown(answer.said);
    if (!there) throw refusedBy(`GET ${pathOf(of)}`, `${answer.base} answers with something else`);
    return there;
  }

  /**
   * Each server once, from the one that answered last on. undefined: 404.
   * @throws ISTHMUS_EUREKA_WRITE, with a WrongAnswer as its cause when it was an answer.
   */
  async #ask(
    method: 'GET' | 'PUT' | 'POST' | 'DELETE',
    path: string,
    signal: AbortSignal,
    body?: object,
  ): Promise<Answer | undefined> {
    const faults: string[] = [];
    let refused: WrongAnswer | undefined;
    const first = this.#at;
    for (let tried = 0; tried < this.#servers.length; tried += 1) {
      this.#at = (first + tried) % this.#servers.length;
      const server = this.#servers[this.#at];
      if (!server) break;
      const { base, headers } = server;
      try {
        const url = new URL(`${base}${path}`);
        const agent = url.protocol === 'https:' ? this.#https : this.#http;
        const answer = await say({ method, url, headers, body, agent, signal });
        if (answer.status === 404 && method !== 'POST') return undefined;
        if (answer.status < 300) return { said: method === 'GET' ? parse(answer.text) : '', base };
        refused = refusal(answer);
        if (isFinal(answer.status)) throw EUREKA_WRITE.from(refused, `${method} ${path}`, refused.message);
        faults.push(`${base}: ${refused.message}`);
      } catch (thrown) {
        signal.throwIfAborted();
        if (thrown instanceof IsthmusError) throw thrown;
        if (thrown instanceof WrongAnswer) refused = thrown;
        faults.push(`${base}: ${describeError(thrown)}`);
      }
    }
    throw EUREKA_WRITE.from(refused, `${method} ${path}`, faults.join('; '));
  }
}

/** Another server would say the same. */
const isFinal = (status: number): boolean =>
  status >= 400 && status < 500 && status !== 401 && status !== 403;

/** @throws WrongAnswer */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw new WrongAnswer(200, `no JSON: ${describeError(thrown)}`);
  }
}

function appsOf({ said, base }: Answer, path: string) {
  try {
    return readAnswer(said, base).apps;
  } catch (thrown) {
    throw refusedBy(`GET ${path}`, describeError(thrown));
  }
}

const refusedBy = (what: string, why: string): Error =>
  EUREKA_WRITE.from(new WrongAnswer(200, why), what, why);

const pathOf = ({ app, id }: InstanceRef): string =>
  `/apps/${encodeURIComponent(app)}/${encodeURIComponent(id)}`;
