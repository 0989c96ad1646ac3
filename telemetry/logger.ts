// The log: one JSON object a line on standard error (standard output belongs to commands), readable text
// when it is a terminal. Never logs a secret: tokens and passwords are redacted by path.
import { pino } from 'pino';
import type { Logger as PinoLogger } from 'pino';

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
      redact: ['token', 'password', 'authorization', '*.token', '*.password', '*.authorization'],
    },
    destination,
  );
}
