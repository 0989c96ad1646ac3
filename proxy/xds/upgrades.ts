// upgrade_configs of a connection manager and of a route → who may leave HTTP. A chain of filters of its own for
// upgrades, and whatever else is not read, is refused by name.
import type { _envoy_config_route_v3_RouteAction_UpgradeConfig__Output as OfRoute } from '../../proto/gen/types/envoy/config/route/v3/RouteAction.ts';
import type { _envoy_extensions_filters_network_http_connection_manager_v3_HttpConnectionManager_UpgradeConfig__Output as OfManager } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpConnectionManager.ts';
import { CONNECT } from '../http/upgrade.ts';
import type { UpgradeRule, UpgradeRules } from '../http/upgrade.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';

/** @throws FieldRefusal */
export function compileUpgrades(messages: readonly (OfManager | OfRoute)[]): UpgradeRules | undefined {
  if (messages.length === 0) return undefined;
  const rules = new Map<string, UpgradeRule>();
  for (const [i, message] of messages.entries()) {
    within(`upgrade_configs[${i}]`, () => {
      const type = typeOf(message.upgrade_type ?? '');
      if (rules.has(type)) throw new FieldRefusal('upgrade_type', `"${type}" is listed twice`);
      rules.set(type, compileOne(message, type));
    });
  }
  return rules;
}

function typeOf(text: string): string {
  if (text === '') throw new FieldRefusal('upgrade_type', 'empty');
  const upper = text.toUpperCase();
  return upper === CONNECT ? upper : text.toLowerCase();
}

function compileOne(message: OfManager | OfRoute, type: string): UpgradeRule {
  assertOnly(message, ['upgrade_type', 'enabled', 'connect_config']);
  const connect = 'connect_config' in message ? message.connect_config : undefined;
  if (connect) {
    if (type !== CONNECT) throw new FieldRefusal('connect_config', `not for "${type}", only for CONNECT`);
    within('connect_config', () => assertOnly(connect, []));
  }
  // Absent means true, but an explicit false arrives as a wrapper without a value.
  const enabled = message.enabled ? message.enabled.value === true : true;
  return { enabled, ends: Boolean(connect) };
}
