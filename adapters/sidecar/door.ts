// Where sidecars come in: who may register what is decided here, on the replica that a sidecar is connected to, with
// the tokens of that moment. Who is refused is asked again, as tokens may come later.
import type { SidecarSource } from '../../config/schema.ts';
import { backoff } from '../../lib/backoff.ts';
import { sleep } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import type { Departure, SidecarDoor, SidecarSession } from '../../model/sidecars.ts';
import type { SourceDeps } from '../source.ts';
import type { SidecarBook } from './book.ts';
import { admit, readTokens } from './rights.ts';
import type { Admission } from './rights.ts';

const RETRY = { baseMs: 500, maxMs: 10_000 };

/** @param config undefined: there is no such source, so nobody is let in. */
export function sidecarDoor(
  config: SidecarSource | undefined,
  book: SidecarBook,
  deps: Pick<SourceDeps, 'clock' | 'log'>,
): SidecarDoor {
  if (!config) return () => () => undefined;
  return (session) => {
    const controller = new AbortController();
    let leave: ((how: Departure) => void) | undefined;
    const { node, peer, registration } = session;
    void letIn(session, config, deps, controller.signal).then((address) => {
      if (address !== undefined) leave = book.open({ node, peer, address, registration, via: '' });
    });
    return (how) => {
      controller.abort(new Error('it is gone'));
      leave?.(how);
    };
  };
}

/** The address to register; undefined when it went before it was let in. Never rejects. */
async function letIn(
  session: SidecarSession,
  config: SidecarSource,
  { clock, log }: Pick<SourceDeps, 'clock' | 'log'>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const wait = backoff(RETRY);
  let last = '';
  while (!signal.aborted) {
    const admission = await admissionOf(session, config);
    if (signal.aborted) break;
    if ('address' in admission) return admission.address;
    const { refused: why } = admission;
    const { node, registration } = session;
    if (why !== last) {
      log.warn(
        { source: config.name, node, service: registration.service, why },
        'sidecar is not registered',
      );
    }
    last = why;
    await sleep(wait.next(), signal, clock).catch(() => undefined);
  }
  return undefined;
}

/** Tokens are read anew for each registration: they are few, and one that was withdrawn must not let anybody in. */
async function admissionOf(session: SidecarSession, { tokensFile }: SidecarSource): Promise<Admission> {
  try {
    return admit(session, tokensFile === '' ? [] : await readTokens(tokensFile));
  } catch (thrown) {
    return { refused: describeError(thrown) };
  }
}
