/// Every bound of the feature algebra in one place, each with its reason.
public enum Limits {
  /// Bytes of one record: Kafka's default `message.max.bytes` is 1 MiB, and nothing larger can arrive.
  public static let recordBytesMax = 1 << 20
  /// Bytes that are kept of a record that is larger: enough to recognise it in a dead letter.
  public static let oversizedBytesKept = 200
  /// Elements of a record's array that are events of their own: more would make one record a batch that never ends.
  public static let elementsMax = 10_000
  /// Records whose ids one partition of a source with `duplicates` knows: 5,000 a second for an hour, in at most 660 MB.
  public static let duplicateIDsMax = 20_000_000
  /// Steps of the path of a field.
  public static let pathStepsMax = 16
  /// Nesting of a JSON record: deeper input is hostile, and the scanner keeps one bit a level.
  public static let jsonDepthMax = 64
  /// Bytes of the UTF-8 text of one entity key, all columns together: it becomes a Redis key and a record key.
  public static let entityKeyBytesMax = 4096
  /// Bytes of the text that a string function may build: more than any event holds.
  public static let textBytesMax = Limits.recordBytesMax
  /// Bytes of one string kept inside a state (min, max, first, last, lists, top_k); longer ones are cut at a
  /// character boundary, so that one hostile record cannot make a state huge.
  public static let stateTextBytesMax = 256
  /// Nodes of one expression: far above what a person writes, far below what would overflow a parser's stack.
  public static let expressionNodesMax = 1024
  /// Nesting of one expression, for the same reason.
  public static let expressionDepthMax = 64
  /// Bytes of an encoded state. With its values, key and position a snapshot then fits a record of 1,114,112 bytes, which is
  /// what the snapshot topic takes. An event that would make a state larger is a dead letter.
  public static let stateBytesMax = 768 << 10
  /// Bytes that the values of one snapshot may take: the other part of that record.
  public static let snapshotValueBytesMax = 256 << 10
  /// Bytes of a derived feature's text: a longer one has failed, and is null.
  public static let derivedTextBytesMax = 4096
  /// Partitions of a topic that is joined: what a mark in the join's log may ask memory for.
  public static let joinPartitionsMax = 10_000
  /// Records of a join's log that a cursor takes for one record of the head: few enough that what they make fits a
  /// transaction. A function of the log, as all that a task does, so no setting.
  public static let joinFollowMax = 10_000
  /// Features of one view, before windows.
  public static let featuresPerViewMax = 512
  /// Windows of one feature: far more than anybody looks at.
  public static let windowsPerFeatureMax = 100
  /// Triggers of one view: each is looked at for every event that closes a hop of its own.
  public static let triggersPerViewMax = 32
  /// Features that a trigger's condition may name: with their values at the largest, its record still fits a topic.
  public static let triggerFeaturesMax = 32
  /// Hops in a row that a trigger may ask for: two bytes of a state.
  public static let triggerHopsMax = 8_000
  /// Evaluations of a trigger's condition that one event may cause: a silence in which the values change more often is not
  /// watched to its end.
  public static let triggerEvaluationsMax = 1_000
  /// Tiles that one window may span: bounds the bytes of a state and the time of an evaluate.
  public static let tilesPerWindowMax = 10_000
  /// `k` of first_k, last_k and top_k.
  public static let kMax = 100
  /// Distinct values that count_distinct counts exactly in one tile before it turns into a HyperLogLog: at
  /// 8 bytes a value this is a third of the dense sketch.
  public static let distinctExactMax = 128
  /// Counters of a top_k tile are four times `k`, and at least this many: the count of a listed value is high
  /// by at most events / counters.
  public static let topCountersMin = 64
  /// Declared counters of a top_k, and `k` of count_by: an event looks at each of them.
  public static let topCountersMax = 1000
  /// Events of one tile: years of a million a second. A larger count in a state's bytes is damage; below it, no sum
  /// over the tiles of a window overflows.
  static let tileEventsMax: UInt64 = 1 << 48
  /// Buckets of a quantile sketch before it halves its resolution.
  public static let quantileBucketsMax = 1024
  /// Edges or categories of a baseline: events of a window that are spread over more bins say little about each.
  public static let baselineBinsMax = 50
  /// Declared buckets of a histogram.
  public static let histogramBucketsMax = 256
  /// Earliest event time: 0001-01-01T00:00:00Z, in microseconds.
  public static let eventTimeMin: Int64 = -62_135_596_800_000_000
  /// Latest event time: 9999-12-31T23:59:59.999999Z. A value beyond is nearly always a wrong unit.
  public static let eventTimeMax: Int64 = 253_402_300_799_999_999
  /// Shortest and longest window, in microseconds: 10 s and 400 d.
  public static let windowMin: Int64 = 10_000_000
  /// See `windowMin`.
  public static let windowMax: Int64 = 400 * 86_400_000_000
}
