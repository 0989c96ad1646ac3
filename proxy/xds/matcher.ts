// VirtualHost.matcher (xds.type.matcher.v3.Matcher) → a resolver. The one shape the proxy knows is a tree of
// exact values of a request header: one Map look-up per level, whatever the number of services.
import { decode, typeUrl } from '../../proto/codec.ts';
import type { HttpRequestHeaderMatchInput__Output } from '../../proto/gen/types/envoy/type/matcher/v3/HttpRequestHeaderMatchInput.ts';
import type { TypedExtensionConfig__Output } from '../../proto/gen/types/xds/core/v3/TypedExtensionConfig.ts';
import type {
  Matcher__Output,
  _xds_type_matcher_v3_Matcher_MatcherTree__Output as MatcherTree__Output,
  _xds_type_matcher_v3_Matcher_OnMatch__Output as OnMatch__Output,
} from '../../proto/gen/types/xds/type/matcher/v3/Matcher.ts';
import type { RequestKey } from '../keys.ts';
import type { Route } from '../route.ts';
import { FieldRefusal, within } from './refusal.ts';
import type { Resolver } from './route-table.ts';

const HEADER_INPUT = 'envoy.type.matcher.v3.HttpRequestHeaderMatchInput';

/** Deep enough for any generated tree; a hostile one must not exhaust the stack. */
const MAX_DEPTH = 32;

/** null: no match, so an outer `on_no_match` may speak; otherwise the action's answer, which is final. */
type Walk = (request: RequestKey) => { readonly route: Route | undefined } | null;

/**
 * @param compileAction turns an `action` into a resolver.
 * @throws FieldRefusal
 */
export function compileMatcher(
  message: Matcher__Output,
  compileAction: (action: TypedExtensionConfig__Output) => Resolver,
): Resolver {
  const walk = compileWalk(message, compileAction, 0);
  return (request) => walk(request)?.route;
}

type CompileAction = (action: TypedExtensionConfig__Output) => Resolver;

function compileWalk(message: Matcher__Output, compileAction: CompileAction, depth: number): Walk {
  if (depth > MAX_DEPTH) throw new FieldRefusal('on_no_match', `more than ${MAX_DEPTH} levels`);
  const tree = message.matcher_tree;
  if (!tree)
    throw new FieldRefusal(message.matcher_type ?? 'matcher_type', 'not supported, must be matcher_tree');
  const header = within('matcher_tree.input', () => headerName(tree.input));
  const map = within('matcher_tree', () => compileMap(tree, compileAction, depth));
  const otherwise = message.on_no_match
    ? within('on_no_match', () => compileOnMatch(message.on_no_match, compileAction, depth))
    : undefined;
  return (request) => {
    const value = request.header(header);
    const found = value === '' ? undefined : map.get(value);
    return found?.(request) ?? otherwise?.(request) ?? null;
  };
}

function headerName(input: TypedExtensionConfig__Output | undefined): string {
  const url = input?.typed_config?.type_url;
  if (url !== typeUrl(HEADER_INPUT) || !input?.typed_config) {
    throw new FieldRefusal('typed_config', `${url ?? 'missing'} is not supported`);
  }
  let name: string | undefined;
  try {
    const value = input.typed_config.value ?? new Uint8Array();
    name = decode<HttpRequestHeaderMatchInput__Output>(HEADER_INPUT, value).header_name;
  } catch {
    throw new FieldRefusal('typed_config', 'cannot be decoded');
  }
  if (!name || name.startsWith(':')) throw new FieldRefusal('typed_config.header_name', `"${name ?? ''}"`);
  return name.toLowerCase();
}

function compileMap(
  tree: MatcherTree__Output,
  compileAction: CompileAction,
  depth: number,
): Map<string, Walk> {
  const entries = tree.exact_match_map?.map;
  if (!entries)
    throw new FieldRefusal(tree.tree_type ?? 'tree_type', 'not supported, must be exact_match_map');
  const map = new Map<string, Walk>();
  for (const [value, onMatch] of Object.entries(entries)) {
    const path = `exact_match_map["${value}"]`;
    map.set(
      value,
      within(path, () => compileOnMatch(onMatch, compileAction, depth)),
    );
  }
  return map;
}

function compileOnMatch(
  message: OnMatch__Output | undefined,
  compileAction: CompileAction,
  depth: number,
): Walk {
  const { matcher, action } = message ?? {};
  if (matcher) return within('matcher', () => compileWalk(matcher, compileAction, depth + 1));
  if (!action) throw new FieldRefusal('on_match', 'missing');
  const resolve = within('action', () => compileAction(action));
  return (request) => ({ route: resolve(request) });
}
