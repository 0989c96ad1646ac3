import { describe, expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';

describe('eventually', () => {
  it('gives the first value that is neither false nor undefined', async () => {
    const answers = [undefined, false, 0];
    expect(await eventually(() => answers.shift(), { everyMs: 1 })).toBe(0);
    expect(answers).toEqual([]);
  });

  it('names the last failure when time is up', async () => {
    const failing = eventually(() => Promise.reject(new Error('not yet')), {
      withinMs: 20,
      everyMs: 1,
      what: 'the door',
    });
    await expect(failing).rejects.toThrow(/^the door: not within 0.02 s \(\d+ tries\); last: not yet$/);
  });

  it('cuts off a try that hangs', async () => {
    await expect(eventually(() => new Promise(() => undefined), { withinMs: 20 })).rejects.toThrow(
      /did not come back/,
    );
  });
});
