// What routes set for single filters (typed_per_filter_config), by the filter's name in its chain.
import type { Route } from '../route.ts';
import type { SettingKinds } from './rules.ts';

/** The route's own, else the filter's; undefined when the filter does not apply. */
export function settingOf<K extends keyof SettingKinds>(
  route: Route,
  name: string,
  kind: K,
  own: SettingKinds[K] | undefined,
): SettingKinds[K] | undefined {
  const setting = route.filters?.get(name);
  if (!setting) return own;
  return setting.kind === kind ? (setting.value as SettingKinds[K]) : undefined;
}
