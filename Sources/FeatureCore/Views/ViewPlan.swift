/// A named, typed column of a view's rows.
public struct FeatureColumn: Hashable, Sendable {
  /// The name, such as `clicks_24h`.
  public var name: String
  /// The type of its values.
  public var type: FeatureType
}

/// A column of an entity key.
public struct EntityColumn: Hashable, Sendable {
  /// The name.
  public var name: String
  /// The type.
  public var type: ValueType
  /// Its column in the rows that keys are made of.
  public var column: Int

  /// A column from its parts.
  public init(name: String, type: ValueType, column: Int) {
    self.name = name
    self.type = type
    self.column = column
  }
}

/// A compiled view: immutable, shared by everything that folds into its states or evaluates them.
public final class ViewPlan: Sendable {
  /// The view's name.
  public let name: String
  /// Index of the source among the plan's.
  public let source: Int
  /// The columns of an entity key.
  public let entity: [EntityColumn]
  /// When snapshots are emitted.
  public let emit: View.Emit
  /// Whether a snapshot has the features' values beside the state that they are made of.
  public let snapshotsHaveValues: Bool
  /// What `evaluate` returns, in this order: the order of the definitions.
  public let features: [FeatureColumn]
  /// The features in ascending order of their names, as indices of `features`: their order in records, which are read
  /// by whoever has the same fingerprint, whatever the order of the file.
  public let featuresByName: [Int]
  /// Identifies the semantics; two views with equal fingerprints have exchangeable states.
  public let fingerprint: UInt64
  /// Where the features come from, for tables and fingerprints.
  public let summaries: [FeatureSummary]

  let program: Program
  /// Register of the view's filter, if it has one.
  let filter: Int?
  /// The inputs of every aggregate, for telling failures before anything is folded.
  let inputs: [AggregateInput]
  let layout: StateLayout
  /// What measures of drift compare with.
  let baselines: [Baseline]
  /// How large a state may get.
  let room: StateRoom
  let outputs: [Output]
  /// The outputs that are no derived ones, by level and span.
  let windows: [WindowOutput]
  let windowGroups: [WindowGroup]
  /// Indices of the derived outputs, each after those that it names.
  let derivedOrder: [Int]
  /// What all values together are read from.
  let reading: Reading
  /// What is watched for, in ascending order of the names.
  public let triggers: [TriggerPlan]
  let codec: StateCodec
  /// The zones whose rules are in the fingerprint, but for UTC, which has none.
  public var fingerprintZones: [String] { codec.zones }

  init(
    view: View, source: Int, entity: [EntityColumn], program: Program, filter: Int?,
    inputs: [AggregateInput], layout: StateLayout, baselines: [Baseline], outputs: [Output],
    derivedOrder: [Int],
    triggers: [TriggerPlan], summaries: [FeatureSummary], fingerprint: UInt64, zones: [String],
    stateBytesMax: Int
  ) {
    name = view.name
    self.source = source
    self.entity = entity
    emit = view.emit
    snapshotsHaveValues = view.snapshotsHaveValues
    features = outputs.map { FeatureColumn(name: $0.name, type: $0.type) }
    featuresByName = outputs.indices.sorted { Text(outputs[$0].name) < Text(outputs[$1].name) }
    self.fingerprint = fingerprint
    self.summaries = summaries
    self.program = program
    self.filter = filter
    self.inputs = inputs
    self.layout = layout
    self.baselines = baselines
    room = StateRoom(layout, bytesMax: stateBytesMax)
    self.outputs = outputs
    reading = Reading(outputs, derivedOrder: derivedOrder)
    windows = reading.windows
    windowGroups = reading.groups
    self.derivedOrder = derivedOrder
    self.triggers = triggers
    codec = StateCodec(layout: layout, fingerprint: fingerprint, zones: zones)
  }

  /// Bytes that the largest state may have: any state may have one event.
  public var stateBytesMax: Int { min(max(room.bytesMax, room.oneEventMax), sizeBound.bytes) }
  /// Bytes that each of many events adds to a state at most.
  public var growthUsual: Int { room.growthUsual }

  /// The canonical bytes of a state.
  public func encode(_ state: State) -> [UInt8] {
    var bytes: [UInt8] = []
    encode(state, into: &bytes)
    return bytes
  }

  /// Appends the canonical bytes of a state, without allocating if there is room and the state is of a usual size.
  public func encode(_ state: State, into bytes: inout [UInt8]) {
    ByteWriter.append(to: &bytes) { codec.encode(state, into: &$0) }
  }

  /// The state that has these bytes; refuses bytes of other definitions, other formats, and damaged ones.
  public func decode(_ bytes: UnsafeRawBufferPointer) throws(StateError) -> State {
    try codec.decode(bytes)
  }
}

