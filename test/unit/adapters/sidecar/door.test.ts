// Who is let in, and when: a token that comes later, one that was withdrawn, a file that cannot be read.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SidecarBook } from '../../../../adapters/sidecar/book.ts';
import { sidecarDoor } from '../../../../adapters/sidecar/door.ts';
import { sidecarSource } from '../../../../config/schema.ts';
import { systemClock } from '../../../../lib/clock.ts';
import type { AdmittedSidecar, SidecarSession } from '../../../../model/sidecars.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { eventually } from '../../../support/eventually.ts';

const WITHIN = { withinMs: 30_000, everyMs: 10 };

describe('the door of sidecars', () => {
  let folder: string;
  let tokensFile: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-door-'));
    tokensFile = join(folder, 'tokens.yaml');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  function open() {
    const book = new SidecarBook(systemClock);
    const inside: AdmittedSidecar[] = [];
    const refused: string[] = [];
    book.follow({
      joined: (session) => inside.push(session),
      left: (session) => inside.splice(inside.indexOf(session), 1),
      found: () => undefined,
    });
    const config = sidecarSource.parse({ name: 'sidecars', kind: 'sidecar', tokensFile });
    const log = createLogger('warn', {
      write: (line: string) => {
        refused.push((JSON.parse(line) as { why: string }).why);
      },
    });
    return { door: sidecarDoor(config, book, { clock: systemClock, log }), inside, refused };
  }
  const session = (token: string, peer = '10.0.0.7'): SidecarSession => ({
    node: 'n1',
    peer,
    token,
    registration: {
      service: 'orders.default',
      address: '',
      port: 15_006,
      appPort: 8_080,
      healthPath: '/',
      protocol: '',
      labels: {},
      locality: { region: '', zone: '', subZone: '' },
    },
  });
  const tokens = (...all: string[]) =>
    writeFile(tokensFile, JSON.stringify(all.map((token) => ({ token, services: ['orders.*'] }))));

  it('lets in at once who has a right to, and never tells the token on', async () => {
    await tokens('a-token-of-orders-1');
    const { door, inside } = open();
    const leave = door(session('a-token-of-orders-1'));
    await eventually(() => inside.length === 1, WITHIN);
    expect(inside[0]).toMatchObject({ node: 'n1', address: '10.0.0.7', via: '' });
    expect(JSON.stringify(inside)).not.toContain('a-token');
    leave('ended');
    expect(inside).toEqual([]);
  });

  it('asks again: a token that is rotated in later opens, without a new connection', async () => {
    const { door, inside, refused } = open();
    const leave = door(session('the-second-token-1'));
    await eventually(() => refused.length === 1, WITHIN);
    expect(refused[0]).toContain(tokensFile);
    await tokens('the-first-token-of-1');
    await eventually(() => refused.length === 2, WITHIN);
    expect(refused[1]).toBe('a join token that is not known');
    await tokens('the-first-token-of-1', 'the-second-token-1');
    await eventually(() => inside.length === 1, WITHIN);
    // Withdrawn: who is in stays, nobody comes in with it.
    await tokens('the-second-token-1');
    door(session('the-first-token-of-1'));
    await eventually(() => refused.length === 3, WITHIN);
    expect(inside).toHaveLength(1);
    leave('broken');
  });

  it('one that goes before it was let in leaves nothing behind', async () => {
    const { door, inside, refused } = open();
    const leave = door(session('a-token-of-orders-1'));
    await eventually(() => refused.length === 1, WITHIN);
    leave('ended');
    await tokens('a-token-of-orders-1');
    const other = door(session('', '127.0.0.1'));
    await eventually(() => inside.length === 1, WITHIN);
    expect(inside[0]?.peer).toBe('127.0.0.1');
    other('ended');
  });
});
