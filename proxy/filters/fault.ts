// envoy.filters.http.fault: delays some requests, answers some with an error, as its rules or the request's
// own headers ask for.
import { Flag } from '../flags.ts';
import type { RequestKey } from '../keys.ts';
import type { Fault, FaultPart } from './rules.ts';
import { settingOf } from './settings.ts';
import type { Filter, Handler } from './types.ts';

const TEXT = 'fault filter abort';

/** @param name of the filter in its chain, under which routes have settings of their own. */
export function faultFilter(name: string, own: Fault | undefined): Filter {
  return (next) => {
    const abort: Handler = (stream, head) => {
      const fault = settingOf(stream.route, name, 'fault', own);
      const status = fault?.abort ? drawn(fault.abort, head, 'x-envoy-fault-abort-request') : 0;
      if (status >= 200 && status < 600) stream.reply(status, TEXT, Flag.FI, '');
      else next(stream, head);
    };
    return (stream, head) => {
      const fault = settingOf(stream.route, name, 'fault', own);
      if (!fault || !applies(fault, stream.route.cluster, head)) return next(stream, head);
      const ms = fault.delay ? drawn(fault.delay, head, 'x-envoy-fault-delay-request') : 0;
      if (ms > 0) stream.delay(ms, Flag.DI, abort, head);
      else abort(stream, head);
    };
  };
}

function applies({ cluster, matches }: Fault, asked: string, head: RequestKey): boolean {
  return (cluster === undefined || cluster === asked) && (matches === undefined || matches(head));
}

/** The value, for its part of the requests; else 0. */
function drawn({ value, part }: FaultPart, head: RequestKey, header: string): number {
  const amount = value ?? numberIn(head.header(header));
  if (!(amount > 0)) return 0;
  const asked = value === undefined ? head.header(`${header}-percentage`) : '';
  const own = asked === '' ? part : Math.min(part, numberIn(asked) / 100);
  return Math.random() < own ? amount : 0;
}

const numberIn = (text: string): number => (/^\d{1,9}$/.test(text) ? Number(text) : 0);
