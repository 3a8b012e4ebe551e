/// What a definitions file says, or what Swift code builds: names and expressions, not yet checked. `Plan`
/// checks and compiles them.
public struct Definitions: Sendable, Hashable {
  /// Prefixes keys, internal topics and transactional ids.
  public var name: String
  /// Separates the states of one definition from those of its successor.
  public var version: Int
  /// Topics of events.
  public var sources: [Source]
  /// Sources that are made of two others.
  public var joins: [Join] = []
  /// What is computed.
  public var views: [View]
  /// What is asked for together.
  public var services: [Service]
  /// What some of the sources, joins and views were written as.
  public var models: [Model] = []

  /// Definitions from their parts.
  public init(
    name: String, version: Int = 1, sources: [Source], views: [View], services: [Service] = []
  ) {
    self.name = name
    self.version = version
    self.sources = sources
    self.views = views
    self.services = services
  }
}

/// A topic of events with a declared schema, an event-time field and an optional partition key.
public struct Source: Sendable, Hashable {
  /// How the producers of a topic choose the partition of a key.
  public enum Partitioner: String, Sendable, Hashable, CaseIterable {
    /// Java's default, librdkafka's `murmur2_random`.
    case murmur2
    /// Anything else: every view goes through a repartition topic.
    case unknown
  }

  /// How records are written.
  public enum Format: String, Sendable, Hashable, CaseIterable {
    /// JSON objects.
    case json
    /// Changes of a table in Debezium's envelope, in JSON with or without their schema.
    case debezium
    /// The same, flattened: rows without an envelope.
    case debeziumFlattened = "debezium_flattened"
  }

  /// Where the event time stands and how it is written.
  public struct Timestamp: Sendable, Hashable {
    /// The field.
    public var field: String
    /// How it is written.
    public var unit: TimeUnit
    /// Whether it is the timestamp of the record in the log, and no part of its value.
    public var isRecord = false
    /// The zone of texts that name none.
    public var zone: String?
    /// Whether a number may also be written as a string.
    public var isText: Bool
    /// Whether times that look like another unit's are meant.
    public var isAny = false

    /// A timestamp from its parts.
    public init(field: String, unit: TimeUnit, zone: String? = nil, isText: Bool = false) {
      self.field = field
      self.unit = unit
      self.zone = zone
      self.isText = isText
    }

    /// The timestamp of the record in the log.
    public static var ofRecord: Timestamp {
      var timestamp = Timestamp(field: "record_timestamp", unit: .milliseconds)
      timestamp.isRecord = true
      return timestamp
    }
  }

  /// What a record has besides its value.
  public enum RecordPart: String, Sendable, Hashable, CaseIterable {
    /// Its timestamp in the log.
    case timestamp
    /// Its key, as text.
    case key
  }

  /// A declared field of the events.
  public struct Field: Sendable, Hashable {
    /// The name in expressions, and of the member of the record unless there is a path.
    public var name: String
    /// Its type.
    public var type: ValueType
    /// Where in the record it stands, such as `user.id` or `items[0].sku`.
    public var path: String?
    /// A part of the record besides its value that it is; nil: it is in the value.
    public var record: RecordPart?
    /// The name of the record's header that it is; nil: it is none.
    public var header: String?
    /// An expression over other fields that it is computed by; nil: it is read.
    public var compute: String?
    /// For timestamps, how it is written; like the event time when nil.
    public var unit: TimeUnit?
    /// For timestamps with a unit of their own, the zone of texts that name none.
    public var zone: String?
    /// Whether a value that is no string may also be written as one.
    public var isText: Bool

    /// A field from its parts.
    public init(
      _ name: String, _ type: ValueType, path: String? = nil, unit: TimeUnit? = nil, zone: String? = nil,
      isText: Bool = false
    ) {
      self.name = name
      self.path = path
      self.type = type
      self.unit = unit
      self.zone = zone
      self.isText = isText
    }

    /// A part of the record besides its value.
    public static func record(_ name: String, _ part: RecordPart, _ type: ValueType) -> Field {
      var field = Field(name, type)
      field.record = part
      return field
    }

