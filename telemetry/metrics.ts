// The metrics registry. Names are Prometheus's style with the prefix `isthmus_`; labels stay few (source,
// type, code), never an endpoint's address.
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

export type Metrics = ReturnType<typeof createMetrics>;

/** One registry per process part; nothing global, so that tests can run several side by side. */
export function createMetrics(options: { readonly processMetrics?: boolean } = {}) {
  const registry = new Registry();
  if (options.processMetrics) collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const scrapes = new Set<() => void>();
  return {
    registry,
    /** For values that age: `fn` sets them when they are asked for. The returned function ends it. */
    beforeScrape(fn: () => void): () => void {
      scrapes.add(fn);
      return () => void scrapes.delete(fn);
    },
    source: {
      up: new Gauge({
        name: 'isthmus_source_up',
        help: '1 while the source is live',
        labelNames: ['source'],
        registers,
      }),
      lastSuccess: new Gauge({
        name: 'isthmus_source_last_success_timestamp_seconds',
        help: 'When the source last gave a good answer',
        labelNames: ['source'],
        registers,
      }),
      staleness: new Gauge({
        name: 'isthmus_source_staleness_seconds',
        help: 'For how long the source has not answered; 0 while it is live',
        labelNames: ['source'],
        registers,
        collect: () => scrapes.forEach((fn) => fn()),
      }),
      duration: new Histogram({
        name: 'isthmus_source_duration_seconds',
        help: 'Time of the first list of each try, and of the probes',
        labelNames: ['source', 'of'],
        buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
        registers,
      }),
      errors: new Counter({
        name: 'isthmus_source_errors_total',
        help: 'Tries that failed, by code of the error',
        labelNames: ['source', 'code'],
        registers,
      }),
      endpoints: new Gauge({
        name: 'isthmus_source_endpoints',
        help: 'Endpoints the source offers',
        labelNames: ['source'],
        registers,
      }),
      services: new Gauge({
        name: 'isthmus_source_services',
        help: 'Services the source offers',
        labelNames: ['source'],
        registers,
      }),
      doubted: new Gauge({
        name: 'isthmus_source_doubted_endpoints',
        help: 'Endpoints kept in doubt: no longer listed, or past the end of their hold',
        labelNames: ['source'],
        registers,
      }),
      decisions: new Counter({
        name: 'isthmus_source_decisions_total',
        help: 'Endpoints that were doubted, let go, damped or quarantined, by type of the decision',
        labelNames: ['source', 'type'],
        registers,
      }),
      events: new Counter({
        name: 'isthmus_source_events_total',
        help: 'Updates received from the source by type',
        labelNames: ['source', 'type'],
        registers,
      }),
      badEntries: new Gauge({
        name: 'isthmus_source_bad_entries',
        help: 'Entries of the source that cannot be used; their last good value is kept',
        labelNames: ['source'],
        registers,
      }),
      faults: new Counter({
        name: 'isthmus_source_faults_total',
        help: 'Times the source went stale',
        labelNames: ['source'],
        registers,
      }),
    },
    resources: {
      good: new Gauge({
        name: 'isthmus_resources_good',
        help: '1 while the resources on disk are the ones that count, 0 while they are refused',
        registers,
      }),
      count: new Gauge({ name: 'isthmus_resources', help: 'Resources that count', registers }),
    },
    migration: {
      percent: new Gauge({
        name: 'isthmus_migration_percent',
        help: 'Share of the traffic that data planes are told to send to the new side, 0 to 100',
        labelNames: ['service'],
        registers,
      }),
      transitions: new Counter({
        name: 'isthmus_migration_transitions_total',
        help: 'Steps, pauses, rollbacks and ends that this replica made, by the phase that began',
        labelNames: ['phase'],
        registers,
      }),
      hookLost: new Counter({
        name: 'isthmus_migration_webhook_lost_total',
        help: 'Events that the webhook did not take',
        registers,
      }),
    },
    identity: {
      conflicts: new Gauge({
        name: 'isthmus_identity_conflict_services',
        help: 'Services of which another service claims an address',
        registers,
      }),
    },
    probe: {
      pings: new Counter({
        name: 'isthmus_probe_pings_total',
        help: 'Pings of the prober by what they said',
        labelNames: ['source', 'verdict'],
        registers,
      }),
      duration: new Histogram({
        name: 'isthmus_probe_seconds',
        help: 'From the beginning of a ping to the end of its connection',
        buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10],
        registers,
      }),
      suspects: new Gauge({
        name: 'isthmus_probe_suspects',
        help: 'Endpoints for which pings are wanted, by cause, as in the last round',
        labelNames: ['cause'],
        registers,
      }),
      failing: new Gauge({
        name: 'isthmus_probe_failing_ratio',
        help: 'Share of the last pings that failed, 0 to 1, without those of endpoints that were refuted before',
        registers,
      }),
    },
    lastKnownGood: {
      written: new Gauge({
        name: 'isthmus_last_known_good_written_timestamp_seconds',
        help: 'When what the source says was last written to disk',
        labelNames: ['source'],
        registers,
      }),
      bytes: new Gauge({
        name: 'isthmus_last_known_good_bytes',
        help: 'Size of what was written last',
        labelNames: ['source'],
        registers,
      }),
      faults: new Counter({
        name: 'isthmus_last_known_good_faults_total',
        help: 'Times that it could not be written',
        labelNames: ['source'],
        registers,
      }),
    },
    journal: {
      dropped: new Gauge({
        name: 'isthmus_journal_dropped_lines',
        help: 'Lines of the journal that were never written since the start: the disk failed, or did not keep up',
        registers,
      }),
    },
    xds: {
      clients: new Gauge({ name: 'isthmus_xds_clients', help: 'Connected xDS streams', registers }),
      pushes: new Counter({
        name: 'isthmus_xds_pushes_total',
        help: 'Responses sent by type',
        labelNames: ['type'],
        registers,
      }),
      rejects: new Counter({
        name: 'isthmus_xds_rejects_total',
        help: 'NACKs received by type',
        labelNames: ['type'],
        registers,
      }),
      waiting: new Gauge({
        name: 'isthmus_xds_waiting_streams',
        help: 'New streams that wait until those before them have begun',
        registers,
      }),
      slowReaders: new Counter({
        name: 'isthmus_xds_slow_readers_total',
        help: 'Streams cut off because the client took nothing',
        registers,
      }),
      refusedResources: new Counter({
        name: 'isthmus_xds_refused_resources_total',
        help: 'Resources kept back from a client that refused them, by type',
        labelNames: ['type'],
        registers,
      }),
      invalidResources: new Counter({
        name: 'isthmus_xds_invalid_resources_total',
        help: 'Times that a service could not be built as clients would take it, by code of the error',
        labelNames: ['code'],
        registers,
      }),
      unknownTypes: new Counter({
        name: 'isthmus_xds_unknown_type_requests_total',
        help: 'Requests for types not served',
        registers,
      }),
      streamErrors: new Counter({
        name: 'isthmus_xds_stream_errors_total',
        help: 'Streams ended because of a bad request',
        labelNames: ['code'],
        registers,
      }),
      tlsHandshakeErrors: new Counter({
        name: 'isthmus_xds_tls_handshake_errors_total',
        help: 'Connections that were not taken: no TLS, no certificate, or none that holds',
        registers,
      }),
      tlsReloads: new Counter({
        name: 'isthmus_xds_tls_reloads_total',
        help: 'Times that the files of xds.tls changed, by what became of it',
        labelNames: ['outcome'],
        registers,
      }),
      tlsNotAfter: new Gauge({
        name: 'isthmus_xds_tls_certificate_not_after_timestamp_seconds',
        help: 'When the certificate of the xDS server expires',
        registers,
      }),
      tlsRevoked: new Counter({
        name: 'isthmus_xds_tls_revoked_total',
        help: 'Connections (UNAUTHENTICATED) and calls (PERMISSION_DENIED) ended because a certificate no longer holds',
        labelNames: ['code'],
        registers,
      }),
      ack: new Histogram({
        name: 'isthmus_xds_ack_seconds',
        help: 'From a response to its ACK',
        buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
        registers,
      }),
    },
    hds: {
      checkers: new Gauge({
        name: 'isthmus_health_checkers',
        help: 'Data planes that check endpoints for the control plane',
        registers,
      }),
      reports: new Counter({
        name: 'isthmus_health_reports_total',
        help: 'What data planes found of endpoints, by health',
        labelNames: ['health'],
        registers,
      }),
    },
    load: {
      streams: new Gauge({
        name: 'isthmus_load_streams',
        help: 'Data planes that report their load',
        registers,
      }),
      requests: new Counter({
        name: 'isthmus_load_requests_total',
        help: 'Requests that data planes report by the source they went to and by outcome',
        labelNames: ['source', 'outcome'],
        registers,
      }),
      entries: new Counter({
        name: 'isthmus_access_log_entries_total',
        help: 'Entries of access logs by outcome: used, unused (nothing to time, or an unknown address), skipped (too many)',
        labelNames: ['outcome'],
        registers,
      }),
      ignored: new Counter({
        name: 'isthmus_load_reports_ignored_total',
        help: 'Reports of clusters that are not served, or beyond what is kept',
        registers,
      }),
    },
  };
}
