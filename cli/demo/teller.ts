// Tells the story: lines for people, commands that are really run, and waits for what the control plane and the callers
// measured. Prints no number that it was not given.
import type { RetirementJson } from '../../admin/retirement.ts';
import type { EndpointJson } from '../../admin/types.ts';
import type { MigrationJson } from '../../admin/types-migration.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { adminClient } from '../client.ts';
import type { Pen } from '../paint.ts';
import { runCommand } from './command.ts';
import type { Screen } from './screen.ts';
import { tallyLine } from './tally.ts';
import { DEMO_STUCK, until } from './until.ts';
import type { World } from './world.ts';

export interface TellerOptions {
  readonly world: World;
  readonly screen: Screen;
  readonly pen: Pen;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Time to read each scene. */
  readonly pauseMs: number;
  /** Since the first request. */
  readonly seconds: () => number;
}

export class Teller {
  readonly world: World;
  readonly #o: TellerOptions;
  #scenes = 0;

  constructor(options: TellerOptions) {
    this.#o = options;
    this.world = options.world;
  }

  scene(title: string): void {
    this.#scenes += 1;
    this.#o.screen.say(`\n${this.#o.pen('bold', `${this.#scenes}. ${title}`)}\n`);
  }

  tell(text: string): void {
    this.#o.screen.say(`   ${text}`);
  }

  /** How all callers have fared until now; then time to read. */
  async pause(): Promise<void> {
    const { screen, pen, clock, signal, pauseMs } = this.#o;
    if (!screen.live) screen.say(`   ${tallyLine(this.world.tally, this.#o.seconds(), pen)}`);
    await sleep(pauseMs, signal, clock);
  }

  /** Runs `isthmus …`, and prints both the command and what it said. @throws when it ends otherwise than `expected`. */
  async run(args: readonly string[], expected = 0): Promise<void> {
    const { screen, pen, signal } = this.#o;
    const { admin, token } = this.world;
    screen.say(`   ${pen('cyan', `$ isthmus ${args.map(quoted).join(' ')}`)}`);
    const env = {
      ISTHMUS_SERVER: admin,
      ISTHMUS_TOKEN: token,
      ...(screen.live && pen('bold', 'x') !== 'x' ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' }),
    };
    const { code, text } = await runCommand(args, { env, signal });
    screen.say(text.trimEnd().replace(/^(?=.)/gm, '   '));
    if (code !== expected) throw DEMO_STUCK(`isthmus ${args.join(' ')}`, `exit code ${code ?? 'none'}`);
  }

  until<T>(what: string, check: () => T | undefined | Promise<T | undefined>): Promise<T> {
    return until(what, this.#o, check);
  }

  /** Until the migration is as wanted. Another rollback than the one that is waited for ends the demo. */
  migration(what: string, isSo: (now: MigrationJson) => boolean): Promise<MigrationJson> {
    return this.until(what, async () => {
      const now = await this.#one<MigrationJson>('/api/v1/migrations/orders');
      if (isSo(now)) return now;
      if (now.phase === 'rolledBack') throw DEMO_STUCK(what, now.reason);
      return undefined;
    });
  }

  /** Until so many more requests were answered. */
  async requests(more: number): Promise<void> {
    const { tally } = this.world;
    const enough = tally.requests + more;
    await this.until('requests', () => (tally.requests >= enough ? true : undefined));
  }

  endpoint(port: number, service: string): Promise<EndpointJson | undefined> {
    const path = `/api/v1/services/${service}/endpoints`;
    return this.#list<EndpointJson>(path).then((all) => all.find((each) => each.port === port));
  }

  async source(name: string): Promise<string> {
    const all = await this.#list<{ readonly name: string; readonly state: string }>('/api/v1/sources');
    return all.find((source) => source.name === name)?.state ?? '';
  }

  /** Who still calls the old side, and whether it may go when nobody has for so long. */
  retirement(after: string): Promise<RetirementJson> {
    return this.#one<RetirementJson>(`/api/v1/services/orders/retirement?after=${after}`);
  }

  #one<T extends object>(path: string): Promise<T> {
    return adminClient(this.world.admin).one<T>(path);
  }

  #list<T>(path: string): Promise<readonly T[]> {
    return adminClient(this.world.admin).list<T>(path);
  }
}

const quoted = (text: string): string => (/^[\w./:=,-]+$/.test(text) ? text : `'${text}'`);
