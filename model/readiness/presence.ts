// Is there something to move, and somewhere to move it to: sources, endpoints, capacity. Pure.
import { findingOn, list, plural, seen } from './words.ts';
import type { Side } from './side.ts';
import type { Finding, ReadinessFacts, Seen } from './types.ts';

export function presence(from: Side, to: Side, facts: ReadinessFacts): readonly Finding[] {
  return [
    ...sourceOf('from', from, facts),
    ...sourceOf('to', to, facts),
    ...capacity(from, to, facts),
    ...weights(from, to),
    ...unsteady('from', from, facts),
    ...unsteady('to', to, facts),
  ];
}

type Which = 'from' | 'to';

function sourceOf(which: Which, side: Side, facts: ReadinessFacts): readonly Finding[] {
  const { source, state, cause, listed, endpoints, ready } = side.summary;
  const on = findingOn(which);
  const severity = which === 'to' ? 'blocker' : 'warning';
  if (state === 'syncing') {
    const todo = `Wait until \`isthmus get sources\` shows ${source} live; if it does not, see its cause.`;
    return [
      on(
        'source-syncing',
        'blocker',
        `${source} has not answered yet`,
        seen(cause || 'no answer yet', source),
        todo,
      ),
    ];
  }
  const found: Finding[] = [];
  if (state === 'stale') {
    const todo = `Make ${source} answer first: what it said is held, and nobody can tell what it would say now.`;
    found.push(on('source-dark', severity, `${source} does not answer`, seen(cause, source), todo));
  }
  if (!listed) {
    found.push(on('service-missing', 'blocker', ...missing(source, facts)));
  } else if (ready === 0) {
    const title = `nothing is ready on ${source}`;
    const what =
      endpoints === 0 ? 'no endpoints' : `${plural(endpoints, 'endpoint')}, none ready: ${why(side)}`;
    const todo =
      which === 'to'
        ? `Start instances in ${source} and let them pass its checks; \`isthmus explain ${facts.service}\` says what is wrong with each.`
        : 'There is nothing to compare capacity with; check that this is the service you mean.';
    found.push(on('none-ready', severity, title, seen(what, source), todo));
  }
  return found;
}

function missing(source: string, facts: ReadinessFacts): readonly [string, Seen, string] {
  const out = facts.leftOut.find((each) => each.source === source);
  const title = `${source} does not have ${facts.service}`;
  if (out) {
    const todo = `Take it out of ${out.by} of source ${source} in the config.`;
    return [title, seen(`left out by ${out.by}`, 'config'), todo];
  }
  const others = [...(facts.slice?.shards.keys() ?? [])];
  const what = others.length === 0 ? 'no source has it' : `only ${list(others)}`;
  const todo = `Create the service there under the same name and namespace, or map its name (\`rename\`, \`serviceNamespace\`) in the config of ${source}.`;
  return [title, seen(what, source), todo];
}

/** Up to three reasons why endpoints are not ready. */
function why({ endpoints }: Side): string {
  const reasons = endpoints
    .filter(({ primary }) => primary)
    .map(({ endpoint, answeredAs }) => {
      if (answeredAs !== undefined) return `answers as ${answeredAs}`;
      if (endpoint.verdict.doubted) return 'doubted';
      return endpoint.weight === 0 ? 'weight 0' : endpoint.health;
    });
  return list([...new Set(reasons)].slice(0, 3));
}

function capacity(from: Side, to: Side, { gates }: ReadinessFacts): readonly Finding[] {
  const { readyCapacity } = gates;
  const have = gates.identity === 'proven' ? to.summary.provenWeight : to.summary.readyWeight;
  const want = from.summary.readyWeight;
  if (want === 0 || have === 0 || have >= readyCapacity * want) return [];
  const reach = Math.floor((100 * have) / (readyCapacity * want));
  const kind = gates.identity === 'proven' ? 'ready proven weight' : 'ready weight';
  const todo = `Have ready weight ${ceil(readyCapacity * want)} on ${to.summary.source} (more instances, or weights on the scale of ${from.summary.source}), or set gates.readyCapacity lower.`;
  const title = `the gate readyCapacity ${readyCapacity} lets the move go to ${reach} % and never further`;
  return [
    {
      code: 'capacity',
      severity: 'blocker',
      title,
      from: seen(`ready weight ${want} of ${plural(from.summary.ready, 'endpoint')}`, from.summary.source),
      to: seen(`${kind} ${have} of ${plural(to.summary.ready, 'endpoint')}`, to.summary.source),
      todo,
    },
  ];
}

const ceil = (value: number): number => Math.ceil(value * 100) / 100;

/** Weights of two registries are rarely on one scale, and the gate adds them up. */
function weights(from: Side, to: Side): readonly Finding[] {
  const mean = ({ summary }: Side) => (summary.ready === 0 ? 0 : summary.readyWeight / summary.ready);
  const [a, b] = [mean(from), mean(to)];
  if (a === 0 || b === 0 || Math.max(a, b) / Math.min(a, b) < 2) return [];
  return [
    {
      code: 'weights-differ',
      severity: 'warning',
      title: 'an instance weighs much more on one side than on the other',
      from: seen(`weight ${list(from.summary.weights.map(String))}`, from.summary.source),
      to: seen(`weight ${list(to.summary.weights.map(String))}`, to.summary.source),
      todo: 'Shares do not depend on it, the gate readyCapacity does: give equal machines equal weights (`isthmus endpoint set`, or in the registry).',
    },
  ];
}

/** Ready or not, these will not stay as they are. */
function unsteady(which: Which, side: Side, facts: ReadinessFacts): readonly Finding[] {
  const { source } = side.summary;
  const on = findingOn(which);
  const own = side.endpoints.filter(({ primary }) => primary);
  const found: Finding[] = [];
  const moving = own.filter(({ endpoint: { health, verdict } }) => {
    const isFactored = verdict.factors.some(({ name }) => name === 'warm-up' || name === 'damping');
    return verdict.doubted !== undefined || isFactored || health === 'draining' || health === 'unhealthy';
  });
  if (moving.length > 0 && moving.length < own.length) {
    const what = `${moving.length} of ${own.length} in doubt, failing, draining, damped or new: ${list(moving.map(({ key }) => key).slice(0, 3))}`;
    const todo = `\`isthmus explain ${facts.service}\` says why; wait until it is over, or put it right.`;
    found.push(
      on('not-steady', 'warning', `some endpoints of ${source} are not steady`, seen(what, source), todo),
    );
  }
  const set = own.filter(({ key }) => facts.slice?.overrides.has(key));
  if (set.length > 0) {
    const by = facts.slice?.overrides.get(set[0]?.key ?? '')?.by || 'an operator';
    const todo = 'It ends by itself in the middle of the move: take it back, or set it for long enough.';
    const what = list(set.map(({ key }) => key).slice(0, 3));
    found.push(
      on('overridden', 'warning', `endpoints of ${source} are changed by hand`, seen(what, by), todo),
    );
  }
  return found;
}