/// A filter and a value of an aggregate, as registers of the view's program.
struct AggregateInput: Hashable, Sendable {
  var feature: String
  var filter: RegisterIndex?
  var value: RegisterIndex?
}

/// A feature as `plumb check` shows it.
public struct FeatureSummary: Hashable, Sendable {
  /// Name without a window.
  public var name: String
  /// What is computed, as SQL-like text.
  public var computation: String
  /// The windows' names; empty for derived features.
  public var windows: [String]
  /// Type of its values.
  public var type: FeatureType
}

/// Where a feature's value comes from.
struct Output: Sendable {
  enum Origin: Sendable {
    /// A column of a level, seen through a window.
    case window(level: Int, column: Int, span: WindowSpan, result: ResultKind)
    /// An expression over earlier outputs.
    case derived(DerivedFeature)
  }

  var name: String
  var type: FeatureType
  var origin: Origin
  /// Whether it is an expression over others.
  var isDerived: Bool { if case .derived = origin { true } else { false } }
  /// Replaces null.
  var fallback: FeatureValue
}

/// An output that is seen through a window, as plain data: reading it retains nothing.
struct WindowOutput: Sendable {
  var output: Int
  var level: Int
  var column: Int
  var span: WindowSpan
  var result: ResultKind

  /// The output of an index; nil if it is derived.
  init?(_ output: Output, at index: Int) {
    guard case .window(let level, let column, let span, let result) = output.origin else { return nil }
    self.output = index
    self.level = level
    self.column = column
    self.span = span
    self.result = result
  }

  /// The outputs that are no derived ones, by level, and those that see the same tiles of it beside each other.
  static func sorted(_ outputs: [Output]) -> [WindowOutput] {
    var spans: [WindowSpan: Int] = [:]
    return outputs.indices.compactMap { index -> (output: WindowOutput, span: Int)? in
      guard let output = WindowOutput(outputs[index], at: index) else { return nil }
      let number = spans[output.span] ?? spans.count
      spans[output.span] = number
      return (output, number)
    }
    .sorted { ($0.output.level, $0.span) < ($1.output.level, $1.span) }.map(\.output)
  }
}

/// Outputs that see the same tiles: which those are is looked for once.
struct WindowGroup: Sendable {
  var level: Int
  var span: WindowSpan
  /// Indices of the windows.
  var windows: Range<Int>

  static func groups(of windows: [WindowOutput]) -> [WindowGroup] {
    var groups: [WindowGroup] = []
    for (index, window) in windows.enumerated() {
      if let last = groups.last, last.level == window.level, last.span == window.span {
        groups[groups.count - 1].windows = last.windows.lowerBound..<(index + 1)
      } else {
        groups.append(WindowGroup(level: window.level, span: window.span, windows: index..<(index + 1)))
      }
    }
    return groups
  }
}

/// What is read of a state for some of a view's outputs.
struct Reading: Sendable {
  /// The outputs that are no derived ones, by level and span.
  var windows: [WindowOutput]
  var groups: [WindowGroup]
  /// Indices of the derived outputs, each after those that it names.
  var derived: [Int]

  /// What the outputs that `isRead` names need; all that is derived from has to be among them.
  init(_ outputs: [Output], derivedOrder: [Int], isRead: (Int) -> Bool = { _ in true }) {
    windows = WindowOutput.sorted(outputs).filter { isRead($0.output) }
    groups = WindowGroup.groups(of: windows)
    derived = derivedOrder.filter(isRead)
  }
}

/// A derived feature's program. Column i of the program is output `operands[i]`.
struct DerivedFeature: Sendable {
  /// Stands for no output, but for the time of evaluation.
  static let now = -1

  var program: Program
  var result: Register
  var operands: [Int]
}

/// Which tiles of a level a window sees.
enum WindowSpan: Hashable, Sendable {
  case sliding(length: Int64, hop: Int64)
  case shifted(length: Int64, hop: Int64, offset: Int64)
  case calendar(CalendarUnit)
  /// Every tile of the level.
  case all
  case session(gap: Int64)
}

/// How an accumulator becomes a value.
enum ResultKind: Hashable, Sendable {
  case count, sum, product, mean, extreme, edge, list, variance, stddev, distinct, histogram, latestTime
  /// A decayed sum.
  case decayed
  case quantile(Double)
  case measure(ScoreMeasure)
  /// Against a baseline of the view, if there is one.
  case drift(DriftMeasure, baseline: Int?)
  /// The root of a mean.
  case rootMean
  case top(Int)
  /// Counts, errors, and how many are certain, of as many values as top has.
  case topCounts(Int), topErrors(Int), topCertain(Int)
  /// Values and counts, of so many values.
  case countMap(Int)

  /// Whether it counts: then nothing is 0 and not null.
  var isCount: Bool { self == .count || self == .distinct }
}