    /// A header of the record.
    public static func header(_ name: String, _ header: String, _ type: ValueType) -> Field {
      var field = Field(name, type)
      field.header = header
      return field
    }

    /// Whether it is read from the record's value.
    public var isInValue: Bool { record == nil && header == nil && compute == nil }

    /// A field that is computed from others; its type is that of the expression.
    public static func computed(_ name: String, _ expression: String) -> Field {
      var field = Field(name, .string)
      field.compute = expression
      return field
    }
  }

  /// How an event that comes again is told.
  public struct Duplicates: Sendable, Hashable {
    /// The field that holds an event's id.
    public var by: String
    /// For how long an id is known, in microseconds of the records' timestamps.
    public var within: Int64

    /// A rule from its parts.
    public init(by: String, within: Int64) {
      self.by = by
      self.within = within
    }

    /// What `within` may be: slices of it are counted in milliseconds, and the ids of a day are as many as fit.
    public static let withinBounds: ClosedRange<Int64> = 1_000_000...86_400_000_000
  }

  /// The name that views use.
  public var name: String
  /// The Kafka topic.
  public var topic: String
  /// The field that the topic is partitioned by; nil if by nothing.
  public var key: String?
  /// The event time.
  public var timestamp: Timestamp
  /// The declared fields, in the file's order.
  public var fields: [Field]
  /// The path of an array of which each element is an event; nil: each record is one.
  public var each: String?
  /// How producers partition.
  public var partitioner: Partitioner
  /// How an event that comes again is told; nil: every record counts.
  public var duplicates: Duplicates?
  /// Microseconds by which an event time may exceed its record's timestamp; more is dead-lettered.
  public var maxAhead: Int64
  /// Whether its records are whole rows by key: the last in the log counts, and a null value deletes.
  public var isTable = false
  /// How records are written.
  public var format = Format.json
  /// Where a table's rows come from; nil if others write the topic.
  public var capture: TableCapture?
  /// What people are told of it.
  public var annotations = Annotations()

  /// Default of `maxAhead`: 5 minutes.
  public static let defaultMaxAhead: Int64 = 300_000_000

  /// A source from its parts.
  public init(
    _ name: String, topic: String, key: String? = nil, timestamp: Timestamp, fields: [Field],
    each: String? = nil, partitioner: Partitioner = .murmur2, maxAhead: Int64 = Source.defaultMaxAhead
  ) {
    self.name = name
    self.topic = topic
    self.key = key
    self.timestamp = timestamp
    self.fields = fields
    self.each = each
    self.partitioner = partitioner
    self.maxAhead = maxAhead
  }
}

/// One source, one entity, a set of features.
public struct View: Sendable, Hashable {
  /// When snapshots of an entity are emitted.
  public enum Emit: String, Sendable, Hashable, CaseIterable {
    /// The last state of a commit.
    case commit
    /// One after every event.
    case event
  }

  /// The view's name.
  public var name: String
  /// The source's name.
  public var source: String
  /// The columns that make an entity key.
  public var entity: [String]
  /// Which events are folded; all when nil.
  public var filter: String?
  /// What is computed, in the file's order.
  public var features: [Feature]
  /// When snapshots are emitted.
  public var emit: Emit
  /// Whether a snapshot has the features' values beside the state that they are made of.
  public var snapshotsHaveValues = true
  /// What is watched for, in the file's order.
  public var triggers: [Trigger] = []
  /// What people are told of it.
  public var annotations = Annotations()

  /// A view from its parts.
  public init(
    _ name: String, source: String, entity: [String], where filter: String? = nil, emit: Emit = .commit,
    features: [Feature]
  ) {
    self.name = name
    self.source = source
    self.entity = entity
    self.filter = filter
    self.emit = emit
    self.features = features
  }
}

/// An aggregate over windows, or an expression over other features of its view.
public struct Feature: Sendable, Hashable {
  /// How the feature is computed.
  public enum Computation: Sendable, Hashable {
    /// From events.
    case aggregate(Aggregate)
    /// From other features, as a SQL expression.
    case derive(String)
    /// The value of a field in a table's last row.
    case column(String)
  }

