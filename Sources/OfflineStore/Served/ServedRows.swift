public import FeatureCore

/// Makes rows of training data of what a service has answered: what names a row, the inputs, and the columns of the answer,
/// bit for bit. A label can be joined; nothing else is computed but what the answer left out for its age.
///
/// A row of an answer is a record a view, and one of what was computed; they may lie apart in the log by what other servers
/// have written between them.
public final class ServedRows {
  /// Rows that had some of their records only: the log of answers may lose what was written last before a crash.
  public var incomplete: Int { dropped + pending.count }
  /// Records of other versions of the definitions, by version: left out.
  public private(set) var otherVersions: [Int64: Int] = [:]
  /// Records that no such answer can have, or that other definitions of this version made: left out.
  public private(set) var foreign = 0

  private let plan: Plan
  private let service: ServicePlan
  private let spine: SpineTable
  private let derived: [FeatureType]
  private var dropped = 0
  private var pending: [Name: Parts] = [:]
  /// The names in the order in which their first record came; the oldest goes first.
  private var arrivals: [Name] = []
  private var firstArrival = 0

  /// Rows that may wait for the rest of their records: far more than servers write at the same time.
  private static let pendingMax = 1 << 16
  /// The columns that name a row, before its entity.
  private static let names = ["request_id", "row"]
  static let timeColumn = "requested_at"

  private struct Name: Hashable {
    var request: [UInt8]
    var row: Int64
    var time: EventTime
  }

  private struct Parts {
    /// By read of the service: the values.
    var features: [[FeatureValue]?]
    /// By column of the service's entity.
    var entity: [FeatureValue]
    var computed: (inputs: [FeatureValue], derived: [FeatureValue])?
    var count: Int64 = 0
  }

  /// Rows of a service's answers, for a join without views.
  public init(_ plan: Plan, _ service: ServicePlan, join: TrainingJoin) throws(TableError) {
    self.plan = plan
    self.service = service
    derived = service.columns.filter { $0.isDerived }.map(\.type)
    let inputs = service.service.inputs.map { (name: $0.name, type: FeatureType.scalar($0.type)) }
    let entity = service.entity.map { (name: $0.name, type: $0.type) }
    let answer = service.columns.map { (name: $0.name, type: $0.type) }
    let naming = [
      (name: Self.names[0], type: FeatureType.scalar(.string)), (Self.names[1], .scalar(.int64)),
      (Self.timeColumn, .scalar(.timestamp)),
    ]
    let columns = naming + entity + inputs + answer
    var seen: Set<String> = []
    for column in columns where !seen.insert(column.name).inserted {
      throw TableError(
        path: "service '\(service.name)'", problem: "two columns of its rows are named '\(column.name)'",
        remedy: "rename the input or the derived column")
    }
    spine = try join.beginSpine(
      "service '\(service.name)'", columns.map(\.name), types: columns.map(\.type))
    try spine.checkTypes(columns.map(\.type))
  }

  /// The time of rows in a join of them.
  public static var time: SpineTime { SpineTime(timeColumn, unit: .microseconds) }

  /// Takes a record of the topic of answers.
  public func add(_ record: ServedRecord) throws(TableError) {
    guard record.service.elementsEqual(service.name.utf8) else { return }
    guard record.version == Int64(plan.version) else {
      return otherVersions[record.version, default: 0] += 1
    }
    let name = Name(request: Array(record.requestID), row: record.row, time: record.requestedAt)
    if pending[name] == nil { begin(name) }
    guard var parts = pending[name] else { return }
    guard take(record, &parts) else { return foreign += 1 }
    parts.count += 1
    pending[name] = parts
    guard parts.count == service.records(of: record) else { return }
    pending[name] = nil
    try append(name, parts)
  }

