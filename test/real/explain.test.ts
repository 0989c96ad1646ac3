// docs/merge.md, "Ask why": every answer on the page is what `isthmus explain` prints in a run, so that the page
// cannot lie. GOLDEN=write puts the answers of this run on the page.
import { readFileSync, writeFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AddressExplanationJson, ServiceExplanationJson } from '../../admin/types.ts';
import { startExplainWorld } from '../support/explain-world.ts';
import type { ExplainWorld } from '../support/explain-world.ts';
import { isthmus } from '../support/isthmus.ts';

const PAGE = new URL('../../docs/merge.md', import.meta.url);
const page = readFileSync(PAGE, 'utf8');
const section = page.slice(page.indexOf('\n## Ask why'));
const BLOCKS = [...section.matchAll(/```text\n\$ isthmus ((?:explain|history) .*)\n([^]*?)```/g)].map(
  ([block, command = '', answer = '']) => ({ block, command, answer }),
);

let world: ExplainWorld;

beforeAll(async () => {
  world = await startExplainWorld();
}, 240_000);
afterAll(async () => {
  await world?.close();
});

/** What the command prints, however it ends. */
async function asked(command: string): Promise<string> {
  const args = [...world.fromPage(command).split(' '), '--server', world.control.adminUrl];
  const text = await isthmus(...args).catch((thrown: unknown) => (thrown as { stderr: string }).stderr);
  return world.asOnPage(text);
}

/** Ages, penalties and the widths that follow from them differ from run to run. */
const normal = (text: string): readonly string[] =>
  text
    .replace(/\b(\d+(ms|s|m|h|d))+\b/g, 'AGE')
    .replace(/penalty [\d.]+/g, 'penalty P')
    .replace(/to \d+ pings/g, 'to N pings')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .filter((line) => line !== '');

describe('the page', () => {
  it('asks about every state', () => {
    const told = section.replace(/\s+/g, ' ');
    for (const state of [
      'live',
      'dark',
      'doubted',
      'expired',
      'quarantined',
      'drained',
      'leaving',
      'damped',
      'warming-up',
      'conflict',
      'no-share',
      'left-out',
      'proven',
      'answering',
      'silent',
      'gone',
    ]) {
      expect(told, state).toContain(` ${state} `);
    }
    expect(BLOCKS.length).toBeGreaterThan(10);
  });

  it.each(BLOCKS)('tells what is printed for `$command`', async ({ block, command, answer }) => {
    const printed = await asked(command);
    if (process.env['GOLDEN'] === 'write') {
      const text = `\`\`\`text\n$ isthmus ${command}\n${printed}\`\`\``;
      writeFileSync(
        PAGE,
        readFileSync(PAGE, 'utf8').replace(block, () => text),
      );
    } else {
      expect(normal(printed)).toEqual(normal(answer));
    }
  });
});

describe('a script', () => {
  it('gets all of it as JSON, for a service and for an address', async () => {
    const json = async (...args: string[]) =>
      JSON.parse(
        await isthmus('explain', ...args, '-o', 'json', '--server', world.control.adminUrl),
      ) as unknown;
    const quotes = (await json('quotes')) as ServiceExplanationJson;
    expect(quotes).toMatchObject({
      service: 'quotes.default',
      policy: { kind: 'weighted', shares: { vms: 100 } },
      emptiness: null,
      sources: [
        { name: 'vms', state: 'live', endpoints: 1, ready: 1, share: 1 },
        { name: 'pods', state: 'live', endpoints: 1, ready: 1, share: 0 },
      ],
    });
    expect(quotes.policy.origin).toMatch(/^ServicePolicy quotes \(.*quotes\.yaml:6\)$/);
    const orders = (await json('orders', '10.0.0.1')) as AddressExplanationJson;
    expect(orders.endpoints).toMatchObject([
      {
        verdict: 'in',
        share: 1,
        factors: [{ name: 'registry', value: 3, origin: 'vms' }],
        witnesses: [
          { source: 'vms', heard: true, weight: 3, gives: ['weight', 'labels', 'locality'] },
          { source: 'pods', heard: true, weight: 1, gives: ['health'] },
        ],
      },
    ]);
    expect(orders.endpoints[0]?.facts[0]?.since).toMatch(/^\d{4}-/);
  });

  it('sees exit code 1 for what nobody knows', async () => {
    const main = ['dist/cli/main.js', 'explain', 'ordrs', '--server', world.control.adminUrl];
    const ended = promisify(execFile)(process.execPath, main);
    await expect(ended).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('did you mean orders'),
    });
  });
});
