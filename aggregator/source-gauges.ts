// The metrics of sources that follow from their state.
import type { SourceState } from '../model/snapshot.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export function showSource({ source: gauges }: Metrics, state: SourceState): void {
  const labels = { source: state.name };
  gauges.up.set(labels, state.state === 'live' ? 1 : 0);
  gauges.services.set(labels, state.services);
  gauges.endpoints.set(labels, state.endpoints);
  gauges.doubted.set(labels, state.doubted);
  if (state.lastSuccess !== undefined) gauges.lastSuccess.set(labels, state.lastSuccess / 1000);
}

/** For how long each has not answered, at this time. */
export function showStaleness({ source: gauges }: Metrics, states: Iterable<SourceState>, now: number): void {
  for (const { name, staleSince } of states) {
    const seconds = staleSince === undefined ? 0 : Math.max(0, now - staleSince) / 1_000;
    gauges.staleness.set({ source: name }, seconds);
  }
}

export function forgetSource({ source: gauges }: Metrics, source: string): void {
  const { up, services, endpoints, doubted, lastSuccess, staleness } = gauges;
  for (const gauge of [up, services, endpoints, doubted, lastSuccess, staleness]) gauge.remove({ source });
}
