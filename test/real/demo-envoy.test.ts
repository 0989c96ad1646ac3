// `isthmus demo --envoy`: the demo's story with true Envoys as the callers' data planes. The demo starts the binary
// itself, so servers in containers are of no use to it.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findBinary } from '../support/peers.ts';
import { start } from '../unit/cli/command.ts';
import { readmeTranscript, shapeOf } from '../unit/cli/transcript.ts';

const PATIENCE_MS = 300_000;
const envoy = process.env['PEERS'] === 'container' ? undefined : findBinary('envoy');

describe.skipIf(envoy === undefined)('the demo through Envoy', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'isthmus-envoy-'));
  });
  afterAll(() => rm(dir, { recursive: true }));

  it('is told to the end without a failed request, as through the bundled proxy', {
    timeout: PATIENCE_MS,
  }, async () => {
    const story = start(['demo', '--envoy', '--once', '--fast'], {
      env: { TMPDIR: dir, ISTHMUS_ENVOY: envoy ?? '' },
    });
    const code = await story.exited;
    const output = story.stdout();
    expect({ code, stderr: story.stderr(), output }).toEqual({ code: 0, stderr: '', output });
    expect(output).toContain(`each calls through Envoy (${envoy})`);
    expect(output).toMatch(/callers meanwhile: \d+ requests, 0 failed; [1-9]\d* were tried again/);
    const mine = shapeOf(output.replace(`Envoy (${envoy})`, 'the bundled proxy'));
    const { text } = await readmeTranscript();
    expect(mine).toEqual(shapeOf(text));
    expect((await readdir(dir)).filter((name) => name.includes('isthmus'))).toEqual([]);
  });
});
