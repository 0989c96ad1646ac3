// Who really answers at the addresses: pings, shared addresses, other services. Pure.
import { findingOn, list, plural, seen } from './words.ts';
import type { Side, SideEndpoint } from './side.ts';
import type { Finding, ReadinessFacts } from './types.ts';

const SHOWN = 5;

export function identity(from: Side, to: Side, facts: ReadinessFacts): readonly Finding[] {
  return [
    ...shared(from, to),
    ...foreign('from', from),
    ...foreign('to', to),
    ...conflicts('from', from, facts),
    ...conflicts('to', to, facts),
    ...unreachable(from, to, facts),
    ...unproven(to, facts),
  ];
}

const keysOf = (endpoints: readonly SideEndpoint[]): string => {
  const keys = endpoints.map(({ key }) => key);
  return list(keys.length > SHOWN ? [...keys.slice(0, SHOWN), `${keys.length - SHOWN} more`] : keys);
};

const primary = ({ endpoints }: Side): readonly SideEndpoint[] => endpoints.filter((each) => each.primary);

/** Rule 3: one endpoint, two witnesses; it counts once, on the side that the service moves to. */
function shared(from: Side, to: Side): readonly Finding[] {
  const both = primary(to).filter(({ endpoint }) => endpoint.sources.includes(from.summary.source));
  if (both.length === 0) return [];
  const isAll = both.length === primary(to).length;
  const title = isAll
    ? 'every endpoint of the new side is one of the old side, too: nothing would move'
    : 'endpoints are listed by both sources; each counts once, on the new side';
  const todo = isAll
    ? 'Are both sources fed from one another (a catalog sync)? Then exclude what is synced in the config of one of them.'
    : 'Take the registration back on the side that it does not belong to, or exclude it there in the config.';
  return [
    {
      code: 'shared-endpoints',
      severity: isAll ? 'blocker' : 'warning',
      title,
      from: seen(keysOf(both), from.summary.source),
      to: seen(`${both.length} of ${plural(primary(to).length, 'endpoint')}`, to.summary.source),
      todo,
    },
  ];
}

function foreign(which: 'from' | 'to', side: Side): readonly Finding[] {
  const others = side.endpoints.filter(({ answeredAs }) => answeredAs !== undefined);
  const [first] = others;
  if (!first) return [];
  const { source } = side.summary;
  const names = list([...new Set(others.map(({ answeredAs = '' }) => answeredAs))]);
  const todo = `Another process has these addresses: take their registrations out of ${source}. Until then they get no traffic once a ping has refuted them.`;
  return [
    findingOn(which)(
      'other-service',
      which === 'to' ? 'blocker' : 'warning',
      `addresses of ${source} answer as ${names}`,
      seen(keysOf(others), 'pings'),
      todo,
    ),
  ];
}

function conflicts(which: 'from' | 'to', side: Side, { slice }: ReadinessFacts): readonly Finding[] {
  const claimed = side.endpoints.filter(
    ({ endpoint, answeredAs, proven }) =>
      endpoint.verdict.conflicts.length > 0 && answeredAs === undefined && !proven,
  );
  if (claimed.length === 0) return [];
  const isStrict = slice?.rules.identity === 'strict';
  const names = list([...new Set(claimed.flatMap(({ endpoint }) => endpoint.verdict.conflicts))]);
  const todo =
    'Find out who lives there, and remove the other registration; or put a sidecar there, which answers in its name.';
  return [
    findingOn(which)(
      'identity-conflict',
      isStrict && which === 'to' ? 'blocker' : 'warning',
      `${names} claims addresses of ${side.summary.source}, too${isStrict ? ': neither gets traffic (identity: strict)' : ''}`,
      seen(keysOf(claimed), side.summary.source),
      todo,
    ),
  ];
}

/** The control plane's own view of the way there; data planes may have another one, and no better word is to be had. */
function unreachable(from: Side, to: Side, { gates }: ReadinessFacts): readonly Finding[] {
  const asked = ({ summary: { pings } }: Side) =>
    pings.proven + pings.unproven + pings.refused + pings.otherService;
  const { refused } = to.summary.pings;
  if (refused === 0) return [];
  const isAll = refused === asked(to);
  const title = isAll
    ? `no address of ${to.summary.source} can be reached from the control plane`
    : `some addresses of ${to.summary.source} cannot be reached from the control plane`;
  const todo = isAll
    ? 'Check the route from here, and from a caller, to these addresses (pods are often reachable only inside their cluster), the port, and that the application listens on it.'
    : 'Check that the application listens there; the registry says that it is ready.';
  return [
    {
      code: 'unreachable',
      severity:
        isAll && (gates.identity === 'proven' || from.summary.pings.refused < asked(from))
          ? 'blocker'
          : 'warning',
      title,
      from: seen(`${from.summary.pings.refused} of ${asked(from)} pings unanswered`, 'pings'),
      to: seen(`${refused} of ${asked(to)} pings unanswered`, 'pings'),
      todo,
    },
  ];
}

function unproven(to: Side, { gates }: ReadinessFacts): readonly Finding[] {
  const ready = primary(to).filter((each) => each.ready);
  const silent = ready.filter(({ proven }) => !proven);
  if (silent.length === 0) return [];
  const { source } = to.summary;
  const isAll = silent.length === ready.length;
  const todo =
    'Put a sidecar beside each instance (`isthmus proxy`, or an Envoy with our bootstrap): it answers pings in the name of its service. The gate identity: proven asks for it.';
  return [
    findingOn('to')(
      'unproven',
      gates.identity !== 'proven' ? 'note' : isAll ? 'blocker' : 'warning',
      `${isAll ? 'no endpoint' : 'not every endpoint'} of ${source} has answered in the service's name`,
      seen(
        `${silent.length} of ${plural(ready.length, 'ready endpoint')} unproven: ${keysOf(silent)}`,
        'pings',
      ),
      todo,
    ),
  ];
}