  /// The name; a windowed feature appends `_<window>`.
  public var name: String
  /// How it is computed.
  public var computation: Computation
  /// Replaces null.
  public var fallback: Literal?
  /// What people are told of it.
  public var annotations = Annotations()

  /// A feature from its parts.
  public init(_ name: String, _ computation: Computation, default fallback: Literal? = nil) {
    self.name = name
    self.computation = computation
    self.fallback = fallback
  }
}

/// An aggregate function with its inputs and windows.
public struct Aggregate: Sendable, Hashable {
  /// The functions.
  public enum Function: String, Sendable, Hashable, CaseIterable {
    /// Events, or non-null values if `value` is given.
    case count
    /// Sum of int64 (exact) or double values.
    case sum
    /// Product of numbers, a double.
    case product
    /// Arithmetic mean, a double.
    case mean
    /// Smallest value; strings by bytes.
    case min
    /// Largest value.
    case max
    /// Sample variance, a double; null for fewer than two values.
    case variance
    /// Sample standard deviation.
    case stddev
    /// Value of the earliest event.
    case first
    /// Value of the latest event.
    case last
    /// Values of the `k` earliest events, earliest first.
    case firstK = "first_k"
    /// Values of the `k` latest events, earliest first.
    case lastK = "last_k"
    /// The `k` values that came last, each once, in the order of their latest events.
    case lastDistinctK = "last_distinct_k"
    /// Count of distinct values: exact up to a bound, then HyperLogLog.
    case countDistinct = "count_distinct"
    /// The value at quantile `q`, within a relative error.
    case approxQuantile = "approx_quantile"
    /// The `k` most frequent values, most frequent first.
    case topK = "top_k"
    /// How often each value of a `top_k` with the same `counters` has occurred at least.
    case topKCounts = "top_k_counts"
    /// By how much more often, at most.
    case topKErrors = "top_k_errors"
    /// How many of its first values are certainly where they are.
    case topKCertain = "top_k_certain"
    /// How often each value has occurred at least, as the text of a JSON object: of the `k` most frequent ones.
    case countBy = "count_by"
    /// Counts per declared bucket.
    case histogram
    /// Sum of values, each halved every `half_life`.
    case decayedSum = "decayed_sum"
    /// Count of events, each halved every `half_life`.
    case decayedCount = "decayed_count"
    /// Seconds from the latest event to the evaluation, a double.
    case secondsSinceLast = "seconds_since_last"
    /// Area under the ROC curve of scores from 0 to 1 against a label, within `auc_bound`.
    case auc
    /// By how much `auc` may be off, at most.
    case aucBound = "auc_bound"
    /// Average precision of the scores.
    case prAUC = "pr_auc"
    /// The area under the ROC curve that the scores themselves promise, without labels.
    case expectedAUC = "expected_auc"
    /// Mean log loss, in nats.
    case logLoss = "log_loss"
    /// Log loss divided by that of always predicting the share of true labels.
    case normalizedEntropy = "normalized_entropy"
    /// Sum of scores divided by the count of true labels.
    case calibration
    /// Expected calibration error, over groups of scores 1 wide in logits.
    case ece
    /// Mean squared distance of score and label.
    case brier
    /// Mean absolute error of predicted numbers.
    case mae
    /// Root of the mean squared error.
    case rmse
    /// Mean of prediction minus label.
    case bias
    /// Population stability index of the values against those of a baseline.
    case psi
    /// `psi` minus what chance alone gives.
    case psiExcess = "psi_excess"
    /// Jensen-Shannon distance from the baseline, in nats.
    case js
    /// The share of events whose value is null.
    case nullShare = "null_share"
  }

