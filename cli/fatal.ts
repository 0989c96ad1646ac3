// The last resort: an error that no part caught. What state the process is in is then unknown, so it ends,
// with one line that says why; whoever supervises it starts it anew.
import { describeError } from '../lib/errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import { EXIT } from './exit.ts';

export function endOnFatal(log: Logger): void {
  const end = (error: unknown) => {
    log.error({ err: error }, 'fatal error, the process ends');
    process.stderr.write(`error: unexpected: ${describeError(error)}\n`);
    process.exit(EXIT.failure);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
}
