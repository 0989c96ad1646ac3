// The log: one JSON object a line on standard error (standard output belongs to commands), readable text
// when it is a terminal. Never logs a secret: tokens and passwords are redacted by path.
import { pino, stdSerializers } from 'pino';
import type { Logger as PinoLogger } from 'pino';
import { IsthmusError, describeError } from '../lib/errors.ts';

export type Logger = PinoLogger;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];

export function createLogger(
  level: LogLevel = 'info',
  destination: { write(line: string): void } = process.stderr,
): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: errorOf },
      redact: ['token', 'password', 'authorization', '*.token', '*.password', '*.authorization'],
    },
    destination,
  );
}

/** Errors of ours are faults that were expected: where in the code they were found helps nobody. */
function errorOf(error: Error): unknown {
  if (!(error instanceof IsthmusError)) return stdSerializers.err(error);
  const { code, message, hint, cause } = error;
  return {
    code,
    message,
    ...(hint !== '' && { hint }),
    ...(cause !== undefined && { cause: describeError(cause) }),
  };
}
