public import FeatureCore

/// What a join has made of one row of its spine.
public struct JoinedRow {
  /// What a view's state says of a row.
  public struct Features {
    /// The features, in the order of the view's; all null for a row whose entity has a null in it.
    public internal(set) var values: [FeatureValue]
    /// The largest event time that they have seen; nil without an event.
    public internal(set) var asOf: EventTime?
  }

  /// The row's time.
  public internal(set) var time: EventTime
  /// The spine's columns.
  var fields: [SpineField] = []
  /// Whether an event follows it; nil if no label is wanted.
  public internal(set) var label: Bool?
  /// Of each view.
  public internal(set) var features: [Features]
}

/// The rows of a join, in the order of the spine.
public final class JoinedRows {
  let spine: SpineTable
  let added: TrainingColumns
  /// By lane.
  private let results: [SortedRecords.Cursor]

  init(_ spine: SpineTable, _ results: [[RecordSorter]], _ added: TrainingColumns) throws(TableError) {
    self.spine = spine
    self.added = added
    var cursors: [SortedRecords.Cursor] = []
    for result in results { cursors.append(try SortedRecords.Cursor(result)) }
    self.results = cursors
  }

  /// Calls with every row, once.
  public func forEach(_ body: (JoinedRow) throws(TableError) -> Void) throws(TableError) {
    var row = JoinedRow(
      time: EventTime(microseconds: 0), label: nil,
      features: added.views.map { view in
        JoinedRow.Features(values: Array(repeating: .null, count: view.features.count), asOf: nil)
      })
    var number = 0
    try spine.rows.forEach { (bytes) throws(TableError) in
      var parser = ValueParser(bytes)
      row.fields.removeAll(keepingCapacity: true)
      for _ in spine.columns { row.fields.append(parser.field()) }
      guard case .timestamp(let time) = parser.value() else {
        preconditionFailure("Cannot read a row's time")
      }
      row.time = time
      for index in row.features.indices { try read(&row.features[index], results[index], number) }
      if added.hasLabel { row.label = try label(number) }
      number += 1
      try body(row)
    }
  }

  private func read(
    _ features: inout JoinedRow.Features, _ result: SortedRecords.Cursor, _ row: Int
  ) throws(TableError) {
    guard let bytes = try result.take(UInt64(row)) else {
      for index in features.values.indices { features.values[index] = .null }
      return features.asOf = nil
    }
    var parser = ValueParser(bytes)
    if case .timestamp(let time) = parser.value() { features.asOf = time } else { features.asOf = nil }
    for index in features.values.indices { features.values[index] = parser.value() }
  }

  /// A row of no entity is followed by nothing.
  private func label(_ row: Int) throws(TableError) -> Bool {
    guard let bytes = try results.last?.take(UInt64(row)) else { return false }
    var parser = ValueParser(bytes)
    return parser.value() == .bool(true)
  }
}

extension SortedRecords {
  /// Records that are asked for by the first words of their keys, in ascending order.
  final class Cursor {
    private let records: SortedRecords
    private var next: (key: SortKey, payload: UnsafeRawBufferPointer)?

    init(_ sorters: [RecordSorter]) throws(TableError) {
      records = try SortedRecords(sorters)
      next = try records.next()
      self.sorters = sorters
    }

    /// Their memory is what the records borrow.
    private let sorters: [RecordSorter]
    private var isTaken = false

    /// The record of a first word, until the next call; nil if there is none.
    func take(_ first: UInt64) throws(TableError) -> UnsafeRawBufferPointer? {
      if isTaken {
        next = try records.next()
        isTaken = false
      }
      guard let next, next.key.first == first else { return nil }
      isTaken = true
      return next.payload
    }
  }
}