  /// The function.
  public var function: Function
  /// The aggregated SQL expression; nil for functions of events.
  public var value: String?
  /// For measures of predictions: what has come of them, as a SQL expression.
  public var label: String?
  /// Which events count; all of the view's when nil.
  public var filter: String?
  /// The windows, in the file's order.
  public var windows: [Window]
  /// For first_k, last_k, count_by and the functions of top_k.
  public var k: Int?
  /// For count_by and the functions of top_k: how many values are counted.
  public var counters: Int?
  /// For approx_quantile, from 0 to 1.
  public var q: Double?
  /// For the decayed aggregates, in microseconds.
  public var halfLife: Int64?
  /// For histogram: ascending numeric edges e1..en (n + 1 counts: below e1, [e1, e2), ..., from en), or string
  /// values (one count each and a last one for every other value).
  public var buckets: [Literal]?
  /// For measures of drift: what the values are compared with.
  public var baseline: Baseline?

  /// An aggregate from its parts.
  public init(
    _ function: Function, value: String? = nil, label: String? = nil, where filter: String? = nil,
    windows: [Window], k: Int? = nil, counters: Int? = nil, q: Double? = nil, halfLife: Int64? = nil,
    buckets: [Literal]? = nil, baseline: Baseline? = nil
  ) {
    self.function = function
    self.value = value
    self.label = label
    self.filter = filter
    self.windows = windows
    self.k = k
    self.counters = counters
    self.q = q
    self.halfLife = halfLife
    self.buckets = buckets
    self.baseline = baseline
  }
}

/// The stretch of event time that an aggregate sees, and the suffix that it gives to the feature's name.
public struct Window: Sendable, Hashable {
  /// Which events are seen.
  public enum Span: Sendable, Hashable {
    /// The last `length` microseconds; the tail is rounded down to `hop` (nil: the default for the length).
    case sliding(length: Int64, hop: Int64?)
    /// The same, `offset` microseconds ago: head and tail are rounded down to `hop`.
    case shifted(length: Int64, hop: Int64?, offset: Int64)
    /// Everything.
    case lifetime
    /// The current day, week or month in a named time zone.
    case calendar(CalendarUnit, zone: String)
    /// The current session, which ends after `gap` microseconds without an event of the view.
    case session(gap: Int64)
  }

  /// As written: `24h` and `1d` are the same span under two names.
  public var name: String
  /// Which events are seen.
  public var span: Span

  /// A window from its parts.
  public init(name: String, span: Span) {
    self.name = name
    self.span = span
  }

  /// The last `length`, such as `24h`. Traps on a text that is no duration.
  public static func last(_ length: String, hop: String? = nil) -> Window {
    Window(name: length, span: .sliding(length: Duration.required(length), hop: hop.map(Duration.required)))
  }
  /// The last `length` of `offset` ago. Traps on texts that are no durations.
  public static func last(_ length: String, hop: String? = nil, offset: String) -> Window {
    Window(
      name: "\(length)_offset_\(offset)",
      span: .shifted(
        length: Duration.required(length), hop: hop.map(Duration.required), offset: Duration.required(offset))
    )
  }
  /// Everything.
  public static let lifetime = Window(name: "lifetime", span: .lifetime)
  /// The current day, week or month.
  public static func calendar(_ unit: CalendarUnit, zone: String = "UTC") -> Window {
    Window(name: unit.rawValue, span: .calendar(unit, zone: zone))
  }
  /// The current session. Traps on a text that is no duration.
  public static func session(_ gap: String) -> Window {
    Window(name: "session_\(gap)", span: .session(gap: Duration.required(gap)))
  }
}

/// A stretch of the calendar, in local time.
public enum CalendarUnit: String, Sendable, Hashable, CaseIterable {
  /// From local midnight.
  case today
  /// The local day before.
  case yesterday
  /// From Monday, local midnight (ISO 8601).
  case thisWeek = "this_week"
  /// From the first of the month, local midnight.
  case thisMonth = "this_month"
}

/// A constant in a definition.
public enum Literal: Sendable, Hashable {
  /// An integer.
  case int64(Int64)
  /// A finite number with a fraction or exponent.
  case double(Double)
  /// A text.
  case string(String)
  /// True or false.
  case bool(Bool)
}
