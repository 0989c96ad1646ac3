// The demo as a process: its story to the end without a failed request, the README's transcript of it, and a Ctrl-C at
// different moments. With README=write (`npm run transcript`) the README gets the transcript of this run.
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, run, start } from './command.ts';
import type { Command } from './command.ts';
import { README, anonymous, readmeTranscript, shapeOf } from './transcript.ts';

/** On a machine that is busy with other things. */
const PATIENCE_MS = 300_000;
const IS_WRITING = process.env['README'] === 'write';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'isthmus-story-'));
});
afterAll(() => rm(dir, { recursive: true }));

/** Its files are in a folder of this test. */
const demo = (...flags: readonly string[]): Command =>
  start(['demo', ...flags], { env: { TMPDIR: dir }, ownGroup: true });

/** Ports of 127.0.0.1 in what it printed; without the usual ones, which another demo may have taken meanwhile. */
const portsIn = (output: string): readonly number[] =>
  [...new Set([...output.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port)))].filter(
    (port) => port > 16_000,
  );

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    socket.once('connect', () => resolve(socket.destroy() === socket));
    socket.once('error', () => resolve(false));
  });

async function nothingLeft(story: Command): Promise<void> {
  const output = story.stdout();
  // What tsx started to compile ends a little later.
  await eventually('the end of all processes', () => (story.isAlive() ? undefined : true));
  // tsx keeps a folder there, too.
  expect((await readdir(dir)).filter((name) => name.includes('isthmus'))).toEqual([]);
  for (const port of portsIn(output)) expect([port, await isOpen(port)]).toEqual([port, false]);
}

describe('the story', () => {
  it('is told to the end without a failed request, as in the README', { timeout: PATIENCE_MS }, async () => {
    const story = demo('--once', ...(IS_WRITING ? [] : ['--fast']));
    const code = await story.exited;
    const output = story.stdout();
    expect({ code, stderr: story.stderr(), output }).toEqual({ code: 0, stderr: '', output });
    for (const tally of output.matchAll(/ requests · (\d+) failed/g)) expect(tally[1]).toBe('0');
    expect(output.match(/ requests · 0 failed/g)?.length).toBeGreaterThan(8);
    // What must have been measured, not only said.
    expect(output).toMatch(/successRate: pods [\d.]+ % of \d+ requests \([1-9]\d* failed\)/);
    expect(output).toMatch(/callers meanwhile: \d+ requests, 0 failed; [1-9]\d* were tried again/);
    expect(output).toMatch(/x-isthmus-service: orders\.default → 421, answered as payments\.default/);
    expect(output).toMatch(/that its sidecar has refused: [1-9]/);
    expect(output).toMatch(/orders\/vm-1 \d+, .*payments\/vm-4 \d+/);
    const readme = await readmeTranscript();
    if (IS_WRITING) await writeFile(README, readme.with(anonymous(output)));
    else expect(shapeOf(output)).toEqual(shapeOf(readme.text));
    await nothingLeft(story);
  });
});

describe('Ctrl-C', () => {
  it.each([
    ['while it starts', /Isthmus demo/],
    ['in the middle', /isthmus get endpoints/],
  ])('%s ends it in order, and leaves nothing behind', { timeout: PATIENCE_MS }, async (_, moment) => {
    const story = demo('--fast');
    await eventually('that moment', () => moment.exec(story.stdout())?.[0], PATIENCE_MS);
    story.kill('SIGINT');
    expect([await story.exited, story.stderr()]).toEqual([0, '']);
    expect(story.stdout()).not.toMatch(/[1-9]\d* failed/);
    await nothingLeft(story);
  });
});

describe('--envoy', () => {
  it('says what is missing where there is none, and starts nothing', async () => {
    const { code, stdout, stderr } = await run(['demo', '--envoy'], { env: { PATH: dir, TMPDIR: dir } });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^error: --envoy: there is no `envoy` on the PATH, and ISTHMUS_ENVOY names none/);
    const named = await run(['demo', '--envoy'], { env: { ISTHMUS_ENVOY: join(dir, 'nowhere') } });
    expect([named.code, named.stderr]).toEqual([2, expect.stringContaining('nowhere, which is no program')]);
    expect(existsSync(join(dir, 'nowhere'))).toBe(false);
  });
});
