/// What a metric is, as Prometheus shows it.
public struct MetricDescription: Hashable, Sendable {
  /// The kinds of Prometheus' data model.
  public enum Kind: Hashable, Sendable {
    /// Only grows.
    case counter
    /// Goes up and down.
    case gauge
    /// Observations in buckets; their upper bounds, ascending.
    case histogram([Double])

    var name: String {
      switch self {
      case .counter: "counter"
      case .gauge: "gauge"
      case .histogram: "histogram"
      }
    }
  }

  /// The name, with its unit at the end.
  public var name: String
  /// The kind.
  public var kind: Kind
  /// What it says, in a sentence.
  public var help: String

  /// A description from its parts.
  public init(_ name: String, _ kind: Kind, _ help: String) {
    self.name = name
    self.kind = kind
    self.help = help
  }
}

extension MetricDescription {
  /// Seconds from half a millisecond to the longest wait for Kafka.
  private static let secondsBuckets = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
  ]

  /// What every process with a port for it tells.
  private static let ready = Self("plumb_ready", .gauge, "1 if /readyz says so, else 0.")

  /// Everything that the service measures.
  public static let service = [
    Self("plumb_records_consumed_total", .counter, "Records read to be folded."),
    Self("plumb_records_recovered_total", .counter, "Records folded again because the store lacked them."),
    Self("plumb_events_folded_total", .counter, "Events folded into states, once for each view."),
    Self(
      "plumb_events_late_total", .counter, "Folded events that no window but lifetime ones could still see."),
    Self("plumb_events_filtered_total", .counter, "Events that a view's filter left out."),
    Self(
      "plumb_events_duplicate_total", .counter,
      "Records that were not folded, since an earlier one had the id of their event."),
    Self(
      "plumb_events_without_id_total", .counter,
      "Records without the id that their source tells events apart by; they were folded."),
    Self("plumb_records_joined_total", .counter, "Records that joins have made."),
    Self("plumb_records_forwarded_total", .counter, "Records forwarded to repartition topics."),
    Self("plumb_dead_letters_total", .counter, "Records that could not be used, by reason."),
    Self("plumb_trigger_fired_total", .counter, "Triggers that have fired, by view and trigger."),
    Self("plumb_snapshots_total", .counter, "Snapshots sent."),
    Self("plumb_commits_total", .counter, "Transactions committed."),
    Self("plumb_aborts_total", .counter, "Transactions aborted."),
    Self(
      "plumb_refused_writes_total", .counter, "Accesses that the store refused, by reason: fenced or moved."),
    Self("plumb_errors_total", .counter, "Errors of Kafka and of Redis that a worker had to react to."),
    Self("plumb_cache_hits_total", .counter, "Events whose state was in memory, once for each view."),
    Self("plumb_cache_misses_total", .counter, "States that were asked of Redis."),
    Self("plumb_cached_states", .gauge, "States in memory."),
    Self("plumb_tasks", .gauge, "Partitions, by what is done with them: running, recovering or waiting."),
    Self("plumb_partitions_owned", .gauge, "Partitions that the group has given to this process."),
    Self("plumb_partitions_expected", .gauge, "Partitions that all processes should own together."),
    ready,
    Self(
      "plumb_lag_records", .gauge,
      "Offsets of a partition that are not folded yet, transaction marks included."),
    Self(
      "plumb_lag_event_time_seconds", .gauge,
      "Age of the latest event folded, while there are records to fold; while nobody answers, the time since that."
    ),
    Self(
      "plumb_outcome_lag_seconds", .gauge,
      "How far a join's clock is behind its latest left event, by partition of the join's log."),
    Self(
      "plumb_model_measure", .gauge,
      "Measures of a model, by its latest versions and by window, at the time of the request."),
    Self(
      "plumb_model_training_measure", .gauge, "What a model's baseline has of the same measures."),
    Self(
      "plumb_commit_seconds", .histogram(secondsBuckets),
      "Duration of the phases of a commit: log, then store."),
    Self(
      "plumb_load_seconds", .histogram(secondsBuckets), "Duration of reading a batch's states from Redis."),
  ]

  /// Everything that a capture measures, by source.
  public static let capture = [
    Self("plumb_capture_rows_read_total", .counter, "Rows of whole tables that were read."),
    Self(
      "plumb_capture_records_total", .counter, "Records written to the table's topic, with deletions."),
    Self("plumb_capture_deletions_total", .counter, "Deletions written to the table's topic."),
    Self("plumb_capture_commits_total", .counter, "Transactions committed."),
    Self("plumb_capture_following", .gauge, "1 while a table's changes are followed, else 0."),
    Self(
      "plumb_capture_interval_seconds", .gauge,
      "Pause between two comparisons of a table with its topic; 0 where its changes are followed as they come."
    ),
    Self(
      "plumb_capture_lag_bytes", .gauge,
      "Bytes of the database's log between its end and what the topic has; the database keeps them."),
    Self(
      "plumb_capture_lag_seconds", .gauge,
      "Time since the topic was known to have all that was committed in the database."),
    ready,
  ]
}
