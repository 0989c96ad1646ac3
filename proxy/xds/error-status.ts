// HttpStatus → a status to refuse with.
import { STATUS_CODES } from 'node:http';
import type { HttpStatus__Output } from '../../proto/gen/types/envoy/type/v3/HttpStatus.ts';

/** The enum's names are the reason phrases without blanks: TooManyRequests. */
const STATUS: ReadonlyMap<string, number> = new Map(
  Object.entries(STATUS_CODES).map(([code, name = '']) => [name.replace(/[^A-Za-z]/g, ''), Number(code)]),
);

/** As in Envoy, what is no error is not taken. */
export function errorStatus(message: HttpStatus__Output | undefined, absent: number): number {
  const status = STATUS.get(message?.code ?? '') ?? absent;
  return status >= 400 ? status : absent;
}
