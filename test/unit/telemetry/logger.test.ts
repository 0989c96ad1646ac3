import { expect, test } from 'vitest';
import { defineError } from '../../../lib/errors.ts';
import { createLogger } from '../../../telemetry/logger.ts';

test('an expected fault is logged with code, hint and cause, and without a stack', () => {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger('info', {
    write: (line) => void lines.push(JSON.parse(line) as (typeof lines)[0]),
  });
  const fault = defineError('ISTHMUS_TEST', () => 'it is wrong', { hint: 'Mend it.' });
  log.error({ err: fault.from(new Error('torn')) }, 'refused');
  log.error({ err: new TypeError('a bug') }, 'unexpected');
  expect(lines[0]?.err).toEqual({
    code: 'ISTHMUS_TEST',
    message: 'it is wrong',
    hint: 'Mend it.',
    cause: 'torn',
  });
  expect(lines[1]?.err).toMatchObject({
    message: 'a bug',
    stack: expect.stringContaining('logger.test') as string,
  });
});