  private func begin(_ name: Name) {
    pending[name] = Parts(
      features: Array(repeating: nil, count: service.reads.count),
      entity: Array(repeating: .null, count: service.entity.count))
    arrivals.append(name)
    while pending.count > Self.pendingMax {
      if pending.removeValue(forKey: arrivals[firstArrival]) != nil { dropped += 1 }
      firstArrival += 1
    }
    if firstArrival > Self.pendingMax {
      arrivals.removeFirst(firstArrival)
      firstArrival = 0
    }
  }

  /// Takes a record into a row; false if it is none of the service's.
  private func take(_ record: ServedRecord, _ parts: inout Parts) -> Bool {
    guard !record.view.isEmpty else {
      guard parts.computed == nil, let values = record.values(derived),
        let inputs = record.inputs(service.service.inputs.map { .scalar($0.type) })
      else { return false }
      parts.computed = (inputs, values)
      return true
    }
    let found = service.reads.firstIndex { plan.views[$0.view].name.utf8.elementsEqual(record.view) }
    guard let index = found, parts.features[index] == nil else { return false }
    let read = service.reads[index]
    let view = plan.views[read.view]
    guard record.fingerprint == view.fingerprint, let values = record.values(view),
      let entity = EntityKey.values(of: record.entityKey, view.entity)
    else { return false }
    parts.features[index] = service.current(read, values, record)
    for (value, place) in zip(entity, read.key) { parts.entity[place] = value }
    return true
  }

  private func append(_ name: Name, _ parts: Parts) throws(TableError) {
    let inputs = parts.computed?.inputs ?? service.service.inputs.map { _ in .null }
    var computed = (parts.computed?.derived ?? []).makeIterator()
    var values: [FeatureValue] = [.string(Text(utf8: name.request)), .int64(name.row), .timestamp(name.time)]
    values += parts.entity + inputs
    for column in service.columns {
      switch column.origin {
      case .feature(let read, let feature): values.append(parts.features[read]?[feature] ?? .null)
      case .derived: values.append(computed.next() ?? .null)
      }
    }
    try spine.append(row: values)
  }
}

extension ServicePlan.Column {
  /// Whether it is computed at the time of a request.
  public var isDerived: Bool { if case .derived = origin { true } else { false } }
}

extension ServicePlan {
  /// How many records tell of a record's row: who doesn't say has written one a view.
  public func records(of record: ServedRecord) -> Int64 {
    record.rowRecords > 0 ? record.rowRecords : Int64(reads.count + (computes ? 1 : 0))
  }

  /// A view's values as the service answers them: null beyond its `max_age`.
  public func current(_ read: Read, _ values: [FeatureValue], _ record: ServedRecord) -> [FeatureValue] {
    let asOf = record.topic.isEmpty ? nil : record.asOf
    return read.isSilent(since: asOf, at: record.evaluatedAt) ? values.map { _ in .null } : values
  }
}

extension SpineTable {
  /// Refuses columns whose types are not those that are declared for them.
  fileprivate func checkTypes(_ types: [FeatureType]) throws(TableError) {
    for (column, index) in declared.enumerated() where index >= 0 {
      let wanted = schema.columns[index].type
      guard types[column] != .scalar(wanted) else { continue }
      throw TableError(
        path: path,
        problem: "column '\(columns[column])' is \(types[column]), and the label's source declares "
          + wanted.rawValue, remedy: "declare it alike in both")
    }
  }

  /// Adds a row of values, one a column, of the columns' types.
  fileprivate func append(row values: [FeatureValue]) throws(TableError) {
    beginRow()
    for (column, value) in values.enumerated() {
      append(value)
      if declared[column] >= 0 { row[declared[column]] = scalar(value) }
    }
    try endRow()
  }

  private func scalar(_ value: FeatureValue) -> Scalar {
    switch value {
    case .int64(let number): return .int64(number)
    case .double(let number): return .double(number)
    case .bool(let flag): return .bool(flag)
    case .timestamp(let time): return .int64(time.microseconds)
    case .string(let text):
      let room = arena.allocate(text.utf8.count)
      room.copyBytes(from: text.utf8)
      return .text(UnsafeRawBufferPointer(room))
    case .null, .list: return .null
    }
  }
}
